"""Passes: named functions from a graph of primitives to a simpler one. `pipeline` runs them all."""
