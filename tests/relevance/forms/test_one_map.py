"""One network has one map, however its normalisations, activations and attention are written and exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

import onnxcam
from onnxcam.graph.analysis.quantization import MICROSOFT
from tests.helpers.checks import assert_close
from tests.helpers.models import model
from tests.networks.activation_forms import ACTIVATIONS, Activated
from tests.networks.attention_forms import ATTENTIONS, Attending
from tests.networks.norm_forms import FORMS, Normed
from tests.networks.torch_files import write

# Of another rule, or of a shift that differs by a hundredth, maps differ by more than a thousandth.
SAME, SIZES = 1e-4, {"norm": (3, 8, 8), "activation": (3, 8, 8), "attention": (3, 12, 12)}
NORMS = [(kind, form) for kind, forms in FORMS.items() for form in forms]
ACTIVE = [(kind, form) for kind, forms in ACTIVATIONS.items() for form in forms]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with torch.random.fork_rng():
        yield tmp_path_factory.mktemp("forms")


def explained(path: Path, size: tuple[int, ...], composite: str = "epsilon-plus") -> Any:
    x = torch.randn(2, *size, generator=torch.Generator().manual_seed(1)).numpy()
    return onnxcam.Explainer(path, onnxcam.method("lrp", composite=composite))(x, [1, 2]).raw


def optimised(path: Path) -> Path:
    """Let onnxruntime fuse what it can."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path.with_suffix(".fused.onnx"))
    options.log_severity_level = 4
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return path.with_suffix(".fused.onnx")


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.fixture(scope="module")
def norm_maps(folder: Path) -> dict[tuple[str, str], Any]:
    """The map of each kind of normalisation, as the script exporter writes its first form."""
    found: dict[tuple[str, str], Any] = {}
    for kind in FORMS:
        form = "operator" if kind != "rms" else "written out"
        path = write(Normed(kind, form).eval(), SIZES["norm"], "script", folder / f"{kind}.onnx")
        found |= {(kind, c): explained(path, SIZES["norm"], c) for c in ("epsilon-plus", "z-plus")}
    return found


@pytest.mark.parametrize(
    ("kind", "form"), [one for one in NORMS if one not in (("rms", "operator"), ("group", "as layer"))]
)
def test_a_normalisation_has_one_map(kind: str, form: str, folder: Path, norm_maps: Any) -> None:
    path = write(Normed(kind, form).eval(), SIZES["norm"], "script", folder / f"{kind}_{form}.onnx")
    for composite, tolerance in (("epsilon-plus", SAME), ("z-plus", 3 * SAME)):
        assert_close(explained(path, SIZES["norm"], composite), norm_maps[kind, composite], tolerance)


def test_layer_normalisation_before_and_after_it_was_an_operator(folder: Path, norm_maps: Any) -> None:
    network = Normed("layer", "operator").eval()
    path = write(network, SIZES["norm"], "script", folder / "old.onnx", opset=16)
    assert "LayerNormalization" not in operators(path)
    assert "LayerNormalization" in operators(folder / "layer.onnx")
    assert_close(explained(path, SIZES["norm"]), norm_maps["layer", "epsilon-plus"], SAME)


def test_maps_of_other_normalisations_differ(folder: Path, norm_maps: Any) -> None:
    """What the tests above could miss: a shift that is a little larger, and any other kind."""
    network = Normed("layer", "keras").eval()
    network.one.shift.data *= 1.01
    path = write(network, SIZES["norm"], "script", folder / "shifted.onnx")
    found = explained(path, SIZES["norm"])
    for kind in FORMS:
        with pytest.raises(AssertionError):
            assert_close(found, norm_maps[kind, "epsilon-plus"], 10 * SAME)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "form"), NORMS)
def test_a_normalisation_has_one_map_of_the_newer_exporter(kind: str, form: str, folder: Path, norm_maps: Any) -> None:
    path = write(Normed(kind, form).eval(), SIZES["norm"], "dynamo", folder / f"{kind}_{form}_dynamo.onnx")
    assert_close(explained(path, SIZES["norm"]), norm_maps[kind, "epsilon-plus"], SAME)


@pytest.mark.parametrize(
    ("kind", "form"), [(k, f) for k, f in ACTIVE if k in ("gelu", "gelu-tanh", "silu")]
    + [pytest.param(k, f, marks=pytest.mark.slow) for k, f in ACTIVE if k not in ("gelu", "gelu-tanh", "silu")],
)  # fmt: skip
def test_an_activation_has_one_map(kind: str, form: str, folder: Path) -> None:
    size = SIZES["activation"]
    first = write(Activated(kind, next(iter(ACTIVATIONS[kind]))).eval(), size, "script", folder / f"{kind}.onnx")
    path = write(Activated(kind, form).eval(), size, "script", folder / f"{kind}_{form}.onnx")
    assert_close(explained(path, size), explained(first, size), SAME)


def test_other_activations_have_other_maps(folder: Path) -> None:
    size = SIZES["activation"]
    maps = [
        explained(write(Activated(kind, "sigmoid").eval(), size, "script", folder / f"{kind}_sigmoid.onnx"), size)
        for kind in ("silu", "quick-gelu")
    ]
    with pytest.raises(AssertionError):
        assert_close(maps[0], maps[1], 10 * SAME)


