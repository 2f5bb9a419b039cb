"""Each rewrite on the pattern it is for: what is left, and that results are the same, special values included."""

from __future__ import annotations

import math

import numpy as np
import pytest

import amalthea as am
from amalthea.compiler.passes import (
    arithmetic,
    broadcasting,
    canonical_order,
    contracting,
    conversions,
    movement,
    powers,
    reassociation,
    reductions,
    simplification,
    softmax,
)
from amalthea.compiler.passes.pipeline import PASSES, optimize
from amalthea.core.op import registry
from amalthea.core.spec import TensorSpec
from tests.compiler.random_graphs import SPECIAL, assert_same_bits, run

MODULES = (
    arithmetic,
    broadcasting,
    canonical_order,
    contracting,
    conversions,
    movement,
    powers,
    reductions,
    softmax,
)
P = dict(registry)
negative, multiply, add, subtract, divide, power = (
    P[n] for n in ("negative", "multiply", "add", "subtract", "divide", "power")
)
cast, reshape, transpose, broadcast, contract, total = (
    P[n] for n in ("cast", "reshape", "transpose", "broadcast_to", "contract", "sum")
)
piece, pad, flip, join, where = (P[n] for n in ("strided_slice", "constant_pad", "flip", "concatenate", "where"))
V, M, I, B = "float32[12]", "float32[3,4]", "int32[12]", "bool[12]"  # noqa: E741
C = am.ops.convert_to_tensor


def spec(text: str) -> TensorSpec:
    dtype, _, shape = text.rstrip("]").partition("[")
    return TensorSpec(tuple(int(d) for d in shape.split(",") if d), dtype)


def array(wanted: TensorSpec, seed: int) -> np.ndarray:
    """All the special values, in another order for each input; small whole numbers for integers."""
    rng = np.random.default_rng(seed)
    if not wanted.dtype.is_floating:
        return rng.integers(0, 2 if wanted.dtype == "bool" else 7, wanted.shape).astype(wanted.dtype.as_numpy_dtype)
    values = np.resize(np.asarray(SPECIAL), wanted.size)
    return rng.permutation(values).reshape(wanted.shape).astype(wanted.dtype.as_numpy_dtype)


