"""The elementary functions against mpmath: the errors that their docstrings state, special values, vector code."""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

from amalthea.compiler import math as functions
from amalthea.compiler.emitter import TYPES, Emitter
from amalthea.compiler.math.value import Value
from amalthea.compiler.target import Target
from tests.compiler.machine_code import HERE, Program

COUNT = 60  # of each kind of sample, function and dtype
FLOATS = ("float32", "float64")
EXACT: dict[str, Any] = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "erfinv": lambda x: x * mpmath.sqrt(mpmath.pi) / 2 if abs(x) < 1e-8 else mpmath.erfinv(x),
    "arctan2": mpmath.atan2,
    "power": mpmath.power,
}
# Arguments at which the greatest errors were found in dense sweeps, checked each time.
WORST: dict[str, list[float]] = {
    "exp": [-5.847268104553223, -708.7547004312664],
    "expm1": [0.3888515830039978, 0.39446530535307467],
    "log": [0.7018287777900696, 0.705527576215449],
    "log1p": [0.4160204827785492, 0.4271212760515413],
    "tanh": [0.06202325597405434, 0.2128848507058152],
    "sigmoid": [-4.157293796539307, -3.454888657527767],
    "sin": [1.1731118e7, 74.59504332921779, 2.0**1000, 3.0e38, 6381956970095103 * 2.0**797],
    "cos": [2.2476457e18, -2.379880682936139, 1e300, 1.0e38],
    "erf": [1.0711719989776611, 0.47368178, -0.04385395219056345],
    "erfc": [5.810314, 1.137174050453732, 26.5],
    "erfinv": [0.13532453775405884, 0.8380128114635357],
}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMALTHEA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def bound(name: str, dtype: str) -> float:
    """The largest error, in ulp, that the function's docstring states."""
    found = re.search(r"measured ([\d.]+) ulp in float32, ([\d.]+) in float64", functions.FUNCTIONS[name].__doc__ or "")
    assert found, f"{name} does not state its error"
    return float(found[FLOATS.index(dtype) + 1])


def body(name: str, dtype: str) -> Any:
    def write(e: Emitter, values: Sequence[str], lanes: int) -> str:
        return functions.call(name, *(Value(e, value, TYPES[dtype], lanes) for value in values)).name

    return write


def arity(name: str) -> int:
    return 2 if name in ("arctan2", "power") else 1


@functools.cache
def program(target: Target) -> Program:
    whole = Program(target)
    for name in functions.FUNCTIONS:
        for dtype in FLOATS:
            inputs = [dtype] * arity(name)
            whole.add(f"{name}_{dtype}", body(name, dtype), inputs, dtype)
            whole.add(f"{name}_{dtype}_lanes", body(name, dtype), inputs, dtype, lanes=8)
    return whole


