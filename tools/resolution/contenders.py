"""What is compared, and the maps that each makes of a size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

import onnxcam
from onnxcam.arrays import upsample
from onnxcam.attribution.resolution import Size, resolutions
from onnxcam.methods.base import Method
from tools.truth.sets import TruthSet

# Float32 [N, H, W], at the input's size.
Maps: TypeAlias = npt.NDArray[np.float32]

FINE, DENOISED = "`fg-cam`", "`fg-cam`, denoised"
CAMS = ("`grad-cam`", "`hires-cam`", "`layer-cam`")
LRPS = ("`lrp` epsilon-plus", "`lrp` epsilon-gamma-box", "`lrp` excitation-backprop")
CONTENDERS: Mapping[str, Method] = {
    FINE: onnxcam.method("fg-cam"),
    DENOISED: onnxcam.method("fg-cam", denoise=True),
    **{title: onnxcam.method("lrp", composite=title.split()[1]) for title in LRPS},
    **{title: onnxcam.method(title.strip("`")) for title in CAMS},
    "`random-cam`": onnxcam.method("random-cam"),
}
# CAMs have no map of the input, nor has their control: pixels in a random order are that of the input.
PIXELS = "(pixels in random order)"
# Between the input and 56 x 56 this one costs as much as any other, and says little of its own.
_LEFT_OUT = {(112, 112)}
# On a machine that others use too, two threads wait for each other longer than one takes.
THREADS = 1


def sizes(truth: TruthSet) -> list[Size]:
    """Return the sizes that are compared on a set, coarse to fine, the input's last."""
    explainer = truth.explainer(CONTENDERS[FINE])
    return [size for size in resolutions(explainer.method, explainer.network) if size not in _LEFT_OUT]


def pairs(truth: TruthSet) -> list[tuple[str, Size]]:
    """Return each contender with each size that it makes maps of."""
    wanted, network = sizes(truth), truth.explainer(CONTENDERS[FINE]).network
    offered = {title: resolutions(method, network) for title, method in CONTENDERS.items()}
    return [(title, size) for title in CONTENDERS for size in wanted if size in offered[title]] + [(PIXELS, wanted[-1])]


def maps(truth: TruthSet, title: str, size: Size) -> tuple[Maps, Maps]:
    """Explain the true class of every image of a set.

    Returns:
        Raw maps, signed, made as large as the input by linear interpolation; and display maps, in [0, 1].
    """
    if title == PIXELS:
        drawn = np.random.default_rng(0).uniform(size=(len(truth.samples), *size)).astype(np.float32)
        return drawn, drawn
    explainer = truth.explainer(CONTENDERS[title], resolution=size, threads=THREADS)
    samples = truth.samples
    found = explainer.explain([sample.photograph for sample in samples], [sample.target for sample in samples])
    # Computed in float64 and kept in float32: what differs by the rounding of the interpolation alone stays equal.
    return upsample(found.raw.astype(np.float64), found.maps.shape[1:]).astype(np.float32), found.maps
