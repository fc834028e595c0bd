"""Maps whose terms cancel: each is warned of, the warning names what does not cancel, and no other map is warned of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.nn import functional

import onnxcam
import tests.helpers.torch_shim  # noqa: F401  # onnx2torch imports torchvision
from onnxcam.attribution.instead import Instead
from onnxcam.methods.base import Method
from onnxcam.methods.registry import wrap
from tests.helpers.models import floats
from tests.networks.scale_invariant import (
    BALANCED,
    CLIPPED,
    DEAD,
    HEADS,
    NEAR,
    PER_CHANNEL,
    PreNorm,
    at_input,
    classifier,
)
from tests.networks.torch_files import write

X = floats(3, 3, 8, 8, seed=11)
WARNING = "the map is no evidence: its terms cancel"


def warned(proto: onnx.ModelProto, method: str | Method, x: Any = X, layer: str | None = "a") -> list[str]:
    """Return for each sample its warning about cancellation, or nothing."""
    found = onnxcam.Explainer(proto, method, layer=layer)(x).warnings
    return ["".join(text for text in texts if text.startswith(WARNING)) for texts in found]


def in_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in float16."""
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return proto


@pytest.mark.parametrize("head", HEADS)
def test_the_map_of_a_scale_invariant_head_is_warned_of(head: str) -> None:
    assert all(warned(classifier(HEADS[head]), "hires-cam"))


@pytest.mark.parametrize("head", [*NEAR, *PER_CHANNEL])
def test_other_heads_are_not_warned_of(head: str) -> None:
    assert not any(warned(classifier({**NEAR, **PER_CHANNEL}[head]), "hires-cam"))


@pytest.mark.parametrize("head", ["LayerNormalization", "LpNormalization", "cosines"])
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "eigen-cam", "ablation-cam"])
def test_nor_are_methods_whose_terms_do_not_cancel(head: str, method: str) -> None:
    assert not any(warned(classifier(HEADS[head]), method))


@pytest.mark.parametrize(
    "head", ["LayerNormalization", "LayerNormalization written out", "RMS written out", "ReduceL2"]
)
def test_half_precision(head: str) -> None:
    assert all(warned(in_half(classifier(HEADS[head])), "hires-cam", X.astype(np.float16)))
    plain = in_half(classifier(NEAR["normalised after pooling"]))
    assert not any(warned(plain, "hires-cam", X.astype(np.float16)))


def test_quantised_layers() -> None:
    text = "q = QuantizeLinear(a0, sq, zq)  a = DequantizeLinear(q, sq, zq)"
    for head, expected in ((HEADS["ReduceL2"], True), (NEAR["no normalisation"], False)):
        found = warned(classifier(head, between=text), "hires-cam")
        assert [bool(text) for text in found] == [expected] * 3


@pytest.mark.parametrize(
    "method",
    [
        onnxcam.method("finer-cam", base="hires-cam"),
        onnxcam.method("refine-cam", base="hires-cam", layers=("a", "a1")),
        wrap("fuse", onnxcam.method("hires-cam"), layers=("a", "a1")),
        wrap("noise", onnxcam.method("hires-cam"), n=2),
        wrap("augment", onnxcam.method("hires-cam")),
    ],
    ids=repr,
)
def test_methods_that_use_such_a_map(method: Method) -> None:
    assert all(warned(classifier(HEADS["ReduceL2"]), method))
    assert not any(warned(classifier(NEAR["no normalisation"]), method))


@pytest.mark.parametrize("method", ["grad-cam", "xgrad-cam", "shapley-cam", "group-cam", "guided-grad-cam"])
def test_weights_that_cancel(method: str) -> None:
    """Each channel is normalised over positions: its gradient sums to 0, and weights that are its mean are noise."""
    assert all(warned(classifier(PER_CHANNEL["InstanceNormalization"]), method))


@pytest.mark.parametrize("method", ["grad-cam", "fg-cam"])
def test_relevance_that_starts_from_weights_that_cancel(method: str) -> None:
    """The weights of each channel's positions sum to 0 but for their rounding, and so does its gradient."""
    assert all(warned(classifier(BALANCED), method))
    assert not any(warned(classifier(BALANCED), "hires-cam"))


@pytest.mark.parametrize("method", ["gradient-x-input", "integrated-gradients"])
def test_methods_at_the_input(method: str) -> None:
    assert all(warned(at_input(), method, layer=None))
    assert not any(warned(at_input(), "gradient", layer=None))


def test_each_sample_is_judged_by_itself() -> None:
    found = warned(classifier(CLIPPED), "hires-cam", np.concatenate([X[:1] / 1000, 1000 * X[:1], X[1:2] / 1000]))
    assert [bool(text) for text in found] == [False, True, False]


