"""What eager calls on JAX refuse, also where a composite is one program, which could only clamp or go on."""

import numpy as np
import pytest

import amalthea as am
from amalthea.core.backend import active

ops = am.ops
TABLE = np.arange(12, dtype="float32").reshape(4, 3)


@pytest.fixture(autouse=True)
def on_jax():
    with am.backend_scope("jax"):
        yield


@pytest.mark.parametrize("indices", [[0, 4], [-5], 12])
def test_indices_out_of_range_at_each_call_and_right_ones_between(indices):
    indices = np.array(indices)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"\[take\]: index (4|-5|12) is out of range for axis 0"):
            ops.take(TABLE, indices, axis=0)
        np.testing.assert_array_equal(ops.take(TABLE, indices % 4, axis=0), TABLE[indices % 4])


def test_indices_that_a_composite_computes():
    for _ in range(2):
        with pytest.raises(ValueError, match=r"\[take_along_axis\].*out of range"):
            ops.take_along_axis(TABLE[:1], [[3]], axis=1)


def test_a_program_looks_at_indices_that_it_is_given_and_there_is_none_where_it_computes_them():
    given = am.trace(lambda x, i: ops.take(x * 2.0, i, axis=0), am.ops.ones((4, 3)), ops.ones((2,), "int32"))
    computed = am.trace(lambda x, i: ops.take(x, i + 1, axis=0), am.ops.ones((4, 3)), ops.ones((2,), "int32"))
    looped = am.trace(
        lambda x, i: ops.while_loop(lambda y, k: ops.all(k < 2), lambda y, k: (ops.take(y, k, axis=0), k + 1), (x, i)),
        ops.ones((4, 3)),
        ops.ones((4,), "int32"),
    )
    program = active.backend.compile_eager(given.expand("primitive"))
    arrays = [active.backend.to_array(a) for a in (TABLE, np.array([3, -4], "int32"))]
    np.testing.assert_array_equal(program(arrays)[0], TABLE[[3, 0]] * 2)
    with pytest.raises(ValueError, match="index 9 is out of range"):
        program([arrays[0], active.backend.to_array(np.array([0, 9], "int32"))])
    assert active.backend.compile_eager(computed.expand("primitive")) is None
    assert active.backend.compile_eager(looped.expand("primitive")) is None


def test_negative_powers_of_integers():
    with pytest.raises(ValueError, match="negative integer powers"):
        ops.power(np.arange(3), np.array([0, 1, -1]))
    assert ops.power(np.arange(3), np.array([0, 1, 2])).tolist() == [1, 1, 4]
