"""The default layer of networks that normalise each position, against torch in float64 and against the torch engine."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnx.version_converter
import pytest
import torch

import onnxcam
from onnxcam.graph.analysis.layers import candidates
from onnxcam.methods.registry import methods
from tests.helpers.few import few
from tests.helpers.models import floats
from tests.helpers.shared import shared_path
from tests.networks.torch_files import write
from tests.networks.torch_transformers import FULL, FULL_SIZE, OWN, SIZE, full_network, network

Array = npt.NDArray[Any]

# The module whose result each network reads last.
READ = {
    **dict.fromkeys(OWN, "blocks.1.norm1"),
    "normalised sums": "blocks.0.norm2",
    "mean": "norm",
    "normalised mean": "blocks.1",
    "vit": "encoder.layers.encoder_layer_1.ln_1",
    "deit": "blocks.1.norm1",
    "deit_distilled": "blocks.1.norm1",
    "swin": "permute",
    "dinov2": "blocks.1.norm1",
    "clip": "blocks.1.norm1",
    "convnext": "features.3",
    "cait": "blocks_token_only.1.norm1",
    "maxvit": "blocks.1",
}
TARGET = 2
ENGINES: tuple[Literal["onnx", "torch"], ...] = ("onnx", "torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


def file_of(name: str, folder: Path, exporter: str = "script") -> Path:
    return write(network(name), (3, SIZE, SIZE), exporter, folder / f"{name.replace(' ', '_')}.{exporter}.onnx")


def images() -> Array:
    return floats(2, 3, SIZE, SIZE)


class Torch:
    """A network in float64: the value of one of its modules, the gradient there, and scores with that value changed."""

    def __init__(self, name: str, module: str) -> None:
        self.network = network(name).double()
        self.module = self.network.get_submodule(module)
        self.x = torch.tensor(images(), dtype=torch.float64)
        kept: list[Any] = []
        hook = self.module.register_forward_hook(lambda _, given, result: kept.append(result))
        scores = self.network(self.x)
        hook.remove()
        self.value = kept[-1]
        (self.gradient,) = torch.autograd.grad(scores[:, TARGET].sum(), self.value)

    @property
    def terms(self) -> Array:
        return np.asarray((self.gradient * self.value).detach().numpy())

    def scores(self, factors: Any) -> Array:
        """Return the target's score of each sample with the module's result multiplied."""
        hook = self.module.register_forward_hook(lambda _, given, result: result * factors)
        with torch.no_grad():
            found = self.network(self.x)[:, TARGET]
        hook.remove()
        return np.asarray(found.numpy())


@cache
def reference(name: str) -> Torch:
    return Torch(name, READ[name])


def in_order(terms: Array, axes: str, tokens: int) -> Array:
    """Return gradient times value summed over channels, of the patches alone, ``[N, rows, columns]``."""
    summed: Array = terms.sum(axis=axes.index("C"))
    side = 4
    return summed[:, tokens:].reshape(-1, side, side) if "T" in axes else summed


# Files of torch's newer exporter take seconds each.
EXPORTS = [
    *((name, "script") for name in READ),
    ("class token", "dynamo"),
    *(pytest.param(name, "dynamo", marks=pytest.mark.slow) for name in READ if name != "class token"),
]


@pytest.mark.parametrize(("name", "exporter"), EXPORTS)
def test_the_default_is_what_is_read_last(name: str, exporter: str, folder: Path) -> None:
    made = onnxcam.Explainer(file_of(name, folder, exporter))
    oracle = reference(name)
    found = made(images(), TARGET).raw
    wanted = in_order(oracle.terms, made.layer.axes, made.layer.before)
    scale = in_order(np.abs(oracle.terms), made.layer.axes, made.layer.before).max()
    np.testing.assert_allclose(found, wanted, atol=2e-5 * scale)
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize("name", ["class token", "root mean square", "vit", "dinov2"])
def test_no_layer_is_offered_whose_map_cancels(name: str, folder: Path) -> None:
    """What the last block reads before its normalisation has a map of zeros (Euler), which rounding fills."""
    last_but_one = READ[name].replace("1.ln_1", "0").replace("1.norm1", "0")
    terms = Torch(name, last_but_one).terms
    first = terms.shape[1] - 16
    assert np.abs(terms.sum(2)[:, first:]).max() < 1e-4 * np.abs(terms[:, first:]).sum(2).min()
    made = onnxcam.Explainer(file_of(name, folder))
    for layer in candidates(made.network.model.graph, made.network.score.name):
        view = onnxcam.Explainer(made.network, layer=layer.name).view(images(), TARGET)
        share = np.abs((view.a * view.g).sum(1)) / np.abs(view.a * view.g).sum(1)
        assert np.median(share) > 1e-3, layer.name


@pytest.mark.parametrize("name", ["vit", "deit", "deit_distilled", "swin", "dinov2", "clip", "convnext"])
def test_both_engines_give_the_same_map(name: str, folder: Path) -> None:
    check_engines(file_of(name, folder), images(), TARGET)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_both_engines_give_the_same_map_at_full_size(name: str, tmp_path: Path) -> None:
    path = write(full_network(name), (3, FULL_SIZE, FULL_SIZE), "script", tmp_path / "m.onnx")
    check_engines(path, floats(1, 3, FULL_SIZE, FULL_SIZE), 5)


def test_both_engines_give_the_same_map_of_a_real_file() -> None:
    # onnx2torch converts no Slice of the file's own opset, 9.
    proto = onnx.version_converter.convert_version(onnx.load(shared_path("models", "vit_cifar10_fp32.onnx")), 17)
    made = onnxcam.Explainer(proto, preprocess="imagenet")
    photos = [made.read(image).array for image in sorted(shared_path("images", "cifar10").glob("*.png"))[:4]]
    check_engines(proto, np.concatenate(photos), None)


def check_engines(source: Any, x: Array, target: int | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own
        maps = [onnxcam.Explainer(source, engine=engine)(x, target).raw for engine in ENGINES]
    for ours, theirs in zip(*maps, strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


def test_a_layer_beside_a_shortcut_is_ablated_alone(folder: Path) -> None:
    """The class token stays, in the layer and in the shortcut beside it."""
    made = onnxcam.Explainer(file_of("class token", folder), "recipro-cam")
    view = made.view(images(), TARGET)
    oracle = reference("class token")
    keep = np.abs(floats(3, 16, 4, 4, seed=1))
    factors = torch.ones(3, 17, 16, dtype=torch.float64)
    factors[:, 1:] = torch.tensor(keep, dtype=torch.float64).flatten(2).transpose(1, 2)
    wanted = [oracle.scores(row)[0] for row in factors]
    np.testing.assert_allclose(view.ablated(0, keep), wanted, rtol=1e-4)
    assert view.leading_tokens == 1
    only = torch.eye(17, dtype=torch.float64)[1:]
    only[:, 0] = 1
    one_kept = np.stack([oracle.scores(row[:, None]) for row in only], axis=1)
    np.testing.assert_allclose(made(images(), TARGET).raw.reshape(2, 16), one_kept, rtol=1e-4)


AT_LAYERS = [name for name, one in methods().items() if one().needs.at == "layer" and one().needs.head == "any"]


@pytest.mark.parametrize("method", AT_LAYERS)
def test_every_method_of_layers_gives_a_map_there(method: str, folder: Path) -> None:
    # Second derivatives need shapes, which the newer exporter writes.
    result = onnxcam.Explainer(file_of("class token", folder, "dynamo"), few(method))(images(), TARGET)
    assert result.raw.shape in {(2, 4, 4), (2, SIZE, SIZE)}
    assert np.isfinite(result.raw).all()
    assert (np.ptp(result.raw, axis=(1, 2)) > 1e-6).all()
