"""The training loop over a step and batches, and its callbacks."""
