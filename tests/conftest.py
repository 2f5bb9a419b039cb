"""The suite's one parameter, `pytest --backend torch`, and its settings: the real Keras, an oracle, runs on JAX."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["KERAS_BACKEND"] = "jax"
pytest.register_assert_rewrite("tests.nn.layer_harness")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The oracle compiles every op of every shape once; unoptimised that takes half the time, and the sizes are tiny.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

BACKENDS = Path(__file__).resolve().parents[1] / "amalthea" / "backends"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        default=os.environ.get("AMALTHEA_BACKEND", "native"),
        choices=sorted(folder.parent.name for folder in BACKENDS.glob("*/__init__.py")),
        help="what computes in the tests, %(default)s unless said (or named by AMALTHEA_BACKEND)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Before any test, and so the package, is imported; also in pytest-xdist's workers."""
    backend = os.environ["AMALTHEA_BACKEND"] = config.getoption("--backend")
    settings.register_profile("kernels at hand", max_examples=25)
    settings.register_profile("a compilation for each shape", max_examples=6)
    settings.load_profile("kernels at hand" if backend in ("native", "numpy") else "a compilation for each shape")


def pytest_report_header(config: pytest.Config) -> str:
    return f"backend: {config.getoption('--backend')}"
