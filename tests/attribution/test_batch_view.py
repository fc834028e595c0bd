"""Views of a real network against the same network in torch: every property and function, and every method."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.helpers.torch_shim import torchvision  # isort: skip  # onnx2torch imports it

import onnxcam
from onnxcam.attribution.view import BatchView, view_batch
from onnxcam.errors import DependencyError, UnsupportedError
from onnxcam.graph.analysis.layers import candidates
from onnxcam.graph.analysis.linear_head import is_affine
from onnxcam.methods.base import Method
from onnxcam.methods.formulas.full_grad import contributions
from onnxcam.network.feeds import check_feeds
from onnxcam.targets.batch import flatten_targets, resolve_targets
from tests.helpers.method_samples import VIEWED
from tests.helpers.models import classifier, floats, model
from tests.networks.small import Network
from tests.networks.special import Special
from tests.networks.table import NETWORKS
from tests.networks.torch_files import write

assert torchvision is not None
TOLERANCE = 2e-3  # float32 against float64, through differences of probabilities
Array = npt.NDArray[Any]


@cache
def _file(name: str, folder: Path) -> tuple[Path, Network]:
    network = NETWORKS[name]()
    body = torch.nn.Sequential(network.single().trunk, network.single().head)
    return write(body.eval(), network.x.shape[1:], "script", folder / f"{name.replace(' ', '_')}.onnx"), network


def _layer(explainer: onnxcam.Explainer, network: Network) -> str | int | None:
    """Return the candidate of the trunk's shape, the last of them."""
    a = network.view().a
    found = candidates(explainer.network.model.graph, explainer.network.score.name)
    return next(layer.name for layer in found[::-1] if tuple(layer.shape[1:]) == a.shape[1:])


def _explainer(name: str, folder: Path, method: Method | str = "hires-cam", **options: Any) -> onnxcam.Explainer:
    path, network = _file(name, folder)
    first = onnxcam.Explainer(path, method, **options)
    reads = (first.method.needs.at, first.method.needs.reads, first.method.needs.layers)
    if reads != ("layer", "layer", ()):
        return first
    return onnxcam.Explainer(path, method, _layer(first, network), **options)


def _views(name: str, folder: Path, **options: Any) -> tuple[BatchView, Any]:
    return _ask(_explainer(name, folder, **options), name, folder)


def _ask(explainer: onnxcam.Explainer, name: str, folder: Path) -> tuple[BatchView, Any]:
    network = _file(name, folder)[1]
    targets, samples = flatten_targets(list(network.targets), len(network.x))
    chosen = resolve_targets(targets, len(samples), explainer.network.score, None)
    feeds = check_feeds(explainer.network, network.x.astype(np.float32))
    return view_batch(explainer._context, feeds, chosen, samples), network.view()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


