"""Every pass on random graphs: the grammar holds, results stay, nothing that was given is changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amalthea.compiler.passes.pipeline import PASSES, optimize
from tests.compiler.random_graphs import Case, assert_same_bits, cases

EXACT = [p for p in PASSES if p.exact]


@pytest.mark.parametrize("name", [p.name for p in EXACT])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_exact_passes_keep_every_bit(name, data) -> None:
    case = data.draw(cases(dtypes=("float32", "float16", "float64")))
    run = next(p.run for p in PASSES if p.name == name)
    before = repr(case.graph)
    after = run(case.graph).verify()
    assert repr(case.graph) == before
    assert_same_bits(case.run(after), case.run())


@settings(max_examples=150, deadline=None)
@given(case=cases(dtypes=("float32", "float64")))
def test_all_exact_passes_together_keep_every_bit(case: Case) -> None:
    graph = case.graph
    for _ in range(2):
        for p in EXACT:
            graph = p.run(graph).verify()
    assert_same_bits(case.run(graph), case.run())


@pytest.mark.parametrize("name", [p.name for p in PASSES])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_passes_keep_results_that_do_not_depend_on_the_order_of_sums(name, data) -> None:
    case = data.draw(cases(ring=True))
    run = next(p.run for p in PASSES if p.name == name)
    assert_same_bits(case.run(run(case.graph).verify()), case.run(), zero_signs=False)


@settings(max_examples=200, deadline=None)
@given(case=cases(ring=True, control=True))
def test_the_pipeline_keeps_results_and_settles(case: Case) -> None:
    made = optimize(case.graph, verify=True)
    assert_same_bits(case.run(made), case.run(), zero_signs=False)
    assert len(made.nodes) <= len(case.graph.nodes) + 4
    again: list[str] = []
    optimize(made, trace=lambda name, before, after: again.append(name))
    assert again == []