# id, function, inputs, ops that are left
EXACT = [
    ("x * 1", lambda x: x * 1.0, [V], []),
    ("1 * x", lambda x: 1.0 * x, [V], []),
    ("x / 1", lambda x: x / 1.0, [V], []),
    ("x ** 1", lambda x: power(x, C(1.0)), [V], []),
    ("x * -1", lambda x: x * -1.0, [V], ["negative"]),
    ("x / -1", lambda x: x / -1.0, [V], ["negative"]),
    ("x * 0 stays", lambda x: x * 0.0, [V], ["multiply"]),
    ("integer x * 0", lambda x: x * 0, [I], ["broadcast_to"]),
    ("x + 0.0 stays", lambda x: x + 0.0, [V], ["add"]),
    ("x + -0.0", lambda x: x + -0.0, [V], []),
    ("exp(x) + 0.0", lambda x: am.ops.exp(x) + 0.0, [V], ["exp"]),
    ("(x + 1) + 0.0", lambda x: (x + 1.0) + 0.0, [V], ["add"]),
    ("x * x + 0.0", lambda x: x * x + 0.0, [V], ["multiply"]),
    ("cast(int) + 0.0", lambda x: cast(x, "float32") + 0.0, [I], ["cast"]),
    ("cast(float) + 0.0 stays", lambda x: cast(x, "float32") + 0.0, ["float64[12]"], ["cast", "add"]),
    ("integer x + 0", lambda x: x + 0, [I], []),
    ("bool x + False", lambda x: add(x, C(False)), [B], []),
    ("x - 0", lambda x: x - 0.0, [V], []),
    ("x - -0.0 stays", lambda x: x - -0.0, [V], ["subtract"]),
    ("0.0 - x stays", lambda x: 0.0 - x, [V], ["subtract"]),
    ("-0.0 - x", lambda x: -0.0 - x, [V], ["negative"]),
    ("integer 0 - x", lambda x: 0 - x, [I], ["negative"]),
    ("x - x stays", lambda x: x - x, [V], ["subtract"]),
    ("integer x - x", lambda x: x - x, [I], ["broadcast_to"]),
    ("x / x stays", lambda x: x / x, [V], ["divide"]),
    ("x / 8", lambda x: x / 8.0, [V], ["multiply"]),
    ("x / -0.25", lambda x: x / -0.25, [V], ["multiply"]),
    ("x / 3 stays", lambda x: x / 3.0, [V], ["divide"]),
    ("x / 2**-149 stays", lambda x: x / 2.0**-149, [V], ["divide"]),
    ("x / 0 stays", lambda x: x / 0.0, [V], ["divide"]),
    ("x / inf stays", lambda x: x / math.inf, [V], ["divide"]),
    ("half x / 2", lambda x: x / 2.0, ["float16[12]"], ["multiply"]),
    ("negative twice", lambda x: negative(negative(x)), [V], []),
    ("~~x", lambda x: ~~x, [B], []),
    ("abs abs", lambda x: abs(abs(x)), [V], ["abs"]),
    ("abs -x", lambda x: abs(-x), [V], ["abs"]),
    ("cos -x", lambda x: am.ops.cos(-x), ["float32[5]"], ["cos"]),
    ("x + -y", lambda x, y: x + (-y), [V, V], ["subtract"]),
    ("-x + y", lambda x, y: (-x) + y, [V, V], ["subtract"]),
    ("x - -y", lambda x, y: x - (-y), [V, V], ["add"]),
    ("-x * -y", lambda x, y: (-x) * (-y), [V, V], ["multiply"]),
    ("-x / -y", lambda x, y: (-x) / (-y), [V, V], ["divide"]),
    ("-x * c", lambda x: (-x) * 3.0, [V], ["multiply"]),
    ("-(x * c)", lambda x: -(x * 3.0), [V], ["multiply"]),
    ("-(x - y) stays", lambda x, y: -(x - y), [V, V], ["subtract", "negative"]),
    ("integer -(x - y)", lambda x, y: -(x - y), [I, I], ["subtract"]),
    ("integer x + 2 + 3", lambda x: x + 2 + 3, [I], ["add"]),
    ("integer x * 2 * 3", lambda x: x * 2 * 3, [I], ["multiply"]),
    ("x * 2 * 3 stays", lambda x: x * 2.0 * 3.0, [V], ["multiply", "multiply"]),
    ("x + x", lambda x: x + x, [V], ["multiply"]),
    ("max(x, x)", lambda x: am.ops.maximum(x, x), [V], []),
    ("max(x, -inf)", lambda x: am.ops.maximum(x, -math.inf), [V], []),
    ("min(x, inf)", lambda x: am.ops.minimum(x, math.inf), [V], []),
    ("max(max(x, 1), 2)", lambda x: am.ops.maximum(am.ops.maximum(x, 1.0), 2.0), [V], ["maximum"]),
    ("max(2, x)", lambda x: am.ops.maximum(2.0, x), [V], ["maximum"]),
    ("x & True", lambda x: P["bitwise_and"](x, C(True)), [B], []),
    ("x & False", lambda x: P["bitwise_and"](x, C(False)), [B], ["broadcast_to"]),
    ("x | 0", lambda x: P["bitwise_or"](x, C(0)), [I], []),
    ("x ^ x", lambda x: P["bitwise_xor"](x, x), [I], ["broadcast_to"]),
    ("where(c, x, x)", lambda c, x: where(c, x, x), [B, V], []),
    ("where(True, x, y)", lambda x, y: where(C(True), x, y), [V, V], []),
    ("where(~c, x, y)", lambda c, x, y: where(~c, x, y), [B, V, V], ["where"]),
    ("relu gradient stays", lambda x, g: where(x > 0, g, 0.0), [V, V], ["less", "where"]),
    ("cast to the same", lambda x: cast(x, "float32"), [V], []),
    ("bfloat16 and back", lambda x: cast(cast(x, "float32"), "bfloat16"), ["bfloat16[12]"], []),
    ("bool over float", lambda x: cast(cast(x, "float32"), "bool"), [B], []),
    ("half over float to double", lambda x: cast(cast(x, "float32"), "float64"), ["float16[12]"], ["cast"]),
    ("lossy casts stay", lambda x: cast(cast(x, "float16"), "float32"), [V], ["cast", "cast"]),
    ("stop_gradient", lambda x: am.ops.stop_gradient(x), [V], []),
    ("reshape of reshape", lambda x: reshape(reshape(x, (4, 3)), (2, 6)), [M], ["reshape"]),
    ("reshape and back", lambda x: reshape(reshape(x, (12,)), (3, 4)), [M], []),
    ("transpose twice", lambda x: transpose(transpose(x)), [M], []),
    ("transpose of size 1", lambda x: transpose(x, (1, 0, 2)), ["float32[1,3,4]"], ["reshape"]),
    ("transposes", lambda x: transpose(transpose(x, (1, 2, 0)), (1, 0, 2)), ["float32[2,3,4]"], ["transpose"]),
    ("flip twice", lambda x: flip(flip(x, 0), (0, 1)), [M], ["flip"]),
    ("flip of size 1", lambda x: flip(x, 0), ["float32[1,4]"], []),
    ("whole slice", lambda x: x[0:3], [M], []),
    ("slice of slice", lambda x: piece(piece(x, (2,), (12,), (2,)), (1,), (5,), (3,)), [V], ["strided_slice"]),
    ("slice of padding", lambda x: pad(x, (2,), (1,), (0,), 0.0)[3:9], [V], ["strided_slice"]),
    ("slice of joined", lambda x, y: join([x, y])[14:20], [V, V], ["strided_slice"]),
    ("slice across parts stays", lambda x, y: join([x, y])[9:20], [V, V], ["concatenate", "strided_slice"]),
    ("padding by nothing", lambda x: pad(x, (0,), (0,), (0,), 0.0), [V], []),
    ("padding twice", lambda x: pad(pad(x, (1,), (0,), (1,), 0.0), (0,), (2,), (0,), 0.0), [V], ["constant_pad"]),
    ("joined slices", lambda x: join([x[:5], x[5:9], x[9:]]), [V], []),
    ("join of joins", lambda x, y: join([join([x, y]), x]), [V, V], ["concatenate"]),
    ("f(reshape, reshape)", lambda x, y: reshape(reshape(x, (4, 3)) * reshape(y, (4, 3)), (12,)), [V, V], ["multiply"]),
    ("broadcast dropped", lambda x, y: x * broadcast(y, (3, 4)), [M, "float32[4]"], ["multiply"]),
    ("leading ones dropped", lambda x, y: x * reshape(y, (1, 4)), [M, "float32[4]"], ["multiply"]),
    ("f(broadcast)", lambda x: am.ops.abs(broadcast(x, (3, 12))), [V], ["abs", "broadcast_to"]),
    ("f(broadcast, y)", lambda x: broadcast(x, (3, 12)) * 2.5, [V], ["multiply", "broadcast_to"]),
    ("broadcast twice", lambda x: broadcast(broadcast(x, (3, 12)), (2, 3, 12)), [V], ["broadcast_to"]),
    ("broadcast as reshape", lambda x: broadcast(x, (1, 12)), [V], ["reshape"]),
    ("transpose of broadcast", lambda x: transpose(broadcast(x, (3, 12))), [V], ["reshape", "broadcast_to"]),
    ("slice of broadcast", lambda x: broadcast(x, (3, 12))[1:], [V], ["broadcast_to"]),
    ("reshape of broadcast", lambda x: reshape(broadcast(x, (3, 12)), (3, 1, 12)), [V], ["broadcast_to"]),
    ("max of broadcast", lambda x: P["max"](broadcast(x, (3, 12)), axis=0), [V], []),
    ("full constant", lambda x: x * np.full((12,), 2.5, "float32"), [V], ["multiply"]),
    ("constants folded", lambda x: x * am.ops.sqrt(C([4.0, 9.0, 16.0, 25.0])), [M], ["multiply"]),
    ("iota folded", lambda x: x * cast(P["iota"](12), "float32"), [V], ["multiply"]),
    ("x ** 0", lambda x: power(x, C(0.0)), [V], ["broadcast_to"]),
    ("x ** 2", lambda x: power(x, C(2.0)), [V], ["multiply"]),
    ("x ** -1", lambda x: power(x, C(-1.0)), [V], ["divide"]),
    ("x ** 0.5 stays", lambda x: power(x, C(0.5)), [V], ["power"]),
    ("max of max", lambda x: P["max"](P["max"](x, axis=1), axis=0), [M], ["max"]),
    ("keepdims", lambda x: reshape(P["max"](x, axis=1), (3, 1)), [M], ["max"]),
    ("keepdims back", lambda x: reshape(P["max"](x, axis=1, keepdims=True), (3,)), [M], ["max"]),
    ("products", lambda x, y: contract(x, y, "i,j->ij"), [V, V], ["reshape", "multiply"]),
    ("products by place", lambda x, y: contract(x, y, "ij,j->ij"), [M, "float32[4]"], ["multiply"]),
    ("equal calls", lambda x: am.ops.abs(x) * am.ops.abs(x), [V], ["abs", "multiply"]),
    ("equal calls on constants", lambda x: (x * 2.5) / (2.5 * x), [V], ["multiply", "divide"]),
    ("equal calls commuted", lambda x, y: (x * y) / (y * x), [V, V], ["multiply", "divide"]),
    ("0.0 and -0.0 differ", lambda x: (x - -0.0) * (x - -0.0 + 0.0), [V], ["subtract", "add", "multiply"]),
]

