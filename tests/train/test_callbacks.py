"""Callbacks on recorded sequences of results: each does what the real Keras' does."""

from __future__ import annotations

import csv
import json
import os
import warnings

import numpy as np
import pytest

import amalthea as am

FALLING = [1.0, 0.8, 0.79, 0.795, 0.81, 0.6, 0.61, 0.62, 0.63, 0.64]
RISING = [0.1, 0.2, 0.2, 0.19, 0.3, 0.3, 0.29, 0.28, 0.31, 0.31]
WITH_NAN = [1.0, float("nan"), 0.9, 0.95, float("nan"), 0.99]


def small(api):
    model = api.Sequential([api.layers.Input((2,)), api.layers.Dense(1)])
    model.compile(api.optimizers.SGD(0.5), "mse", metrics=["mae"])
    x = np.ones((4, 2), "float32")
    model.fit(x, x[:, :1], verbose=0)  # builds the metrics, from whose objects "auto" learns the direction
    model.optimizer.learning_rate = 0.5
    return model


def play(api, make, values, name):
    """Feed results to a callback as `fit` would; record learning rates, first weights and where it stopped."""
    model = small(api)
    model.set_weights([np.zeros((2, 1), "float32"), np.zeros((1,), "float32")])
    callback = make(api)
    callback.set_model(model)
    callback.set_params({"epochs": len(values), "verbose": 0, "steps": 1})
    model.stop_training = False
    record = []
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch)
        model.set_weights([np.full((2, 1), epoch, "float32"), np.zeros((1,), "float32")])
        logs = {name: value}
        callback.on_epoch_end(epoch, logs)
        record.append((float(np.asarray(model.optimizer.learning_rate)), model.stop_training, sorted(logs)))
        if model.stop_training:
            break
    callback.on_train_end()
    return record, float(model.get_weights()[0][0, 0])


