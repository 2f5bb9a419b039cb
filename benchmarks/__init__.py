"""Measurements; `python -m benchmarks`, see README.md. Nothing here is a test: figures are read by people."""