CLOSE = [
    ("sum over size 1", lambda x: total(x, axis=0), ["float32[1,12]"], ["reshape"]),
    ("x ** 3", lambda x: power(x, C(3.0)), [V], ["multiply", "multiply"]),
    ("x ** 4", lambda x: power(x, C(4.0)), [V], ["multiply", "multiply"]),
    ("abs(x) ** 0.5", lambda x: power(abs(x), C(0.5)), [V], ["abs", "sqrt"]),
    ("abs(x) ** -0.5", lambda x: power(abs(x), C(-0.5)), [V], ["abs", "sqrt", "divide"]),
    ("sum of broadcast", lambda x: total(broadcast(x, (3, 12)), axis=0), [V], ["multiply"]),
    ("sum of sum", lambda x: total(total(x, axis=1), axis=0), [M], ["sum"]),
    ("sum of paddings", lambda x: pad(x[:5], (0,), (7,), (0,)) + pad(x[5:], (5,), (0,), (0,)), [V], []),
    (
        "sum of three paddings",
        lambda x, y: pad(x, (0,), (24,), (0,)) + pad(y, (12,), (12,), (0,)) + pad(x, (24,), (0,), (0,)),
        [V, V],
        ["concatenate"],
    ),
    ("transposed operand", lambda x, y: contract(transpose(x), y, "ij,jk->ik"), [M, "float32[3,2]"], ["contract"]),
    ("transposed result", lambda x, y: transpose(contract(x, y, "ij,jk->ik")), [M, "float32[4,2]"], ["contract"]),
    ("summed axis of 1", lambda x, y: contract(x, y, "ij,kj->ik"), ["float32[3,1]", "float32[3,1]"], None),
    (
        "broadcast row",
        lambda x, y: contract(broadcast(x, (3, 4)), y, "ij,jk->ik"),
        ["float32[4]", "float32[4,2]"],
        ["contract", "broadcast_to"],
    ),
    (
        "broadcast sum",
        lambda x, y: contract(broadcast(reshape(x, (3, 1)), (3, 4)), y, "ij,jk->ik"),
        ["float32[3]", "float32[4,2]"],
        None,
    ),
    (
        "product of matrices by broadcasting",
        lambda x, y: total(reshape(x, (3, 4, 1)) * y, axis=1),
        [M, "float32[4,5]"],
        ["contract"],
    ),
    ("batch of sums stays", lambda x, y: total(x * y, axis=0), [M, M], ["multiply", "sum"]),
]


