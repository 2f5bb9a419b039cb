"""Everything that is measured: which code runs it, what it needs installed, and how it is held to its threads."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

OURS = "amalthea"


@dataclass(frozen=True)
class Engine:
    """One column of a table.

    Attributes:
        name: the column.
        maker: `module:class` that makes it ready for a row.
        packages: what must be installed; the first is what its size and version are reported of.
        options: further arguments of the class.
        environment: variables set before its process starts.
        ours: part of this project, not a peer.
        eager: also runs the row of the eager loop.
    """

    name: str
    maker: str
    packages: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False
    eager: bool = False

    def make(self, *arguments: Any, **options: Any) -> Any:
        """Import what is needed and make it ready; to be called in a process of its own."""
        module, _, name = self.maker.partition(":")
        return getattr(importlib.import_module(f"benchmarks.{module}"), name)(*arguments, **self.options, **options)


def _keras(backend: str, package: str) -> Engine:
    environment = {"KERAS_BACKEND": backend}
    return Engine(f"keras-{backend}", "training.with_keras:Fit", ("keras", package), {"package": "keras"}, environment)


_NATIVE = {"AMALTHEA_BACKEND": "native"}

TRAINING: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(OURS, "training.with_keras:Step", (OURS,), {}, _NATIVE, ours=True, eager=True),
        Engine(f"{OURS}-fit", "training.with_keras:Fit", (OURS,), {"package": OURS}, _NATIVE, ours=True),
        Engine("jax", "training.with_jax:Jax", ("jax",), eager=True),
        Engine("jax-scan", "training.with_jax:Jax", ("jax",), {"scan": True}),
        Engine("tensorflow", "training.with_tensorflow:TensorFlow", ("tensorflow",), eager=True),
        Engine("tensorflow-xla", "training.with_tensorflow:TensorFlow", ("tensorflow",), {"xla": True}),
        Engine("torch", "training.with_torch:Torch", ("torch",), eager=True),
        Engine("torch-compile", "training.with_torch:Torch", ("torch",), {"compiled": True}),
        _keras("jax", "jax"),
        _keras("tensorflow", "tensorflow"),
        _keras("torch", "torch"),
    )
}
"""The columns of the training table."""


def _on(backend: str, jit: bool, *bare: str) -> dict[str, Engine]:
    """Ours on an engine, the engine alone, and Keras on it.

    Args:
        backend: the engine.
        jit: whether it has a compiler that is slow to start and is asked for by `jit_compile`.
        *bare: columns of the training table that are the engine alone.
    """
    environment = {"AMALTHEA_BACKEND": backend}
    packages, ours = (OURS, backend), f"{OURS}-{backend}"
    step = Engine(ours, "training.with_keras:Step", packages, {}, environment, ours=True, eager=True)
    compiled = replace(step, name=f"{ours}-jit", options={"jit_compile": True}, eager=False)
    fit = replace(step, name=f"{ours}-fit", maker="training.with_keras:Fit", options={"package": OURS}, eager=False)
    found = [step, *([compiled] if jit else []), fit, *(TRAINING[name] for name in (*bare, f"keras-{backend}"))]
    return {engine.name: engine for engine in found}


BACKENDS: dict[str, dict[str, Engine]] = {
    "jax": _on("jax", False, "jax", "jax-scan"),
    "torch": _on("torch", True, "torch", "torch-compile"),
    "tensorflow": _on("tensorflow", True, "tensorflow", "tensorflow-xla"),
}
"""For each engine that Amalthea runs on, the columns of its table."""

EAGER: dict[str, dict[str, Engine]] = {
    backend: {
        f"{OURS}-{backend}": replace(
            engines[f"{OURS}-{backend}"], maker="backends.eager:with_ops", options={"package": OURS}
        ),
        backend: replace(engines[backend], maker=f"backends.eager:with_{backend}"),
        f"keras-{backend}": replace(engines[f"keras-{backend}"], maker="backends.eager:with_ops"),
    }
    for backend, engines in BACKENDS.items()
}
"""The same for single eager ops."""

_VISIBLE = {"CUDA_VISIBLE_DEVICES": "0", "JAX_PLATFORMS": ""}

GPU: dict[str, Engine] = {
    name: replace(engine, environment={**engine.environment, **_VISIBLE})
    for backend in ("jax", "torch")
    for name, engine in BACKENDS[backend].items()
    if name in (f"{OURS}-jax", f"{OURS}-torch", f"{OURS}-torch-jit", "jax", "torch", "torch-compile")
}
"""The columns of the table for graphics processors."""

_NUMPY = {"AMALTHEA_BACKEND": "numpy"}

REFERENCES: dict[str, Engine] = {
    "training/reference": Engine(
        "reference", "training.with_keras:Step", (OURS,), {"dtype": "float64"}, _NUMPY, ours=True
    ),
    "inference/reference": Engine("reference", "inference.runtimes:Amalthea", (OURS,), {}, _NUMPY, ours=True),
}
"""What every column must agree with: Amalthea's NumPy backend, in float64 where it trains."""

INFERENCE: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(OURS, "inference.runtimes:Amalthea", (OURS,), {}, _NATIVE, ours=True),
        Engine("onnxruntime", "inference.runtimes:OnnxRuntime", ("onnxruntime",)),
        Engine("openvino", "inference.runtimes:OpenVino", ("openvino",)),
        Engine("litert", "inference.runtimes:LiteRt", ("ai_edge_litert",)),
    )
}
"""The columns of the inference table."""

EXPORTS: dict[str, Engine] = {
    "onnx": Engine(
        "export to ONNX",
        "inference.exports:Onnx",
        ("keras", "torch", "onnx", "onnxscript"),
        environment={"KERAS_BACKEND": "torch"},
    ),
    "litert": Engine(
        "export to LiteRT",
        "inference.exports:LiteRt",
        ("keras", "tensorflow"),
        environment={"KERAS_BACKEND": "tensorflow"},
    ),
}
"""What writes the files that the runtimes read: real Keras, on the backend that writes the cleanest."""

ALL: dict[str, Engine] = {
    **{f"training/{name}": engine for name, engine in TRAINING.items()},
    **{f"training/{name}": engine for engines in BACKENDS.values() for name, engine in engines.items()},
    **{f"gpu/{name}": engine for name, engine in GPU.items()},
    **{f"backends/{name}": engine for engines in EAGER.values() for name, engine in engines.items()},
    **{f"inference/{name}": engine for name, engine in INFERENCE.items()},
    **{f"export/{name}": engine for name, engine in EXPORTS.items()},
    **REFERENCES,
}
"""Every engine by the name that its process is started with."""


def threads_environment(threads: int) -> dict[str, str]:
    """Environment that holds every library to so many threads; a worker is also bound to so many processors."""
    count = str(threads)
    return {
        "AMALTHEA_NUM_THREADS": count,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": count,
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={count}",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "",
    }


def set_threads(threads: int) -> None:
    """What has to be said to a library itself, after the environment has been said to all of them."""
    import sys

    if "torch" in sys.modules:
        torch = importlib.import_module("torch")
        torch.set_num_threads(threads)
    if "tensorflow" in sys.modules:
        threading = importlib.import_module("tensorflow").config.threading
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