def test_a_map_of_zeros_is_blank_and_nothing_else() -> None:
    found = onnxcam.Explainer(classifier(DEAD), "hires-cam", layer="a")(X).warnings
    assert found == (("the map is blank: the raw map is zero everywhere",),) * 3


def test_infinite_activations_keep_their_warning() -> None:
    x = X.copy()
    x[0, :, 0, 0] = np.inf
    first, *others = onnxcam.Explainer(classifier(HEADS["ReduceL2"]), layer="a")(x).warnings
    assert any("NaN or infinite" in text for text in first)
    assert all(len(texts) == 1 and texts[0].startswith(WARNING) for texts in others)


def test_cosines_have_the_gradient_of_the_closed_form() -> None:
    view = onnxcam.Explainer(classifier(HEADS["cosines"]), layer="a").view(X, 2)
    w = floats(5, 6, seed=3)[2].astype(np.float64)
    u, a = w / np.linalg.norm(w), view.a.astype(np.float64)
    length = np.linalg.norm(a, axis=1, keepdims=True)
    f = a / length
    along = np.einsum("k,nkij->nij", u, f)[:, None]
    wanted = 30 / 16 * (u[:, None, None] - along * f) / length
    np.testing.assert_allclose(view.g, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    assert np.abs((wanted * a).sum(axis=1)).max() < 1e-13


@pytest.mark.parametrize(
    "normalise",
    [
        lambda a: functional.layer_norm(a, (6,), eps=0.0),
        lambda a: functional.rms_norm(a, (6,), eps=0.0),
        lambda a: functional.normalize(a, dim=-1),
    ],
    ids=["LayerNorm", "RMSNorm", "unit length"],
)
def test_the_terms_cancel_in_double_precision(normalise: Any) -> None:
    a = torch.tensor(floats(1, 4, 4, 6, seed=9).astype(np.float64), requires_grad=True)
    score = (normalise(a).mean(dim=(1, 2)) @ torch.tensor(floats(6, seed=3).astype(np.float64))).sum()
    terms = (torch.autograd.grad(score, a)[0] * a).detach()
    assert float(terms.abs().max()) > 1e-3
    assert float(terms.sum(dim=-1).abs().max()) < 1e-13 * float(terms.abs().max())


@pytest.mark.parametrize("head", ["LayerNormalization", "RMS written out", "cosines"])
def test_what_the_warning_names_does_not_cancel(head: str) -> None:
    proto = classifier(HEADS[head])
    (text, *_) = warned(proto, "hires-cam")
    (layer,) = re.findall("the layer '(.+?)'", text)
    assert layer == ("f" if head == "cosines" else "n")
    (named,) = re.findall("the methods (.*)", text)
    assert "hires-cam" not in named
    for method, at in [("hires-cam", layer), *((name, "a") for name in named.split(", "))]:
        view = onnxcam.Explainer(proto, method, layer=at).view(X)
        terms = onnxcam.method(method).components(view.a, view.g)  # type: ignore[attr-defined]
        assert (np.abs(terms.sum(axis=1)).max(axis=(1, 2)) > 0.05 * np.abs(terms).sum(axis=1).max(axis=(1, 2))).all()
        assert not any(warned(proto, method, layer=at))


def test_before_the_last_block_of_a_transformer_that_normalises_first(tmp_path: Path) -> None:
    proto = onnx.load(write(PreNorm().eval(), (3, 8, 8), "script", tmp_path / "prenorm.onnx"))
    layer, norm = "/Add_2_output_0", "/norms.2/LayerNormalization_output_0"
    texts = warned(proto, "hires-cam", layer=layer)
    assert all(texts)
    assert f"use the layer '{norm}' or the methods " in texts[0]
    assert texts[0].endswith(", le-grad")
    for method in ("grad-cam", "layer-cam", "le-grad"):
        assert not any(warned(proto, method, layer=None if method == "le-grad" else layer))
    # The stream of the first block is also added to that of the second one.
    for at in (norm, "/Concat_1_output_0"):
        assert not any(warned(proto, "hires-cam", layer=at))


def test_the_second_engine_warns_as_well() -> None:
    pytest.importorskip("onnx2torch")
    made = onnxcam.Explainer(classifier(HEADS["LayerNormalization"]), "hires-cam", layer="a", engine="torch")
    assert all(texts[0].startswith(WARNING) for texts in made(X).warnings)


def test_nothing_more_is_run_where_nothing_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise AssertionError("other layers are tried only after a warning")

    monkeypatch.setattr(Instead, "advice", refuse)
    assert not any(warned(classifier(NEAR["no normalisation"]), "hires-cam"))
    with pytest.raises(AssertionError, match="only after"):
        warned(classifier(HEADS["ReduceL2"]), "hires-cam")