def check(function, inputs, left, passes=None, zero_signs=True, tolerance=None):
    specs = [spec(text) for text in inputs]
    graph = am.trace(function, *specs, level="primitive")
    made = optimize(graph, verify=True)
    if left is not None:
        assert [node.op.name for node in made.nodes] == left, made
    arrays = [array(s, i) for i, s in enumerate(specs)]
    got, want = run(made, arrays), run(graph, arrays)
    if tolerance is None:
        assert_same_bits(got, want, zero_signs)
    else:
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance)
    return made


@pytest.mark.parametrize(("function", "inputs", "left"), [pytest.param(*row[1:], id=row[0]) for row in EXACT])
def test_exact_rules(function, inputs, left) -> None:
    check(function, inputs, left)


@pytest.mark.parametrize(("function", "inputs", "left"), [pytest.param(*row[1:], id=row[0]) for row in CLOSE])
def test_rules_that_keep_special_values_and_all_but_the_last_digits(function, inputs, left) -> None:
    check(function, inputs, left, tolerance=1e-6)


def test_every_rule_has_a_case() -> None:
    """Each rule of each table fires on some row above (or in the tests of softmax below)."""
    fired = set()
    tables = [simplification.RULES, reassociation.RULES]
    kept = [dict(table) for table in tables]

    def watched(rule):
        def tried(sweep, node):
            found = rule(sweep, node)
            if found is not None:
                fired.add(rule)
            return found

        return tried

    try:
        for table in tables:
            for op in table:
                table[op] = tuple(watched(rule) for rule in table[op])
        for _, function, inputs, _ in (*EXACT, *CLOSE):
            optimize(am.trace(function, *[spec(text) for text in inputs], level="primitive"))
        optimize(am.trace(_softmax_twice, spec(M), level="primitive"))
    finally:
        for table, rules in zip(tables, kept, strict=True):
            table.update(rules)
    assert {r for table in kept for rules in table.values() for r in rules} == {
        r for module in MODULES for rules in module.RULES.values() for r in rules
    }
    missing = {
        f"{r.__module__}.{r.__name__}" for table in kept for rules in table.values() for r in rules if r not in fired
    }
    assert missing == set()


