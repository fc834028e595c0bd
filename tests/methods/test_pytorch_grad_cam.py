"""Maps equal pytorch-grad-cam's on the same weights, for every method that both have."""

from __future__ import annotations

import numpy as np
import pytest

from onnxcam.methods.base import Method
from onnxcam.methods.formulas.random_cam import RandomCAM
from onnxcam.methods.registry import method
from onnxcam.methods.support.display import display
from tests.helpers.method_samples import assert_agree, raw_map
from tests.oracles.pytorch_grad_cam import CASES, Case, Maps, peer_maps

TOLERANCE = 1e-4

SAME: dict[str, Method] = {
    "GradCAM": method("grad-cam"),
    "GradCAMPlusPlus": method("grad-cam++", eps=1e-6),  # fixed there
    "HiResCAM": method("hires-cam"),
    "GradCAMElementWise": method("grad-cam-elementwise"),
    "XGradCAM": method("xgrad-cam"),
    "LayerCAM": method("layer-cam"),
    "EigenCAM": method("eigen-cam"),
    "EigenGradCAM": method("eigen-grad-cam"),
    "SegEigenCAM": method("seg-eigen-cam"),
    "KPCA_CAM": method("kpca-cam"),
    "FEM": method("fem"),
    "RandomCAM": method("random-cam", seed=3),
}

every_method = pytest.mark.parametrize("name", SAME)
every_case = pytest.mark.parametrize("case_name", CASES)


@pytest.fixture(autouse=True)
def same_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Random-CAM there, which draws for each image from NumPy's global generator, our weights."""
    ours = SAME["RandomCAM"]
    assert isinstance(ours, RandomCAM)

    def uniform(_low: float, _high: float, size: tuple[int, int]) -> Maps:
        return np.tile(np.array(ours.weights(size[1]), np.float32), (size[0], 1))

    monkeypatch.setattr(np.random, "uniform", uniform)


def our_map(name: str, case: Case, theirs: Maps) -> Maps:
    """Return our raw map; for the Eigen family with the sign that the peer's decomposition happened to take."""
    found: Maps = raw_map(SAME[name], case.a, case.g)
    if name.startswith(("Eigen", "KPCA")):
        found = np.sign((found * theirs).sum(axis=(1, 2), keepdims=True)) * found
    return found


@every_case
@every_method
def test_raw_maps_agree(name: str, case_name: str) -> None:
    theirs, _ = peer_maps(name, case_name)
    found = our_map(name, CASES[case_name](), theirs)
    for ours, wanted in zip(found, theirs, strict=True):
        assert_agree(ours, wanted, TOLERANCE)
        with pytest.raises(AssertionError):
            assert_agree(1.001 * ours, wanted, TOLERANCE)


@every_case
@every_method
def test_display_maps_agree(name: str, case_name: str) -> None:
    theirs, shown = peer_maps(name, case_name)
    case = CASES[case_name]()
    ours, _ = display(our_map(name, case, theirs), case.images.shape[2:])
    # It subtracts the minimum, before it resizes and again after; ours, where 0 keeps its meaning, needs the same here.
    low, high = (bound(ours, axis=(1, 2), keepdims=True) for bound in (np.min, np.max))
    assert_agree((ours - low) / (high - low), shown, TOLERANCE)
