"""What the maps of each composite are worth on a set, and how much of the score arrives in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import click
import numpy as np
import onnxruntime

import onnxcam
from onnxcam.arrays import softmax
from onnxcam.graph.analysis.axes import channels_first
from onnxcam.relevance.composite import Composite
from tools.resolution.contenders import THREADS
from tools.resolution.curves import Ends, Images, Numbers, areas
from tools.truth.measure import error
from tools.truth.sets import TruthSet

# More at once is no faster on a CPU.
_BATCH = 4
# Pixels in random order: what any map should beat.
RANDOM = "(pixels in random order)"


@dataclass(frozen=True)
class Worth:
    """What maps are worth, one number an image.

    Attributes:
        deletion: area under the curve, from 0 to 1; low is good.
        insertion: likewise; high is good.
        kept: share of the score that arrives at the input, NaN where the map is not finite.
    """

    deletion: Numbers
    insertion: Numbers
    kept: Numbers


@dataclass(frozen=True)
class Findings:
    """What was found on one set.

    Attributes:
        name: of the set.
        caption: what it is.
        worth: by composite.
    """

    name: str
    caption: str
    worth: Mapping[str, Worth]

    def differs(self, metric: str, one: str, other: str) -> bool:
        """Whether two differ on the same images by two standard errors of the difference."""
        gains = getattr(self.worth[one], metric) - getattr(self.worth[other], metric)
        return bool(abs(gains.mean()) > 2 * error(gains))


class Network:
    """A network that takes images ``[N, C, H, W]``, whatever its own layout, and says how probable a class is."""

    def __init__(self, truth: TruthSet) -> None:
        explainer = truth.explainer("gradient")
        self.order = channels_first(explainer.image.axes)
        self.activated = explainer.network.score.activation is not None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self.session = onnxruntime.InferenceSession(truth.model, options, providers=["CPUExecutionProvider"])

    def images(self, fed: Images) -> Images:
        """Return images as ``[N, C, H, W]``."""
        return fed.transpose(self.order)

    def probability(self, target: int, images: Images) -> Numbers:
        """Return the probability of a class in each image, ``[N]``."""
        fed = np.ascontiguousarray(images.transpose(np.argsort(self.order)))
        parts = [fed[at : at + _BATCH] for at in range(0, len(fed), _BATCH)]
        name = self.session.get_inputs()[0].name
        scores = np.concatenate([self.session.run(None, {name: part})[0] for part in parts]).astype(np.float64)
        return np.asarray(scores if self.activated else softmax(scores))[:, target]


def measure(truth: TruthSet, composites: Mapping[str, Composite], steps: int) -> Findings:
    """Measure composites on the true classes of a set; ``steps`` are those of the curves."""
    network = Network(truth)
    seen = [partial(network.probability, sample.target) for sample in truth.samples]
    images = [network.images(sample.photograph.array)[0] for sample in truth.samples]
    ends = [Ends.of(image, one) for image, one in zip(images, seen, strict=True)]
    worth = {}
    with click.progressbar(composites.items(), label=truth.name, file=sys.stderr, item_show_func=_shown) as bar:
        for title, composite in bar:
            raw, kept = _maps(truth, composite)
            # What is no number is shown as 0.
            finite = np.where(np.isfinite(raw), raw, 0)
            deleted = [areas(*each, steps) for each in zip(ends, seen, finite, strict=True)]
            insertion, deletion = np.transpose(deleted)
            worth[title] = Worth(deletion, insertion, kept)
    drawn = np.random.default_rng(0).uniform(size=(len(images), *images[0].shape[1:]))
    insertion, deletion = np.transpose([areas(*each, steps) for each in zip(ends, seen, drawn, strict=True)])
    worth[RANDOM] = Worth(deletion, insertion, np.full(len(images), np.nan))
    blurred, whole, plain = np.mean([one.values for one in ends], axis=0)
    caption = (
        f"{len(images)} images, of which the network names {truth.right} right; {steps} steps; mean probability of "
        f"the true class: whole {whole:.3f}, blurred {blurred:.3f}, plain {plain:.3f}"
    )
    return Findings(truth.name, caption, worth)


def _maps(truth: TruthSet, composite: Composite) -> tuple[Images, Numbers]:
    """Return raw maps of the true classes, and the share of the score that each adds up to."""
    explainer = truth.explainer(onnxcam.method("lrp", composite=composite), threads=THREADS)
    targets = [sample.target for sample in truth.samples]
    found = explainer.explain([sample.photograph for sample in truth.samples], targets)
    with np.errstate(all="ignore"):
        kept = found.raw.sum(axis=(1, 2), dtype=np.float64) / found.scores[np.arange(len(targets)), targets]
    return found.raw, np.where(np.isfinite(found.raw).all(axis=(1, 2)), kept, np.nan)


def _shown(item: tuple[str, Composite] | None) -> str:
    return item[0] if item else ""
