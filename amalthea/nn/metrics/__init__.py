"""The metrics, one concept a file."""