def samples(name: str, dtype: str) -> list[np.ndarray]:
    """Finite arguments for which the function is finite and real: random bits, the usual range, the ends."""
    kind = np.dtype(dtype)
    rng = np.random.default_rng(zlib.crc32(f"{name} {dtype}".encode()))
    greatest = 88.7 if dtype == "float32" else 709.7

    def bits() -> np.ndarray:
        return rng.integers(0, 256, COUNT * kind.itemsize, dtype=np.uint8).view(kind)

    with np.errstate(over="ignore", invalid="ignore"):
        if name == "power":
            scale = 37 if dtype == "float32" else 300
            x = np.concatenate(
                [np.abs(bits()), 10.0 ** rng.uniform(-scale, scale, COUNT), 1 + rng.normal(size=COUNT) / 99]
            )
            x = np.where(np.isfinite(x) & (x > 0), x, 2).astype(kind)
            y = rng.uniform(-greatest, greatest, x.size) / np.log(x.astype(np.float64))
            arrays = [x, np.where(rng.uniform(size=x.size) < 0.3, 3 * rng.normal(size=x.size), y).astype(kind)]
        elif name == "arctan2":
            arrays = [
                np.concatenate([bits(), rng.normal(size=COUNT), 10.0 ** rng.uniform(-30, 30, COUNT)]).astype(kind)
                for _ in "yx"
            ]
        else:
            parts = [bits(), 3 * rng.normal(size=COUNT), rng.uniform(-1, 1, COUNT), 1 + rng.normal(size=COUNT) / 10]
            parts += [rng.uniform(-greatest * 1.04, greatest, COUNT), np.array(WORST[name])]
            if name == "erfinv":
                parts = [
                    rng.uniform(-1, 1, COUNT),
                    1 - 10 ** rng.uniform(-16, 0, COUNT),
                    10 ** rng.uniform(-37, 0, COUNT),
                ]
            arrays = [np.concatenate(parts).astype(kind)]
    good = np.all([np.isfinite(a) for a in arrays], axis=0)
    x = arrays[0].astype(np.float64)
    for low, high, names in (
        (0, 9e99, "log"),
        (-1, 9e99, "log1p"),
        (-1, 1, "erfinv"),
        (-9e99, greatest, "exp expm1 sigmoid"),
    ):
        if name in names.split():
            good &= (low < x) & (x < high)
    if name == "erfc":
        good &= x < 30  # it is 0 beyond, which takes mpmath long
    return [np.ascontiguousarray(np.resize(a[good], -(-good.sum() // 8) * 8)) for a in arrays]


def ulp_error(got: Any, exact: Any, dtype: str) -> float:
    """The distance in units of the last place that the exact result has in the dtype."""
    digits, least = (24, -149) if dtype == "float32" else (53, -1074)
    place = least if exact == 0 else max(mpmath.frexp(exact)[1] - digits, least)
    return float(abs(mpmath.mpf(float(got)) - exact) / mpmath.mpf(2) ** place)


@pytest.mark.parametrize("target", HERE, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", functions.FUNCTIONS)
def test_errors_stay_within_those_stated(name: str, dtype: str, target: Target) -> None:
    arrays = samples(name, dtype)
    # Without fused multiply-add the last rounding differs; 4 ulp hold everywhere.
    limit = bound(name, dtype) if target.fma else 4.0
    assert limit <= 4.0
    results = [program(target).run(f"{name}_{dtype}{kind}", *arrays) for kind in ("", "_lanes")]
    greatest = float(np.finfo(dtype).max)
    for place, exact in enumerate(exact_results(name, dtype)):
        for result in results:
            if abs(exact) > greatest:
                assert abs(result[place]) in (greatest, np.inf)
            else:
                error = ulp_error(result[place], exact, dtype)
                assert error <= limit, f"{error:.2f} ulp at {[a[place] for a in arrays]}"


@functools.cache
def exact_results(name: str, dtype: str) -> list[Any]:
    with mpmath.workprec(1200 if name in ("sin", "cos") else 160):
        return [EXACT[name](*map(mpmath.mpf, map(float, row))) for row in zip(*samples(name, dtype), strict=True)]


INF, NAN = float("inf"), float("nan")
SPECIAL: dict[str, list[tuple[float, ...]]] = {
    "exp": [(-INF, 0.0), (INF, INF), (NAN, NAN), (0.0, 1.0), (-1e30, 0.0), (1e30, INF)],
    "expm1": [(-INF, -1.0), (INF, INF), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (-50.0, -1.0), (1e-45, 1e-45)],
    "log": [(0.0, -INF), (-0.0, -INF), (INF, INF), (-1.0, NAN), (-INF, NAN), (NAN, NAN), (1.0, 0.0)],
    "log1p": [(-1.0, -INF), (INF, INF), (-2.0, NAN), (-INF, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "tanh": [(INF, 1.0), (-INF, -1.0), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (30.0, 1.0)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (NAN, NAN), (0.0, 0.5)],
    "sin": [(INF, NAN), (-INF, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "cos": [(INF, NAN), (-INF, NAN), (NAN, NAN), (0.0, 1.0)],
    "erf": [(INF, 1.0), (-INF, -1.0), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "erfc": [(INF, 0.0), (-INF, 2.0), (NAN, NAN), (0.0, 1.0), (-0.0, 1.0)],
    "erfinv": [(1.0, INF), (-1.0, -INF), (2.0, NAN), (-2.0, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0)],
}
EDGES = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 1e30, -1e30, INF, -INF, NAN]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, dtype: str) -> None:
    x, want = (np.array(column, dtype) for column in zip(*SPECIAL[name], strict=True))
    got = program(HERE[0]).run(f"{name}_{dtype}", x)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got)[want == want], np.signbit(want)[want == want])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["power", "arctan2"])
def test_special_pairs(name: str, dtype: str) -> None:
    a, b = (np.ascontiguousarray(grid.ravel()) for grid in np.meshgrid(np.array(EDGES, dtype), np.array(EDGES, dtype)))
    got = program(HERE[0]).run(f"{name}_{dtype}", a, b)
    with np.errstate(all="ignore"):
        want = np.power(a, b) if name == "power" else np.arctan2(a, b)
    np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(np.signbit(got)[want == want], np.signbit(want)[want == want])


@pytest.mark.parametrize("dtype", FLOATS)
def test_loops_with_a_function_become_vector_loops(dtype: str) -> None:
    for name in functions.FUNCTIONS:
        whole = Program(Target.named("avx2"))
        whole.add("f", body(name, dtype), [dtype] * arity(name), dtype)
        text = whole.assembly()
        assert re.search(r"\tv(div|mul)p[sd]\t.*%ymm", text), f"{name} is not vectorised"
        assert not re.search(r"\t(call|jmp)q?\t\w", text.replace("\tjmp\t.L", "")), f"{name} calls a function"


def test_aarch64_code_has_vectors_too() -> None:
    whole = Program(Target.named("neon"))
    for name in functions.FUNCTIONS:
        whole.add(name, body(name, "float32"), ["float32"] * arity(name), "float32")
    assert re.search(r"\tfml[as]\tv\d+\.4s", whole.assembly())
