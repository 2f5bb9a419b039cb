"""The core: tensors, variables, ops, graphs, tracing and differentiation. It uses no other folder."""
