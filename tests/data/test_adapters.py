"""Every kind of data that `fit` takes, as batches."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pandas
import pytest

import amalthea as am
from amalthea.core import tree
from amalthea.data.adapters import get_adapter
from amalthea.data.arrays import train_validation_split
from amalthea.data.batches import to_array
from amalthea.data.pydataset import PyDataset
from amalthea.data.weights import class_weight_to_sample_weight
from amalthea.train.loop import Epochs, Execution

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10)


def shapes(batches):
    return [tree.map_structure(lambda a: None if a is None else tuple(a.shape), batch) for batch in batches]


class Foreign:
    """A tensor of another framework, as a torch tensor: on a device and with a gradient it cannot be read at once."""

    def __init__(self, array, away=True):
        self.array, self.shape, self.dtype, self.away = array, array.shape, array.dtype, away

    def detach(self):
        return self

    def cpu(self):
        return Foreign(self.array, away=False)

    def __array__(self, dtype=None, copy=None):
        if self.away:
            raise TypeError("a tensor on a device must be moved first")
        return self.array

    def __dlpack__(self, **options):
        raise BufferError("a tensor that requires a gradient cannot be exported")


def arrays_cases():
    frame = pandas.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    return {
        "numpy": (X, Y, X, Y),
        "float64": (X.astype("float64"), Y, X, Y),
        "tensor": (am.ops.convert_to_tensor(X), am.ops.convert_to_tensor(Y), X, Y),
        "variable": (am.Variable(X), Y, X, Y),
        "tensors of another framework": (Foreign(X), Foreign(Y), X, Y),
        "pandas frame": (frame, frame["a"], X, X[:, :1]),
        "uint8": (X.astype("uint8"), Y, X.astype("uint8"), Y),
        "read-only": (np.broadcast_to(X, X.shape), Y, X, Y),
        "not contiguous": (X[:, ::-1], Y[::-1], X[:, ::-1], Y[::-1]),
    }


@pytest.mark.parametrize("name", arrays_cases())
def test_arrays_come_in_batches(name):
    x, y, expected_x, expected_y = arrays_cases()[name]
    data = Epochs(get_adapter(x, y, batch_size=4))
    batches = [batch for _, _, group in data.epoch() for batch in group]
    assert shapes(batches) == [((size, 2), (size, *expected_y.shape[1:])) for size in (4, 4, 2)]
    got = np.concatenate([batch[0].numpy() for batch in batches])
    np.testing.assert_array_equal(got, expected_x)
    assert got.dtype == expected_x.dtype
    np.testing.assert_array_equal(np.concatenate([batch[1].numpy() for batch in batches]), expected_y)


def test_nested_inputs_keep_their_structure():
    adapter = get_adapter({"a": X, "b": (X, Y)}, [Y, None], batch_size=10)
    (batch,) = adapter.batches()
    assert shapes([batch]) == [({"a": (10, 2), "b": ((10, 2), (10,))}, [(10,), None])]
    adapter = get_adapter([X, Y], batch_size=10)
    assert shapes(adapter.batches()) == [([(10, 2), (10,)],)]


@pytest.mark.parametrize(
    ("batch_size", "steps", "count", "size"), [(None, None, 1, 32), (3, None, 4, 3), (None, 4, 4, 3)]
)
def test_the_batch_size_follows_from_what_is_given(batch_size, steps, count, size):
    adapter = get_adapter(X, Y, batch_size=batch_size, steps=steps)
    assert (adapter.num_batches, adapter.batch_size) == (count, size)


def test_shuffling_is_repeatable_and_new_each_epoch():
    def orders():
        am.utils.set_random_seed(7)
        adapter = get_adapter(X, Y, batch_size=4, shuffle=True)
        return [np.concatenate([batch[1] for batch in adapter.batches()]).tolist() for _ in range(2)]

    first, second = orders()
    assert first != second and sorted(first) == sorted(second) == Y.tolist()
    assert orders() == [first, second]


def test_x_and_y_are_shuffled_alike_and_batches_keep_together_if_asked():
    adapter = get_adapter(X, Y, batch_size=4, shuffle=True)
    for x, y in adapter.batches():
        np.testing.assert_array_equal(x[:, 0], 2 * y)
    adapter = get_adapter(X, Y, batch_size=4, shuffle="batch")
    assert [sorted(y.tolist()) for _, y in adapter.batches()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_split_takes_the_end():
    train, held_out = train_validation_split({"a": X}, Y, None, 0.3)
    assert train[1].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert held_out[1].tolist() == [7, 8, 9] and held_out[0]["a"].shape == (3, 2) and held_out[2] is None


@pytest.mark.parametrize(
    ("y", "weights", "expected"),
    [
        ([0, 1, 2, 1], {0: 0.5, 1: 2.0}, [0.5, 2.0, 1.0, 2.0]),
        ([[0], [1], [2], [1]], {2: 3.0}, [1.0, 1.0, 3.0, 1.0]),
        (np.eye(3)[[0, 2, 1]], {2: 3.0}, [1.0, 3.0, 1.0]),
        ([-1, 1, -1], {1: 4.0}, [1.0, 4.0, 1.0]),
        ([0.0, 1.0], {0: 2.0}, [2.0, 1.0]),
    ],
)
def test_class_weights_become_sample_weights(y, weights, expected, keras):
    from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

    got = class_weight_to_sample_weight(np.array(y), weights)
    assert got.tolist() == expected and got.dtype == np.float32
    assert class_weight_to_sample_weights(np.array(y), weights).tolist() == expected


@pytest.fixture(scope="module")
def keras():
    import os

    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    return keras


def batches(count=5):
    for i in range(count):
        yield np.full((2, 2), i, "float32"), np.full((2,), i)


class Batches(PyDataset):
    def __init__(self, count=5, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.begun = self.ended = 0

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        time.sleep(0.002 * (self.count - index))  # later batches are ready earlier
        return np.full((2, 2), index, "float32"), np.full((2,), index)

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.ended += 1


class DataLoader:
    """What a torch DataLoader looks like: a length, begins anew at each iteration, yields lists of tensors."""

    __module__ = "torch.utils.data.dataloader"

    def __len__(self):
        return 5

    def __iter__(self):
        for x, y in batches():
            yield [Foreign(x), Foreign(y)]


class ReIterable:
    """What a tf.data pipeline looks like: no length, begins anew at each iteration, yields foreign tensors."""

    def __iter__(self):
        for x, y in batches():
            yield Foreign(x).cpu(), Foreign(y).cpu()


SOURCES = {
    "generator": lambda: batches(),
    "iterator": lambda: iter(list(batches())),
    "PyDataset": lambda: Batches(),
    "PyDataset with threads": lambda: Batches(workers=3, max_queue_size=2),
    "DataLoader": DataLoader,
    "re-iterable": ReIterable,
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_of_batches(name):
    data = Epochs(get_adapter(SOURCES[name]()))
    assert to_array(data.adapter.first()[1]).tolist() == [0, 0]
    seen = [int(y.numpy()[0]) for _, _, group in data.epoch() for _, y in group]
    assert seen == [0, 1, 2, 3, 4]
    again = [int(y.numpy()[0]) for _, _, group in data.epoch() for _, y in group]
    assert again == ([] if name in ("generator", "iterator") else seen)
    data.close()


@pytest.mark.parametrize("name", ["generator", "PyDataset", "PyDataset with threads", "DataLoader", "re-iterable"])
def test_with_steps_an_epoch_goes_on_where_the_last_stopped(name):
    data = Epochs(get_adapter(SOURCES[name]()), steps_per_epoch=2)
    epochs = [[int(y.numpy()[0]) for _, _, group in data.epoch() for _, y in group] for _ in range(2)]
    assert epochs == [[0, 1], [2, 3]]
    with pytest.warns(UserWarning, match="the data ran out after 1 of 2 steps"):
        assert [int(y.numpy()[0]) for _, _, group in data.epoch() for _, y in group] == [4]
    data.close()


def test_a_pydataset_is_told_of_epochs_and_can_be_shuffled():
    dataset = Batches(count=8)
    am.utils.set_random_seed(0)
    data = Epochs(get_adapter(dataset, shuffle=True))
    orders = [[int(y.numpy()[0]) for _, _, group in data.epoch() for _, y in group] for _ in range(2)]
    assert orders[0] != orders[1] and sorted(orders[0]) == list(range(8))
    assert (dataset.begun, dataset.ended) == (2, 2)


def test_workers_are_gone_after_an_epoch_cut_short():
    before = threading.active_count()
    data = Epochs(get_adapter(Batches(count=50, workers=3)))
    next(data.epoch())
    data.close()
    assert threading.active_count() == before


def test_workers_may_be_processes(tmp_path, monkeypatch):
    # in a module of its own, which the processes can import
    (tmp_path / "squares.py").write_text(
        "import os\nimport numpy as np\nfrom amalthea.data.pydataset import PyDataset\n"
        "class Squares(PyDataset):\n"
        "    def __len__(self):\n        return 3\n"
        "    def __getitem__(self, i):\n        return np.full((1,), i * i), np.full((1,), os.getpid())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from squares import Squares

    got = list(get_adapter(Squares(workers=1, use_multiprocessing=True)).batches())
    assert [int(x[0]) for x, _ in got] == [0, 1, 4]
    assert {int(pid[0]) for _, pid in got}.isdisjoint({os.getpid()})


def test_an_error_in_a_worker_reaches_the_caller():
    class Broken(Batches):
        def __getitem__(self, index):
            if index == 2:
                raise OSError("disk gone")
            return super().__getitem__(index)

    data = Epochs(get_adapter(Broken(workers=2)))
    with pytest.raises(OSError, match="disk gone"):
        list(data.epoch())


def test_class_weights_work_for_batches():
    adapter = get_adapter(batches(), class_weight={1: 2.0})
    assert [w.tolist() for _, _, w in adapter.batches()][:2] == [[1.0, 1.0], [2.0, 2.0]]


def test_executions_group_steps_and_grow_while_they_are_short():
    data = Epochs(get_adapter(X, batch_size=1), execution=Execution(4))
    assert [(a, b) for a, b, _ in data.epoch()] == [(0, 3), (4, 7), (8, 9)]
    data = Epochs(get_adapter(X, batch_size=1), execution=Execution("auto"))
    assert [(a, b) for a, b, _ in data.epoch()] == [(0, 0), (1, 8), (9, 9)]
    slow = Execution("auto")
    slow.note(10.0, 1)
    assert slow.steps == 1


def test_a_pydataset_that_forgets_its_parent_is_warned():
    class Forgetful(PyDataset):
        def __init__(self):
            pass

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return (X, Y)

    with pytest.warns(UserWarning, match="should call super"):
        assert len(list(get_adapter(Forgetful()).batches())) == 1
