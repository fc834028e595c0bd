"""What the maps of one contender and one size are worth on a set."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import onnxruntime

from onnxcam.attribution.resolution import Size, size_text
from tools.resolution.contenders import THREADS, maps, pairs, sizes
from tools.resolution.curves import KERNEL, SIGMA, Ends, Images, Numbers, areas
from tools.truth.measure import error, judged
from tools.truth.sets import TruthSet

# More at once is no faster on a CPU.
_BATCH = 4


@dataclass(frozen=True)
class Worth:
    """What maps are worth, one number an image.

    Attributes:
        insertion: area under the curve, from 0 to 1; high is good.
        deletion: likewise; low is good.
        inside: share of the display map's mass in the truth; high is good.
    """

    insertion: Numbers
    deletion: Numbers
    inside: Numbers


@dataclass(frozen=True)
class Findings:
    """What was found on one set.

    Attributes:
        name: of the set.
        caption: what it is, and where the curves begin and end.
        sizes: of maps, coarse to fine, the input's last.
        worth: by contender and size, where there is such a map.
    """

    name: str
    caption: str
    sizes: list[Size]
    worth: Mapping[tuple[str, Size], Worth]

    def gain(self, metric: str, one: tuple[str, Size], other: tuple[str, Size]) -> tuple[float, float]:
        """Return by how much one is better than another on the same images, and the standard error of that."""
        first, second = (getattr(self.worth[each], metric) for each in (one, other))
        gains = second - first if metric == "deletion" else first - second
        return float(gains.mean()), error(gains)


def probability(model: Path) -> Callable[[int, Images], Numbers]:
    """Return what the file says of images ``[N, C, H, W]``: the probability of a class, ``[N]``.

    One plain run of the untouched file for a few images at a time; its first output are scores ``[N, classes]`` before
    a softmax.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(target: int, images: Images) -> Numbers:
        parts = [images[at : at + _BATCH] for at in range(0, len(images), _BATCH)]
        scores = np.concatenate([session.run(None, {name: part})[0] for part in parts]).astype(np.float64)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers[:, target] / powers.sum(axis=1))

    return run


def measure(truth: TruthSet, steps: int) -> Findings:
    """Measure every contender at every size on a set.

    Args:
        truth: what; its network takes ``[N, C, H, W]`` and gives logits.
        steps: of the curves.
    """
    run = probability(truth.model)
    seen = [partial(run, sample.target) for sample in truth.samples]
    ends = [Ends.of(sample.photograph.array[0], one) for sample, one in zip(truth.samples, seen, strict=True)]
    worth = {}
    with click.progressbar(pairs(truth), label=truth.name, file=sys.stderr, item_show_func=_shown) as bar:
        for title, size in bar:
            raw, shown = maps(truth, title, size)
            found = [areas(*each, steps) for each in zip(ends, seen, raw, strict=True)]
            inside, _ = judged(list(shown), truth.samples)
            insertion, deletion = np.transpose(found)
            worth[title, size] = Worth(insertion, deletion, inside)
    return Findings(truth.name, _caption(truth, ends, steps), sizes(truth), worth)


def _caption(truth: TruthSet, ends: list[Ends], steps: int) -> str:
    blurred, whole, plain = np.mean([one.values for one in ends], axis=0)
    return (
        f"{len(truth.samples)} images, of which the network names {truth.right} right; {steps} steps; insertion into "
        f"the image blurred (Gaussian, {KERNEL} x {KERNEL}, sigma {SIGMA:g} px), deletion to 0 in the network's input, "
        f"its mean colour. Mean probability of the true class: whole {whole:.3f}, blurred {blurred:.3f}, "
        f"plain {plain:.3f}"
    )


def _shown(item: tuple[str, Size] | None) -> str:
    return f"{item[0]} {size_text(item[1])}" if item else ""
