"""The rows of the training table: data, initial weights, work, and the check that engines agree."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea as am
from benchmarks import floor, keras_models
from benchmarks.engines import TRAINING
from benchmarks.initial import initial
from benchmarks.training import table, work
from benchmarks.training.rows import ROWS


@pytest.mark.parametrize("name", ROWS)
def test_the_data_fits_the_model_and_its_first_samples_are_always_the_same(name: str) -> None:
    row = ROWS[name]
    few, labels = row.data(samples=row.batch)
    more, more_labels = row.data(samples=2 * row.batch)
    for part, whole in zip([*few, labels], [*more, more_labels], strict=True):
        np.testing.assert_array_equal(part, whole[: row.batch])
    model = getattr(keras_models, row.identifier)(am)
    keras_models.set_initial(model)
    assert model.count_params() > 0
    inputs = [part[:8] for part in few]
    logits = np.asarray(model(inputs if len(inputs) > 1 else inputs[0]))
    assert np.all(np.isfinite(logits)) and 0.05 < np.std(logits) < 20
    assert logits.shape[:-1] == labels[:8].shape[: logits.ndim - 1]


def test_initial_weights_differ_by_name_and_keep_the_size_of_what_flows() -> None:
    assert not np.array_equal(initial("a/kernel", (8, 8)), initial("b/kernel", (8, 8)))
    assert initial("a/kernel", (400, 300)).std() == pytest.approx((1.5 / 400) ** 0.5, rel=0.02)
    assert initial("a_depthwise/kernel", (3, 3, 500, 1)).std() == pytest.approx((1.5 / 9) ** 0.5, rel=0.05)
    assert initial("attention_0/query/kernel", (64, 4, 16)).std() == pytest.approx((1.5 / 64) ** 0.5, rel=0.05)
    assert np.all(initial("n/moving_variance", (9,)) >= 1) and np.any(initial("n/bias", (9,)) != 0)


def test_the_work_of_a_step_is_that_of_its_contractions() -> None:
    assert work.mlp(2, 3, 5, 7).flops == 2 * 2 * 5 * (2 * 3 + 3 * 7)
    image = am.layers.Conv2D(4, 3, padding="same", use_bias=False)
    image.build((None, 6, 6, 2))
    weights = image.count_params()
    assert work.conv(10, 6, 3, 2, 4, bias=False).flops == 6 * 10 * 36 * weights
    total = work.data(8) + work.table(5)
    assert (total.flops, total.bytes, total.held) == (0, 4 * (8 + 40), 4 * (8 + 20))


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.eager])
def test_every_parameter_of_a_model_is_counted_in_its_work(name: str) -> None:
    row = ROWS[name]
    model = getattr(keras_models, row.identifier)(am)
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    normal = sum(int(np.prod(v.shape)) for v in model.trainable_variables if v.name in ("gamma", "beta"))
    assert row.work.held > 16 * (trained - normal)


@pytest.mark.parametrize(
    ("losses", "moved", "complaint"),
    [
        ([3.0, 2.0, 1.0], 0.5, ""),
        ([2.0], 0.5, ""),
        ([3.0, 2.0, 1.1], 0.5, "losses"),
        ([3.0, 2.0], 0.5, "losses"),
        ([float("nan")] * 3, 0.5, "losses"),
        ([3.0, 2.0, 1.0], 0.6, "moved"),
        ([3.0, 2.0, 1.0], float("nan"), "moved"),
    ],
)
def test_an_engine_that_computes_something_else_is_wrong(losses: list[float], moved: float, complaint: str) -> None:
    found = table.disagreement({"losses": losses, "moved": moved}, {"losses": [3.0, 2.0, 1.0], "moved": 0.5})
    assert found == "" if not complaint else found.startswith("wrong") and complaint in found


def test_only_engines_that_can_run_the_eager_loop_get_it() -> None:
    assert set(table.engines_of(ROWS["tape-loop"])) == {"amalthea", "jax", "tensorflow", "torch"}
    assert set(table.engines_of(ROWS["cnn"])) == set(TRAINING)
    assert set(table.engines_of(ROWS["cnn"], ["jax"])) == {"jax"}


def test_the_floor_is_measured_on_registers_and_in_memory() -> None:
    found = floor.measure(threads=2, megabytes=1, seconds=0.01)
    assert found.flops > 1e8 and min(found.read, found.write, found.copy) > 1e7 and found.threads == 2
    assert floor.bandwidth(1, 10_000, seconds=0.01) > 1e7
    assert "GFLOP/s" in found.describe()