SEQUENCES = {
    "stop": (lambda api: api.callbacks.EarlyStopping("loss"), FALLING, "loss"),
    "stop, patience": (lambda api: api.callbacks.EarlyStopping("loss", patience=3), FALLING, "loss"),
    "stop, restore": (
        lambda api: api.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True),
        FALLING,
        "loss",
    ),
    "stop, min_delta": (lambda api: api.callbacks.EarlyStopping("loss", min_delta=0.05, patience=2), FALLING, "loss"),
    "stop, baseline": (lambda api: api.callbacks.EarlyStopping("loss", baseline=0.7, patience=4), FALLING, "loss"),
    "stop, late start": (
        lambda api: api.callbacks.EarlyStopping("loss", patience=1, start_from_epoch=4, restore_best_weights=True),
        FALLING,
        "loss",
    ),
    "stop, max": (lambda api: api.callbacks.EarlyStopping("score", mode="max", patience=2), RISING, "score"),
    "stop, auto from the metric": (lambda api: api.callbacks.EarlyStopping("mae", patience=1), FALLING, "mae"),
    "stop, nan": (
        lambda api: api.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True),
        WITH_NAN,
        "loss",
    ),
    "plateau": (lambda api: api.callbacks.ReduceLROnPlateau("loss", patience=2), FALLING, "loss"),
    "plateau, cooldown": (
        lambda api: api.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, cooldown=2),
        FALLING,
        "loss",
    ),
    "plateau, min_lr": (
        lambda api: api.callbacks.ReduceLROnPlateau("score", mode="max", factor=0.1, patience=1, min_lr=0.2),
        RISING,
        "score",
    ),
    "schedule": (lambda api: api.callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.9), FALLING, "loss"),
    "schedule of the epoch alone": (
        lambda api: api.callbacks.LearningRateScheduler(lambda epoch: 1.0 / (epoch + 1)),
        FALLING,
        "loss",
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_it_does_what_keras_does(name, keras):
    make, values, monitored = SEQUENCES[name]
    ours, theirs = play(am, make, values, monitored), play(keras, make, values, monitored)
    assert [r[1:] for r in ours[0]] == [r[1:] for r in theirs[0]]
    np.testing.assert_allclose([r[0] for r in ours[0]], [r[0] for r in theirs[0]], rtol=1e-6)
    assert ours[1] == theirs[1]


CHECKPOINTS = {
    "each epoch": {"filepath": "{epoch:02d}-{loss:.2f}.weights.h5", "save_weights_only": True},
    "the best": {
        "filepath": "best-{epoch}.weights.h5",
        "monitor": "loss",
        "save_best_only": True,
        "save_weights_only": True,
    },
    "the best below a threshold": {
        "filepath": "best-{epoch}.weights.h5",
        "monitor": "loss",
        "save_best_only": True,
        "save_weights_only": True,
        "initial_value_threshold": 0.7,
    },
    "whole models": {"filepath": "sub/{epoch}.keras", "monitor": "mae", "mode": "max", "save_best_only": True},
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_are_written_when_keras_writes_them(name, keras, tmp_path):
    written = []
    for label, api in (("ours", am), ("theirs", keras)):
        arguments = {**CHECKPOINTS[name]}
        arguments["filepath"] = str(tmp_path / label / arguments["filepath"])
        os.makedirs(tmp_path / label)
        model = small(api)
        callback = api.callbacks.ModelCheckpoint(**arguments)
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, value in enumerate(FALLING):
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, {"loss": value, "mae": value})
        root = tmp_path / label
        written.append(sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()))
    assert written[0] == written[1]
    assert written[0]


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_checkpoints_every_so_many_batches(steps_per_execution, keras, tmp_path):
    written = []
    for label, api in (("ours", am), ("theirs", keras)):
        model = small(api)
        model.compile("sgd", "mse", steps_per_execution=steps_per_execution)
        x = np.ones((20, 2), "float32")
        os.makedirs(tmp_path / label)
        path = str(tmp_path / label / "{epoch}-{batch}.weights.h5")
        callback = api.callbacks.ModelCheckpoint(path, save_freq=4, save_weights_only=True)
        model.fit(x, x[:, :1], batch_size=2, epochs=2, verbose=0, callbacks=[callback])
        written.append(sorted(os.listdir(tmp_path / label)))
    if steps_per_execution == 1:
        assert written[0] == written[1]
    else:
        # Keras counts the last, shorter execution as a full one
        assert written[0] == ["1-4.weights.h5", "1-8.weights.h5", "2-4.weights.h5", "2-8.weights.h5"]


def test_a_saved_best_model_predicts_the_same(tmp_path):
    model = small(am)
    x = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    keep = am.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="loss", save_best_only=True)
    model.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=[keep])
    loaded = am.saving.load_model(tmp_path / "best.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


class Killed(BaseException):
    pass


def killer(epoch, batch=None):
    def at_end(e, logs=None):
        if batch is None and e == epoch:
            raise Killed

    seen = {"epoch": 0}

    def at_batch(b, logs=None):
        if batch is not None and seen["epoch"] == epoch and b == batch:
            raise Killed

    return am.callbacks.LambdaCallback(
        on_epoch_begin=lambda e, logs: seen.update(epoch=e), on_epoch_end=at_end, on_train_batch_end=at_batch
    )


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("when", [(2, None), (3, 1)])
def test_training_goes_on_where_it_was_killed(when, double, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 2)).astype("float32")
    y = x.sum(axis=1, keepdims=True)

    def model():
        model = am.Sequential([am.layers.Input((2,)), am.layers.Dense(3), am.layers.Dense(1)])
        shapes = [w.shape for w in model.get_weights()]
        model.set_weights([np.random.default_rng(i).normal(size=s) for i, s in enumerate(shapes)])
        model.compile("adam", "mse")
        return model

    am.utils.set_random_seed(0)
    expected = model().fit(x, y, epochs=6, batch_size=8, verbose=0)

    backup = am.callbacks.BackupAndRestore(tmp_path / "backup", double_checkpoint=double)
    am.utils.set_random_seed(0)
    with pytest.raises(Killed):
        model().fit(x, y, epochs=6, batch_size=8, verbose=0, callbacks=[backup, killer(*when)])
    assert os.path.exists(tmp_path / "backup")
    resumed = model()
    backup = am.callbacks.BackupAndRestore(tmp_path / "backup", double_checkpoint=double)
    am.utils.set_random_seed(1)
    history = resumed.fit(x, y, epochs=6, batch_size=8, verbose=0, callbacks=[backup])
    assert history.epoch == [3, 4, 5]
    np.testing.assert_allclose(history.history["loss"], expected.history["loss"][3:], rtol=1e-5)
    assert not os.path.exists(tmp_path / "backup")


