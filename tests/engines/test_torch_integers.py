"""Order of integers on the torch backend, which stores wide unsigned ones but hardly computes with them."""

import numpy as np
import pytest

import amalthea as am


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_the_extremes_of_each_dtype_are_in_order(dtype):
    least, greatest = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = np.array([1, greatest, least, greatest // 2 + 1, greatest // 2, greatest - 1, 0], dtype)
    with am.backend_scope("torch"):
        t = am.ops.convert_to_tensor(x)
        assert am.ops.max(t).numpy() == x.max() and am.ops.min(t).numpy() == x.min()
        assert am.ops.max(t, initial=5).numpy() == x.max() and am.ops.min(t, initial=0).numpy() == min(x.min(), 0)
        assert am.ops.argmax(t).numpy() == x.argmax() and am.ops.argmin(t).numpy() == x.argmin()
        np.testing.assert_array_equal(am.ops.argsort(t).numpy(), x.argsort(kind="stable"))
        np.testing.assert_array_equal(am.ops.sort(t).numpy(), np.sort(x))
        np.testing.assert_array_equal(am.ops.abs(t).numpy(), np.abs(x))
        np.testing.assert_array_equal(am.ops.sign(t).numpy(), np.sign(x))
        np.testing.assert_array_equal(am.ops.maximum(t, t[::-1]).numpy(), np.maximum(x, x[::-1]))
        np.testing.assert_array_equal(am.ops.segment_max(t, np.zeros(7, "int32"), 1).numpy(), [x.max()])
        found = am.ops.searchsorted(am.ops.sort(t), t)
    np.testing.assert_array_equal(found.numpy(), np.searchsorted(np.sort(x), x))
