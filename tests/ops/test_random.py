"""Random draws: pinned values, the distributions, and what seeds mean."""

from __future__ import annotations

import random as python_random

import numpy as np
import pytest
from scipy import stats

import amalthea.ops as ops
from amalthea import random
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, DTypeError, ShapeError
from amalthea.core.function import function
from amalthea.core.tensor import as_tensor
from amalthea.ops.random import uniform

N = 50_000


def words(*numbers):
    return np.array(numbers, np.uint32)


# The known answers published with Random123 (kat_vectors: threefry2x32, 20 rounds): counter, key, result.
KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_threefry_gives_the_published_answers(counter, key, answer):
    out = ops.threefry2x32(words(*key), words(counter[0]), words(counter[1]))
    assert tuple(int(word.numpy().item()) for word in out) == answer


# These values are promised for ever, on every backend: bits, uniforms, whole numbers, orders and masks exactly.
EXACT = {
    "bits": (lambda: ops.random_bits(words(42, 0), (4,)), [3732534457, 1332528664, 646961260, 4263843367]),
    "uniform": (
        lambda: random.uniform((4,), seed=42),
        [0.8690483570098877, 0.3102535009384155, 0.15063238143920898, 0.9927533864974976],
    ),
    "uniform64": (
        lambda: random.uniform((2,), dtype="float64", seed=42),
        [0.8690483965743594, 0.1506324111875399],
    ),
    "randint": (lambda: random.randint((6,), -5, 5, seed=42), [3, -2, -4, 4, 0, -4]),
    "randint64": (
        lambda: random.randint((2,), 0, 2**40, dtype="int64", seed=42),
        [955528821030, 341127338238],
    ),
    "shuffle": (lambda: random.shuffle(np.arange(8), seed=42), [5, 2, 6, 1, 4, 7, 0, 3]),
    "dropout": (lambda: random.dropout(np.ones(6, "float32"), 0.5, seed=42), [2, 0, 0, 2, 2, 0]),
}


@pytest.mark.parametrize("name", EXACT)
def test_golden_values_exactly(name):
    draw, golden = EXACT[name]
    assert draw().numpy().tolist() == golden


CLOSE = {
    "normal": (
        lambda: random.normal((4,), seed=42),
        [-0.19582541, 0.49230608, 1.9437033, -0.08856108],
    ),
    "truncated_normal": (lambda: random.truncated_normal((3,), seed=42), [1.0461606, -0.47081333, -0.96797395]),
    "gamma": (lambda: random.gamma((3,), 0.5, seed=42), [1.2945997, 0.10167891, 0.012891122]),
    "beta": (lambda: random.beta((3,), 2.0, 3.0, seed=42), [0.3811707, 0.19067281, 0.30851603]),
    "binomial": (lambda: random.binomial((4,), [10, 10, 1000, 1000], 0.3, seed=42), [3, 3, 298, 313]),
    "categorical": (lambda: random.categorical(np.zeros((1, 4), "float32"), 6, seed=42), [[2, 1, 1, 1, 0, 0]]),
}


@pytest.mark.parametrize("name", CLOSE)
def test_golden_values_to_the_last_digits(name):
    draw, golden = CLOSE[name]
    np.testing.assert_allclose(draw().numpy(), golden, rtol=2e-6)


CONTINUOUS = [
    ("uniform", lambda d, s: random.uniform((N,), -1.0, 3.0, dtype=d, seed=s), stats.uniform(-1, 4)),
    ("normal", lambda d, s: random.normal((N,), 2.0, 3.0, dtype=d, seed=s), stats.norm(2, 3)),
    ("truncated_normal", lambda d, s: random.truncated_normal((N,), 1.0, 2.0, d, s), stats.truncnorm(-2, 2, 1, 2)),
    ("gamma 0.5", lambda d, s: random.gamma((N,), 0.5, d, s), stats.gamma(0.5)),
    ("gamma 1", lambda d, s: random.gamma((N,), 1.0, d, s), stats.gamma(1)),
    ("gamma 30", lambda d, s: random.gamma((N,), 30.0, d, s), stats.gamma(30)),
    ("beta 2 5", lambda d, s: random.beta((N,), 2.0, 5.0, d, s), stats.beta(2, 5)),
    ("beta 0.5 0.5", lambda d, s: random.beta((N,), 0.5, 0.5, d, s), stats.beta(0.5, 0.5)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "draw", "law"), CONTINUOUS, ids=[c[0] for c in CONTINUOUS])
