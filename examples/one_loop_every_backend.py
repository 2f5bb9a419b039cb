"""A loop with rules of its own, unchanged on every backend: python examples/one_loop_every_backend.py [jax torch ...]

A generator learns to put points on a ring and a discriminator to tell them from true ones. The discriminator pays a
penalty for large outputs besides its loss, gradients are clipped by their global norm, and the generator waits in steps
in which the discriminator is behind. Without names, all installed backends run; the curves are printed side by side,
and with matplotlib drawn to `one-loop-every-backend.png`.
"""

from __future__ import annotations

import importlib.util
import sys

import numpy as np

import amalthea as am
from amalthea import layers, ops

STEPS, EVERY, BATCH = 300, 30, 64


def curve() -> list[float]:
    """Train on the active backend; returns the generator's loss at every thirtieth step."""
    am.utils.set_random_seed(7)
    generator = am.Sequential([layers.Input((2,)), layers.Dense(32, activation="tanh"), layers.Dense(2)])
    critic = am.Sequential([layers.Input((2,)), layers.Dense(32, activation="tanh"), layers.Dense(1)])
    moves, judges = am.optimizers.Adam(0.01), am.optimizers.Adam(0.01)
    entropy = am.losses.BinaryCrossentropy(from_logits=True)
    noise = am.random.SeedGenerator(1)

    @am.function
    def step():
        angle = am.random.uniform((BATCH, 1), 0.0, 2 * np.pi, seed=noise)
        true = ops.concatenate([ops.cos(angle), ops.sin(angle)], axis=1)
        seeds = am.random.normal((BATCH, 2), seed=noise)
        with am.GradientTape() as tape:
            on_true, on_made = critic(true), critic(generator(seeds))
            loss = entropy(ops.ones_like(on_true), on_true) + entropy(ops.zeros_like(on_made), on_made)
            total = loss + 0.01 * ops.mean(on_true**2)
        clipped, _ = clip(tape.gradient(total, critic.trainable_variables))
        judges.apply(clipped, critic.trainable_variables)
        with am.GradientTape() as tape:
            on_made = critic(generator(seeds))
            fooled = entropy(ops.ones_like(on_made), on_made)
        clipped, norm = clip(tape.gradient(fooled, generator.trainable_variables))
        ready = ops.logical_and(loss < 1.6, ops.isfinite(norm))
        ops.cond(ready, lambda: moves.apply(clipped, generator.trainable_variables), lambda: None)
        return fooled

    moves.build(generator.trainable_variables)
    return [float(loss) for i in range(STEPS) for loss in [step()] if i % EVERY == EVERY - 1]


def clip(gradients, limit=0.5):
    """The gradients, shortened together to the limit, and their norm before."""
    norm = ops.sqrt(sum(ops.sum(g**2) for g in gradients))
    return [g * ops.minimum(1.0, limit / norm) for g in gradients], norm


def main() -> None:
    """Run on the backends that are named, or on all that are installed."""
    engines = {"numpy": "numpy", "native": "llvmlite", "jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}
    names = sys.argv[1:] or [name for name, package in engines.items() if importlib.util.find_spec(package)]
    curves = {}
    for name in names:
        with am.backend_scope(name):
            curves[name] = curve()
    print("step  " + "".join(f"{name:>12}" for name in curves))
    for row, losses in enumerate(zip(*curves.values(), strict=True)):
        print(f"{(row + 1) * EVERY:4d}  " + "".join(f"{loss:12.6f}" for loss in losses))
    apart = max(max(losses) / min(losses) - 1 for losses in zip(*curves.values(), strict=True))
    print(f"One seed, one curve: the losses differ by {apart:.1e} of themselves at most.")
    if importlib.util.find_spec("matplotlib"):
        draw(curves)


def draw(curves: dict[str, list[float]]) -> None:
    """The curves as a picture; where they agree they cover one another, so each is thinner than the one before."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for i, (name, losses) in enumerate(curves.items()):
        axes.plot(range(EVERY, STEPS + 1, EVERY), losses, label=name, linewidth=9 - 1.7 * i)
    axes.set(xlabel="step", ylabel="the generator's loss")
    axes.legend()
    figure.savefig("one-loop-every-backend.png", dpi=120)


if __name__ == "__main__":
    main()
