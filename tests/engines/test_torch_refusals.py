"""What variables hold after a program of the torch backend has refused numbers that it was given."""

import numpy as np
import pytest

import amalthea as am


@pytest.fixture(autouse=True)
def on_torch():
    with am.backend_scope("torch"):
        yield


N = 5000


def take_after(v, w, table, i):
    v.assign_add(am.ops.ones(N))
    return am.ops.take(table, i)


def take_between(v, w, table, i):
    v.assign_add(am.ops.ones(N))
    found = am.ops.take(table, i)
    w.assign_add(am.ops.ones(3))
    return found


def take_from_the_new_value(v, w, table, i):
    v.assign_add(am.ops.ones(N))
    w.assign_add(am.ops.ones(3))
    return am.ops.take(v, i * 1000)


def take_in_a_branch(v, w, table, i):
    v.assign_add(am.ops.ones(N))
    return am.ops.cond(i[0] >= 0, lambda: am.ops.take(table, i), lambda: am.ops.zeros(1))


def take_in_a_loop(v, w, table, i):
    v.assign_add(am.ops.ones(N))
    return am.ops.scan(lambda c, j: (c + am.ops.take(table, j), None), am.ops.zeros(()), i)[0]


@pytest.mark.parametrize("step", [take_after, take_between, take_from_the_new_value, take_in_a_branch, take_in_a_loop])
def test_variables_keep_their_values_when_an_index_is_refused(step):
    v, w = am.Variable(np.zeros(N, "float32")), am.Variable(np.zeros(3, "float32"))
    table = am.ops.ones(9)
    run = am.function(lambda i: step(v, w, table, i))
    for _ in range(2):
        run(np.int32([0]))
    # nothing is read before: what was read would not be overwritten
    with pytest.raises(ValueError, match="out of range"):
        run(np.int32([99]))
    np.testing.assert_array_equal(v.numpy(), np.full(N, 2.0))
    assert w.numpy()[0] in (0.0, 2.0)
    run(np.int32([0]))
    assert v.numpy()[0] == 3
