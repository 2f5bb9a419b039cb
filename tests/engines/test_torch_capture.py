"""Programs of the torch backend as CUDA records and replays them; here without a device."""

import numpy as np
import pytest

import amalthea as am
from tests.engines.test_torch_programs import X, Y, dense, trained


@pytest.fixture(autouse=True)
def on_torch():
    with am.backend_scope("torch"):
        yield


def replaying(run, inputs):
    """A recorder without a device: a replay runs the function again and writes to the recorded outputs."""
    kept = [x.clone() for x in inputs]
    outputs = run(*inputs)
    for x, before in zip(inputs, kept, strict=True):
        x.copy_(before)  # recording computes nothing

    def replay():
        for old, new in zip(outputs, run(*inputs), strict=True):
            if old.data_ptr() != new.data_ptr():
                old.copy_(new)

    return replay, outputs


def test_a_captured_step_trains_as_others_do_and_leaves_to_their_owners_what_they_read():
    from amalthea.backends.torch.compiled.capture import Captured

    def train(captured):
        model = dense()
        step = trained(model, am.optimizers.Adam(0.01))
        kernel, seen = model.trainable_variables[0], []
        for i in range(7):
            if i == 1 and captured:
                (entries,) = step._compiled.values()
                entries[0].program.captured = Captured(entries[0].program.run, entries[0].program.in_place, replaying)
            loss = step(X + i, Y)
            if i in (2, 4):
                seen.append((kernel.value, kernel.numpy().copy(), loss))
            if i == 5:
                kernel.assign(kernel.numpy() * 0.5)
        for held, then, _ in seen:
            np.testing.assert_array_equal(held.numpy(), then)
        return [v.numpy() for v in model.variables] + [loss.numpy() for *_, loss in seen], kernel

    found, kernel = train(True)
    for got, want in zip(found, train(False)[0], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def test_a_captured_program_keeps_variables_in_its_memory():
    from amalthea.backends.torch.compiled.capture import Captured

    v = am.Variable(np.zeros(5000, "float32"))
    step = am.function(lambda x: v.assign_add(x))
    ones = am.ops.ones(5000)
    step(ones)
    (entries,) = step._compiled.values()
    entries[0].program.captured = Captured(entries[0].program.run, entries[0].program.in_place, replaying)
    places = []
    for _ in range(4):
        step(ones)
        places.append(v.value._array.data_ptr())
    assert len(set(places)) == 1 and v.numpy()[0] == 5.0


def test_programs_that_read_values_are_not_captured():
    from amalthea.backends.torch.compiled.capture import capturable

    spec, place = am.TensorSpec((4,), "float32"), am.TensorSpec((1,), "int32")
    graphs = {
        True: [
            am.trace(lambda x: am.ops.softmax(x) + 1.0, spec, level="primitive"),
            am.trace(lambda x: am.ops.scan(lambda c, y: (c + y, c), 0.0, x)[1], spec, level="primitive"),
        ],
        False: [
            am.trace(lambda x: am.ops.while_loop(lambda x: x[0] < 5, lambda x: x * 2.0, (x,)), spec, level="primitive"),
            am.trace(lambda x, i: am.ops.slice(x, i, (2,)), spec, place, level="primitive"),
        ],
    }
    for wanted, some in graphs.items():
        assert [capturable(graph) for graph in some] == [wanted] * len(some)
