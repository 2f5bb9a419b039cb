"""Layers, losses, metrics, optimizers and what they are made of, written in ops alone."""
