"""Reading and writing `.keras` archives and weights files."""
