"""New values of variables take the memory of the old ones, unless somebody else holds that."""

import gc
import multiprocessing
import threading

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.compiler.generators import GENERATORS
from amalthea.compiler.program import Program
from amalthea.core.errors import ArgumentError
from amalthea.core.loans import Lending, Loan

SIZE = (300, 200)


@pytest.fixture(autouse=True)
def native():
    with am.backend_scope("native"):
        yield


def normal(seed=0, shape=SIZE):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def place(variable):
    return variable._tensor._array.__array_interface__["data"][0]


@pytest.fixture
def state():
    return am.Variable(normal(), name="state")


def stepper(state):
    step = am.function(lambda x: (state.assign(state * 0.5 + x), None)[1])
    step(normal(1))  # from now on the array is the program's own
    return step


def test_a_step_overwrites_the_value(state):
    step = stepper(state)
    before, want = place(state), state.numpy() * np.float32(0.5) + normal(2)
    step(normal(2))
    assert place(state) == before
    np.testing.assert_allclose(state.numpy(), want, rtol=1e-6)


HOLDERS = {
    "value": lambda v: v.value,
    "read_value": lambda v: v.read_value(),
    "view": lambda v: v.value.numpy(),
    "part_of_a_view": lambda v: v.value.numpy()[3:7, ::2],
    "asarray": lambda v: np.asarray(v),
    "memoryview": lambda v: memoryview(v.value.numpy()),
    "copy": lambda v: v.numpy(),
    "dlpack": lambda v: np.from_dlpack(v.value),
    "reshape": lambda v: ops.reshape(v, (-1,)),
    "row": lambda v: v[2],
    "variable": lambda v: am.Variable(v),
    "assigned_variable": lambda v: am.Variable(np.zeros(SIZE, "float32")).assign(v),
    "list": lambda v: [v.value],
    "dict": lambda v: {"a": (v.value,)},
    "closure": lambda v: (lambda t: lambda: t)(v.value)(),
}


def numbers(held):
    if isinstance(held, (list, dict)):
        held = held[0] if isinstance(held, list) else held["a"][0]
    return np.array(held)


@pytest.mark.parametrize("name", HOLDERS)
def test_what_was_read_before_a_step_does_not_change(name, state):
    step = stepper(state)
    held = HOLDERS[name](state)
    before = numbers(held)
    for i in range(3):
        step(normal(i))
        np.testing.assert_array_equal(numbers(held), before)


def test_a_result_that_is_the_new_value_does_not_change(state):
    step = am.function(lambda x: state.assign(state * 0.5 + x))
    results = [step(normal(i)) for i in range(4)]
    copies = [np.array(r) for r in results]
    for i in range(4):
        step(normal(i))
    for result, copy in zip(results, copies, strict=True):
        np.testing.assert_array_equal(np.array(result), copy)


def test_the_old_value_as_a_result(state):
    step = am.function(lambda x: (lambda old: (state.assign(old + x), old * 1.0, old)[1:])(state.value))
    old = state.numpy()
    for _ in range(3):
        times, result = step(np.ones(SIZE, "float32"))
        np.testing.assert_array_equal(np.array(times), old)
        np.testing.assert_array_equal(np.array(result), old)
        old = old + np.float32(1)


MOVES = {
    "transposed": lambda v, x: ops.transpose(v) + x,
    "flipped": lambda v, x: ops.flip(v, axis=1) + x,
    "row_used_everywhere": lambda v, x: v + v[0:1] * x,
    "column_used_everywhere": lambda v, x: v * 0.5 + v[:, 2:3],
    "sum_used_everywhere": lambda v, x: v + ops.sum(v) + x,
    "row_sums": lambda v, x: v - ops.sum(v, axis=1, keepdims=True),
    "softmax": lambda v, x: ops.softmax(v) + x,
    "matmul": lambda v, x: ops.matmul(v, x),
    "matmul_and_more": lambda v, x: v + ops.matmul(v, x) * 0.01,
    "rolled": lambda v, x: ops.concatenate([v[1:], v[:1]], axis=0),
    "replaced": lambda v, x: x * 2.0,
    "unchanged": lambda v, x: v,
    "read_twice": lambda v, x: (v * x + v) * (v + 1.0),
    "gathered": lambda v, x: v + ops.take(v, np.arange(199, -1, -1), axis=0),
    "sorted": lambda v, x: ops.sort(v, axis=0),
    "reshaped": lambda v, x: ops.reshape(ops.reshape(v, (-1,)) * 2.0, (200, 200)) + x,
}


