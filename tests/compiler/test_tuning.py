"""Contractions chosen by measuring."""

from dataclasses import replace

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.compiler import contraction_cache, tuning
from amalthea.compiler.contraction import choices, from_subscripts, generate
from amalthea.compiler.target import Target
from amalthea.core.dtypes import float32, int8
from tests.compiler.contraction_runner import check

HOST = Target.host()
PRODUCT = from_subscripts("ij,jk->ik", (17, 40), (40, 33), float32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AMALTHEA_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def measured(monkeypatch):
    """The contractions that are measured; the last version is said to be the fastest."""
    made = []

    def measure(contraction, target, versions, threads):
        made.append((contraction, threads))
        return [float(len(versions) - i) for i in range(len(versions))]

    monkeypatch.setattr(tuning, "measure", measure)
    return made


def test_all_versions_run_and_take_time():
    versions = [None, *choices(PRODUCT, HOST, 3)]
    assert all(0 < seconds < 10 for seconds in tuning.measure(PRODUCT, HOST, versions, 2, rounds=1))


def test_what_was_measured_is_kept_on_disk(cache, measured, capsys):
    best = tuning.fastest(PRODUCT, HOST, 2)
    assert best == choices(PRODUCT, HOST, tuning.LIMIT)[-1]
    assert tuning.fastest(PRODUCT, HOST, 2) == best
    assert len(measured) == 1
    assert "[autotune] float32 rows 17, depth 40, columns 33: the fastest of" in capsys.readouterr().err
    tuning.fastest(PRODUCT, HOST, 1)  # another number of threads
    assert [threads for _, threads in measured] == [2, 1]


def test_the_model_may_be_right(cache, monkeypatch):
    monkeypatch.setattr(tuning, "measure", lambda c, t, versions, threads: [1.0] + [2.0] * (len(versions) - 1))
    assert [tuning.fastest(PRODUCT, HOST, 2) for _ in range(2)] == [None, None]


def test_the_chosen_version_computes_the_same(cache, measured):
    check(PRODUCT, HOST, generated=generate(PRODUCT, HOST, tuning.fastest(PRODUCT, HOST, 2)))


def test_programs_use_it_while_the_switch_is_on(cache, measured):
    x, y = np.ones((17, 40), "float32"), np.ones((40, 33), "float32")
    f = am.function(lambda x, y: ops.relu(ops.matmul(x, y) - 1.0))
    with am.backend_scope("native"):
        f(x, y)
        assert not measured
        try:
            am.config.set_autotune(True)
            for _ in range(2):
                np.testing.assert_array_equal(f(x, y), np.full((17, 33), 39.0))
        finally:
            am.config.set_autotune(False)
    assert len(measured) == 1
    assert measured[0][0].epilogue is None
    contraction_cache._generated.cache_clear()


def test_each_operand_has_memory_of_its_own_dtype():
    mixed = replace(PRODUCT, dtype=int8, y_dtype=float32)
    assert [array.nbytes for array in tuning._operands(mixed).values()] == [17 * 40, 40 * 33 * 4, 17 * 33 * 4]
