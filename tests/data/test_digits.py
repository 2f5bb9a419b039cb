from __future__ import annotations

import sys

import numpy as np
import pytest

import amalthea as am

PINNED_TRAIN = [5, 0, 7, 2, 0, 4, 5, 6, 2, 1]
PINNED_TEST = [6, 5, 4, 9, 5, 7, 2, 8, 4, 6]


def test_the_digits_are_those_of_scikit_learn_in_a_fixed_order():
    from sklearn.datasets import load_digits

    (x_train, y_train), (x_test, y_test) = am.datasets.digits.load_data()
    assert x_train.shape == (1437, 8, 8) and x_test.shape == (360, 8, 8)
    assert y_train.shape == (1437,) and y_test.shape == (360,)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype("uint8")}
    assert x_train.min() == 0 and x_train.max() == 16
    images, labels = load_digits(return_X_y=True)
    ours = sorted((x.tobytes(), int(y)) for x, y in zip([*x_train, *x_test], [*y_train, *y_test], strict=True))
    theirs = sorted(
        (x.tobytes(), int(y)) for x, y in zip(images.astype("uint8").reshape(-1, 8, 8), labels, strict=True)
    )
    assert ours == theirs
    # the split is part of published results: it must never change
    assert y_train[:10].tolist() == PINNED_TRAIN
    assert y_test[-10:].tolist() == PINNED_TEST
    assert np.bincount(y_test, minlength=10).min() >= 25


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "amalthea\[datasets\]"') as error:
        am.datasets.digits.load_data()
    assert "\n" not in str(error.value)