def _assert_close(found: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    assert np.shape(found) == np.shape(wanted)
    assert np.abs(np.asarray(found) - wanted).max() <= tolerance * max(np.abs(wanted).max(), 1e-6)


@pytest.mark.parametrize("name", ["pooled", "curved", "line"])
def test_values(name: str, folder: Path) -> None:
    real, torch_view = _views(name, folder)
    for question in ("x", "a", "g", "score"):
        _assert_close(getattr(real, question), getattr(torch_view, question))
    _assert_close(real.probability(), torch_view.probability())
    assert real.affine == (name == "pooled")


@pytest.mark.parametrize("batch", [1, 2, None])
@pytest.mark.parametrize("probability", [False, True])
@pytest.mark.parametrize("name", ["pooled", "curved", "line"])
def test_head(name: str, probability: bool, batch: int | None, folder: Path) -> None:
    real, torch_view = _views(name, folder, batch_size=batch)
    draw = np.random.default_rng(0)
    a = real.a
    for shape in ((5, a.shape[1], *(1 for _ in a.shape[2:])), (5, 1, *a.shape[2:]), (1, *a.shape[1:])):
        keep = draw.uniform(0, 1, shape).astype(np.float32)
        for sample in (0, 2):
            _assert_close(real.ablated(sample, keep, probability), torch_view.ablated(sample, keep, probability))
    values = draw.normal(size=(3, *a.shape[1:])).astype(np.float32)
    _assert_close(real.replaced(1, values, probability), torch_view.replaced(1, values.astype(float), probability))


def test_replaced_tokens_leave_the_class_token_as_it_is(folder: Path) -> None:
    network = NETWORKS["class token"]()
    assert isinstance(network, Special)
    body = copy.deepcopy(network.body).float().eval()
    path = write(body, network.x.shape[1:], "dynamo", folder / "class_token_dynamo.onnx")
    x = network.x.astype(np.float32)
    first = onnxcam.Explainer(path, "recipro-cam")
    layers = candidates(first.network.model.graph, first.network.score.name)
    layer = next(one.name for one in layers if one.before == 1)
    view = onnxcam.Explainer(path, "recipro-cam", layer).view(x, list(network.targets))
    values = np.random.default_rng(3).normal(size=(4, *view.a.shape[1:])).astype(np.float32)
    with torch.no_grad():
        tokens = body.patches(torch.tensor(x[:1])).flatten(2).transpose(1, 2)
        np.testing.assert_allclose(view.a[0].reshape(8, -1).T, tokens[0], atol=1e-5)
        token = body.token.expand(4, -1, -1)
        tokens = torch.cat([token, torch.tensor(values).flatten(2).transpose(1, 2)], dim=1)
        wanted = body.after(tokens)[:, network.targets[0]].numpy()
    _assert_close(view.replaced(0, values), wanted)


@pytest.mark.parametrize("size", ["layer", "image", "larger"])
@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("name", ["curved", "line"])
def test_masked(name: str, rescale: bool, size: str, folder: Path) -> None:
    real, torch_view = _views(name, folder)
    draw = np.random.default_rng(1)
    shape = {"layer": real.a.shape[2:], "image": real.x.shape[2:], "larger": [2 * s for s in real.x.shape[2:]]}[size]
    masks = draw.uniform(-1, 2, (4, *shape)).astype(np.float32)
    masks[1] = 0.3  # constant: nothing to rescale
    image, backdrop = (draw.normal(size=real.x.shape[1:]).astype(np.float32) for _ in range(2))
    for own, back in ((None, None), (image, None), (None, backdrop), (image, backdrop)):
        found = real.masked_image(1, masks, own, back, rescale)
        _assert_close(found, torch_view.masked_image(1, masks, own, back, rescale), 1e-3)
    _assert_close(
        real.masked_image(1, masks, probability=True), torch_view.masked_image(1, masks, probability=True), 1e-3
    )


@pytest.mark.parametrize("name", ["pooled", "curved", "line"])
def test_moved_and_second_derivatives(name: str, folder: Path) -> None:
    real, torch_view = _views(name, folder)
    draw = np.random.default_rng(2)
    x = draw.normal(size=real.x.shape)
    _assert_close(real.with_images(x.astype(np.float32)).g, torch_view.with_images(x).g)
    _assert_close(real.with_images(x.astype(np.float32)).score, torch_view.with_images(x).score)
    v = draw.normal(size=real.a.shape)
    _assert_close(real.hessian_vector_product(v), torch_view.hessian_vector_product(v), 1e-3)


@pytest.mark.parametrize("name", ["pooled", "curved", "line"])
def test_deeplift_adds_up_to_the_change_of_the_score(name: str, folder: Path) -> None:
    real, torch_view = _views(name, folder)
    found = (real.deeplift_multipliers() * real.a).reshape(len(real.a), -1).sum(axis=1)
    zero = [torch_view.ablated(i, np.zeros((1, 1, *(1 for _ in real.a.shape[2:]))))[0] for i in range(len(real.a))]
    _assert_close(found, torch_view.score - np.array(zero), 1e-3)
    if name == "pooled":
        _assert_close(real.deeplift_multipliers(), torch_view.g, 1e-3)


@pytest.mark.parametrize(("sample", "name"), VIEWED, ids=lambda value: getattr(value, "name", value))
def test_every_method_gives_the_map_of_the_torch_network(sample: Method, name: str, folder: Path) -> None:
    explainer = _explainer(name, folder, sample)
    network = _file(name, folder)[1]
    result = explainer(network.x.astype(np.float32), list(network.targets))
    wanted = sample.explain(network.view())
    if sample.name == "lift-cam" and name != "pooled":
        pytest.skip("the torch view integrates gradients where the network rescales: equal in sum only, tested above")
    if sample.name == "full-grad":
        pytest.skip("constants that follow each other count as one in a file, folded or not: completeness, below")
    if sample.needs.contrast is not None:
        pytest.skip("the torch view explains the class alone; tests/targets/test_explaining.py has the contrast")
    _assert_close(result.raw, wanted, TOLERANCE)


def test_input_and_biases_add_up_to_the_score(folder: Path) -> None:
    explainer = _explainer("biased", folder, "full-grad")
    real, torch_view = _ask(explainer, "biased", folder)
    shares = [share.reshape(len(share), -1).sum(axis=1) for share in contributions(real)]
    _assert_close(sum(shares), torch_view.score)
    assert [share.shape[1:2] for share in contributions(real)] == [(3,), (4,), (5,), ()]


@pytest.mark.parametrize("method", ["hires-cam", "grad-cam", "ablation-cam", "score-cam", "gradient-x-input"])
def test_several_targets_of_one_sample(method: str, folder: Path) -> None:
    explainer = _explainer("curved", folder, method)
    x = _file("curved", folder)[1].x.astype(np.float32)
    together = explainer(x, [[0, 3], [1], [2, 0, 4]])
    assert together.samples == (0, 0, 1, 2, 2, 2)
    for row, (sample, target) in enumerate(zip(together.samples, (0, 3, 1, 2, 0, 4), strict=True)):
        alone = explainer(x[sample : sample + 1], target)
        _assert_close(together.raw[row], alone.raw[0], 1e-4)
        assert together.targets[row] == target


SHORTCUT = """g (float[N, 3, 6, 6] x) => (float[N, 4] logits) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w1)
    r = Relu (a)
    b = Conv <pads = [1, 1, 1, 1]> (r, w2)
    c = Relu (b)
    d = Add (c, r)
    sizes = Shape <end = 1> (x)
    rest = Constant <value = int64[1] {-1}> ()
    shape = Concat <axis = 0> (sizes, rest)
    m = ReduceMean <keepdims = 0> (d, axes)
    flat = Reshape (m, shape)
    logits = MatMul (flat, w)
}
"""


def test_values_that_cross_beside_the_layer(folder: Path) -> None:
    """A shortcut around the layer, and a size that the trunk computes: the head must see those of its own run."""
    draw = np.random.default_rng(0)
    shapes = {"w1": (3, 3, 3, 3), "w2": (3, 3, 3, 3), "w": (3, 4)}
    weights = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    graph = model(SHORTCUT, {**weights, "axes": np.array([2, 3])})
    x = floats(2, 3, 6, 6)
    explainer = onnxcam.Explainer(graph, onnxcam.method("ablation-cam", closed_form=False), layer="c")
    weight = [torch.tensor(weights[name]) for name in shapes]
    r = torch.relu(torch.nn.functional.conv2d(torch.tensor(x), weight[0], padding=1))
    c = torch.relu(torch.nn.functional.conv2d(r, weight[1], padding=1))
    drops = (c.mean(dim=(2, 3)) * weight[2][:, 1]).numpy()
    _assert_close(explainer(x, 1).raw, (drops[:, :, None, None] * c.numpy()).sum(axis=1), 1e-4)


def test_what_is_affine(folder: Path) -> None:
    for name in ("pooled", "curved"):
        explainer = _explainer(name, folder)
        graph, score = explainer.network.model.graph, explainer.network.score.name
        assert is_affine(graph, explainer.layer.name, score) == (name == "pooled")


def test_the_torch_engine_refuses_what_it_cannot_do() -> None:
    explainer = onnxcam.Explainer(classifier(), "score-cam", engine="torch")
    with pytest.raises(UnsupportedError, match="torch engine"):
        explainer(floats(1, 3, 8, 8))


def test_a_layer_that_nothing_depends_on() -> None:
    with pytest.raises((DependencyError, UnsupportedError)):
        onnxcam.Explainer(classifier(), "recipro-cam", layer="logits")(floats(1, 3, 8, 8))