@pytest.fixture(scope="module")
def attention_map(folder: Path) -> Any:
    path = write(Attending("on logits").eval(), SIZES["attention"], "script", folder / "attention.onnx")
    return explained(path, SIZES["attention"])


def test_a_transformer_has_one_map_before_and_after_layer_normalisation_was_an_operator(
    folder: Path, attention_map: Any
) -> None:
    path = write(Attending("on logits").eval(), SIZES["attention"], "script", folder / "old_attention.onnx", opset=16)
    assert "LayerNormalization" not in operators(path)
    assert_close(explained(path, SIZES["attention"]), attention_map, SAME)


@pytest.mark.parametrize("form", ATTENTIONS)
def test_attention_has_one_map(form: str, folder: Path, attention_map: Any) -> None:
    path = write(Attending(form).eval(), SIZES["attention"], "script", folder / f"{form}.onnx")
    assert_close(explained(path, SIZES["attention"]), attention_map, SAME)


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=() if form == "fused" else pytest.mark.slow) for form in ATTENTIONS]
)
def test_attention_has_one_map_of_the_newer_exporter_and_fused(form: str, folder: Path, attention_map: Any) -> None:
    path = write(Attending(form).eval(), SIZES["attention"], "dynamo", folder / f"{form}_dynamo.onnx")
    fused = optimised(path)
    assert operators(fused) & {"SkipLayerNormalization", "FusedMatMul"}
    for one in (path, fused):
        assert_close(explained(one, SIZES["attention"]), attention_map, SAME)


WEIGHTS = {
    name: np.random.default_rng(i).normal(size=shape).astype(np.float32)
    for i, (name, shape) in enumerate(
        {
            "c": (8, 3, 4, 4),
            "q": (8, 8),
            "k": (8, 8),
            "v": (8, 8),
            "bq": (8,),
            "bk": (8,),
            "bv": (8,),
            "o": (8, 5),
        }.items()
    )
}
_TOKENS = "p = Conv<strides = [4, 4]>(x, c) f = Reshape(p, tokens) t = Transpose<perm = [0, 2, 1]>(f) "
_READ = "h = ReduceMean<keepdims = 0>(a, one) y = MatMul(h, o)"
_PARTS = "q0 = MatMul(t, q) k0 = MatMul(t, k) v0 = MatMul(t, v) "
_ADDED = "q1 = Add(q0, bq) k1 = Add(k0, bk) v1 = Add(v0, bv) "
ATTENTION_NODES = {
    "written out": _PARTS + _ADDED + """q2 = Reshape(q1, heads) k2 = Reshape(k1, heads) v2 = Reshape(v1, heads)
        q3 = Transpose<perm = [0, 2, 1, 3]>(q2) k3 = Transpose<perm = [0, 2, 3, 1]>(k2)
        v3 = Transpose<perm = [0, 2, 1, 3]>(v2) l = MatMul(q3, k3) s = Div(l, two) w = Softmax<axis = -1>(s)
        m = MatMul(w, v3) u = Transpose<perm = [0, 2, 1, 3]>(m) a = Reshape(u, back) """,
    "MultiHeadAttention": _PARTS + "a = com.microsoft.MultiHeadAttention<num_heads = 2>(q0, k0, v0, b) ",
    "MultiHeadAttention without its bias": _PARTS
    + _ADDED
    + "a = com.microsoft.MultiHeadAttention<num_heads = 2>(q1, k1, v1) ",
    "Attention": "a = com.microsoft.Attention<num_heads = 2>(t, qkv, b) ",
}  # fmt: skip


@pytest.mark.parametrize("form", list(ATTENTION_NODES)[1:])
def test_a_fused_operator_has_the_map_of_what_was_fused(form: str, tmp_path: Path) -> None:
    """onnxruntime's operators hold the biases of the layers before them, or their weights too."""
    given = WEIGHTS | {
        "qkv": np.concatenate([WEIGHTS[n] for n in "qkv"], axis=1),
        "b": np.concatenate([WEIGHTS[n] for n in ("bq", "bk", "bv")]),
        "tokens": np.array([0, 8, -1]), "heads": np.array([0, 0, 2, -1]), "back": np.array([0, 0, -1]),
        "one": np.array([1]), "two": np.array(2, np.float32),
    }  # fmt: skip
    maps = []
    for i, name in enumerate(("written out", form)):
        text = f"g (float[N, 3, 12, 12] x) => (float[N, 5] y) {{ {_TOKENS}{ATTENTION_NODES[name]}{_READ} }}"
        used = {key: array for key, array in given.items() if f" {key}," in text or f" {key})" in text}
        written = model(text, used)
        written.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
        onnx.save(written, tmp_path / f"{i}.onnx")
        maps.append(explained(tmp_path / f"{i}.onnx", (3, 12, 12)))
    assert_close(maps[1], maps[0], SAME)
    with pytest.raises(AssertionError):
        assert_close(maps[1] * 1.001, maps[0], SAME)