def _softmax_twice(x):
    return am.ops.exp(am.ops.log_softmax(x, axis=-1))


def test_softmax_from_log_softmax() -> None:
    graph = am.trace(_softmax_twice, spec(M), level="primitive")
    made = optimize(graph, verify=True)
    assert [node.op.name for node in made.nodes] == ["max", "subtract", "exp", "sum", "divide", "multiply"]
    assert made.nodes[-2].outputs[0].spec.size == 3  # one division a row
    for x in (
        np.array([[0.0, 1, 2, 3], [1e4, -1e4, 0, 5], [-math.inf, 0, 1, 2]], "float32"),
        np.array([[math.inf, 0, 1, 2], [math.nan, 0, 1, 2], [-math.inf] * 4], "float32"),
    ):
        np.testing.assert_allclose(run(made, [x])[0], run(graph, [x])[0], rtol=1e-6)


def test_passes_have_names_of_their_own_and_return_what_they_leave_as_it_is() -> None:
    graph = am.trace(lambda x, y: contract(x, y, "ij,jk->ik"), spec(M), spec("float32[4,2]"), level="primitive")
    assert len({p.name for p in PASSES}) == len(PASSES)
    assert all(p.run(graph) is graph for p in PASSES)


def test_a_graph_with_unknown_sizes_is_left_as_it_is() -> None:
    graph = am.trace(lambda x: x * 1.0, TensorSpec((None, 3), "float32"), level="primitive")
    assert optimize(graph) is graph


def test_what_fails_at_run_time_is_not_folded() -> None:
    graph = am.trace(lambda x: x + P["gather"](C([1.0, 2.0]), C([5]), axis=0), spec("float32[1]"), level="primitive")
    assert [node.op.name for node in optimize(graph).nodes] == ["gather", "add"]


def test_large_results_are_not_folded() -> None:
    graph = am.trace(lambda x: x + am.ops.arange(100_000, dtype="float32"), spec("float32[1]"), level="primitive")
    assert "iota" in [node.op.name for node in optimize(graph).nodes]


def test_random_numbers_follow_their_state() -> None:
    seed = am.random.SeedGenerator(3)
    graph = am.function(lambda x: x + am.random.uniform((3,), seed=seed)).get_graph(spec("float32[3]"))
    made = optimize(graph.expand("primitive"), verify=True)
    state = [np.zeros(3, "float32"), np.array([1, 2], "uint32")]
    assert_same_bits(run(made, state), run(graph.expand("primitive"), state))
    other = run(made, [state[0], np.array([3, 4], "uint32")])[0]
    assert not np.array_equal(run(made, state)[0], other)


def test_the_observer_sees_each_change() -> None:
    seen = []
    graph = am.trace(lambda x: am.ops.abs(x) * am.ops.abs(x) / 2.0, spec(V), level="primitive")
    made = optimize(graph, trace=lambda name, before, after: seen.append((name, before, after)))
    assert [name for name, _, _ in seen] == ["simplify", "common subexpressions"]
    assert seen[0][1] is graph and seen[-1][2] is made and seen[0][2] is seen[1][1]
