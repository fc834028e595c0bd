"""Formulas use the Python array API only: a strict implementation of it computes the same maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.helpers.method_samples import SAMPLES, assert_agree, fixed_pair, raw_map

if TYPE_CHECKING:
    from onnxcam.methods.base import Method

SHAPES = {"1-d": (2, 4, 6), "2-d": (2, 4, 5, 3), "3-d": (1, 4, 2, 3, 2)}


@pytest.fixture(scope="module")
def strict() -> Any:
    return pytest.importorskip("array_api_strict")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_agrees_with_numpy(sample: Method, shape: tuple[int, ...], dtype: type[np.floating[Any]], strict: Any) -> None:
    a, g = (x.astype(dtype) for x in fixed_pair(shape=shape))
    found = raw_map(sample, strict.asarray(a), strict.asarray(g))
    assert found.dtype == getattr(strict, np.dtype(dtype).name)
    assert_agree(np.from_dlpack(found), raw_map(sample, a, g), tolerance=float(10 * np.finfo(dtype).eps))
