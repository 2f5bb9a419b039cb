"""The code of every elementwise primitive against the reference kernels: all dtypes, special values, scalars, lanes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import ml_dtypes
import numpy as np
import pytest

import amalthea as am
from amalthea.backends.numpy.elementwise import KERNELS
from amalthea.compiler.elementwise import OPS, emit
from amalthea.compiler.emitter import Emitter
from amalthea.compiler.math import FUNCTIONS
from amalthea.core import dtypes
from amalthea.core.errors import UnsupportedError
from amalthea.core.registry import registry
from tests.compiler.machine_code import HERE, Program

FLOATS = ("float16", "bfloat16", "float32", "float64")
SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
ALL = ("bool", *INTEGERS, *FLOATS)
NUMBERS = INTEGERS + FLOATS

FLOAT_OPS = ("sqrt", "floor", "round_half_even", "divide", *FUNCTIONS)
ACCEPTS: dict[str, Sequence[str]] = {
    **dict.fromkeys(FLOAT_OPS, FLOATS),
    "power": NUMBERS,
    **dict.fromkeys(("negative", "sign", "subtract", "floor_divide", "mod"), NUMBERS),
    **dict.fromkeys(("abs", "isfinite", "add", "multiply", "maximum", "minimum"), ALL),
    **dict.fromkeys(("equal", "less", "less_equal", "where", "stop_gradient"), ALL),
    **dict.fromkeys(("bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor"), ("bool", *INTEGERS)),
    **dict.fromkeys(("left_shift", "right_shift"), INTEGERS),
}
"""The dtypes of each op's operands; `cast` and `view` have tests of their own."""
BINARY = frozenset(
    "add subtract multiply divide floor_divide mod power maximum minimum arctan2 equal less less_equal bitwise_and "
    "bitwise_or bitwise_xor left_shift right_shift".split()
)
TRUTHS = frozenset({"equal", "less", "less_equal", "isfinite"})
LANES = {"float64": 8, "int64": 8, "uint64": 8}


def special(dtype: str) -> np.ndarray:
    """The values at which something may go wrong in a dtype, and some others."""
    kind = dtypes.to_numpy(dtype)
    if dtype == "bool":
        return np.array([False, True])
    if dtypes.is_integer(dtype):
        info = np.iinfo(kind)
        ends = [info.min, info.min + 1, info.max - 1, info.max]
        few = [-13, -7, -3, -2, -1] if info.min else []
        return np.array([*ends, *few, 0, 1, 2, 3, 5, 7, 8, 13, 31, 63, 64, 100], kind)
    limits = ml_dtypes.finfo(kind)
    sizes = [0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 7.0, 100.0, 4096.0, 1e4, np.inf, float(limits.max)]
    sizes += [float(limits.tiny), float(limits.smallest_subnormal), float(limits.eps), 1 + float(limits.eps)]
    with np.errstate(over="ignore"):
        return np.array([*sizes, *(-s for s in sizes), np.nan]).astype(kind)


def padded(array: np.ndarray, multiple: int = 16) -> np.ndarray:
    """Repeated from its beginning to a length that vectors divide."""
    length = -(-array.size // multiple) * multiple
    return np.ascontiguousarray(np.resize(array, length))


def operands(op: str, dtype: str) -> list[np.ndarray]:
    values = special(dtype)
    if op in BINARY:
        pairs = list(itertools.product(values, values))
        left, right = (np.array([pair[k] for pair in pairs], dtypes.to_numpy(dtype)) for k in (0, 1))
        if op == "power" and dtype in SIGNED:  # NumPy refuses negative exponents
            left, right = left[right >= 0], right[right >= 0]
        return [padded(left), padded(right)]
    if op == "where":
        left = padded(values)
        return [np.arange(left.size) % 3 == 0, left, padded(values[::-1])]
    return [padded(values)]


def add_loops(program: Program, op: str, inputs: Sequence[str], output: str, name: str) -> None:
    def body(e: Emitter, values: Sequence[str], lanes: int) -> str:
        return emit(e, op, values, inputs, output, lanes, {"dtype": output})

    program.add(name, body, inputs, output)
    program.add(f"{name}_lanes", body, inputs, output, LANES.get(inputs[-1], 16))


def signature(op: str, dtype: str) -> tuple[list[str], str]:
    inputs = [dtype, dtype] if op in BINARY else ["bool", dtype, dtype] if op == "where" else [dtype]
    return inputs, "bool" if op in TRUTHS else dtype


TABLE = [(op, dtype) for op, accepted in ACCEPTS.items() for dtype in accepted]
CASTS = [(a, b) for a in ALL for b in ALL]
VIEWS = [
    (a, b)
    for a in ALL
    for b in ALL
    if "bool" not in (a, b) and dtypes.to_numpy(a).itemsize == dtypes.to_numpy(b).itemsize
]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMALTHEA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=HERE, ids=lambda target: target.name)
def program(request: pytest.FixtureRequest) -> Program:
    whole = Program(request.param)
    for op, dtype in TABLE:
        add_loops(whole, op, *signature(op, dtype), f"{op}_{dtype}")
    for a, b in CASTS:
        add_loops(whole, "cast", [a], b, f"cast_{a}_{b}")
    for a, b in VIEWS:
        add_loops(whole, "view", [a], b, f"view_{a}_{b}")
    return whole


