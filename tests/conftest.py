"""Settings for all tests: the reference backend here; the real Keras, used as an oracle, runs on its JAX backend."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ["AMALTHEA_BACKEND"] = "numpy"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
