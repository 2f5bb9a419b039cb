"""Training steps on a graphics processor, by our code on JAX and PyTorch, and by these engines alone."""
