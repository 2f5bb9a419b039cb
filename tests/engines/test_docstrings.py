"""The examples in the docstrings of modules that need other frameworks are run."""

import pytest

from tests.docs.test_docstrings import module_names, run_examples


@pytest.mark.parametrize("name", module_names(engines=True))
def test_the_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_examples(name)
