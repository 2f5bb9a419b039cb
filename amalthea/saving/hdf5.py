"""The weights file: HDF5 groups by object path, each with a group `vars` of numbered datasets.

Only plain numeric datasets in plain groups are read. Links to other files, soft links, virtual and external datasets,
compound or object types, unknown filters, cycles, and datasets that declare far more than they store are refused when
the file is opened; an array is only allocated when it is asked for.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from amalthea.saving.errors import SavedFileError, refuse

MAX_OBJECTS = 1_000_000
MAX_DEPTH = 64
EXPANSION_FLOOR = 1 << 20
MAX_EXPANSION = 1100  # deflate cannot pack more than 1032 : 1
FILTERS = (None, "gzip", "lzf")


class Stored(Mapping[str, np.ndarray]):
    """The arrays of one object, by key (`"0"`, `"1"`, ...), read from the file on access."""

    def __init__(self, datasets: dict[str, Any], where: str, path: str) -> None:
        self.datasets, self._where, self._path = datasets, where, path

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self.datasets:
            raise KeyError(f"'{self._path}/vars/{key}' is not in the file; it has {sorted(self.datasets)}")
        dataset = self.datasets[key]
        try:
            array = np.asarray(dataset[()])
        except Exception as error:  # h5py raises OSError, RuntimeError, KeyError ... on damaged chunks
            refuse(self._where, f"'{self._path}/vars/{key}' cannot be read ({error})", "copy or save it again")
        name = dataset.attrs.get("dtype")
        if array.dtype.kind == "V" and name is not None:
            import ml_dtypes

            return array.view(getattr(ml_dtypes, str(name)))
        return array

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of one array, without reading it."""
        return tuple(self.datasets[key].shape)

    def kind(self, key: str) -> str:
        """`"float"`, `"int"`, `"bool"` or `"complex"`, without reading the array."""
        return {"b": "bool", "i": "int", "u": "int", "c": "complex"}.get(self.datasets[key].dtype.kind, "float")

    def __iter__(self) -> Iterator[str]:
        return iter(self.datasets)

    def __len__(self) -> int:
        return len(self.datasets)


class WeightsFile:
    """An opened and checked weights file: `file[path]` is the `Stored` arrays of the object at `path` ("" = the root).

    Use as a context manager. `declared_bytes` is the size of all its arrays.

    Raises:
        SavedFileError: not an HDF5 file, damaged, or it has something that a weights file has no need of.
    """

    def __init__(self, source: str | os.PathLike | bytes, where: str) -> None:
        import h5py

        self._where = where
        self._objects: dict[str, dict[str, Any]] = {}
        self.declared_bytes = 0
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        if not isinstance(source, bytes) and not os.path.exists(source):
            raise FileNotFoundError(f"[{where}] there is no such file. Fix: check the path.")
        try:
            self._file = h5py.File(opened, "r")
        except OSError as error:
            refuse(where, f"this is not a whole HDF5 file ({error})", "copy or save the file again")
        try:
            self._scan()
        except SavedFileError:
            self._file.close()
            raise
        except Exception as error:
            self._file.close()
            refuse(where, f"the file is damaged ({error})", "copy or save the file again")

    def _scan(self) -> None:
        """Walk every link of the file once and note the datasets below each group `vars`."""
        import h5py

        seen: set[int] = set()
        waiting: list[tuple[str, Any]] = [("", self._file["/"])]
        while waiting:
            path, group = waiting.pop()
            if path.count("/") > MAX_DEPTH or len(seen) > MAX_OBJECTS:
                refuse(self._where, f"there are more than {MAX_DEPTH} levels or {MAX_OBJECTS} objects at {path!r}")
            for name in group:
                inner = f"{path}/{name}"
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    refuse(self._where, f"{inner!r} is a {type(link).__name__}, which weights files may not have")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    refuse(self._where, f"{inner!r} is a second name of another object")
                seen.add(address)
                if isinstance(item, h5py.Group):
                    waiting.append((inner, item))
                elif isinstance(item, h5py.Dataset):
                    self._note(inner, item)
                else:
                    refuse(self._where, f"{inner!r} is a {type(item).__name__}, which weights files may not have")

    def _note(self, path: str, dataset: Any) -> None:
        if dataset.external or dataset.is_virtual:
            refuse(self._where, f"{path!r} takes its data from elsewhere (an external or virtual dataset)")
        if dataset.compression not in FILTERS:
            refuse(self._where, f"{path!r} uses the filter {dataset.compression!r}; known are gzip and lzf")
        if dataset.dtype.kind == "V" and "dtype" in dataset.attrs:
            self._check_opaque(path, dataset)
        elif dataset.dtype.kind not in "biufc":
            refuse(self._where, f"{path!r} has the dtype {dataset.dtype}, which is not numeric")
        declared = math.prod(dataset.shape) * dataset.dtype.itemsize
        stored = dataset.id.get_storage_size()
        if declared > EXPANSION_FLOOR and declared > MAX_EXPANSION * stored:
            refuse(self._where, f"{path!r} declares {declared:,} bytes ({dataset.shape}) and stores {stored:,}")
        self.declared_bytes += declared
        owner, _, key = path.rpartition("/vars/")
        if key:
            self._objects.setdefault(owner.strip("/"), {})[key] = dataset

    def _check_opaque(self, path: str, dataset: Any) -> None:
        """Types that HDF5 does not know (bfloat16) are stored as raw bytes with their name beside them."""
        if str(dataset.attrs["dtype"]) != "bfloat16" or dataset.dtype.itemsize != 2:
            refuse(self._where, f"{path!r} has the unknown dtype {str(dataset.attrs['dtype'])!r}")

    def __getitem__(self, path: str) -> Stored:
        return Stored(self._objects.get(path, {}), self._where, path)

    def __contains__(self, path: str) -> bool:
        return path in self._objects

    @property
    def paths(self) -> list[str]:
        """The paths of all objects that have arrays."""
        return sorted(self._objects)

    def __enter__(self) -> WeightsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays that have not been read can no longer be."""
        self._file.close()


def write_weights(file: BinaryIO | str, state: list[tuple[str, str | None, dict[str, Any]]]) -> None:
    """Write `(path, name, arrays)` records, in Keras' layout: `path/vars/<key>`, the object's name as an attribute.

    Objects without a name and without arrays leave no group.
    """
    import h5py

    with h5py.File(file, "w") as weights:
        for path, name, arrays in state:
            if name is None and not arrays:
                continue
            group = weights.create_group(f"{path}/vars" if path else "vars")
            if name is not None:
                group.attrs["name"] = name
            for key, value in arrays.items():
                array = np.asarray(value)
                if array.dtype.name == "bfloat16":
                    group.create_dataset(key, data=array).attrs["dtype"] = "bfloat16"
                else:
                    group[key] = array
