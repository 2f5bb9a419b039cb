"""Settings for all tests: the real Keras, used as an oracle, runs on its JAX backend."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"
