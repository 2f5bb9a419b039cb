"""Measurements; `python -m benchmarks core`. Nothing here is a test: figures are read by people."""
