"""What `import amalthea` gives: Keras' names, TensorFlow's names for what exists, and nothing that does not resolve."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import amalthea as am
import amalthea as tf
from amalthea.tensorflow_names import top

X = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], "float32")


@pytest.mark.parametrize("name", [name for name in dir(am) if not name.startswith("_")])
def test_every_name_resolves(name: str) -> None:
    assert name == "newaxis" or getattr(am, name) is not None


@pytest.mark.parametrize("name", top.__all__)
def test_every_name_of_tensorflow_resolves(name: str) -> None:
    assert name == "newaxis" or getattr(tf, name) is not None


@pytest.mark.parametrize("module", ["layers", "losses", "metrics", "optimizers", "models", "saving", "ops", "utils"])
def test_what_a_module_exports_exists(module: str) -> None:
    space = getattr(am, module)
    for name in getattr(space, "__all__", ()):
        assert getattr(space, name) is not None


UNKNOWN = {
    "layers.Densee": "Fix: did you mean Dense?",
    "ops.matmull": "Fix: did you mean matmul?",
    "sequential": "Fix: did you mean Sequential?",
    "Dence": "Fix: did you mean layers.Dense?",
    "foo": "Fix: see dir(amalthea) for what there is.",
    "math.reduce_summ": "Fix: did you mean reduce_sum",
    "nn.sofmax": "Fix: did you mean softmax?",
    "linalg.foo": "Fix: see dir(amalthea.linalg) for what there is.",
    "losses.meansquarederror": "Fix: did you mean mean_squared_error or MeanSquaredError?",
    "optimizers.schedules.CosineDecy": "Fix: did you mean CosineDecay",
    "callbacks.EarlyStoping": "Fix: did you mean EarlyStopping?",
    "random.unifrm": "Fix: did you mean uniform?",
    "utils.to_categoricl": "Fix: did you mean to_categorical?",
}


@pytest.mark.parametrize("path", UNKNOWN)
def test_unknown_names_suggest_near_ones(path: str) -> None:
    with pytest.raises(AttributeError) as caught:
        functools.reduce(getattr, path.split("."), am)
    assert "tensorflow_names" not in str(caught.value)
    assert f"has no attribute '{path.rpartition('.')[2]}'. {UNKNOWN[path]}" in str(caught.value)


def test_unknown_names_say_where_to_look() -> None:
    with pytest.raises(AttributeError, match="nope"):
        tf.nn.nope  # noqa: B018
    assert not hasattr(am, "__nothing__")


def test_the_package_is_its_own_keras() -> None:
    assert am.version() == am.__version__
    assert tf.keras is am
    assert tf.keras.layers.Dense is am.layers.Dense
    assert tf.nn.hard_silu is am.ops.hard_silu


def test_keras_is_a_module_path_too() -> None:
    code = (
        "from amalthea.keras import layers\nimport amalthea.keras.losses\nimport amalthea as am\n"
        "from amalthea.keras.optimizers.schedules import CosineDecay\nfrom amalthea import keras\n"
        "from amalthea.keras.models import Sequential\nimport amalthea.keras as k, sys\n"
        "assert k is keras is am and layers is am.layers and amalthea.keras.losses is am.losses\n"
        "assert CosineDecay is am.optimizers.schedules.CosineDecay and am.layers.__spec__.name == 'amalthea.layers'\n"
        "assert sys.modules['amalthea.keras.losses'] is sys.modules['amalthea.losses']\n"
        "try:\n    import amalthea.keras.nothing\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "No module named 'amalthea.keras.nothing'\n"


MODULES = [
    *("activations", "backend", "callbacks", "config", "constraints", "datasets", "dtype_policies", "initializers"),
    *("layers", "losses", "math", "metrics", "mixed_precision", "models", "nn", "ops", "ops.image", "ops.linalg"),
    *("ops.nn", "optimizers", "optimizers.schedules", "random", "regularizers", "saving", "tree", "utils", "linalg"),
]


@pytest.mark.parametrize("path", ["", *MODULES])
def test_modules_list_their_public_names_alone(path: str) -> None:
    module = functools.reduce(getattr, path.split("."), am) if path else am
    foreign = {"annotations", "Any", "np", "TYPE_CHECKING", "importlib", "sys", "public_face", "exports", "registry"}
    listed = {name for name in dir(module) if not name.startswith("__")}
    assert listed and not listed & foreign and not any(name.startswith("_") for name in listed)
    for name in listed - {"newaxis"}:
        assert getattr(module, name) is not None
    internal = {"core", "train", "data", "layer", "tracking", "naming", "elementwise", "shaping", "functional"}
    assert not listed & internal


def seen_by_type_checkers(path: Path) -> set[str]:
    """The names that a file binds outside of functions, as a type checker sees them; `*` stands for others."""
    names: set[str] = set()

    def read(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
                if any(alias.name == "*" for alias in node.names):
                    names.update(dir(importlib.import_module(node.module or "")))
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign):
                names.update(n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name))
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                read(node.body)

    read(ast.parse(path.read_text(encoding="utf-8")).body)
    return names


@pytest.mark.parametrize("path", ["", *(path for path in MODULES if path != "nn")])
def test_type_checkers_see_every_public_name(path: str) -> None:
    module = functools.reduce(getattr, path.split("."), am) if path else am
    file = Path(inspect.getsourcefile(module) or "")
    listed = {name for name in dir(module) if not name.startswith("__")} - {"keras"}
    assert listed - seen_by_type_checkers(file) == set()
    assert (Path(am.__file__).parent / "py.typed").exists()


def test_older_module_names() -> None:
    assert tf.keras.backend.epsilon() == am.config.epsilon() and tf.keras.backend.floatx() == "float32"
    tf.keras.backend.clear_session()
    before = tf.keras.mixed_precision.global_policy()
    try:
        tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
        assert am.layers.Dense(1).compute_dtype == "bfloat16"
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
    assert tf.config.list_physical_devices("TPU") == []


CALLS: dict[str, tuple[Any, Any]] = {
    "constant": (lambda: tf.constant([1.0, 2.0]), [1, 2]),
    "constant of a shape": (lambda: tf.constant(2, shape=(2, 2), dtype=tf.float32), [[2, 2], [2, 2]]),
    "constant reshaped": (lambda: tf.constant([1, 2, 3, 4], shape=(2, 2)), [[1, 2], [3, 4]]),
    "cast": (lambda: tf.cast(X, tf.int32), X.astype(int)),
    "reduce_sum": (lambda: tf.reduce_sum(X, axis=0), X.sum(0)),
    "reduce_mean": (lambda: tf.reduce_mean(X, axis=1, keepdims=True), X.mean(1, keepdims=True)),
    "reduce_max": (lambda: tf.reduce_max(X), X.max()),
    "matmul": (lambda: tf.matmul(X, tf.transpose(X)), X @ X.T),
    "concat": (lambda: tf.concat([X, X], axis=1), np.concatenate([X, X], 1)),
    "split by sizes": (lambda: tf.split(X, [1, 2], axis=1)[1], X[:, 1:]),
    "split in parts": (lambda: tf.split(X, 3, axis=1)[2], X[:, 2:]),
    "gather": (lambda: tf.gather(X, [1, 0]), X[[1, 0]]),
    "argmax": (lambda: tf.argmax(X), X.argmax(0)),
    "argmin": (lambda: tf.argmin(X, axis=1), X.argmin(1)),
    "one_hot": (lambda: tf.one_hot([0, 2], 3), np.eye(3)[[0, 2]]),
    "one_hot with values": (lambda: tf.one_hot([1], 2, on_value=5.0, off_value=1.0), [[1, 5]]),
    "pad": (lambda: tf.pad(X, [[0, 0], [1, 0]], constant_values=7), np.pad(X, [[0, 0], [1, 0]], constant_values=7)),
    "pad by reflection": (lambda: tf.pad(X, [[0, 0], [1, 1]], "REFLECT"), np.pad(X, [[0, 0], [1, 1]], "reflect")),
    "clip_by_value": (lambda: tf.clip_by_value(X, -1.0, 1.0), X.clip(-1, 1)),
    "where": (lambda: tf.where(X > 0, X, 0.0), np.where(X > 0, X, 0)),
    "range": (lambda: tf.range(4), [0, 1, 2, 3]),
    "fill": (lambda: tf.fill((2,), 3.0), [3, 3]),
    "identity": (lambda: tf.identity(X), X),
    "nn.softmax": (lambda: tf.nn.softmax(X), np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
    "math.log": (lambda: tf.math.log(tf.abs(X)), np.log(np.abs(X))),
    "math.is_nan": (lambda: tf.math.is_nan(X), np.isnan(X)),
    "newaxis": (lambda: tf.constant(X)[:, tf.newaxis], X[:, None]),
    "Variable": (lambda: tf.Variable(X).assign_add(X), X * 2),
    "numpy": (lambda: tf.constant(X).numpy(), X),
}


@pytest.mark.parametrize("name", CALLS)
def test_tensorflow_names_compute_what_they_say(name: str) -> None:
    call, wanted = CALLS[name]
    np.testing.assert_allclose(np.asarray(call()), np.asarray(wanted), rtol=1e-6)


def test_a_tensorflow_training_loop_runs() -> None:
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [tf.keras.layers.Dense(64, activation="relu", input_shape=(3,)), tf.keras.layers.Dense(1)]
    )
    optimizer = tf.keras.optimizers.SGD(0.05)
    x = tf.random.normal((32, 3))
    y = tf.reduce_sum(x, axis=1, keepdims=True)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    losses = [float(step()) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


def test_files_name_classes_that_were_not_imported_yet() -> None:
    config = keras.saving.serialize_keras_object(keras.losses.Huber(delta=2.0))
    code = (
        "import amalthea as am, sys; assert 'amalthea.losses' not in sys.modules\n"
        f"loss = am.saving.deserialize_keras_object({config!r}); print(type(loss).__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "Huber\n"


UTILS: dict[str, Any] = {
    "to_categorical": lambda k: k.utils.to_categorical([0, 2, 1]),
    "to_categorical with classes": lambda k: k.utils.to_categorical([[1], [0]], num_classes=4),
    "normalize": lambda k: k.utils.normalize(X),
    "normalize an axis": lambda k: k.utils.normalize(X, axis=1, order=1),
    "pad_sequences": lambda k: k.utils.pad_sequences([[1], [2, 3, 4], []]),
    "pad_sequences after": lambda k: k.utils.pad_sequences(
        [[1.5], [2, 3, 4]], maxlen=2, padding="post", truncating="post", dtype="float32", value=-1
    ),
    "pad_sequences of vectors": lambda k: k.utils.pad_sequences([[[1, 2]], [[3, 4], [5, 6]]], maxlen=3),
}


@pytest.mark.parametrize("name", UTILS)
def test_utils_do_what_those_of_keras_do(name: str) -> None:
    ours, theirs = UTILS[name](am), UTILS[name](keras)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert ours.dtype == theirs.dtype


@pytest.mark.parametrize(
    "act",
    [
        lambda: am.utils.to_categorical([5], num_classes=3),
        lambda: am.utils.to_categorical([-1]),
        lambda: am.utils.pad_sequences([1, 2]),
        lambda: am.utils.pad_sequences([[1]], padding="left"),
        lambda: am.utils.pad_sequences([[[1, 2]], [[1]]]),
        lambda: am.utils.unpack_x_y_sample_weight((1, 2, 3, 4)),
        lambda: am.utils.set_random_seed("x"),
    ],
)
def test_mistakes_in_utils_have_clear_messages(act: Any) -> None:
    with pytest.raises(ValueError, match="Fix: "):
        act()


def test_small_utils() -> None:
    x = am.Input((2,), name="x")
    assert am.utils.is_keras_tensor(x) and not am.utils.is_keras_tensor(X)
    assert [t.name for t in am.utils.get_source_inputs(am.layers.Dense(2)(x) + 1)] == ["x"]
    assert am.utils.pack_x_y_sample_weight([1]) == ([1],)
    assert am.utils.pack_x_y_sample_weight(1, 2, 3) == (1, 2, 3)
    assert am.utils.unpack_x_y_sample_weight([1, 2]) == (1, 2, None)
    assert am.utils.standardize_dtype(np.int64) == "int64"
    am.utils.clear_session()
    assert am.layers.Dense(1).name == "dense"
    np.testing.assert_array_equal(am.utils.to_categorical(am.ops.array([1, 0])).numpy(), [[0, 1], [1, 0]])
    np.testing.assert_allclose(am.utils.normalize(am.ops.array([[3.0, 4.0]])).numpy(), [[0.6, 0.8]], rtol=1e-6)