def same(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    return (got == want) | ((got != got) & (want != want))


def agree(op: str, dtype: str, got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Equal, or for elementary functions within 4 ulp of NumPy's, which may itself be 4 off."""
    if op not in FUNCTIONS or dtype not in FLOATS:
        return same(got, want)
    eps = float(ml_dtypes.finfo(dtypes.to_numpy(dtype)).eps)
    tiny = float(ml_dtypes.finfo(dtypes.to_numpy(dtype)).smallest_subnormal)
    wide_got, wide = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(wide_got - wide) <= 8 * eps * np.abs(wide) + 4 * tiny
    return same(wide_got, wide) | near & np.isfinite(wide)


@pytest.mark.parametrize("lanes", ["", "_lanes"], ids=["scalars", "vectors"])
def test_every_op_gives_what_its_reference_kernel_gives(program: Program, lanes: str) -> None:
    wrong = []
    for op, dtype in TABLE:
        arrays = operands(op, dtype)
        got = program.run(f"{op}_{dtype}{lanes}", *arrays)
        with np.errstate(all="ignore"):
            want = KERNELS[op](*arrays).astype(dtypes.to_numpy(signature(op, dtype)[1]))
        bad = np.flatnonzero(~agree(op, dtype, got, want))
        wrong += [f"{op} {dtype} {[a[i] for a in arrays]}: {got[i]!r}, should be {want[i]!r}" for i in bad[:3]]
    assert not wrong, "\n".join(wrong)


def cast_reference(x: np.ndarray, out: str) -> np.ndarray:
    """The NumPy kernel, and where a floating value does not fit an integer the nearest one that does (0 for NaN)."""
    want = KERNELS["cast"](x, out)
    if not dtypes.is_integer(out) or not dtypes.is_floating(x.dtype):
        return want
    info, wide = np.iinfo(want.dtype), x.astype(np.float64)
    want = np.where(wide >= 2.0 ** (info.bits - (info.min < 0)), want.dtype.type(info.max), want)
    want = np.where(wide < float(info.min), want.dtype.type(info.min), want)
    return np.where(np.isnan(wide), want.dtype.type(0), want)


@pytest.mark.parametrize("lanes", ["", "_lanes"], ids=["scalars", "vectors"])
def test_casts_and_views(program: Program, lanes: str) -> None:
    wrong = []
    with np.errstate(all="ignore"):
        for op, pairs in (("cast", CASTS), ("view", VIEWS)):
            for a, b in pairs:
                x = padded(special(a))
                if op == "cast" and dtypes.is_floating(a):
                    grid = np.random.default_rng(0).integers(0, 2**32, 4096, dtype=np.uint32).view(np.float32)
                    x = padded(np.concatenate([x, grid.astype(x.dtype)]))
                    if a == "float64":  # next to the halfway points of the narrower types
                        halfway = (1 + (2 * np.arange(256) + 1) * 2.0**-12) * 2.0 ** np.arange(-28, 4)[:, None]
                        close = [np.nextafter(halfway.ravel(), end) for end in (0, np.inf)]
                        x = padded(np.concatenate([x, halfway.ravel(), *close]))
                got = program.run(f"{op}_{a}_{b}{lanes}", x)
                want = cast_reference(x, b) if op == "cast" else KERNELS["view"](x, b)
                bad = np.flatnonzero(~same(got, want))
                wrong += [f"{op} {a} {b} {x[i]!r}: {got[i]!r}, should be {want[i]!r}" for i in bad[:3]]
    assert not wrong, "\n".join(wrong)


def test_negative_exponents_of_integers_give_the_truncated_power(program: Program) -> None:
    x = padded(np.array([-3, -1, -1, 0, 1, 2], np.int32))
    y = padded(np.array([-2, -3, -2, -1, -5, -1], np.int32))
    assert program.run("power_int32", x, y)[:6].tolist() == [0, -1, 1, 0, 1, 0]


def test_every_elementwise_kernel_of_the_reference_has_code() -> None:
    assert OPS >= KERNELS.keys()
    assert set(ACCEPTS) | {"cast", "view"} == OPS
    assert all(op in registry for op in OPS)
    assert am.__name__ == "amalthea"


def test_a_maximum_with_a_constant_is_one_comparison() -> None:
    for arguments in (["%x", "0.0"], ["0.0", "%x"]):
        e = Emitter("relu", [("float", "x")], "float")
        emit(e, "maximum", arguments, ["float32", "float32"], "float32")
        assert sum("fcmp" in line for line in e.lines) == 1


@pytest.mark.parametrize(
    "op, inputs, output, message",
    [
        ("matmul", ["float32", "float32"], "float32", "no code for this op"),
        ("view", ["float32"], "float64", "another width"),
        ("add", ["float8_e5m2", "float8_e5m2"], "float8_e5m2", "dtype float8_e5m2"),
        ("sqrt", ["int32"], "int32", "no code for this op and dtype"),
    ],
)
def test_what_has_no_code_is_refused(op: str, inputs: list[str], output: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        emit(Emitter("f", []), op, ["%x"] * len(inputs), inputs, output)
