"""Who computes: one folder per backend, each a table from op name to kernel plus `compile(graph)`."""
