"""Every op, defined once: documentation, shape and dtype rule, gradient, body."""
