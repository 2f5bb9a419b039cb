"""How engines are asked whether they reach an accelerator, where nobody has chosen a backend.

They are asked themselves, and not our backends for them: an engine that is not chosen is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable


def jax_reaches_one() -> bool:
    """Whether JAX computes on something else than the processor."""
    import jax

    return bool(jax.default_backend() != "cpu")


def torch_reaches_one() -> bool:
    """Whether PyTorch can use CUDA (or ROCm, which it calls so too)."""
    import torch

    return torch.cuda.is_available()


REACHES_ONE: dict[str, Callable[[], bool]] = {"jax": jax_reaches_one, "torch": torch_reaches_one}
"""The engines that are looked for, the first choice first."""
