"""Random graphs of primitives with inputs, made by hypothesis: what passes, kernels and programs are compared on.

Three kinds. *Free* graphs use all ops on floating-point inputs that may hold NaN, infinities and signed zeros; a change
that claims to be exact must keep every bit of them. *Ring* graphs use only operations that are exact on small
integers (held in float64), so that even sums in another order give the same. *Smooth* graphs, with their gradients,
have no steps and no special values, so that a change of the last digits stays one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import amalthea as am
from amalthea.backends.numpy import BACKEND
from amalthea.core.graph import Graph
from amalthea.core.op import registry
from amalthea.core.spec import TensorSpec

SPECIAL = (0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 0.5, -2.5, 3.0, 1e-3, -7.25)
WHOLE = (0.0, 1.0, -1.0, 2.0, 3.0, -2.0)
CONSTANTS = (0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 8.0, 0.3, math.inf, -math.inf)
LIMIT = 2.0**40  # ring graphs stop growing values here, far from where float64 rounds integers

UNARY = ("negative", "abs", "exp", "tanh", "sigmoid", "sqrt", "floor", "sign", "log1p", "stop_gradient", "cos")
BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
MOVES = ("reshape", "transpose", "broadcast", "slice", "pad", "flip", "join", "split")
RING_UNARY = ("negative", "abs", "floor", "sign", "stop_gradient", "round_half_even")
RING_BINARY = ("add", "subtract", "multiply", "maximum", "minimum")


SMOOTH_UNARY = ("negative", "tanh", "sigmoid", "stop_gradient", "cos")
SMOOTH_BINARY = ("add", "subtract", "multiply")


class Case(NamedTuple):
    """A graph and arrays for its inputs."""

    graph: Graph
    arrays: list[np.ndarray]

    def run(self, graph: Graph | None = None) -> list[np.ndarray]:
        """The outputs on the NumPy backend, of the graph itself or of one with the same inputs."""
        return run(self.graph if graph is None else graph, self.arrays)


def run(graph: Graph, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph of primitives on the NumPy backend."""
    return [np.asarray(x) for x in BACKEND.compile(graph)(arrays)]


def primitive(name: str) -> Any:
    """The function of a primitive, by its name in graphs."""
    return registry[name]


