"""Images with known truth, and the networks that name them: drawn shapes, and photographs with boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime

import onnxcam
from onnxcam.images import Photograph, Preprocess
from onnxcam.methods.base import Method
from tools.shapes.draw import draw
from tools.shapes.samples import MODEL
from tools.truth.scores import Mask, boxes_mask, grown

Tensor: TypeAlias = npt.NDArray[Any]

# Far from the seeds of training, validation and the samples.
_FIRST_SEED = 50_000_000
_NETWORK = "mobilenet_v2_torch_dynamo_fp32"
# The pointing game counts hits up to this far beside a box, in pixels of the photograph (Zhang et al. 2018).
_TOLERANCE = 15


@dataclass(frozen=True)
class Sample:
    """One image with its answer.

    Attributes:
        photograph: as the network takes it.
        target: the true class.
        truth: which pixels of the photograph decide.
        near: those, and the pixels that count as hits beside them.
    """

    photograph: Photograph
    target: int
    truth: Mask
    near: Mask


@dataclass(frozen=True)
class TruthSet:
    """A network and images of known truth.

    Attributes:
        name: for the table.
        model: the file.
        preprocess: what the file does not say itself.
        samples: of one size as the network sees them.
    """

    name: str
    model: Path
    preprocess: Preprocess | None
    samples: list[Sample]

    def explainer(self, method: str | Method, **options: Any) -> onnxcam.Explainer:
        """Return an explainer of the network, on the CPU; further options as of ``Explainer``."""
        return onnxcam.Explainer(self.model, method, preprocess=self.preprocess, providers=["cpu"], **options)

    @cached_property
    def plain(self) -> Callable[[Sample], Tensor]:
        """One plain run of the untouched file: the scores of a sample."""
        session = onnxruntime.InferenceSession(self.model, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda sample: np.asarray(session.run(None, {name: sample.photograph.array})[0])

    @cached_property
    def right(self) -> int:
        """How many images the network names right."""
        return sum(int(self.plain(sample).argmax()) == sample.target for sample in self.samples)


def drawings(count: int) -> TruthSet:
    """Draw fresh shapes: the truth is every pixel that the shape touches, and nothing beside it is a hit."""
    reader = onnxcam.Explainer(MODEL)
    drawn = [draw(_FIRST_SEED + index) for index in range(count)]
    samples = [Sample(reader.read(one.image), one.label, one.mask, one.mask) for one in drawn]
    return TruthSet("drawings", MODEL, None, samples)


def photographs(shared: Path, count: int | None = None) -> TruthSet:
    """Read ImageNet photographs with boxes, stretched to the network's input, so that it sees all of every box."""
    conventions = json.loads((shared / "models" / "models.json").read_text())
    preprocess = Preprocess.from_json(json.dumps(conventions[_NETWORK]))
    model, folder = shared / "models" / f"{_NETWORK}.onnx", shared / "images" / "imagenet"
    reader = onnxcam.Explainer(model, preprocess=preprocess)
    samples = []
    for entry in json.loads((folder / "annotations.json").read_text())[:count]:
        photograph = reader.read(folder / entry["file"])
        truth = boxes_mask(entry["boxes_xyxy_orig"], photograph.image.size)
        samples.append(Sample(photograph, entry["class_index"], truth, grown(truth, _TOLERANCE)))
    return TruthSet("photographs", model, preprocess, samples)
