"""Every pass on random graphs: the grammar holds, results stay, nothing that was given is changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amalthea.compiler.passes.arithmetic import simplify_arithmetic
from amalthea.compiler.passes.broadcasting import sink_broadcasts
from amalthea.compiler.passes.canonical_order import canonicalize
from amalthea.compiler.passes.constant_folding import fold_constants
from amalthea.compiler.passes.contracting import simplify_contractions
from amalthea.compiler.passes.conversions import simplify_conversions
from amalthea.compiler.passes.movement import simplify_movement
from amalthea.compiler.passes.pipeline import PASSES, Pass, optimize
from amalthea.compiler.passes.powers import simplify_powers
from amalthea.compiler.passes.reductions import simplify_reductions
from amalthea.compiler.passes.softmax import reuse_exponentials
from tests.compiler.random_graphs import Case, assert_close, assert_same_bits, cases

EACH = (
    *PASSES,
    *(
        Pass(run.__name__, run, True)
        for run in (
            fold_constants,
            canonicalize,
            simplify_conversions,
            simplify_movement,
            sink_broadcasts,
            simplify_arithmetic,
        )
    ),
    *(
        Pass(run.__name__, run, False)
        for run in (simplify_powers, simplify_reductions, simplify_contractions, reuse_exponentials)
    ),
)
EXACT = [p for p in EACH if p.exact]


@pytest.mark.parametrize("name", [p.name for p in EXACT])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_exact_passes_keep_every_bit(name, data) -> None:
    case = data.draw(cases(dtypes=("float32", "float16", "float64")))
    run = next(p.run for p in EACH if p.name == name)
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


@pytest.mark.parametrize("name", [p.name for p in EACH])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_passes_keep_results_that_do_not_depend_on_the_order_of_sums(name, data) -> None:
    case = data.draw(cases(kind="ring"))
    run = next(p.run for p in EACH if p.name == name)
    assert_same_bits(case.run(run(case.graph).verify()), case.run(), zero_signs=False)


@settings(max_examples=200, deadline=None)
@given(case=cases(kind="ring", control=True))
def test_the_pipeline_keeps_results_and_settles(case: Case) -> None:
    made = optimize(case.graph, verify=True)
    assert_same_bits(case.run(made), case.run(), zero_signs=False)
    work = [node for node in made.nodes if node.op.name != "reshape"]  # which is only another view of the same memory
    assert len(work) <= len(case.graph.nodes) + 4
    again: list[str] = []
    optimize(made, trace=lambda name, before, after: again.append(name))
    assert again == []


@settings(max_examples=150, deadline=None)
@given(case=cases(kind="smooth", control=True))
def test_the_pipeline_keeps_gradients(case: Case) -> None:
    assert_close(case.run(optimize(case.graph, verify=True)), case.run())
