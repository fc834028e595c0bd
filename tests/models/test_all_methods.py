"""Every file of the real models, by every gradient method, alone and in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import onnxcam
from onnxcam.methods.base import GradientMethod
from onnxcam.methods.registry import methods
from tests.helpers.shared import REAL_MODELS, shared_path
from tests.models.test_real import conventions, explainer

METHODS = [
    name for name, method in methods().items() if issubclass(method, GradientMethod) and method().needs.head == "any"
]
PHOTOGRAPHS = ("both.png", "horses.jpg", "owl.jpg", "pets.jpg")


def feeds(name: str, made: onnxcam.Explainer) -> dict[str, npt.NDArray[Any]]:
    """Return four photographs as the model takes them."""
    paths = [shared_path("images", "photos", photo) for photo in PHOTOGRAPHS]
    if "inputs" not in conventions(name):
        return {made.image.name: np.concatenate([made.read(path).array for path in paths])}
    mean, std = (np.array(conventions(name)[key], np.float32) for key in ("mean", "std"))
    found = {}
    for entry, size in conventions(name)["inputs"].items():
        pixels = [np.asarray(Image.open(path).convert("RGB").resize(size), np.float32) / 255 for path in paths]
        found[entry] = ((np.stack(pixels) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", REAL_MODELS)
def test_every_file_by_every_gradient_method(name: str, method: str) -> None:
    made = explainer(name, method)
    four = feeds(name, made)
    together = made(four)
    assert np.isfinite(together.raw).all()
    assert together.maps.shape[0] == 4
    assert np.abs(together.raw).max() > 0
    assert not any("terms cancel" in text for texts in together.warnings for text in texts)
    alone = made({key: array[1:2] for key, array in four.items()})
    scale = np.abs(alone.raw).max()
    # Half precision and integers round differently where a batch changes the order of sums.
    exact = not any(kind in name for kind in ("fp16", "int8", "uint8", "dynquant"))
    np.testing.assert_allclose(together.raw[1], alone.raw[0], atol=(1e-3 if exact else 5e-2) * max(scale, 1e-6))


@pytest.mark.parametrize("method", ["hires-cam", "grad-cam"])
@pytest.mark.parametrize("name", ["vit_cifar10_fp32", "resnet8_cifar10_tflite_int8", "person_tflite_int8"])
def test_terms_do_not_cancel_at_the_default_layer(name: str, method: str) -> None:
    made = explainer(name, method)
    assert not any("terms cancel" in text for texts in made(feeds(name, made)).warnings for text in texts)
