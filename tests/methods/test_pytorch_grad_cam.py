"""Display maps equal pytorch-grad-cam's on the same weights, for every method that both have; raw maps do too."""

from __future__ import annotations

import numpy as np
import pytest

from onnxcam.methods.support.display import display
from tests.helpers.method_samples import assert_agree
from tests.oracles.held.pytorch_grad_cam import SAME, our_map, their_maps
from tests.oracles.pytorch_grad_cam import CASES

TOLERANCE = 1e-4


@pytest.mark.parametrize("case_name", CASES)
@pytest.mark.parametrize("name", SAME)
def test_display_maps_agree(name: str, case_name: str) -> None:
    theirs, shown = their_maps(name, case_name)
    case = CASES[case_name]()
    ours, _ = display(our_map(name, case, theirs), case.images.shape[2:])
    # It subtracts the minimum, before it resizes and again after; ours, where 0 keeps its meaning, needs the same here.
    low, high = (bound(ours, axis=(1, 2), keepdims=True) for bound in (np.min, np.max))
    assert_agree((ours - low) / (high - low), shown, TOLERANCE)
