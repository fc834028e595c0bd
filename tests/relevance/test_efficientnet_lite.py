"""A real network with padding before its layers, clipped activations and deep chains of depthwise convolutions."""

from __future__ import annotations

import numpy as np
import pytest

import onnxcam
from onnxcam.methods.base import Method
from tests.helpers.checks import assert_close
from tests.networks.efficientnet_lite import PREPROCESS, efficientnet_lite, photograph

PARTRIDGE = 86


def explained(method: str | Method, exporter: str = "script") -> onnxcam.Explanation:
    made = onnxcam.Explainer(efficientnet_lite(exporter), method, preprocess=PREPROCESS, threads=1)
    return made.explain([made.read(photograph())], PARTRIDGE)


def test_fg_cam_keeps_all_of_the_base_map() -> None:
    wanted = explained("grad-cam").raw.sum()
    assert wanted == pytest.approx(8.436, abs=1e-3)
    for to in ("input", 3):
        found = explained(onnxcam.method("fg-cam", spread=True, to=to)).raw
        np.testing.assert_allclose(found.sum(dtype=np.float64), wanted, rtol=1e-5)


def test_both_exporters_give_one_map() -> None:
    for spread in (False, True):
        method = onnxcam.method("fg-cam", spread=spread)
        maps = [explained(method, exporter).raw for exporter in ("script", "dynamo")]
        assert_close(maps[0], maps[1], 1e-3)
        assert maps[0].sum() == pytest.approx(maps[1].sum(), rel=1e-5)
