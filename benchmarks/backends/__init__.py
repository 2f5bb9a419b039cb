"""Our code on JAX, PyTorch and TensorFlow, beside these engines used bare and real Keras on them."""
