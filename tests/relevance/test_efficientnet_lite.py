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


@pytest.mark.parametrize("exporter", ["script", "dynamo"])
def test_lrps_default_keeps_the_score(exporter: str) -> None:
    """Before, a thousandth of it."""
    found = explained("lrp", exporter)
    score = found.scores[0, PARTRIDGE]
    assert found.method["composite"] == "epsilon-plus-spread"
    assert found.raw.sum(dtype=np.float64) == pytest.approx(score, rel=0.02)
    assert found.warnings == ((),)


def test_what_keeps_a_thousandth_warns() -> None:
    (text,) = explained(onnxcam.method("lrp", composite="epsilon-plus")).warnings[0]
    assert text.startswith("only 0.00076 of the score arrives in the map (0.00638 of 8.41)")
    assert text.endswith("use composite=epsilon-plus-spread")


def test_bias_free_lrp_0_overflows_and_says_so() -> None:
    rules = {"rules": [{"at": "any", "rule": "zero", "bias": False}], "stabilizer": 0.0}
    with np.errstate(all="ignore"):
        found = explained(onnxcam.method("lrp", composite=rules))
    assert not np.isfinite(found.raw).all()
    assert any("relevance overflows" in text for text in found.warnings[0])