class Maker:
    """Draws one op after the other on what there is; `values` are the tensors and `bounds` how large they may be."""

    def __init__(self, draw: Any, kind: str, control: bool) -> None:
        self.draw, self.kind, self.control = draw, kind, control
        self.ring, self.smooth = kind == "ring", kind == "smooth"
        self.free = kind == "free"
        self.unary = {"free": UNARY, "ring": RING_UNARY, "smooth": SMOOTH_UNARY}[kind]
        self.binary = {"free": BINARY, "ring": RING_BINARY, "smooth": SMOOTH_BINARY}[kind]
        self.limit = 1e3 if self.smooth else LIMIT
        self.values: list[Any] = []
        self.bounds: dict[int, float] = {}

    def pick(self, kind: str = "floating") -> Any:
        """A value, often one of the last, so that ops come one after another."""
        some = [v for v in self.values if (v.dtype == "bool") == (kind == "bool")]
        if not some:
            return None
        return some[-1] if self.draw(st.booleans()) else self.draw(st.sampled_from(some))

    def bound(self, value: Any) -> float:
        return self.bounds.get(id(value), 3.0)

    def add(self, value: Any, bound: float = math.inf) -> None:
        self.values.append(value)
        self.bounds[id(value)] = bound

    def step(self) -> None:
        steps = ["unary", "binary", "binary", "constant", "move", "move", "reduce", "contract", "again"]
        if not self.smooth:
            steps += ["choose"]
        if self.free:
            steps += ["cast", "power"]
        if self.control:
            steps += ["scan"] if self.smooth else ["scan", "cond", "while", "nest"]
        getattr(self, "_" + self.draw(st.sampled_from(steps)))()

    def _unary(self) -> None:
        x = self.pick()
        op = self.draw(st.sampled_from(self.unary))
        self.add(primitive(op)(x), max(self.bound(x), 1.0))

    def _partner(self, x: Any) -> Any:
        """A value that broadcasts with x: another one, a part of x, or x reduced."""
        same = [v for v in self.values if v.dtype == x.dtype and _fits(v.shape, x.shape)]
        y = self.draw(st.sampled_from(same))
        if y.shape == x.shape and x.ndim and self.draw(st.booleans()):
            axis = self.draw(st.integers(0, x.ndim - 1))
            keep = self.draw(st.booleans()) or axis != 0
            y = primitive("sum" if self.smooth else "max")(y, axis=axis, keepdims=keep)
            self.bounds[id(y)] = self.bound(x) * x.shape[axis]
            if not self.free and self.bounds[id(y)] > self.limit:
                return x
        return y

    def _binary(self) -> None:
        x = self.pick()
        y = self._partner(x)
        if self.draw(st.booleans()):
            x, y = y, x
        self._combine(self.draw(st.sampled_from(self.binary)), x, y)

    def _combine(self, op: str, x: Any, y: Any) -> None:
        a, b = self.bound(x), self.bound(y)
        size = a * b if op == "multiply" else a + b
        if self.free or size < self.limit:
            self.add(primitive(op)(x, y), max(size, 1.0))

    def _constant(self) -> None:
        x = self.pick()
        number = self.draw(st.sampled_from(CONSTANTS if self.free else WHOLE))
        form = self.draw(st.sampled_from(["scalar", "full", "broadcast", "array"]))
        dtype = x.dtype.as_numpy_dtype
        if form == "array":
            c: Any = am.ops.convert_to_tensor(_array(self.draw, tuple(x.shape), dtype, self.kind))
        else:
            c = am.ops.convert_to_tensor(np.full(x.shape if form == "full" else (), number, dtype))
            c = primitive("broadcast_to")(c, x.shape) if form == "broadcast" else c
        self.bounds[id(c)] = 3.0
        args = (x, c) if self.draw(st.booleans()) else (c, x)
        self._combine(self.draw(st.sampled_from(self.binary)), *args)

    def _move(self) -> None:
        x = self.values[-1] if self.draw(st.booleans()) else self.draw(st.sampled_from(self.values))
        kind = self.draw(
            st.sampled_from(["reshape", "transpose", "broadcast", "slice", "pad", "flip", "join", "split"])
        )
        bound = self.bound(x)
        if kind == "reshape":
            self.add(primitive("reshape")(x, _factors(self.draw, math.prod(x.shape))), bound)
        elif kind == "transpose":
            self.add(primitive("transpose")(x, tuple(self.draw(st.permutations(range(x.ndim))))), bound)
        elif kind == "broadcast":
            shape = tuple(self.draw(st.integers(1, 3)) if d == 1 else d for d in x.shape)
            front = (self.draw(st.integers(1, 3)),) if x.ndim < 4 and self.draw(st.booleans()) else ()
            if math.prod((*front, *shape)) <= 400:
                self.add(primitive("broadcast_to")(x, (*front, *shape)), bound)
        elif kind == "slice":
            start = tuple(self.draw(st.integers(0, d - 1)) for d in x.shape)
            stop = tuple(self.draw(st.integers(a + 1, d)) for a, d in zip(start, x.shape, strict=True))
            strides = tuple(self.draw(st.integers(1, 2)) for _ in x.shape)
            self.add(primitive("strided_slice")(x, start, stop, strides), bound)
        elif kind == "pad" and x.dtype != "bool":
            low, high, interior = (tuple(self.draw(st.integers(0, 1)) for _ in x.shape) for _ in range(3))
            if math.prod(2 * d + 2 for d in x.shape) <= 400:
                self.add(
                    primitive("constant_pad")(x, low, high, interior, self.draw(st.sampled_from([0.0, 2.0]))), bound
                )
        elif kind == "flip" and x.ndim:
            self.add(primitive("flip")(x, self.draw(st.integers(0, x.ndim - 1))), bound)
        elif kind == "join" and x.ndim:
            same = [v for v in self.values if v.dtype == x.dtype and v.shape == x.shape]
            y = self.draw(st.sampled_from(same))
            self.add(primitive("concatenate")([x, y], self.draw(st.integers(0, x.ndim - 1))), max(bound, self.bound(y)))
        elif kind == "split" and x.ndim and x.shape[0] > 1 and x.dtype != "bool":
            self._split(x, bound)

    def _split(self, x: Any, bound: float) -> None:
        """Slices of x padded back and added, as the gradient of slicing is."""
        cut = self.draw(st.integers(1, x.shape[0] - 1))
        zeros, rest = (0,) * x.ndim, (0,) * (x.ndim - 1)
        first = primitive("negative")(x[:cut])
        second = x[cut:]
        padded = [
            primitive("constant_pad")(first, zeros, (x.shape[0] - cut, *rest), zeros, 0.0),
            primitive("constant_pad")(second, (cut, *rest), zeros, zeros, 0.0),
        ]
        self.add(primitive("add")(*padded), bound)

    def _reduce(self) -> None:
        x = self.pick()
        if not x.ndim:
            return
        axes = tuple(sorted(self.draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))))
        op = self.draw(st.sampled_from(["sum"] if self.smooth else ["sum", "max", "min", "sum"]))
        size = self.bound(x) * (math.prod(x.shape[a] for a in axes) if op == "sum" else 1)
        if self.free or size < self.limit:
            self.add(primitive(op)(x, axis=axes, keepdims=self.draw(st.booleans())), size)

    def _contract(self) -> None:
        x, y = self.pick(), self.pick()
        if x.dtype != y.dtype or x.ndim > 4 or y.ndim > 4:
            return
        letters = "abcdefgh"
        tx = letters[: x.ndim]
        ty, free = [], iter("pqrs")
        for size in y.shape:
            shared = [c for c, d in zip(tx, x.shape, strict=True) if d == size and c not in ty]
            ty.append(self.draw(st.sampled_from([*shared, next(free)])))
        both = [c for c in tx if c in ty]
        summed = self.draw(st.sets(st.sampled_from(both))) if both else set()
        out = self.draw(st.permutations([c for c in dict.fromkeys([*tx, *ty]) if c not in summed]))
        sizes = dict(zip([*tx, *ty], [*x.shape, *y.shape], strict=True))
        bound = self.bound(x) * self.bound(y) * math.prod(sizes[c] for c in summed)
        if math.prod(sizes[c] for c in out) > 400 or len(out) > 5 or (not self.free and bound >= self.limit):
            return
        self.add(primitive("contract")(x, y, f"{tx},{''.join(ty)}->{''.join(out)}"), bound)

    def _choose(self) -> None:
        x = self.pick()
        y = self._partner(x)
        test = primitive(self.draw(st.sampled_from(["less", "less_equal", "equal"])))(x, y)
        self.add(test)
        if self.draw(st.booleans()):
            test = primitive("bitwise_not")(test)
        other = self.draw(st.sampled_from([x, y, x * 0.0 + 1.0]))
        self.add(primitive("where")(test, x, other), max(self.bound(x), self.bound(y), 1.0))

    def _again(self) -> None:
        """The same computation twice, for common subexpressions."""
        x = self.pick()
        a, b = (primitive("negative")(primitive("abs")(x)) for _ in range(2))
        self._combine("add", a, b)

    def _cast(self) -> None:
        x = self.draw(st.sampled_from(self.values))
        dtype = x.dtype
        wide = self.draw(st.sampled_from(["float64", "float32", "float16", "bfloat16"]))
        y = primitive("cast")(x, wide)
        self.add(y)
        if dtype != "bool":
            self.add(primitive("cast")(y, dtype))

    def _power(self) -> None:
        x = self.pick()
        number = self.draw(st.sampled_from([0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -0.5]))
        self.add(primitive("power")(x, am.ops.convert_to_tensor(np.asarray(number, x.dtype.as_numpy_dtype))))

    def _scan(self) -> None:
        x = self.pick()
        if not x.ndim or self.bound(x) > 100 or math.prod(x.shape) > 100:
            return
        w = am.ops.convert_to_tensor(_array(self.draw, tuple(x.shape[1:]), x.dtype.as_numpy_dtype, "ring"))
        reverse = self.draw(st.booleans())
        if self.smooth:
            self._recurrence(x, w, reverse)
            return

        def body(carry: Any, now: Any) -> Any:
            new = primitive("maximum")(primitive("minimum")(carry + now * w, 9.0), -9.0)
            return new, (new - now * 1.0) + (new - now * 1.0)

        carry, ys = am.ops.scan(body, primitive("max")(x, axis=0), x, reverse=reverse)
        self.add(carry, 9.0)
        self.add(ys, 2 * (9.0 + self.bound(x)))

    def _recurrence(self, x: Any, w: Any, reverse: bool) -> None:
        """A loop whose step uses a matrix, a constant and values of outside, as recurrent layers do."""
        matrix = primitive("contract")(w, w, *_outer(w.ndim)) * 0.1
        letters = "abcdefgh"[: w.ndim]
        after = letters.upper()
        outside = self.draw(st.booleans())

        def body(carry: Any, now: Any) -> Any:
            new = primitive("tanh")(primitive("contract")(carry, matrix, f"{letters},{letters}{after}->{after}") + now)
            new = new + primitive("sigmoid")(w if outside else now * 0.0)
            return new, (new * now, carry)

        carry, (ys, zs) = am.ops.scan(body, x[0] * 0.5, x, reverse=reverse)
        for value in (carry, ys, zs):
            self.add(value, 2.0 * max(self.bound(x), 1.0))

    def _while(self) -> None:
        """A loop that ends by its count or by its values, and whose two carried values may change places."""
        x = self.pick()
        if math.prod(x.shape) > 100:
            return
        count, change = self.draw(st.integers(0, 4)), self.draw(st.booleans())
        more = self.draw(st.sampled_from([1.0, -2.0, 0.0]))

        def test(i: Any, a: Any, b: Any) -> Any:
            return primitive("bitwise_and")(i < count, primitive("max")(a, axis=None) < 8.0)

        def body(i: Any, a: Any, b: Any) -> Any:
            new = _clipped(a + b + more)
            return (i + 1, b, new) if change else (i + 1, new, b)

        _, a, b = am.ops.while_loop(test, body, (0, _clipped(x), _clipped(primitive("negative")(x))))
        self.add(a, 9.0)
        self.add(b, 9.0)

    def _nest(self) -> None:
        """A loop in a branch in a loop; both branches use values of outside, and one what is carried as it is."""
        x = self.pick()
        if not x.ndim or math.prod(x.shape) > 100:
            return
        first, reverse = _clipped(x[0]), self.draw(st.booleans())
        keep = self.draw(st.booleans())

        def until_small(c: Any) -> Any:
            return am.ops.while_loop(lambda c: primitive("max")(c, axis=None) > 2.0, lambda c: c - 1.0, c)

        def body(carry: Any, now: Any) -> Any:
            positive = primitive("less")(0.0, primitive("sum")(carry, axis=None))
            new = am.ops.cond(
                positive, lambda: until_small(carry) - first, lambda: carry if keep else _clipped(now + carry)
            )
            return _clipped(new), (carry, new)

        carry, (before, after) = am.ops.scan(body, first, x, reverse=reverse)
        for value in (carry, before, after):
            self.add(value, 20.0)

    def _cond(self) -> None:
        x = self.pick()
        test = primitive("less")(primitive("max")(x, axis=None), 1.0)
        y = am.ops.cond(test, lambda: (x + x) * 1.0, lambda: primitive("negative")(primitive("negative")(x)))
        self.add(y, 2 * self.bound(x))


