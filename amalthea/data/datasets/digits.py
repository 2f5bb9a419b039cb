"""Handwritten digits: 1797 grey images of 8 x 8 pixels.

Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository (1998),
test part. scikit-learn carries a copy, which is read here, so nothing is downloaded.
"""

from __future__ import annotations

import numpy as np

from amalthea.core.errors import fail

TRAIN_SAMPLES = 1437
"""Number of images to train on; the other 360 are held out."""


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Load the digits, split into a part to train on and a part to test on.

    The images are put into one fixed random order (not stratified) and cut, so every call on every machine gives the
    same split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`. Images: uint8 of shape (1437, 8, 8) and (360, 8, 8), values 0 (white)
        to 16 (black). Labels: uint8 of shape (1437,) and (360,), the digits 0 to 9.

    Raises:
        ImportError: if scikit-learn is not installed.

    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape, int(x_train.max())
    ((1437, 8, 8), (360, 8, 8), 16)
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        fail(
            ImportError,
            "the digits come with scikit-learn, which is not installed",
            where="datasets.digits.load_data",
            fix='pip install "amalthea[datasets]"',
        )
    images, labels = load_digits(return_X_y=True)
    order = _fixed_order(len(images))
    x = images.reshape(-1, 8, 8).astype(np.uint8)[order]
    y = labels.astype(np.uint8)[order]
    return (x[:TRAIN_SAMPLES], y[:TRAIN_SAMPLES]), (x[TRAIN_SAMPLES:], y[TRAIN_SAMPLES:])


def _fixed_order(count: int) -> np.ndarray:
    # Sorting by a multiplicative hash of the index (Knuth, TAOCP 3, 6.4; the constant is 2**32 over the golden ratio),
    # mixed once more: fixed for ever, independent of any library's random streams.
    index = np.arange(count, dtype=np.uint64)
    mixed = (index * np.uint64(2654435769) + np.uint64(12345)) & np.uint64(0xFFFFFFFF)
    mixed = ((mixed ^ (mixed >> np.uint64(15))) * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    return np.argsort(mixed ^ (mixed >> np.uint64(13)), kind="stable")


__all__ = ["load_data"]
