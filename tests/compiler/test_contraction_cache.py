"""Kernels of contractions on disk: the same kernels come back, and nothing that another compiler wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from amalthea.compiler import contraction_cache
from amalthea.compiler.contraction import Contraction, from_subscripts, generate
from amalthea.compiler.contraction_cache import generated, pack, unpack
from amalthea.compiler.contraction_convolution import convolution
from amalthea.compiler.contraction_nest import Constant, Epilogue, Step, Strides
from amalthea.compiler.target import Target
from amalthea.core.dtypes import bfloat16, float32

AVX2 = Target.named("avx2")
PRODUCT = from_subscripts("ij,jk->ik", (32, 784), (784, 128), float32)


def with_constant(value: float) -> Contraction:
    steps = (Step("multiply", (0, Constant(value, float32)), float32),)
    epilogue = Epilogue((), steps, ((1, float32, Strides((16, 1))),))
    return from_subscripts("ij,jk->ik", (8, 16), (16, 16), float32, epilogue=epilogue)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AMALTHEA_CACHE", str(tmp_path / "cache"))
    contraction_cache._generated.cache_clear()
    yield tmp_path / "cache"
    contraction_cache._generated.cache_clear()


def refuse(*arguments: object) -> None:
    raise AssertionError("generated again")


@pytest.mark.parametrize(
    "contraction",
    [
        pytest.param(PRODUCT, id="product"),
        pytest.param(from_subscripts("ji,jk->ik", (4096, 24), (4096, 24), float32), id="split depth, scratch memory"),
        pytest.param(from_subscripts("ij,jk->ik", (5, 7), (7, 3), bfloat16), id="bfloat16"),
        pytest.param(
            convolution((2, 9, 9, 3), (3, 3, 3, 8), float32, strides=(1, 1), dilation=(1, 1), groups=1),
            id="convolution",
        ),
        pytest.param(with_constant(0.1), id="epilogue"),
    ],
)
def test_another_process_finds_the_same_kernels(contraction: Contraction, monkeypatch: pytest.MonkeyPatch) -> None:
    made = generate(contraction, AVX2)
    assert unpack(pack(made)) == made
    assert generated(contraction, AVX2) == made
    contraction_cache._generated.cache_clear()  # as in a new process
    monkeypatch.setattr(contraction_cache, "generate", refuse)
    assert generated(contraction, AVX2) == made


def test_a_contraction_another_target_and_another_compiler_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {generated(with_constant(value), AVX2).kernels[0].text for value in (0.0, -0.0, 1.0, 1.0000001)}
    texts.add(generated(with_constant(1.0), Target.named("sse4.2")).kernels[0].text)
    assert len(texts) == 5
    contraction_cache._generated.cache_clear()
    monkeypatch.setattr(contraction_cache, "sources", lambda: "of another version")
    monkeypatch.setattr(contraction_cache, "generate", refuse)
    with pytest.raises(AssertionError, match="generated again"):
        generated(with_constant(1.0), AVX2)


def test_a_damaged_entry_is_generated_again(own_cache: Path) -> None:
    made = generated(PRODUCT, AVX2)
    (entry,) = own_cache.iterdir()
    entry.write_bytes(entry.read_bytes()[:-7])
    contraction_cache._generated.cache_clear()
    assert generated(PRODUCT, AVX2) == made


def test_without_a_cache_kernels_are_generated(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMALTHEA_CACHE", "off")
    assert generated(PRODUCT, AVX2) == generate(PRODUCT, AVX2)
    assert not own_cache.exists()
