"""The losses, one concept a file."""