def test_continuous_distributions(name, draw, law, dtype):
    values = draw(dtype, 11).numpy()
    assert values.dtype == dtype
    assert stats.kstest(values.astype("float64"), law.cdf).pvalue > 1e-3


def test_tiny_shape_parameters():
    x = random.gamma((N,), 0.02, dtype="float64", seed=1).numpy()
    assert stats.kstest(x, stats.gamma(0.02).cdf).pvalue > 1e-3
    y = random.beta((N,), 0.01, 0.02, dtype="float32", seed=1).numpy()
    assert not np.isnan(y).any()
    assert abs(y.mean() - 1 / 3) < 0.01


def chi_square(values, mass):
    """The p-value of counts against a probability mass on 0, 1, 2 ..., rare values taken together."""
    counts = np.bincount(values.astype(int), minlength=len(mass))
    expected = mass * len(values)
    often = expected > 10
    observed = np.append(counts[often], counts[~often].sum())
    wanted = np.append(expected[often], len(values) - expected[often].sum())
    keep = wanted > 1e-6
    assert observed[~keep].sum() == 0
    return stats.chisquare(observed[keep], wanted[keep]).pvalue


@pytest.mark.parametrize(("n", "p"), [(10, 0.3), (100, 0.05), (100, 0.5), (100, 0.97), (1000, 0.02), (3000, 0.6)])
def test_binomial(n, p):
    values = random.binomial((N,), float(n), p, seed=5).numpy()
    assert values.dtype == "float32"
    assert chi_square(values, stats.binom(n, p).pmf(np.arange(n + 1))) > 1e-3


def test_binomial_at_the_edges():
    assert random.binomial((3,), 5.0, 0.0, seed=1).numpy().tolist() == [0, 0, 0]
    assert random.binomial((3,), 5.0, 1.0, seed=1).numpy().tolist() == [5, 5, 5]
    assert random.binomial((3,), 0.0, 0.5, seed=1).numpy().tolist() == [0, 0, 0]
    large = random.binomial((N,), 1e6, 0.25, seed=1).numpy()
    assert abs(large.mean() - 250_000) < 10
    assert abs(large.std() - 433.0) < 6