def test_a_damaged_backup_gives_way_to_the_one_before(tmp_path):
    model = small(am)
    x = np.ones((4, 2), "float32")
    backup = am.callbacks.BackupAndRestore(tmp_path / "b", double_checkpoint=True, delete_checkpoint=False)
    model.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=[backup])
    record = json.loads((tmp_path / "b" / "training_metadata.json").read_text())
    assert record["epoch"] == 3
    (tmp_path / "b" / record["weights"]).write_bytes(b"not a weights file")
    history = model.fit(x, x[:, :1], epochs=4, verbose=0, callbacks=[backup])
    assert history.epoch == [2, 3]


def test_a_backup_of_keras_is_understood(keras, tmp_path):
    x = np.ones((4, 2), "float32")
    theirs = small(keras)
    theirs.fit(
        x,
        x[:, :1],
        epochs=2,
        verbose=0,
        callbacks=[keras.callbacks.BackupAndRestore(str(tmp_path / "b"), delete_checkpoint=False)],
    )
    ours = small(am)
    history = ours.fit(
        x,
        x[:, :1],
        epochs=3,
        verbose=0,
        callbacks=[
            am.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: np.testing.assert_allclose(
                    ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-5
                )
            ),
            am.callbacks.BackupAndRestore(tmp_path / "b"),
        ],
    )
    assert history.epoch == [2]


def test_the_csv_file_is_that_of_keras(keras, tmp_path):
    rows = []
    for label, api in (("ours", am), ("theirs", keras)):
        path = str(tmp_path / f"{label}.csv")
        for append in (False, True):
            logger = api.callbacks.CSVLogger(path, append=append, separator=";")
            logger.set_model(small(api))
            logger.on_train_begin()
            for epoch, value in enumerate(FALLING[:3]):
                logger.on_epoch_end(epoch, {"loss": value, "per_class": np.array([1.0, 2.0])})
            logger.on_train_end()
        with open(path, newline="") as file:
            rows.append(list(csv.reader(file, delimiter=";")))
    assert rows[0] == rows[1]
    assert len(rows[0]) == 7


def test_nan_ends_training(capsys):
    model = am.Sequential([am.layers.Input((2,)), am.layers.Dense(1)])
    model.compile(am.optimizers.SGD(1e30), "mse")
    x = np.ones((40, 2), "float32")
    with np.errstate(all="ignore"):
        history = model.fit(x, x[:, :1], batch_size=4, epochs=5, verbose=0, callbacks=[am.callbacks.TerminateOnNaN()])
    assert len(history.epoch) == 1
    assert "Invalid loss, terminating training" in capsys.readouterr().out


def test_batch_methods_get_floats_and_epoch_results_are_shared():
    seen = []

    class Watch(am.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, type(logs["loss"])))

        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = 7.0

    model = small(am)
    x = np.ones((6, 2), "float32")
    history = model.fit(x, x[:, :1], batch_size=2, verbose=0, callbacks=[Watch()])
    assert seen == [(0, float), (1, float), (2, float)]
    assert history.history["mine"] == [7.0]


def test_the_calls_come_in_the_order_of_keras(keras):
    orders = []
    for api in (am, keras):
        calls = []

        class Note(api.callbacks.Callback):
            pass

        for method in dir(api.callbacks.Callback):
            if method.startswith("on_") and method not in ("on_batch_begin", "on_batch_end"):
                setattr(
                    Note,
                    method,
                    lambda self, *args, _name=method, _calls=calls, **kwargs: _calls.append(
                        (_name, [a for a in args if isinstance(a, int)])
                    ),
                )
        model = small(api)
        x = np.ones((4, 2), "float32")
        model.fit(x, x[:, :1], batch_size=2, epochs=2, verbose=0, validation_split=0.5, callbacks=[Note()])
        model.evaluate(x, x[:, :1], verbose=0, callbacks=[Note()])
        model.predict(x, verbose=0, callbacks=[Note()])
        orders.append(calls)
    assert orders[0] == orders[1]


