"""One training step of each model, in every framework: rows, the models in each framework, the measurement."""