@pytest.mark.parametrize("name", MOVES)
def test_values_made_of_other_elements_of_the_old_one(name):
    shape = (200, 200)
    x = normal(1, shape)
    found = {}
    for backend in ("numpy", "native"):
        with am.backend_scope(backend):
            state, other = am.Variable(normal(0, shape)), am.Variable(normal(2, shape))

            def body(x, state=state, other=other):
                old = state.value
                state.assign(MOVES[name](state, x) * 0.01)
                other.assign(other * 0.5 + old)  # reads the old value after the new one is known

            step = am.function(body)
            for _ in range(3):
                step(x)
            found[backend] = state.numpy(), other.numpy()
    for got, want in zip(found["native"], found["numpy"], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_variables_that_change_places():
    a, b = am.Variable(normal(0)), am.Variable(normal(1))

    @am.function
    def swap():
        x, y = a.value, b.value
        a.assign(y)
        b.assign(x)

    want = a.numpy(), b.numpy()
    for _ in range(4):
        swap()
        want = want[::-1]
        np.testing.assert_array_equal(a.numpy(), want[0])
        np.testing.assert_array_equal(b.numpy(), want[1])


def test_training_leaves_the_memory_of_variables_where_it_is():
    am.utils.set_random_seed(0)
    model = am.Sequential([am.Input((128,)), am.layers.Dense(400, activation="relu"), am.layers.Dense(300)])
    optimizer = am.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    x, y = normal(0, (32, 128)), normal(1, (32, 300))

    @am.function
    def step(x, y):
        with am.GradientTape() as tape:
            loss = ops.mean(ops.square(model(x) - y))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return loss

    first = float(step(x, y))
    large = [v for v in (*model.variables, *optimizer.variables) if v.size > 50_000]
    step(x, y)
    places = [place(v) for v in large]
    losses = [float(step(x, y)) for _ in range(5)]
    assert [place(v) for v in large] == places and len(large) == 6
    assert sorted(losses, reverse=True) == losses and losses[0] < first


def test_an_exception_leaves_the_values_usable(state, monkeypatch):
    monkeypatch.delitem(GENERATORS, "max_pooling")
    wrong = []

    def failing(*args, **kwargs):
        if wrong:
            raise wrong[0]
        return pool(*args, **kwargs)

    pool = BACKEND.bare_kernels["max_pooling"]
    monkeypatch.setitem(BACKEND.bare_kernels, "max_pooling", failing)

    def body(x):
        pooled = ops.max_pool(ops.reshape(x, (1, 300, 200, 1)), 3, 1, "same")
        state.assign(state * 0.5 + ops.reshape(pooled, SIZE))

    step = am.function(body)
    step(normal(1))
    for error in (ValueError("no"), KeyboardInterrupt()):
        before = state.numpy()
        wrong[:] = [error]
        with pytest.raises(type(error)):
            step(normal(1))
        np.testing.assert_array_equal(state.numpy(), before)
        wrong.clear()
        step(normal(1))
        assert not np.array_equal(state.numpy(), before)


def test_a_wrong_index_leaves_the_values_as_they_were():
    table = am.Variable(normal(0, (50, 40)))

    @am.function
    def step(i):
        table.assign(table * 0.5 + ops.sum(ops.take(table, i, axis=0)))

    step(np.array([1, 2], "int32"))
    before = table.numpy()
    with pytest.raises(ArgumentError, match="out of range"):
        step(np.array([1, 50], "int32"))
    np.testing.assert_array_equal(table.numpy(), before)


def test_two_threads_may_step_the_same_variables(state):
    other = am.Variable(normal(5))

    def body():
        state.assign(state + 1.0)
        other.assign(other + 1.0)

    step = am.function(body)
    step()
    before, torn = (state.numpy(), other.numpy()), []

    def read():
        for _ in range(200):
            held = state.value
            first = np.array(held)
            if not np.array_equal(np.round(first - before[0]), np.full(SIZE, np.round((first - before[0])[0, 0]))):
                torn.append(1)
            if not np.array_equal(np.array(held), first):
                torn.append(2)

    workers = [threading.Thread(target=lambda: [step() for _ in range(100)]) for _ in range(2)]
    workers.append(threading.Thread(target=read))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not torn
    np.testing.assert_allclose(state.numpy(), before[0] + 200, rtol=1e-5)
    np.testing.assert_allclose(other.numpy(), before[1] + 200, rtol=1e-5)


def test_a_value_that_was_never_given_back_is_found(state):
    step = stepper(state)
    before = state.numpy()
    lent = Lending([state], {0: 0})
    lent.__enter__()  # and the thread is interrupted before it can leave the context
    assert type(state._tensor) is Loan
    np.testing.assert_array_equal(state.numpy(), before)
    worker = threading.Thread(target=lambda: Lending([state], {0: 0}).__enter__())
    del lent
    gc.collect()
    worker.start()
    worker.join()
    step(normal(2))
    np.testing.assert_allclose(state.numpy(), before * np.float32(0.5) + normal(2), rtol=1e-6)


def test_what_interrupts_a_program_in_its_own_thread_cannot_read_what_is_overwritten(state):
    step = stepper(state)
    ((compiled,),) = step._compiled.values()
    program, met = compiled.program, []

    def handler(*_):
        try:
            state.numpy()
        except RuntimeError as error:
            met.append(str(error))

    def interrupted(*args):
        handler()
        results = program(*args)
        handler()
        return results

    compiled.program = interrupted
    before = state.numpy()
    step(normal(2))
    assert len(met) == 2 and all("of the same thread" in text and "Fix: let the handler" in text for text in met)
    np.testing.assert_allclose(state.numpy(), before * np.float32(0.5) + normal(2), rtol=1e-6)


def test_a_program_called_by_itself_keeps_its_inputs(state):
    graph = am.trace(lambda x: (state.assign(state * 0.5 + x), None)[1], normal(1), level="op").expand("primitive")
    program = Program(graph, BACKEND.bare_kernels)
    ((out, at),) = program.in_place.items()
    arrays = [normal(1), normal(2)]
    (result,) = program(arrays)
    np.testing.assert_array_equal(arrays[at], normal(2))
    np.testing.assert_allclose(result, normal(2) * np.float32(0.5) + normal(1), rtol=1e-6)
    (again,) = program(arrays, {at})
    assert again is arrays[at] and out == 0
    np.testing.assert_array_equal(again, result)


STEPS = {
    "one_place": lambda v, w, x: (v * 0.5 + x, w + v),
    "two_buffers": lambda v, w, x: (ops.matmul(v, x) * 0.1, w + v),
    "they_change_places": lambda v, w, x: (w, v),
    "one_becomes_the_other": lambda v, w, x: (w, w + x),
    "both_the_same": lambda v, w, x: ((v + w) * 0.5, (v + w) * 0.5),
    "one_stays": lambda v, w, x: (v, w * 0.5 + v),
    "replaced": lambda v, w, x: (x, w + x),
    "rows_move": lambda v, w, x: (ops.flip(v, axis=0) + x, ops.transpose(w)),
}


@pytest.mark.parametrize("kind", ["while", "scan", "stacked", "old_stacked"])
@pytest.mark.parametrize("name", STEPS)
def test_loops_that_assign_variables(name, kind):
    shape = (160, 160)
    x = normal(1, shape)

    def run(state, other, x, count):
        def step():
            old, (new, rest) = state.value, STEPS[name](state.value, other.value, x)
            state.assign(new)
            other.assign(rest)
            return {"stacked": new, "old_stacked": old}.get(kind, x[0])

        if kind == "while":
            ops.while_loop(lambda i: i < count, lambda i: (step(), i + 1)[1], np.int32(0))
            return count
        return ops.scan(lambda c, _: (c, step()), (), None, length=count)[1]

    for count in (0, 1, 2, 3):
        found = {}
        for backend in ("numpy", "native"):
            with am.backend_scope(backend):
                state, other = am.Variable(normal(0, shape)), am.Variable(normal(2, shape))
                loop = am.function(lambda x, c=count, s=state, o=other: run(s, o, x, c))
                results = [np.array(loop(x)) for _ in range(2)]
                found[backend] = [*results, state.numpy(), other.numpy()]
        for got, want in zip(found["native"], found["numpy"], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_loop_of_steps_copies_no_state(state):
    @am.function
    def steps(x, count):
        def step(i):
            state.assign(state * 0.5 + x)
            return i + 1

        return ops.while_loop(lambda i: i < count, step, np.int32(0))

    steps(normal(1), np.int32(1))
    before, want = place(state), state.numpy()
    steps(normal(1), np.int32(3))
    for _ in range(3):
        want = want * np.float32(0.5) + normal(1)
    assert place(state) == before
    np.testing.assert_allclose(state.numpy(), want, rtol=1e-5)
    ((compiled,),) = steps._compiled.values()
    assert compiled.program.routine.arena_size < state.size  # there is no second copy of the state


BRANCHES = {
    "update_or_keep": (lambda v, w, x: (v * 0.5 + x, w + 1.0), lambda v, w, x: (v, w)),
    "two_updates": (lambda v, w, x: (v * 0.5 + x, w + 1.0), lambda v, w, x: (v - x, w * w)),
    "one_cannot": (lambda v, w, x: (v * 0.5 + x, w), lambda v, w, x: (ops.flip(v, axis=0) + v, w + v)),
    "places_change": (lambda v, w, x: (w, v), lambda v, w, x: (v + x, w)),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_that_assign_variables(name):
    shape, x = (160, 160), normal(1, (160, 160))
    found = {}
    for backend in ("numpy", "native"):
        with am.backend_scope(backend):
            state, other = am.Variable(normal(0, shape)), am.Variable(normal(2, shape))

            def either(function, x, state=state, other=other):
                new, rest = function(state.value, other.value, x)
                state.assign(new)
                other.assign(rest)

            def body(x, first, either=either):
                one, two = BRANCHES[name]
                ops.cond(first, lambda: either(one, x), lambda: either(two, x))

            step = am.function(body)
            for first in (True, False, False, True, True):
                step(x, np.array(first))
            found[backend] = state.numpy(), other.numpy()
            if name in ("update_or_keep", "two_updates") and backend == "native":
                ((compiled,),) = step._compiled.values()
                assert len(compiled.overwritten) == 2
    for got, want in zip(found["native"], found["numpy"], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # of JAX, where another test has used it
def test_a_process_forked_while_a_value_is_lent_has_it(state):

    stepper(state)
    want = state.numpy()
    with Lending([state], {0: 0}) as lent:
        assert lent.owned == [0]
        worker = threading.Thread(target=lambda: None)
        worker.start()
        worker.join()
        context = multiprocessing.get_context("fork")
        receive, send = context.Pipe(False)
        child = context.Process(target=lambda: send.send(state.numpy()))
        child.start()
        assert receive.poll(30)
        np.testing.assert_array_equal(receive.recv(), want)
        child.join()


def test_a_wrong_index_ends_a_program_before_any_variable_changes():
    counter, table = am.Variable(0.0), am.Variable(np.ones((4, 2), "float32"))
    ids = am.Variable(np.array([1, 2], "int32"))

    @am.function
    def step(shift):
        counter.assign_add(1.0)
        table.assign(table * 0.5 + am.ops.sum(am.ops.take(table, ids + shift, axis=0)))

    step(np.int32(0))
    before = table.numpy()
    with pytest.raises(ValueError, match="index 102 is out of range"):
        step(np.int32(100))
    assert float(counter) == 1.0
    np.testing.assert_array_equal(table.numpy(), before)
