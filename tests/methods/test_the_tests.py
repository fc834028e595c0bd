"""A formula that is wrong by a thousandth must fail its check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.method_samples import SAMPLES, assert_agree, fixed_pair, raw_map
from tests.oracles.registry import expected

if TYPE_CHECKING:
    from onnxcam.methods.base import Method


@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_a_scaled_map_fails(sample: Method) -> None:
    pair = fixed_pair()
    wanted = expected(sample, *pair)
    assert abs(wanted).max() > 0.1
    assert_agree(raw_map(sample, *pair), wanted)
    with pytest.raises(AssertionError):
        assert_agree(1.001 * raw_map(sample, *pair), wanted)
    with pytest.raises(AssertionError):
        assert_agree(-raw_map(sample, *pair), wanted)
