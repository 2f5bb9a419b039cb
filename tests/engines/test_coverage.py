"""The document says which op is computed how on each backend, and every primitive is computed on all."""

from pathlib import Path

from amalthea.backends.coverage import coverage_by_backend, coverage_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "backends.md"


def test_the_table_in_the_documents_is_true():
    assert coverage_table() in PAGE.read_text()


def test_nothing_is_missing():
    assert not [name for name, kinds in coverage_by_backend().items() if "none" in kinds.values()]
