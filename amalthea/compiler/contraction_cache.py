"""Kernels of contractions kept on disk, by what they compute.

Choosing a tiling and writing the kernel takes some milliseconds for each contraction of a model; reading it back takes
a tenth of one. All that decides the text of a kernel must be part of the contraction, of the target, or of the
compiler's sources, whose hashes are the key; LLVM's part is cached by the text itself (`engine`).
"""

from __future__ import annotations

import functools
import hashlib
import json
import zlib
from dataclasses import asdict

from amalthea.compiler.cache import ObjectCache, folder, sources
from amalthea.compiler.contraction import Contraction, Generated, generate
from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.target import Target
from amalthea.compiler.threads import num_threads
from amalthea.compiler.tuning import fastest
from amalthea.core import config


def generated(contraction: Contraction, target: Target) -> Generated:
    """The kernels of a contraction: from this process, from the disk, or generated now.

    With `am.config.set_autotune(True)` the fastest of several, measured on this machine.

    >>> from amalthea.compiler.contraction import from_subscripts
    >>> from amalthea.core.dtypes import float32
    >>> product = from_subscripts("ij,jk->ik", (32, 784), (784, 128), float32)
    >>> generated(product, Target.named("avx2")) is generated(product, Target.named("avx2"))
    True
    """
    return _generated(contraction, target, config.fast_math(), num_threads() if config.autotune() else 0)


@functools.lru_cache(maxsize=512)
def _generated(contraction: Contraction, target: Target, fast_math: bool, tuned_for: int) -> Generated:
    cache = ObjectCache(folder())
    key = hashlib.sha256(repr((sources(), contraction, target, fast_math, tuned_for)).encode()).hexdigest()
    kept = cache.get(key)
    if kept is not None:
        return unpack(kept[0])
    made = generate(contraction, target, fastest(contraction, target, tuned_for) if tuned_for else None)
    cache.put(key, [pack(made)])
    return made


def pack(made: Generated) -> bytes:
    """Kernels as bytes."""
    kernels = [asdict(kernel) | {"declarations": sorted(kernel.declarations)} for kernel in made.kernels]
    content = {"kernels": kernels, "arguments": made.arguments, "scratch": made.scratch}
    return zlib.compress(json.dumps(content).encode(), level=1)


def unpack(content: bytes) -> Generated:
    """Kernels from the bytes that `pack` made."""
    found = json.loads(zlib.decompress(content))
    kernels = [
        KernelCode(**kernel | {"declarations": frozenset(kernel["declarations"])}) for kernel in found["kernels"]
    ]
    return Generated(tuple(kernels), tuple(map(tuple, found["arguments"])), tuple(found["scratch"]))
