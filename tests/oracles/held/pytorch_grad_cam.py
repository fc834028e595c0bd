"""Formulas of activations and gradients against pytorch-grad-cam, on a small network and on ResNet-18."""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

import numpy as np

from onnxcam.methods.base import Method
from onnxcam.methods.formulas.random_cam import RandomCAM
from onnxcam.methods.registry import method
from tests.helpers.method_samples import raw_map
from tests.oracles.agreement import Pair, held, library
from tests.oracles.pytorch_grad_cam import CASES, Case, Maps, peer_maps

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
ABOUT = {
    "GradCAMPlusPlus": "eps=1e-6",
    "EigenCAM": "up to its arbitrary sign",
    "EigenGradCAM": "up to its arbitrary sign",
    "KPCA_CAM": "up to its arbitrary sign",
    "RandomCAM": "with our weights",
}


def _uniform(_low: float, _high: float, size: tuple[int, int]) -> Maps:
    """Return our weights where Random-CAM there draws from NumPy's global generator, anew for each image."""
    ours = SAME["RandomCAM"]
    assert isinstance(ours, RandomCAM)
    return np.tile(np.array(ours.weights(size[1]), np.float32), (size[0], 1))


def their_maps(name: str, case_name: str) -> tuple[Maps, Maps]:
    """Return its raw and its display maps."""
    with patch.object(np.random, "uniform", _uniform):
        return peer_maps(name, case_name)


def our_map(name: str, case: Case, theirs: Maps) -> Maps:
    """Return our raw map; for the Eigen family with the sign that the peer's decomposition happened to take."""
    found: Maps = raw_map(SAME[name], case.a, case.g)
    if name.startswith(("Eigen", "KPCA")):
        found = np.sign((found * theirs).sum(axis=(1, 2), keepdims=True)) * found
    return found


def _pair(name: str, case_name: str) -> Pair:
    theirs, _ = their_maps(name, case_name)
    return our_map(name, CASES[case_name](), theirs), theirs


for _name, _sample in SAME.items():
    for _case in CASES:
        _about = "; ".join(text for text in (ABOUT.get(_name, ""), _case.replace("_", " ")) if text)
        held(_sample.name, library("grad-cam"), _about, 1e-4)(partial(_pair, _name, _case))
