"""State in place: a step is given the memory it replaces, and never what somebody else holds."""

import gc
import signal
import threading

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.core.backend import active, to_numpy
from amalthea.core.tensor import array_of

SHAPE = (128, 64)  # large enough to be lent


OPTIONS: dict[str, dict] = {
    "jax": {},
    "torch": {},
    "tensorflow": {"jit_compile": True},  # of steps this small it would compile no part itself
}


@pytest.fixture(autouse=True, params=OPTIONS)
def engine(request):
    with am.backend_scope(request.param):
        yield request.param


def compiled(body):
    return am.function(body, **OPTIONS[am.config.backend()])


@pytest.fixture
def state():
    return am.Variable(np.arange(np.prod(SHAPE), dtype="float32").reshape(SHAPE))


def stepper(*variables):
    def body(x):
        for variable in variables:
            variable.assign_add(x)

    step = compiled(body)
    step(1.0)  # the first call compiles, and works on copies
    return step


def address(variable):
    array = array_of(variable.value)
    if am.config.backend() == "tensorflow":
        return np.asarray(array).ctypes.data
    return array.data_ptr() if am.config.backend() == "torch" else array.unsafe_buffer_pointer()


def values(held):
    known = (active.array_type, *active.backend.state_types)
    return np.array(to_numpy(held) if isinstance(held, known) else held)


def test_the_new_value_lies_where_the_old_one_was(state):
    step = stepper(state)
    at = address(state)
    for _ in range(3):
        step(1.0)
        assert address(state) == at
    np.testing.assert_array_equal(state.numpy().ravel(), np.arange(state.size) + 4)


HOLDERS = {
    "tensor": lambda v: v.value,
    "engine_array": lambda v: v.value._array,
    "numpy_view": lambda v: np.asarray(v.value),
    "part_of_a_view": lambda v: np.asarray(v.value)[3:5],
    "dlpack": lambda v: np.from_dlpack(v.value),
    "memoryview": lambda v: memoryview(np.asarray(v.value)),
    "variable": lambda v: am.Variable(v.value),
    "identity": lambda v: ops.stop_gradient(v.value),
    "reshaped": lambda v: ops.reshape(v.value, SHAPE),
    "other_shape": lambda v: ops.reshape(v.value, (-1,)),
    "cast": lambda v: ops.cast(v.value, "float32"),
    "tensor_of_it": lambda v: ops.convert_to_tensor(array_of(v.value)),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_somebody_holds_keeps_its_value(state, holder):
    step = stepper(state)
    for _ in range(2):
        held = HOLDERS[holder](state)
        before, value = values(held), state.numpy()
        step(1.0)
        step(1.0)
        np.testing.assert_array_equal(values(held), before)
        np.testing.assert_array_equal(state.numpy(), value + 2)


def test_two_variables_of_one_array_part(state):
    other = am.Variable(np.ones(SHAPE, "float32"))
    step = stepper(state, other)
    other.assign(state)
    value = state.numpy()
    step(1.0)
    step(1.0)
    np.testing.assert_array_equal(state.numpy(), value + 2)
    np.testing.assert_array_equal(other.numpy(), state.numpy())


def test_variables_that_change_places(state):
    other = am.Variable(np.ones(SHAPE, "float32"))

    @compiled
    def swap():
        old = state.value
        state.assign(other)
        other.assign(old)
        return old

    want = [state.numpy(), other.numpy()]
    for _ in range(5):
        old = swap()
        np.testing.assert_array_equal(old.numpy(), want[0])
        want.reverse()
        np.testing.assert_array_equal(state.numpy(), want[0])
        np.testing.assert_array_equal(other.numpy(), want[1])


def test_an_output_is_not_the_state_that_the_next_step_overwrites(state):
    @compiled
    def step():
        return state.assign_add(1.0).value

    found = [step() for _ in range(4)]
    for later, earlier in zip(found[1:], found, strict=False):
        np.testing.assert_array_equal(later.numpy(), earlier.numpy() + 1)


def test_a_program_that_fails_leaves_the_state(state, monkeypatch):
    def broken(x):
        raise ValueError("no such luck")

    monkeypatch.setitem(active.backend.bare_kernels, "erf", broken)
    before = state.numpy()
    step = compiled(lambda: state.assign(ops.erf(state)))
    for _ in range(2):
        with pytest.raises(ValueError, match="no such luck"):
            step()
        np.testing.assert_array_equal(state.numpy(), before)


def test_ctrl_c_in_the_middle_of_steps_loses_no_state(state):
    counter = am.Variable(0.0)

    @compiled
    def step():
        counter.assign_add(1.0)
        state.assign(ops.tanh(ops.matmul(state, ops.matmul(ops.transpose(state), state)) * 1e-3) + counter)

    step(), step()
    interrupted = 0
    gc.collect()  # here, as Ctrl-C in the finalizer of a function of an earlier test would be lost
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for i in range(60):
            try:
                # Again and again: what comes while Python deletes an object is lost.
                signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0001 * i, 0.5)
                while True:
                    step()
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
                interrupted += 1
            assert np.isfinite(state.numpy()).all() and np.isfinite(counter.numpy())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted == 60
    was = counter.numpy()
    step()
    assert counter.numpy() == was + 1


def test_a_handler_of_signals_that_reads_the_state_of_a_running_step_is_refused_and_loses_nothing(state):
    step = stepper(state)
    met, want, steps = [], state.numpy(), 0

    def handler(*_):
        try:
            state.numpy()
        except RuntimeError as error:
            met.append(str(error))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0007)
    try:
        while not met or steps < 300:
            step(1.0)
            steps += 1
            want = want + 1
            # Of a copy: what NumPy has looked at torch does not lend.
            np.testing.assert_array_equal(ops.negative(state).numpy(), -want)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all("Fix: let the handler" in text for text in met)


def test_two_threads_may_step_the_same_variables(state):
    other = am.Variable(np.zeros(SHAPE, "float32"))

    @compiled
    def step():
        state.assign_add(1.0)
        other.assign_add(1.0)

    step()
    before, torn = state.numpy(), []

    def read():
        for _ in range(100):
            held = state.value
            first = np.array(held)
            if not np.array_equal(np.array(held), first):
                torn.append(first)

    workers = [threading.Thread(target=lambda: [step() for _ in range(50)]), threading.Thread(target=read)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not torn
    np.testing.assert_array_equal(state.numpy(), before + 50)
    np.testing.assert_array_equal(other.numpy(), np.full(SHAPE, 51.0))


def test_fit_and_a_tape_share_the_state_of_a_model():
    am.utils.set_random_seed(0)
    model = am.Sequential([am.layers.Input((64,)), am.layers.Dense(128), am.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(96, 64)).astype("float32")
    y = x[:, :1]
    kernel = model.layers[0].kernel.value
    first = kernel.numpy().copy()
    for _ in range(2):
        model.fit(x, y, verbose=0)
        model.train_on_batch(x, y)
        with am.GradientTape() as tape:
            loss = ops.mean((model(x) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
    np.testing.assert_array_equal(kernel.numpy(), first)
    assert not np.array_equal(model.layers[0].kernel.numpy(), first)
