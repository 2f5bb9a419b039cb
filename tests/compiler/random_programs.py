"""Random graphs whose results are known to the last bit, over all primitives and dtypes: what compiled programs run on.

All floating values are whole numbers (or infinite, NaN, a signed zero), so small that every sum and product is exact in
its dtype, whatever the order: a compiled program must equal the reference bit by bit. `bounds` hold how large a value
can be, and `finite` those that cannot be infinite or NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import amalthea as am
from amalthea.core.spec import TensorSpec
from tests.compiler.random_graphs import Case, primitive

FLOATS = {"float64": 2.0**40, "float32": 2.0**20, "float16": 2.0**9, "bfloat16": 2.0**6}
"""Floating dtypes, and up to where their whole numbers are exact with room to spare."""

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
DTYPES = (*FLOATS, *INTEGERS, "bool")
SIZES = (1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 33)
MOST = 3000  # elements of a tensor
WHOLE = (0.0, 1.0, -1.0, 2.0, 3.0, -2.0)
SPECIAL = (*WHOLE, -0.0, math.inf, -math.inf, math.nan)
LETTERS = "abcdefgh"


class Maker:
    """Draws one op after the other on the tensors there are."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.values: list[Any] = []
        self.bounds: dict[int, float] = {}
        self.finite: set[int] = set()

    # What there is

    def add(self, value: Any, bound: float, finite: bool) -> None:
        self.values.append(value)
        self.bounds[id(value)] = max(bound, 1.0)
        if finite or not value.dtype.is_floating:
            self.finite.add(id(value))

    def like(self, value: Any, source: Any, factor: float = 1.0) -> None:
        """A tensor of elements of another one."""
        self.add(value, self.bounds[id(source)] * factor, id(source) in self.finite)

    def pick(self, *kinds: str, rank: int = 0) -> Any:
        """A tensor of one of these kinds ("float", "int", "bool"; any if none is given), often one of the last."""
        some = [v for v in self.values if (not kinds or _kind(v) in kinds) and v.ndim >= rank]
        if not some:
            return None
        return some[-1] if self.draw(st.booleans()) else self.draw(st.sampled_from(some))

    def fits(self, value: Any, bound: float) -> bool:
        return not value.dtype.is_floating or bound <= FLOATS[str(value.dtype)]

    def axis(self, x: Any) -> int:
        return self.draw(st.integers(0, x.ndim - 1))

    def step(self) -> None:
        steps = [name for name in dir(self) if name.startswith("_do_")]
        getattr(self, self.draw(st.sampled_from(steps)))()

    # Element by element

    def _do_unary(self) -> None:
        x = self.pick()
        names = {
            "float": ("negative", "abs", "sign", "floor", "round_half_even", "stop_gradient", "isfinite"),
            "int": ("negative", "abs", "sign", "bitwise_not"),
            "bool": ("bitwise_not",),
        }
        self.like(primitive(self.draw(st.sampled_from(names[_kind(x)])))(x), x, 2.0)

    def _do_binary(self) -> None:
        x = self.pick()
        y = self.partner(x)
        kind = _kind(x)
        both = ("maximum", "minimum", "less", "less_equal", "equal", "multiply", "add")
        more = {
            "float": ("subtract",),
            "int": ("subtract", "floor_divide", "mod", "bitwise_and", "bitwise_or", "bitwise_xor", "right_shift"),
            "bool": ("bitwise_and", "bitwise_or", "bitwise_xor"),
        }
        name = self.draw(st.sampled_from((*both, *more[kind])))
        a, b = self.bounds[id(x)], self.bounds[id(y)]
        bound = a * b if name == "multiply" else a + b
        if name == "right_shift":
            y = primitive("bitwise_and")(y, am.ops.convert_to_tensor(np.asarray(3, y.dtype.as_numpy_dtype)))
        if self.fits(x, bound):
            finite = id(x) in self.finite and id(y) in self.finite
            self.add(primitive(name)(x, y), bound, finite)

    def partner(self, x: Any) -> Any:
        """A tensor of the same dtype that broadcasts with x; x itself if there is no other."""
        return self.draw(st.sampled_from([v for v in self.values if v.dtype == x.dtype and _broadcasts(v, x)]))

    def _do_constant(self) -> None:
        x = self.pick()
        values = [v for v in WHOLE if v >= 0] if str(x.dtype).startswith(("u", "bool")) else WHOLE
        number = np.asarray(self.draw(st.sampled_from(values)), x.dtype.as_numpy_dtype)
        bound = self.bounds[id(x)] * 3.0
        if self.fits(x, bound):
            self.add(primitive(self.draw(st.sampled_from(("add", "multiply"))))(x, number), bound, id(x) in self.finite)

    def _do_where(self) -> None:
        x = self.pick()
        y = self.partner(x)
        tests = [v for v in self.values if v.dtype == "bool" and _broadcasts(v, x)]
        test = self.draw(st.sampled_from(tests)) if tests else primitive("equal")(x, y)
        bound = max(self.bounds[id(x)], self.bounds[id(y)])
        self.add(primitive("where")(test, x, y), bound, id(x) in self.finite and id(y) in self.finite)

    def _do_cast(self) -> None:
        x = self.pick()
        dtype = self.draw(st.sampled_from(DTYPES))
        bound, finite = self.bounds[id(x)], id(x) in self.finite
        if _kind(x) == "int":  # it may have wrapped around: the least bits are kept
            if dtype not in INTEGERS and dtype != "bool":
                x = primitive("bitwise_and")(x, am.ops.convert_to_tensor(np.asarray(15, x.dtype.as_numpy_dtype)))
                bound = 15.0
        elif dtype in INTEGERS and (not finite or bound > 100 or dtype.startswith("u")):
            return
        elif dtype in FLOATS and bound > FLOATS[dtype]:
            return
        self.add(primitive("cast")(x, dtype), bound if dtype in FLOATS else 100.0, finite)

    # Moving

    def _do_move(self) -> None:
        x = self.pick()
        kind = self.draw(st.sampled_from(("reshape", "transpose", "broadcast", "slice", "pad", "flip", "join")))
        if kind == "reshape":
            self.like(primitive("reshape")(x, self.shape_of(math.prod(x.shape))), x)
        elif kind == "transpose":
            self.like(primitive("transpose")(x, tuple(self.draw(st.permutations(range(x.ndim))))), x)
        elif kind == "broadcast":
            shape = tuple(self.draw(st.sampled_from((1, 2, 5))) if d == 1 else d for d in x.shape)
            front = (self.draw(st.integers(1, 3)),) if x.ndim < 4 and self.draw(st.booleans()) else ()
            if math.prod((*front, *shape)) <= MOST:
                self.like(primitive("broadcast_to")(x, (*front, *shape)), x)
        elif kind == "slice":
            start = tuple(self.draw(st.integers(0, d)) for d in x.shape)
            stop = tuple(self.draw(st.integers(a, d)) if a < d else d for a, d in zip(start, x.shape, strict=True))
            self.like(primitive("strided_slice")(x, start, stop, tuple(self.draw(st.integers(1, 3)) for _ in start)), x)
        elif kind == "pad" and x.dtype != "bool" and math.prod(2 * d + 3 for d in x.shape) <= MOST:
            low, high = (tuple(self.draw(st.integers(0, 2)) for _ in x.shape) for _ in range(2))
            interior = tuple(self.draw(st.integers(0, 1)) for _ in x.shape)
            self.like(primitive("constant_pad")(x, low, high, interior, self.draw(st.sampled_from((0.0, 2.0)))), x, 2.0)
        elif kind == "flip" and x.ndim:
            self.like(primitive("flip")(x, self.axis(x)), x)
        elif kind == "join" and x.ndim:
            same = [v for v in self.values if v.dtype == x.dtype and v.shape == x.shape]
            parts = [x, *self.draw(st.lists(st.sampled_from(same), min_size=1, max_size=3))]
            if x.size * len(parts) <= MOST:
                bound = max(self.bounds[id(p)] for p in parts)
                finite = all(id(p) in self.finite for p in parts)
                self.add(primitive("concatenate")(parts, self.axis(x)), bound, finite)

    def shape_of(self, size: int) -> tuple[int, ...]:
        """A shape with so many elements."""
        shape: list[int] = [] if size else [0, self.draw(st.integers(0, 3))]
        while size > 1 and len(shape) < 3:
            divisor = self.draw(st.sampled_from([d for d in range(2, size + 1) if size % d == 0]))
            shape.append(divisor)
            size //= divisor
        if size > 1:
            shape.append(size)
        if len(shape) < 4 and self.draw(st.booleans()):
            shape.insert(self.draw(st.integers(0, len(shape))), 1)
        return tuple(shape)

    # Reductions

    def _do_reduce(self) -> None:
        x = self.pick(rank=1)
        if x is None:
            return
        axes = tuple(sorted(self.draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))))
        keepdims = self.draw(st.booleans())
        count = math.prod(x.shape[a] for a in axes)
        name = self.draw(st.sampled_from(("sum", "max", "min") if x.dtype != "bool" else ("max", "min")))
        bound = self.bounds[id(x)] * (count if name == "sum" else 1)
        if self.fits(x, bound) and (count or name == "sum"):
            self.add(primitive(name)(x, axis=axes, keepdims=keepdims), bound, id(x) in self.finite)

    def _do_search(self) -> None:
        x = self.pick("float", "int", rank=1)
        if x is None:
            return
        axis = self.axis(x)
        if not x.shape[axis]:
            return
        name = self.draw(st.sampled_from(("argmax", "argmin", "argsort")))
        self.add(primitive(name)(x, axis), float(x.shape[axis]), True)

    def _do_cumulate(self) -> None:
        x = self.pick("float", "int", rank=1)
        if x is None:
            return
        axis = self.axis(x)
        bound = self.bounds[id(x)] * max(x.shape[axis], 1)
        if self.fits(x, bound):
            self.add(primitive("cumulative_sum")(x, axis), bound, id(x) in self.finite)

    # By index

    def indices(self, size: int, shape: tuple[int, ...]) -> Any:
        rng = np.random.default_rng(self.draw(st.integers(0, 999)))
        return am.ops.convert_to_tensor(rng.integers(0, size, shape).astype("int32"))

    def _do_gather(self) -> None:
        x = self.pick(rank=1)
        if x is None:
            return
        axis = self.axis(x)
        shape = tuple(self.draw(st.lists(st.integers(0, 5), max_size=2)))
        if x.shape[axis] and math.prod(x.shape) * math.prod(shape) <= MOST:
            self.like(primitive("gather")(x, self.indices(x.shape[axis], shape), axis), x)

    def _do_scatter(self) -> None:
        x = self.pick("float", "int", rank=1)
        if x is None or not x.size:
            return
        how = self.draw(st.sampled_from(("add", "max", "min")))
        index = self.indices(x.shape[0], (self.draw(st.integers(1, 4)), 1))
        row = primitive("strided_slice")(x, (0,) * x.ndim, (1, *x.shape[1:]))
        updates = primitive("broadcast_to")(row, (index.shape[0], *x.shape[1:]))
        if self.fits(x, self.bounds[id(x)] * 5):
            self.like(primitive("scatter_update")(x, index, updates, how), x, 5.0)

    def _do_dynamic(self) -> None:
        x = self.pick(rank=1)
        if x is None:
            return
        shape = tuple(self.draw(st.integers(0, d)) for d in x.shape)
        start = self.indices(9, (x.ndim,))
        part = primitive("dynamic_slice")(x, start, shape)
        self.like(part, x)
        if self.draw(st.booleans()):
            self.like(primitive("dynamic_update_slice")(x, part, self.indices(9, (x.ndim,))), x)

    # Contractions and windows

    def _do_contract(self) -> None:
        x = self.pick("float", "int")
        if x is None or x.ndim > 4:
            return
        y = self.draw(st.sampled_from([v for v in self.values if v.dtype == x.dtype and v.ndim <= 4]))
        tx = LETTERS[: x.ndim]
        ty, free = [], iter("pqrs")
        for size in y.shape:
            shared = [c for c, d in zip(tx, x.shape, strict=True) if d == size and c not in ty]
            ty.append(self.draw(st.sampled_from([*shared, next(free)])))
        both = [c for c in tx if c in ty]
        summed = self.draw(st.sets(st.sampled_from(both))) if both else set()
        out = self.draw(st.permutations([c for c in dict.fromkeys([*tx, *ty]) if c not in summed]))
        sizes = dict(zip([*tx, *ty], [*x.shape, *y.shape], strict=True))
        bound = self.bounds[id(x)] * self.bounds[id(y)] * math.prod(sizes[c] for c in summed)
        if math.prod(sizes[c] for c in out) > MOST or len(out) > 5 or not self.fits(x, bound):
            return
        finite = id(x) in self.finite and id(y) in self.finite
        self.add(primitive("contract")(x, y, f"{tx},{''.join(ty)}->{''.join(out)}"), bound, finite)

    def image(self) -> Any:
        """A finite floating tensor as (batch, places, channels) with one or two axes of places; None if none fits."""
        found = [v for v in self.values if _kind(v) == "float" and v.size and id(v) in self.finite and 3 <= v.ndim <= 4]
        return self.draw(st.sampled_from(found)) if found else None

    def _do_convolve(self) -> None:
        x = self.image()
        if x is None:
            return
        places = x.shape[1:-1]
        each = lambda low, high: tuple(self.draw(st.integers(low, high)) for _ in places)  # noqa: E731
        size, strides, dilation = each(1, 3), each(1, 2), each(1, 2)
        groups = self.draw(st.sampled_from([g for g in (1, 2, x.shape[-1]) if x.shape[-1] % g == 0]))
        filters = groups * self.draw(st.integers(1, 3))
        padding = tuple((self.draw(st.integers(0, 2)), self.draw(st.integers(0, 2))) for _ in places)
        reach = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
        if any(n + lo + hi < r for n, (lo, hi), r in zip(places, padding, reach, strict=True)):
            return
        bound = self.bounds[id(x)] * 3 * math.prod(size) * x.shape[-1]
        options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
        if not self.fits(x, bound) or x.size * filters > 2 * MOST:
            return
        kernel = self.fresh((*size, x.shape[-1] // groups, filters), str(x.dtype), WHOLE)
        y = primitive("convolution")(x, kernel, **options)
        self.add(y, bound, True)
        if y.size and self.fits(x, bound * 3 * math.prod(size) * filters):
            back = primitive("conv_input_gradient")(y, kernel, input_size=tuple(places), **options)
            self.add(back, bound * 3 * math.prod(size) * filters, True)
        if y.size and self.fits(x, bound * self.bounds[id(x)] * math.prod(y.shape[:-1])):
            down = primitive("conv_kernel_gradient")(x, y, kernel_size=size, **options)
            self.add(down, bound * self.bounds[id(x)] * math.prod(y.shape[:-1]), True)

    def _do_pool(self) -> None:
        x = self.image()
        if x is None:
            return
        places = x.shape[1:-1]
        size = tuple(self.draw(st.integers(1, min(3, n))) for n in places)
        strides = tuple(self.draw(st.integers(1, 3)) for _ in places)
        padding = tuple((self.draw(st.integers(0, k - 1)), self.draw(st.integers(0, k - 1))) for k in size)
        y = primitive("max_pooling")(x, size, strides, padding)
        self.like(y, x)
        if y.size and self.fits(x, self.bounds[id(x)] * 9):
            self.like(primitive("max_pooling_gradient")(x, y, size, strides, padding), x, 9.0)

    def _do_windows(self) -> None:
        x = self.image()
        if x is None or x.size * 9 > MOST or not self.fits(x, self.bounds[id(x)] * 9):
            return
        places = x.shape[1:-1]
        size = tuple(self.draw(st.integers(1, min(3, n))) for n in places)
        strides = tuple(self.draw(st.integers(1, 2)) for _ in places)
        windows = primitive("extract_windows")(x, size, strides)
        self.like(windows, x)
        self.like(primitive("overlap_add")(windows, tuple(places), size, strides), x, 9.0)

    # Control flow

    def _do_cond(self) -> None:
        x = self.pick("float", "int")
        if x is None or not x.size:
            return
        test = primitive("less")(primitive("max")(x, axis=None), am.ops.cast(1, x.dtype))
        y = am.ops.cond(test, lambda: x + x, lambda: primitive("maximum")(x, primitive("negative")(x)))
        if self.fits(x, self.bounds[id(x)] * 2):
            self.like(y, x, 2.0)

    def _do_scan(self) -> None:
        x = self.pick("float", "int", rank=1)
        if x is None or not x.size or not self.fits(x, 9 + 2 * self.bounds[id(x)]):
            return
        limit = am.ops.cast(9, x.dtype)

        def body(carry: Any, now: Any) -> Any:
            new = primitive("minimum")(primitive("maximum")(carry, now) + now, limit)
            return new, (new - now, carry)

        carry, (ys, zs) = am.ops.scan(body, x[0], x, reverse=self.draw(st.booleans()))
        finite = id(x) in self.finite
        for value in (carry, ys, zs):
            self.add(value, 9 + 2 * self.bounds[id(x)], finite)

    def _do_while(self) -> None:
        x = self.pick("float", "int")
        times = self.draw(st.integers(0, 3))
        if x is None or not self.fits(x, self.bounds[id(x)] * 8):
            return
        _, y = am.ops.while_loop(lambda i, y: i < times, lambda i, y: (i + 1, y + y), (0, x))
        self.like(y, x, 8.0)

    def fresh(self, shape: tuple[int, ...], dtype: str, values: tuple[float, ...]) -> Any:
        return am.ops.convert_to_tensor(_array(self.draw, shape, dtype, values))


def _kind(value: Any) -> str:
    return "float" if value.dtype.is_floating else "bool" if value.dtype == "bool" else "int"


def _broadcasts(small: Any, large: Any) -> bool:
    tail = large.shape[large.ndim - small.ndim :] if small.ndim <= large.ndim else None
    return tail is not None and all(a in (1, b) for a, b in zip(small.shape, tail, strict=True))


def _array(draw: Any, shape: tuple[int, ...], dtype: str, values: tuple[float, ...]) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    spec = TensorSpec(shape, dtype)
    if not spec.dtype.is_floating:
        values = tuple(v for v in values if math.isfinite(v) and (v >= 0 or dtype.startswith("int")))
    return rng.choice(np.asarray(values), size=shape).astype(spec.dtype.as_numpy_dtype)


@st.composite
def programs(draw: Any, steps: int = 14) -> Case:
    """Random graphs of up to `steps` draws with one to three inputs, and arrays for them."""
    empty = draw(st.integers(0, 9)) == 0
    special = draw(st.booleans())
    sizes = st.sampled_from((0, *SIZES) if empty else SIZES)
    shape = st.lists(sizes, max_size=4).map(tuple).filter(lambda shape: math.prod(shape) <= MOST)
    specs = [TensorSpec(draw(shape), draw(st.sampled_from(DTYPES))) for _ in range(draw(st.integers(1, 3)))]
    if draw(st.booleans()):
        specs[0] = TensorSpec(specs[0].shape, "float32")
    count = draw(st.integers(1, steps))

    def forward(*inputs: Any) -> Any:
        maker = Maker(draw)
        for x in inputs:
            maker.add(x, 3.0, not special)
        for _ in range(count):
            maker.step()
        made = maker.values[len(inputs) :]
        return made[-5:] or list(inputs)

    graph = am.trace(forward, *specs, level="primitive").expand("primitive")
    values = SPECIAL if special else WHOLE
    arrays = [_array(draw, tuple(s.shape), str(s.dtype), values) for s in specs]
    return Case(graph, arrays)
