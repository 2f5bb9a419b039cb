"""The tables of the backends: what they say of the bare engine and of Keras."""

from __future__ import annotations

from benchmarks.backends.rows import ROWS
from benchmarks.backends.table import lead, verdict
from benchmarks.engines import BACKENDS, EAGER
from benchmarks.ratios import Measured, Result


def row(name: str, **seconds: float) -> Measured:
    results = {engine.replace("_", "-"): Result([value, value]) for engine, value in seconds.items()}
    return Measured(name, results, [engine for engine in results if engine.startswith("amalthea")])


def test_the_best_bare_way_and_keras_are_told_apart() -> None:
    found = row("mlp", amalthea_jax=2.0, amalthea_jax_fit=1.0, jax=3.0, jax_scan=0.9, keras_jax=5.0)
    assert (lead(found, keras=False), lead(found, keras=True)) == (0.9, 5.0)
    assert lead(row("mlp", amalthea_jax=2.0, jax=1.0), keras=True) is None


def test_the_verdict_names_the_rows_that_fall_short() -> None:
    rows = [
        row("mlp", amalthea_jax=1.0, jax=0.98, keras_jax=2.0),
        row("cnn", amalthea_jax=1.0, jax=0.5, keras_jax=0.9),
        row("eager-add", amalthea_jax=1.0, jax=2.0, keras_jax=3.0),
    ]
    assert verdict(rows) == [
        "training steps: the bare engine / ours 0.70, below 0.97 in: cnn (0.50)",
        "training steps: Keras / ours 1.34, below 1 in: cnn (0.90)",
        "eager ops: the bare engine / ours 2.00, at least 0.97 in all 1 rows",
        "eager ops: Keras / ours 3.00, at least 1 in all 1 rows",
    ]


def test_every_engine_has_ours_the_bare_one_and_keras() -> None:
    for backend, engines in BACKENDS.items():
        assert {f"amalthea-{backend}", f"amalthea-{backend}-fit", backend, f"keras-{backend}"} <= set(engines)
        assert set(EAGER[backend]) <= set(engines)
    assert all(len(op.data()) == len(op.shapes) for op in ROWS.values())