def test_averaged_weights_are_swapped_in_for_evaluation():
    model = am.Sequential([am.layers.Input((2,)), am.layers.Dense(1)])
    model.compile(am.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    x = np.random.default_rng(1).normal(size=(16, 2)).astype("float32")
    y = x[:, :1]
    seen = {}

    class Look(am.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen["raw"] = self.model.get_weights()[0].copy()

        def on_test_begin(self, logs=None):
            seen["swapped"] = self.model.get_weights()[0].copy()

    swap = am.callbacks.SwapEMAWeights()
    model.fit(x, y, epochs=2, batch_size=4, verbose=0, validation_data=(x, y), callbacks=[swap, Look()])
    assert not np.allclose(seen["raw"], seen["swapped"])
    np.testing.assert_allclose(model.get_weights()[0], seen["swapped"], rtol=1e-5)


def test_progress_is_one_plain_line_an_epoch_without_a_terminal(capsys):
    model = small(am)
    x = np.ones((6, 2), "float32")
    model.fit(x, x[:, :1], batch_size=2, epochs=2, validation_data=(x, x[:, :1]))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1/2 - 3/3 - ")
    assert "/step - loss: " in lines[0] and " - val_loss: " in lines[0] and "\x1b" not in lines[0]
    model.evaluate(x, x[:, :1])
    model.predict(x)
    assert len(capsys.readouterr().out.splitlines()) == 2
    model.fit(x, x[:, :1], verbose=0)
    assert capsys.readouterr().out == ""


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    model = small(am)
    x = np.ones((6, 2), "float32")
    model.fit(x, x[:, :1], batch_size=2, epochs=2)
    monkeypatch.undo()
    shown = screen.getvalue()
    assert "Epoch 2/2" in shown and "3/3" in shown and "loss:" in shown and "━" in shown


def test_a_finished_epoch_takes_two_lines_of_a_narrow_terminal(monkeypatch):
    import io

    from amalthea.train.progress import Progress

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    progress = Progress(45, "Epoch 12/15", bar=True)
    progress.update(45)
    progress.finish({"accuracy": 0.9, "loss": 0.3, "val_accuracy": 0.91, "val_loss": 0.25})
    monkeypatch.undo()
    lines = [line.rstrip() for line in screen.getvalue().splitlines() if line.strip()]
    assert len(lines) == 2 and all(len(line) <= 80 and not line.endswith("-") for line in lines), lines
    for part in ("Epoch 12/15", "45/45", "/step", "loss: 0.3000", "accuracy: 0.9000", "val_accuracy: 0.9100"):
        assert part in screen.getvalue()


def test_a_missing_result_is_a_warning():
    model = small(am)
    x = np.ones((4, 2), "float32")
    with pytest.warns(UserWarning, match="no result 'val_loss', so training is not stopped early"):
        model.fit(x, x[:, :1], verbose=0, callbacks=[am.callbacks.EarlyStopping()])
    with pytest.warns(UserWarning, match="mode 'minimum' is unknown"):
        am.callbacks.EarlyStopping(mode="minimum")


def test_the_remote_monitor_sends_and_survives(tmp_path):
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monitor = am.callbacks.RemoteMonitor(f"http://127.0.0.1:{server.server_port}", send_as_json=True)
        monitor.on_epoch_end(3, {"loss": 0.5, "vector": np.arange(2)})
        thread.join()
        port = server.server_port
    assert received == [{"epoch": 3, "loss": 0.5, "vector": [0, 1]}]
    with pytest.warns(UserWarning, match="cannot be reached"), warnings.catch_warnings():
        warnings.simplefilter("default")
        am.callbacks.RemoteMonitor(f"http://127.0.0.1:{port}").on_epoch_end(0, {})
