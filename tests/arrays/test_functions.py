"""Array functions at the ends of their ranges, where a shorter formula overflows or divides by 0."""

from __future__ import annotations

import numpy as np
import pytest

from onnxcam.arrays import divide_by_peak, relu, safe_divide, sigmoid, softmax

every_type = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@every_type
def test_softmax_of_large_scores_does_not_overflow(dtype: type[np.floating]) -> None:
    found = softmax(np.array([[1000.0, 1000.0, -1000.0], [0.0, np.log(3.0), -np.inf]], dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, [[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]], rtol=1e-6)


@every_type
def test_sigmoid_of_large_scores_does_not_overflow(dtype: type[np.floating]) -> None:
    found = sigmoid(np.array([-1000.0, 0.0, np.log(3.0), 1000.0], dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, [0.0, 0.5, 0.75, 1.0], rtol=1e-6)


def test_a_quotient_is_zero_where_its_denominator_is() -> None:
    found = safe_divide(np.array([1.0, 0.0, -3.0, 4.0]), np.array([0.0, 0.0, 2.0, -8.0]))
    np.testing.assert_array_equal(found, [0.0, 0.0, -1.5, -0.5])


def test_relu_keeps_what_is_not_a_number() -> None:
    np.testing.assert_array_equal(relu(np.array([-1.0, 0.0, 2.0, np.nan])), [0.0, 0.0, 2.0, np.nan])


def test_a_map_is_divided_by_its_own_peak_if_that_is_positive() -> None:
    maps = np.array([[[1.0, 4.0], [-2.0, 0.0]], [[-1.0, -4.0], [-2.0, -3.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = divide_by_peak(maps)
    np.testing.assert_array_equal(found[0], [[0.25, 1.0], [-0.5, 0.0]])
    np.testing.assert_array_equal(found[1:], maps[1:])
