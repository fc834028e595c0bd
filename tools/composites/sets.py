"""Networks of several families, with images whose classes are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import onnxcam
from onnxcam.images import Preprocess
from tools.truth.sets import Sample, TruthSet, drawings, photographs

# Files of the shared folder that classify its CIFAR-10 images, by what they are called in the tables.
_CIFAR = {"ResNet-8": "resnet8_cifar10_keras_fp32", "ViT": "vit_cifar10_fp32"}


def sets(shared: Path, images: int, drawn: int, names: Sequence[str] = ()) -> Iterator[Callable[[], TruthSet]]:
    """Yield what makes each set, of some names or of all."""
    made: dict[str, Callable[[], TruthSet]] = {
        "EfficientNet-Lite0": partial(_lite, shared, images),
        "MobileNetV2": lambda: replace(photographs(shared, images), name="MobileNetV2"),
        "drawings": partial(drawings, drawn),
        **{name: partial(_cifar, name, file, shared) for name, file in _CIFAR.items()},
    }
    yield from (one for name, one in made.items() if not names or name in names)


def _lite(shared: Path, images: int) -> TruthSet:
    """Return EfficientNet-Lite0 and the photographs of MobileNetV2, which are prepared for both in one way."""
    from tests.networks.efficientnet_lite import efficientnet_lite

    same = photographs(shared, images)
    return TruthSet("EfficientNet-Lite0", efficientnet_lite("dynamo"), same.preprocess, same.samples)


def _cifar(name: str, file: str, shared: Path) -> TruthSet:
    conventions = json.loads((shared / "models" / "models.json").read_text())[file]
    preprocess = Preprocess.from_json(json.dumps(conventions))
    model = shared / "models" / f"{file}.onnx"
    reader = onnxcam.Explainer(model, "gradient", preprocess=preprocess)
    everywhere = np.ones((32, 32), np.bool_)
    samples = [
        Sample(reader.read(path), int(path.stem.rpartition("_")[2]), everywhere, everywhere)
        for path in sorted((shared / "images" / "cifar10").glob("cifar10_*.png"))
    ]
    return TruthSet(name, model, preprocess, samples)
