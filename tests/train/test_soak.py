"""Ten thousand steps do not make the process grow; nor do shapes that never come again."""

import sys

import numpy as np
import pytest

from amalthea import ops
from amalthea.core import eager_programs, function
from amalthea.core.backend import active
from tests.train import soak

MOST = 4 << 20  # bytes: a leak of half a kilobyte a step


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ["fit", "function", "tape"])
def test_ten_thousand_steps_leave_memory_as_it_was(name):
    _, more = soak.growth(name, steps=10_000, warm=2_000)
    assert more < MOST, f"{more / 2**20:.1f} MiB more"


def test_a_function_keeps_the_programs_of_so_many_signatures(monkeypatch):
    monkeypatch.setattr(function, "KEPT", 3)
    f = function.function(lambda x: x * 2.0 + 1.0, name="grown")
    for n in (1, 2, 3, 4, 5, 1):
        np.testing.assert_array_equal(f(np.ones(n, "float32")), np.full(n, 3.0))
        assert len(f._compiled) <= 3


def test_eager_code_keeps_so_many_programs(monkeypatch):
    monkeypatch.setattr(eager_programs, "KEPT", 2)
    eager_programs._programs.clear()
    for n in range(5):
        x = ops.convert_to_tensor(np.ones((200, 1000 + n), "float32"))
        np.testing.assert_allclose(ops.sum(ops.softmax(x)), 200.0, rtol=1e-4)
    assert len(eager_programs._programs) == (0 if active.large is None else 1)
