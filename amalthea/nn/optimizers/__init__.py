"""The optimizers and learning-rate schedules, one concept a file."""
