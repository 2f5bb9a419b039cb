"""Models under mixed_bfloat16 and mixed_float16, compiled: float32 state, half computation, no fallbacks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.program import Program
from tests.compiler.test_program import IMAGES, POOLS, normal, program_and_arrays

L = am.layers
ROUNDING = {"mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}


@pytest.fixture(params=sorted(ROUNDING))
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    before = am.config.dtype_policy()
    am.config.set_dtype_policy(request.param)
    yield request.param
    am.config.set_dtype_policy(before)


def models() -> dict:
    """Small models with the layers that matter; inputs with them."""
    convolutional = [
        L.Conv2D(16, 3, padding="same", activation="relu"),
        L.MaxPooling2D(),
        L.BatchNormalization(),
        L.Conv2D(20, 3, strides=2),
        L.AveragePooling2D(2),
        L.Flatten(),
        L.Dense(3, dtype="float32"),
    ]
    tokens = am.Input((17,), dtype="int32")
    x = L.Embedding(11, 32)(tokens)
    x = x + L.MultiHeadAttention(2, 16)(L.LayerNormalization()(x), x, use_causal_mask=True)
    x = x + L.Dense(32)(L.Dense(64, activation="gelu")(x))
    integers = np.random.default_rng(1).integers(0, 11, (4, 17)).astype("int32")
    dense = [L.Dense(48, activation="relu"), L.Dense(48, activation="tanh"), L.Dense(3)]
    return {
        "dense": (am.Sequential(dense), normal(40, 33)),
        "convolutional": (am.Sequential(convolutional), normal(4, 12, 12, 3)),
        "attention": (am.Model(tokens, L.Dense(3)(x)), integers),
    }


@pytest.mark.parametrize("name", ["dense", "convolutional", "attention"])
def test_a_training_step(policy: str, name: str) -> None:
    model, x = models()[name]
    y = np.random.default_rng(2).normal(size=model(x).shape).astype("float32")
    optimizer = am.optimizers.Adam()
    optimizer.build(model.trainable_variables)

    def step(x, y):
        with am.GradientTape() as tape:
            loss = ops.mean(ops.square(ops.cast(model(x, training=True), "float32") - y))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return [loss, *gradients]

    variables = [*model.variables, *optimizer.variables]
    assert {v.dtype for v in variables if v.dtype.startswith(("float", "bfloat"))} == {"float32"}
    _, program, values = program_and_arrays(step, x, y)
    assert [s.node.op.name for s in program.steps if s.node is not None] == []
    half = policy.removeprefix("mixed_")
    products = [n for n in program.graph.nodes if n.op.name in ("contract", "convolution", "conv_kernel_gradient")]
    assert sum(n.inputs[0].spec.dtype == half for n in products) >= 2 * len(products) // 3
    got, want = program(values), REFERENCE.compile(program.source)(values)
    count = 1 + len(model.trainable_variables)
    for a, b in zip(got[:count], want[:count], strict=True):
        a, b = a.astype("float64"), b.astype("float64")
        assert np.linalg.norm(a - b) <= 8 * ROUNDING[policy] * max(np.linalg.norm(b), 1e-2)


@pytest.mark.parametrize("size, strides, padding", POOLS)
def test_max_pooling(policy: str, size, strides, padding) -> None:
    half = policy.removeprefix("mixed_")

    def both(x):
        x = ops.cast(x, half)
        with am.GradientTape() as tape:
            tape.watch(x)
            best = ops.max_pool(x, size, strides, padding)
            y = ops.sum(ops.cast(best, "float32") * 0.5)
        return best, tape.gradient(y, x)

    for x in (IMAGES, np.round(IMAGES), np.where(IMAGES > 2, np.nan, IMAGES)):
        graph, program, values = program_and_arrays(both, x)
        assert isinstance(program, Program) and len(program.stretches) == 1
        for a, b in zip(program(values), REFERENCE.compile(graph)(values), strict=True):
            assert a.dtype == b.dtype == half
            np.testing.assert_array_equal(a.astype("float64"), b.astype("float64"))


BYTES = np.random.default_rng(3).integers(-128, 128, (300, 200)).astype("int8")
WEIGHTS = np.random.default_rng(4).integers(-128, 128, (200, 90)).astype("int8")
NARROW = {
    "matmul": (ops.matmul, 1),
    "einsum": (lambda x, y: ops.einsum("ij,jk->ki", x, y) * 2 + 1, 1),
    "mixed signs": (lambda x, y: ops.matmul(ops.cast(ops.view(x, "uint8"), "int32"), ops.cast(y, "int32")), 2),
    "weights alone": (lambda x, y: ops.matmul(ops.cast(x, "float32") * 0.25, ops.cast(y, "float32")), 2),
    "bfloat16 with float32 results": (
        lambda x, y: ops.matmul(ops.cast(ops.cast(x, "bfloat16") * 3, "float32"), ops.cast(y, "float32")),
        2,
    ),
    "convolution": (
        lambda x, y: ops.conv(x[:288, :].reshape((32, 10, 10, 18)), y[:162, :20].reshape((3, 3, 18, 20))),
        3,
    ),
}


@pytest.mark.parametrize("name", sorted(NARROW))
def test_contractions_read_what_was_widened(name: str) -> None:
    """No step writes the operand in the wider dtype, and integers are exact."""
    f, steps = NARROW[name]
    _, program, values = program_and_arrays(f, BYTES, WEIGHTS)
    assert len(program.steps) <= steps
    for got, want in zip(program(values), REFERENCE.compile(program.source)(values), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-6 if "float" in got.dtype.name else 0)