def _clipped(x: Any) -> Any:
    return primitive("maximum")(primitive("minimum")(x, 9.0), -9.0)


def _fits(small: Any, large: Any) -> bool:
    tail = large[len(large) - len(small) :] if len(small) <= len(large) else None
    return tail is not None and all(a in (1, b) for a, b in zip(small, tail, strict=True))


def _factors(draw: Any, size: int) -> tuple[int, ...]:
    """A random shape with so many elements, with axes of size 1 in between."""
    shape = []
    while size > 1:
        divisor = draw(st.sampled_from([d for d in range(2, size + 1) if size % d == 0]))
        shape.append(divisor)
        size //= divisor
    if len(shape) < 4:
        for place in draw(st.lists(st.integers(0, len(shape)), max_size=2)):
            shape.insert(place, 1)
    return tuple(shape[:-1] + shape[-1:])


def _outer(ndim: int) -> tuple[str]:
    letters = "abcdefgh"[:ndim]
    return (f"{letters},{letters.upper()}->{letters}{letters.upper()}",)


def _array(draw: Any, shape: tuple[int, ...], dtype: Any, kind: str) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    if kind == "smooth":
        return rng.uniform(-1.5, 1.5, size=shape).astype(dtype)
    return rng.choice(np.asarray(SPECIAL if kind == "free" else WHOLE), size=shape).astype(dtype)


