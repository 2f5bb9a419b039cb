"""Weights in several files of limited size, listed by a `.weights.json`."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from amalthea.saving.archive import MAX_JSON_BYTES, read_json
from amalthea.saving.atomic import atomic_file
from amalthea.saving.errors import refuse
from amalthea.saving.hdf5 import Stored, WeightsFile, write_weights

Records = list[tuple[str, str | None, dict[str, np.ndarray]]]


def index_path(path: str) -> str:
    """`model.weights.h5` and `model.weights.json` both stand for the index `model.weights.json`."""
    return path.removesuffix(".h5").removesuffix(".json") + ".json"


def write_shards(path: str, records: Records, limit: int) -> None:
    """Write `<name>_00000.weights.h5`, ... of at most `limit` bytes of arrays each, and then the index at `path`.

    Raises:
        ValueError: one array alone is larger than `limit`.
    """
    base = os.path.basename(path).removesuffix(".json").removesuffix(".weights")
    shards: list[Records] = [[]]
    sizes = [0]
    weight_map: dict[str, Any] = {}
    for owner, name, arrays in records:
        entry: tuple[Any, Any, dict[str, Any]] = (owner, name, {})
        shards[-1].append(entry)
        for key, array in arrays.items():
            if array.nbytes > limit:
                raise ValueError(
                    f"[save_weights] '{owner}/vars/{key}' takes {array.nbytes:,} bytes, more than a shard may have "
                    f"({limit:,}). Fix: give a larger max_shard_size."
                )
            if sizes[-1] + array.nbytes > limit:
                entry = (owner, None, {})
                shards.append([entry])
                sizes.append(0)
            entry[2][key] = array
            sizes[-1] += array.nbytes
            shard_name = f"{base}_{len(shards) - 1:05}.weights.h5"
            files = weight_map.setdefault(f"/{owner}/vars" if owner else "/vars", [])
            if shard_name not in files:
                files.append(shard_name)
    folder = os.path.dirname(path)
    for number, shard in enumerate(shards):
        with atomic_file(os.path.join(folder, f"{base}_{number:05}.weights.h5")) as shard_file:
            write_weights(shard_file, shard)
    index = {
        "metadata": {"total_size": sum(sizes)},
        "weight_map": {owner: files[0] if len(files) == 1 else files for owner, files in weight_map.items()},
    }
    with atomic_file(path) as index_file:
        index_file.write(json.dumps(index, indent=4).encode())


class ShardedWeights:
    """The shards of an index as one `WeightsFile`."""

    def __init__(self, path: str, where: str) -> None:
        if os.path.getsize(path) > MAX_JSON_BYTES:
            refuse(where, f"the index is larger than {MAX_JSON_BYTES:,} bytes")
        with open(path, "rb") as file:
            index = read_json(file.read(), where)
        weight_map = index.get("weight_map")
        if not isinstance(weight_map, dict):
            refuse(where, "the index has no 'weight_map'", "save the weights again")
        self._where = where
        self._files: dict[str, WeightsFile] = {}
        self._owners: dict[str, list[str]] = {}
        try:
            for owner, names in weight_map.items():
                names = names if isinstance(names, list) else [names]
                for name in names:
                    if not isinstance(name, str) or os.path.basename(name) != name or not name.endswith(".weights.h5"):
                        refuse(where, f"the index names {name!r}, which is no weights file beside it")
                    if name not in self._files:
                        self._files[name] = WeightsFile(os.path.join(os.path.dirname(path), name), f"{where}: {name}")
                self._owners[owner.removesuffix("vars").strip("/")] = names
        except BaseException:
            self.__exit__()
            raise
        self.declared_bytes = sum(file.declared_bytes for file in self._files.values())

    def __getitem__(self, path: str) -> Stored:
        datasets: dict[str, Any] = {}
        for name in self._owners.get(path, ()):
            datasets.update(self._files[name][path].datasets)
        return Stored(datasets, self._where, path)

    def __contains__(self, path: str) -> bool:
        return path in self._owners

    def __enter__(self) -> ShardedWeights:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
