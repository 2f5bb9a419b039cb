"""Updates that look like Adam's on the torch backend, whose own kernel divides by the shares of the running means."""

import numpy as np
import pytest

import amalthea as am


@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.9, 0.999), (0.9, 1.0), (1.0, 0.9), (0.0, 0.9), (1.5, 0.9)])
def test_any_share_of_the_running_means(beta_1, beta_2):
    def run():
        value, mean, square = (am.Variable(np.full(5, start, "float32")) for start in (1.0, 0.5, 0.25))

        @am.function
        def step(g):
            mean.assign(mean + (g - mean) * np.float32(1 - beta_1))
            square.assign(square + (g * g - square) * np.float32(1 - beta_2))
            value.assign(value - mean * 0.1 / (am.ops.sqrt(square) + 1e-7))

        for _ in range(3):
            step(np.arange(1, 6, dtype="float32"))
        return [v.numpy() for v in (value, mean, square)]

    found = []
    for backend in ("torch", "numpy"):
        with am.backend_scope(backend):
            found.append(run())
    for got, want in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)
