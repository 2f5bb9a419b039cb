"""Whole training steps on narrower processors than this one: run where this one can, else compiled and looked at."""

import struct

import numpy as np
import pytest

import amalthea as am
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.engine import assembly, object_code
from amalthea.compiler.linking import written
from amalthea.compiler.passes.pipeline import optimize
from amalthea.compiler.program import Program
from amalthea.compiler.routine import Routine
from amalthea.compiler.target import Target
from amalthea.core.trace import trace

L = am.layers
RNG = np.random.default_rng(0)
AARCH64 = 183  # of an ELF header


def mlp():
    model = am.Sequential([am.Input((9,)), L.Dense(33, activation="gelu"), L.Dropout(0.3), L.Dense(5)])
    return model, RNG.normal(size=(7, 9)).astype("float32")


def cnn():
    layers = [
        L.Conv2D(9, 3, padding="same", use_bias=False),
        L.BatchNormalization(),
        L.ReLU(),
        L.MaxPooling2D(),
        L.DepthwiseConv2D(3),
    ]
    model = am.Sequential([am.Input((12, 11, 3)), *layers, L.AveragePooling2D(2), L.Flatten(), L.Dense(5)])
    return model, RNG.normal(size=(4, 12, 11, 3)).astype("float32")


def lstm():
    model = am.Sequential([am.Input((6,), dtype="int32"), L.Embedding(10, 5), L.LSTM(9), L.Dense(5)])
    return model, RNG.integers(0, 10, (4, 6)).astype("int32")


def transformer():
    tokens = am.Input((6,), dtype="int32")
    h = L.Embedding(11, 16)(tokens)
    normal = L.LayerNormalization()(h)
    h = h + L.MultiHeadAttention(2, 8)(normal, normal, use_causal_mask=True)
    h = h + L.Dense(16)(L.Dense(40, activation="gelu")(L.LayerNormalization()(h)))
    return am.Model(tokens, L.Dense(5)(L.GlobalAveragePooling1D()(h))), RNG.integers(0, 11, (3, 6)).astype("int32")


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": transformer}


def training_step(name):
    """The graph of one step (forward, loss, backward, Adam) and arrays for its inputs."""
    am.utils.set_random_seed(1)
    model, x = MODELS[name]()
    optimizer = am.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    loss = am.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(x, y):
        with am.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
        return value

    y = (np.arange(len(x)) % 5).astype("int32")
    graph = trace(step, x, y, level="op").expand("primitive", keep=BACKEND.bare_kernels)
    return graph, [x, y, *(np.array(v.numpy(), order="C") for v in graph.variables)]


@pytest.mark.parametrize(
    "target", [t for t in map(Target.named, ("avx2", "sse4.2")) if t.runs_here()], ids=lambda t: t.name
)
@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_computes_the_same(name, target):
    graph, arrays = training_step(name)
    got, want = Program(graph, BACKEND.bare_kernels, target)(arrays), REFERENCE.compile(graph)(arrays)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * max(1.0, float(np.abs(b).max(initial=0))))


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_is_compiled_for_arm(name):
    graph, _ = training_step(name)
    neon = Target.named("neon")
    _, texts, declarations = written(Routine(optimize(graph), neon))
    for code in object_code(texts, declarations, neon):
        assert code[:4] == b"\x7fELF" and struct.unpack_from("<H", code, 18)[0] == AARCH64
    text = assembly(texts, declarations, neon)
    vectors = [line for line in text.splitlines() if line.lstrip().startswith(("fmla\tv", "fmul\tv", "fadd\tv"))]
    assert sum(".4s" in line for line in vectors) > 20
    assert "xmm" not in text
