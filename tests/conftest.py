"""Settings for all tests: the default backend unless AMALTHEA_BACKEND names one; the real Keras, an oracle, on JAX."""

from __future__ import annotations

import os

import pytest

os.environ["KERAS_BACKEND"] = "jax"
pytest.register_assert_rewrite("tests.nn.layer_harness")
os.environ.setdefault("AMALTHEA_BACKEND", "native")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The oracle compiles every op of every shape once; unoptimised that takes half the time, and the sizes are tiny.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