def test_categorical():
    p = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    drawn = random.categorical(np.log(np.maximum(p, 1e-30)).astype("float32"), N, seed=2).numpy()
    assert drawn.shape == (2, N)
    assert drawn.dtype == "int32"
    for row, mass in zip(drawn, p, strict=True):
        assert chi_square(row, mass) > 1e-3


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("int32", -3, 7),
        ("int8", -128, 128),
        ("uint8", 0, 256),
        ("int16", -300, 300),
        ("uint32", 0, 2**32),
        ("int32", -(2**31), 2**31),
        ("int64", -5, 10**12),
        ("uint64", 0, 2**64),
        ("int64", -(2**63), 2**63),
    ],
)
def test_randint(dtype, low, high):
    drawn = random.randint((N,), low, high, dtype=dtype, seed=3).numpy()
    assert drawn.dtype == dtype
    values = [int(v) for v in (drawn.min(), drawn.max())]
    assert low <= values[0]
    assert values[1] < high
    fractions = (drawn.astype("float64") - low + 0.5) / (high - low)
    bins = min(16, high - low)
    counts = np.bincount((fractions * bins).astype(int), minlength=bins)
    sizes = np.array([(high - low) * (i + 1) // bins - (high - low) * i // bins for i in range(bins)], "float64")
    if high - low >= 10**6 or (high - low) % bins == 0:
        assert stats.chisquare(counts, sizes / sizes.sum() * N).pvalue > 1e-3
    if high - low < 300:
        assert set(np.unique(drawn)) == set(range(low, high))


def test_randint_takes_tensors_as_bounds():
    high = as_tensor([3, 5], "int32")
    drawn = random.randint((1000, 2), as_tensor(-1), high, seed=0).numpy()
    assert drawn.min(axis=0).tolist() == [-1, -1]
    assert drawn.max(axis=0).tolist() == [2, 4]


def test_uniform_is_half_open():
    just = float(np.nextafter(np.float32(1), np.float32(2)))
    values = random.uniform((1000,), 1.0, just, seed=0).numpy()
    assert (values == 1).all()
    assert random.uniform((N,), dtype="float16", seed=0).numpy().max() < 1
    assert float(random.uniform((N,), dtype="bfloat16", seed=0).numpy().max()) < 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    for draw in (random.uniform, random.normal, random.truncated_normal):
        assert draw((3,), dtype=dtype, seed=0).dtype == dtype
    assert random.gamma((3,), 2.0, dtype=dtype, seed=0).dtype == dtype


def test_dropout():
    x = np.ones((200, 100), "float32")
    y = random.dropout(x, 0.3, seed=1).numpy()
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.7], rtol=1e-6)
    assert abs((y == 0).mean() - 0.3) < 0.02
    rows = random.dropout(x, 0.5, noise_shape=(None, 1), seed=1).numpy()
    assert ((rows == 0).all(axis=1) | (rows == 2).all(axis=1)).all()
    assert (random.dropout(x, 0.0).numpy() == 1).all()
    assert (random.dropout(x, 1.0).numpy() == 0).all()


def test_shuffle_is_a_permutation_of_slices():
    x = np.arange(60).reshape(5, 3, 4)
    for axis in (0, 1, -1):
        y = random.shuffle(x, axis=axis, seed=4).numpy()
        moved, kept = np.moveaxis(y, axis, 0), np.moveaxis(x, axis, 0)
        order = [next(i for i, s in enumerate(kept) if (s == part).all()) for part in moved]
        assert sorted(order) == list(range(len(kept)))
    large = random.shuffle(np.arange(3000), seed=4).numpy()
    assert sorted(large.tolist()) == list(range(3000))


def test_all_orders_are_equally_likely():
    orders = [tuple(random.shuffle(np.arange(3), seed=s).numpy().tolist()) for s in range(1200)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3,), (2, 0), (2, 3)])
def test_every_draw_has_the_shape_asked_for(shape):
    assert random.uniform(shape, seed=1).shape == shape
    assert random.normal(shape, seed=1).shape == shape
    assert random.normal(shape, dtype="float64", seed=1).shape == shape
    assert random.truncated_normal(shape, seed=1).shape == shape
    assert random.randint(shape, 0, 5, seed=1).shape == shape
    assert random.gamma(shape, 0.5, seed=1).shape == shape
    assert random.beta(shape, 0.5, 0.5, seed=1).shape == shape
    assert random.binomial(shape, 5.0, 0.5, seed=1).shape == shape


def test_a_shorter_draw_is_the_beginning_of_a_longer_one():
    assert random.uniform((5,), seed=1).numpy().tolist() == random.uniform((9,), seed=1).numpy()[:5].tolist()


def test_a_number_is_a_pure_seed_and_a_generator_moves_on():
    draw = lambda seed: random.normal((3,), seed=seed).numpy().tolist()  # noqa: E731
    generator = random.SeedGenerator(5)
    first, second = draw(generator), draw(generator)
    assert first == draw(5) == draw(5)
    assert second not in (first, draw(6))
    assert generator.state.numpy().tolist() == [5, 2]
    again = random.SeedGenerator.from_config(generator.get_config())
    assert draw(again) == first
    assert again.name == generator.name
    assert draw(2**40 + 1) != draw(1)
    assert draw(-1) == draw(-1)