@st.composite
def cases(draw: Any, kind: str = "free", control: bool = False, dtypes: tuple[str, ...] = ("float32",)) -> Case:
    """Random graphs of up to about thirty primitives with one to three inputs, and arrays for them.

    Args:
        kind: "free", "ring" or "smooth" (see above; the last two are in float64).
        control: loops and branches too.
        dtypes: of the inputs of free graphs.
    """
    dtypes = dtypes if kind == "free" else ("float64",)
    shapes = draw(st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=3))
    specs = [TensorSpec(shape, draw(st.sampled_from(dtypes))) for shape in shapes]
    steps = draw(st.integers(2, 16))

    def forward(*inputs: Any) -> Any:
        maker = Maker(draw, kind, control)
        for x in inputs:
            maker.add(x, 3.0)
        for _ in range(steps):
            maker.step()
        return maker.values[-4:]

    def with_gradients(*inputs: Any) -> Any:
        with am.GradientTape() as tape:
            for x in inputs:
                tape.watch(x)
            outputs = forward(*inputs)
            loss = am.ops.sum(outputs[-1] * outputs[-1])
        return [*outputs, *(g for g in tape.gradient(loss, list(inputs)) if g is not None)]

    graph = am.trace(with_gradients if kind == "smooth" else forward, *specs, level="primitive").expand("primitive")
    arrays = [_array(draw, tuple(s.shape), s.dtype.as_numpy_dtype, kind) for s in specs]
    return Case(graph, arrays)


def assert_close(got: list[np.ndarray], want: list[np.ndarray], tolerance: float = 1e-9) -> None:
    """Equal shapes and dtypes, and values equal up to a part of the largest."""
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        largest = float(np.max(np.abs(b), initial=1.0))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * largest)


def assert_same_bits(got: list[np.ndarray], want: list[np.ndarray], zero_signs: bool = True) -> None:
    """Equal shapes, dtypes and bits; any NaN equals any other, and with `zero_signs=False` 0.0 equals -0.0."""
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        a, b = (x.astype(np.float64) if x.dtype.kind not in "iub" else x for x in (a, b))
        np.testing.assert_array_equal(a, b)
        if zero_signs and a.dtype.kind == "f":
            known = ~np.isnan(a)
            np.testing.assert_array_equal(np.signbit(a)[known], np.signbit(b)[known])
