"""`save_model`, `load_model`, `save_weights` and `load_weights`: files that Keras 3 reads, and reading Keras 3's."""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import warnings
from collections.abc import Callable
from typing import Any

from amalthea.core.errors import fail
from amalthea.nn.layer import Layer
from amalthea.nn.objects import deserialize_keras_object, serialize_keras_object, sharing_scope
from amalthea.nn.registry import public
from amalthea.saving import directories, sharded
from amalthea.saving.archive import Archive, read_archive, read_json, write_archive
from amalthea.saving.atomic import atomic_file
from amalthea.saving.budget import weight_budget
from amalthea.saving.errors import PathError, SavedFileError, refuse
from amalthea.saving.hdf5 import WeightsFile, write_weights
from amalthea.saving.state import collect, collect_assets, restore, stateful_objects

KERAS_VERSION = "3.15.1"  # whose format is written

Path = str | os.PathLike


@public("keras.saving.save_model", "keras.models.save_model")
def save_model(model: Any, filepath: Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Save a model to a `.keras` file: its architecture, weights, and how and how far it was trained.

    The file takes its name only when it is complete: a save that is interrupted leaves the former file as it was.

    Args:
        model: a `Model`.
        filepath: a path that ends in `.keras`, or a folder with `zipped=False`.
        overwrite: whether an existing file is replaced at once; with False the user is asked.
        zipped: False writes a folder with the same members instead of a zip file. Default True.

    Raises:
        ValueError: the ending is not `.keras`, or an argument is unknown.
        FileNotFoundError: the folder of the path does not exist.

    >>> import os, tempfile
    >>> import amalthea as am
    >>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> am.saving.save_model(model, path)
    >>> am.saving.load_model(path).count_params()
    8
    """
    kwargs.pop("include_optimizer", None)
    if kwargs:
        raise ValueError(f"[save_model] unknown arguments: {sorted(kwargs)}. Fix: leave them out.")
    path = path_of(filepath, "save_model")
    zipped = True if zipped is None else zipped
    if path.endswith((".h5", ".hdf5")):
        raise ValueError(
            f"[save_model] the old HDF5 model format is not written. Received: filepath={path!r}. Fix: save to "
            "'model.keras', or only the weights with save_weights('model.weights.h5')."
        )
    if zipped != path.endswith(".keras"):
        raise ValueError(
            f"[save_model] a zipped model is a file that ends in '.keras', an unzipped one a folder that does not. "
            f"Received: filepath={path!r}, zipped={zipped}. Fix: save to 'model.keras'."
        )
    if not may_write(path, overwrite):
        return
    archive = to_archive(model)
    if not zipped:
        directories.write_directory(path, archive)
        return
    with atomic_file(path) as file:
        write_archive(file, archive)


def to_archive(model: Any) -> Archive:
    """The content of a model's `.keras` file."""
    if not isinstance(model, Layer):
        raise ValueError(
            f"[save_model] only models and layers can be saved. Received: {model!r} (of type {type(model).__name__}). "
            "Fix: pass a Model."
        )
    if not model.built:
        warnings.warn(
            f"[save_model] the model '{model.name}' has not been built, so it has no weights to save. Fix: call it on "
            "some data, or `build` it, first.",
            stacklevel=4,
        )
    with sharing_scope():
        config = serialize_keras_object(model)
    objects = stateful_objects(model)
    weights = io.BytesIO()
    write_weights(weights, collect(objects))
    saved = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": KERAS_VERSION, "date_saved": saved, "written_by": "amalthea"}
    return Archive(config, weights.getvalue(), metadata, collect_assets(objects))


@public("keras.saving.load_model", "keras.models.load_model")
def load_model(
    filepath: Path, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Load a model from a `.keras` file, of ours or of Keras 3.

    No code in the file is run: classes and functions are found by name among ours and those that you registered.

    Args:
        filepath: the file, or the folder of an unzipped model.
        custom_objects: `{name: class or function}` for names in the file that are not registered.
        compile: whether to compile the model as it was when it was saved.
        safe_mode: refuse lambdas, which are saved as byte code. Turn it off only for files that you wrote yourself.

    Returns:
        The model, with its weights and the state of its optimizer.

    Raises:
        SavedFileError: the file is damaged, unsafe, or its members do not fit each other.
        FileNotFoundError: there is no such file.
        TypeError: a class in the file is not known here.

    >>> import os, tempfile
    >>> import numpy as np
    >>> import amalthea as am
    >>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> model.save(path)
    >>> x = np.ones((1, 3), "float32")
    >>> bool(np.all(am.saving.load_model(path)(x).numpy() == model(x).numpy()))
    True
    """
    path = path_of(filepath, "load_model")
    where = f"load_model('{os.path.basename(path)}')"
    if os.path.isdir(path):
        return from_archive(directories.read_directory(path, where), where, custom_objects, compile, safe_mode)
    if not os.path.exists(path):
        raise FileNotFoundError(f"[{where}] there is no such file. Received: {path!r}. Fix: check the path.")
    if path.endswith(".weights.h5"):
        refuse(where, "this file holds weights only", "build the model and call model.load_weights(...)")
    if not path.endswith(".keras"):
        refuse(where, "the file does not end in '.keras'", "load a file that model.save('name.keras') wrote")
    with open(path, "rb") as file:
        archive = read_archive(file, where)
    return from_archive(archive, where, custom_objects, compile, safe_mode)


def from_archive(
    archive: Archive,
    where: str,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model in an archive whose members have been read."""
    config = dict(archive.config) if compile else {**archive.config, "compile_config": None}
    with WeightsFile(archive.weights, f"{where}: model.weights.h5") as weights:
        with weight_budget(weights.declared_bytes, where), sharing_scope(), clear_errors(where):
            model = deserialize_keras_object(config, custom_objects, safe_mode=safe_mode)
        if not isinstance(model, Layer):
            refuse(where, f"config.json describes no model but {type(model).__name__}", "save a Model")
        restore(stateful_objects(model), weights, where, assets=archive.assets or None)
    return model


@contextlib.contextmanager
def clear_errors(where: str) -> Any:
    """What a damaged config makes constructors stumble over (missing keys, wrong types, endless nesting) is one error.

    Errors that already explain themselves (those that start with `[`) pass, and so do warnings turned into errors.
    """
    try:
        yield
    except (SavedFileError, Warning):
        raise
    except (KeyError, IndexError, AttributeError, TypeError, ValueError, RecursionError, OverflowError) as error:
        if str(error).startswith("[") and not isinstance(error, KeyError):
            raise
        refuse(
            where, f"config.json cannot be read as a model ({type(error).__name__}: {error})", "save the model again"
        )


@public("keras.saving.save_weights")
def save_weights(
    model: Any,
    filepath: Path,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    *,
    objects_to_skip: Any = None,
) -> None:
    """Save the weights of a model (and the state of its optimizer) to a `.weights.h5` file.

    Args:
        model: a built model.
        filepath: a path that ends in `.weights.h5`, or in `.weights.json` with `max_shard_size`.
        overwrite: whether an existing file is replaced at once; with False the user is asked.
        max_shard_size: write several files of at most so many GiB each, and a `.weights.json` that lists them.
        objects_to_skip: layers or optimizers to leave out.

    Raises:
        ValueError: the ending is wrong or the model has not been built.

    >>> import os, tempfile
    >>> import amalthea as am
    >>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.weights.h5")
    >>> am.saving.save_weights(model, path)
    >>> am.saving.load_weights(model, path)
    """
    path = path_of(filepath, "save_weights")
    ending = (".weights.h5",) if max_shard_size is None else (".weights.h5", ".weights.json")
    if not path.endswith(ending):
        raise ValueError(
            f"[save_weights] the path must end in {' or '.join(ending)}. Received: filepath={path!r}. "
            f"Fix: save to 'model{ending[-1]}'."
        )
    check_built(model, "save_weights")
    if max_shard_size is not None:
        path = sharded.index_path(path)
    if not may_write(path, overwrite):
        return
    records = collect(stateful_objects(model, tuple(objects_to_skip or ())))
    if max_shard_size is not None:
        sharded.write_shards(path, records, int(max_shard_size * 1024**3))
        return
    with atomic_file(path) as file:
        write_weights(file, records)


@public("keras.saving.load_weights")
def load_weights(model: Any, filepath: Path, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Load weights that `save_weights` or `save_model` wrote, ours or Keras 3's, into a built model of the same make.

    Either everything is loaded, or there is an error and the model is as it was.

    Args:
        model: a built model.
        filepath: a `.weights.h5`, `.weights.json` or `.keras` file.
        skip_mismatch: let layers that the file does not fit keep their values, with a warning, instead of an error.
        **kwargs: `objects_to_skip`, a list of layers or optimizers to leave as they are.

    Raises:
        SavedFileError: the file is damaged or does not fit the model.
        FileNotFoundError: there is no such file.
        ValueError: the model has not been built, or an argument is unknown.

    >>> import os, tempfile
    >>> import amalthea as am
    >>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.weights.h5")
    >>> model.save_weights(path)
    >>> am.saving.load_weights(model, path)
    """
    skip = tuple(kwargs.pop("objects_to_skip", None) or ())
    if kwargs:
        raise ValueError(f"[load_weights] unknown arguments: {sorted(kwargs)}. Fix: leave them out.")
    check_built(model, "load_weights")
    path = path_of(filepath, "load_weights")
    where = f"load_weights('{os.path.basename(path)}')"
    if not os.path.exists(path):
        raise FileNotFoundError(f"[{where}] there is no such file. Received: {path!r}. Fix: check the path.")
    objects = stateful_objects(model, skip)
    opener = weights_opener(path, where)
    with opener() as weights:
        restore(objects, weights, where, skip_mismatch=skip_mismatch)


def weights_opener(path: str, where: str) -> Callable[[], Any]:
    """What opens the weights in a file of any of the known endings."""
    if path.endswith(".weights.json"):
        return lambda: sharded.ShardedWeights(path, where)
    if path.endswith(".keras"):
        with open(path, "rb") as file:
            content = read_archive(file, where).weights
        return lambda: WeightsFile(content, f"{where}: model.weights.h5")
    if path.endswith(".weights.h5"):
        return lambda: WeightsFile(path, where)
    refuse(
        where, "weights files end in '.weights.h5', '.weights.json' or '.keras'", "save with model.save_weights(...)"
    )


def check_built(model: Any, where: str) -> None:
    """An error for models that have no weights yet."""
    if not model.built:
        raise ValueError(
            f"[{where}] the model '{model.name}' has not been built, so it has no weights yet. "
            "Fix: call it on some data, or `build` it with an input shape, first."
        )


def may_write(path: str, overwrite: bool) -> bool:
    """Whether `path` is free or may be replaced; asks on the terminal when `overwrite` is False."""
    if overwrite or not os.path.exists(path):
        return True
    try:
        answer = input(f"[save] {path} already exists - overwrite? [y/n] ").strip().lower()
        while answer not in ("y", "n"):
            answer = input('Enter "y" (overwrite) or "n" (cancel). ').strip().lower()
    except EOFError:
        fail(
            FileExistsError,
            f"{path!r} exists already, and there is nobody at a terminal who could be asked whether to replace it",
            where="save",
            received="overwrite=False",
            fix="save to another path, or pass overwrite=True",
        )
    return answer == "y"


def path_of(filepath: Any, where: str) -> str:
    """A path as a string; refuses what is none."""
    if not isinstance(filepath, (str, os.PathLike)):
        fail(
            PathError,
            "the path must be a string or a pathlib.Path",
            where=where,
            received=f"filepath={filepath!r} of type {type(filepath).__name__}",
            fix="pass for example 'model.weights.h5'" if "weights" in where else "pass for example 'model.keras'",
        )
    return os.fspath(filepath)


def to_bytes(model: Any) -> bytes:
    """The content of a model's `.keras` file."""
    file = io.BytesIO()
    write_archive(file, to_archive(model))
    return file.getvalue()


def from_bytes(content: bytes) -> Any:
    """The model in the content of a `.keras` file that this process was given in a pickle or copy.

    Unpickling can run any code by itself, so `safe_mode` would add nothing here.
    """
    return from_archive(read_archive(io.BytesIO(content), "unpickle"), "unpickle", safe_mode=False)


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """The model that the text of `model.to_json()` describes; classes come from the registry, as in `load_model`."""
    where = "model_from_json"
    config = read_json(json_string, where)
    with sharing_scope(), clear_errors(where):
        return deserialize_keras_object(config, custom_objects)
