"""Every layer of the tables, against the real Keras' layer of the same name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.nn import layer_harness as harness
from tests.nn.layer_cases import LAYER_CASES
from tests.nn.layer_cases_b import CASES

CHECKS = [
    harness.check_outputs,
    harness.check_gradients,
    harness.check_config,
    harness.check_shapes,
    harness.check_mixed_precision,
    harness.check_traced,
]


@pytest.mark.parametrize("case", LAYER_CASES + CASES, ids=repr)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_layer(case: harness.Case, check: Callable[[harness.Case], None]) -> None:
    check(case)
