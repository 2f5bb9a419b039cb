"""Random graphs, compiled and compared with the reference; `python -m tests.compiler.fuzz` does it for longer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amalthea.compiler.target import Target
from tests.compiler.fuzz import check_exact, check_smooth
from tests.compiler.random_graphs import cases
from tests.compiler.random_programs import programs

bounded = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@bounded
@given(case=programs())
def test_whole_numbers_infinities_and_nan_to_the_last_bit(case):
    check_exact(case)


@bounded
@given(case=cases(kind="smooth", control=True))
def test_smooth_functions_and_their_gradients(case):
    check_smooth(case)


@pytest.mark.parametrize("name", ["avx2", "sse4.2"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_narrower_targets(name, data):
    check_exact(data.draw(programs()), Target.named(name))