def test_a_traced_draw_is_new_each_time():
    generator = random.SeedGenerator(5)

    @function
    def draw():
        return random.uniform((2,), seed=generator), random.gamma((2,), 0.5, seed=generator), random.normal((2,))

    eager = random.SeedGenerator(5)
    for _ in range(3):
        uniform, gamma, _ = draw()
        assert uniform.numpy().tolist() == random.uniform((2,), seed=eager).numpy().tolist()
        np.testing.assert_allclose(gamma.numpy(), random.gamma((2,), 0.5, seed=eager).numpy(), rtol=1e-6)
    assert context.trace is None
    assert (draw()[2].numpy() != draw()[2].numpy()).all()


def test_set_random_seed_makes_a_program_repeatable():
    def program():
        generator = random.SeedGenerator()
        return (
            random.normal((2,)).numpy().tolist(),
            random.normal((2,)).numpy().tolist(),
            random.normal((2,), seed=generator).numpy().tolist(),
            python_random.random(),
            np.random.rand(),
        )

    random.set_random_seed(3)
    first = program()
    random.set_random_seed(3)
    assert program() == first
    random.set_random_seed(4)
    assert program() != first


MISTAKES = [
    (lambda: uniform((2,), dtype="int32"), DTypeError, r"random.uniform.*floating.*randint"),
    (lambda: random.normal((2,), dtype="bool"), DTypeError, r"random.normal.*floating"),
    (lambda: random.randint((2,), 0, 5, dtype="float32"), DTypeError, r"random.randint.*integer"),
    (lambda: random.randint((2,), 5, 5), ArgumentError, r"random.randint.*less than maxval"),
    (lambda: random.randint((2,), 0, 300, dtype="uint8"), ArgumentError, r"random.randint.*range of uint8"),
    *(
        (lambda draw=draw: draw((-1, 2)), ShapeError, rf"\[random.{draw.__name__}\].*negative size")
        for draw in (random.normal, random.uniform, random.truncated_normal)
    ),
    (lambda: random.randint((-1,), 0, 5), ShapeError, r"\[random.randint\].*negative size"),
    (lambda: random.gamma((-1,), 1.0), ShapeError, r"\[random.gamma\].*negative size"),
    (lambda: random.beta((-1,), 1.0, 1.0), ShapeError, r"\[random.beta\].*negative size"),
    (lambda: random.binomial((-1,), 2.0, 0.5), ShapeError, r"\[random.binomial\].*negative size"),
    (lambda: random.normal(("a",)), ArgumentError, r"\[random.normal\].*tuple of ints"),
    (lambda: random.categorical(np.zeros((1, 3)), -2), ArgumentError, r"random.categorical.*num_samples=-2"),
    (lambda: random.categorical(np.zeros(3), 2), ShapeError, r"random.categorical.*two axes"),
    (lambda: random.dropout(np.ones(3), 1.5), ArgumentError, r"random.dropout.*between 0 and 1.*1.5"),
    (lambda: random.dropout(np.ones((3, 2)), 0.5, noise_shape=(3,)), ShapeError, r"random.dropout.*noise_shape"),
    (lambda: random.normal((2,), seed="a"), ArgumentError, r"whole number.*'a'"),
    (lambda: random.SeedGenerator(1.5), ArgumentError, r"SeedGenerator.*whole number.*1.5"),
    (lambda: random.set_random_seed("a"), ArgumentError, r"set_random_seed.*'a'"),
]


@pytest.mark.parametrize(
    ("call", "error", "message"), MISTAKES, ids=[m[2][:24] + str(i) for i, m in enumerate(MISTAKES)]
)
def test_mistakes_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()
