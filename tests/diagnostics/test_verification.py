from __future__ import annotations

import json
import warnings
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tests.helpers.torch_shim import torchvision  # isort: skip  # onnx2torch imports it

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import Rule, Table, gradient_table
from onnxcam.diagnostics.finite_differences import FiniteDifferences
from onnxcam.diagnostics.verification import Verification, verify
from onnxcam.engines.onnx_engine import OnnxEngine
from onnxcam.errors import UnsupportedError, VerificationError
from onnxcam.explainer import Explainer
from onnxcam.network.read import read_network
from tests.helpers.models import classifier, floats, model
from tests.helpers.shared import REAL_MODELS, shared_path

assert torchvision is not None


def check(proto: onnx.ModelProto, layer: str | None = "a1", **options: Any) -> Verification:
    return verify(read_network(proto), layer, **options)


def wrong(op_type: str, factor: float = 1.2) -> Table:
    """Return the gradients with one rule off by a factor."""
    table = gradient_table()
    rules = table["", op_type]

    def scaled(rule: Rule) -> Rule:
        def function(op: Any, node: Any, cotangents: Any) -> Any:
            results = rule.function(op, node, cotangents)
            return [None if result is None else result * factor for result in results]

        return Rule(function, rule.domain, rule.op_type, rule.since, rule.broadcasts, rule.all_outputs)

    return MappingProxyType({**table, ("", op_type): tuple(map(scaled, rules))})


def test_right_gradients_agree() -> None:
    found = check(classifier())
    assert found.agrees
    found.require()
    assert [row.at for row in found.rows] == ["layer 'a1'"] * 2 + ["input 'x'"] * 2
    differences = [row for row in found.rows if "differences" in row.what]
    assert all(row.error is not None and row.error < 1e-5 for row in differences)
    assert all(row.note.startswith("float64") for row in differences)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("op_type", "at"), [("Relu", "c2"), ("Conv", "a1"), ("Gemm", "flat")])
def test_a_wrong_rule_is_found_and_named(op_type: str, at: str) -> None:
    found = check(classifier(), "a1", rules=wrong(op_type))
    assert not found.agrees
    row = next(row for row in found.rows if row.verdict == "differs")
    assert f"wrong at '{at}' and before it, which {op_type} '" in row.note
    with pytest.raises(VerificationError, match=f"layer 'a1': gradient against differences.*'{at}'"):
        found.require()


def test_a_rule_that_is_hardly_wrong_is_found() -> None:
    assert not check(classifier(), rules=wrong("Gemm", 1.01)).agrees


def test_torch_names_the_same_value() -> None:
    found = check(classifier(opset=13), "a1", rules=wrong("Relu"), against="torch")
    row = next(row for row in found.rows if row.what == "gradients against torch" and row.verdict == "differs")
    assert row.note.startswith("values agree; the gradients disagree at 'c2', which Relu '")
    right = check(classifier(opset=13), "a1", against="torch")
    assert right.agrees
    assert sum("torch" in row.what for row in right.rows) == 6


def test_another_provider_is_compared_with_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands for one that is not on every machine: the first engine's results are taken for its own.
    monkeypatch.setattr(OnnxEngine, "provider", property(lambda engine: "OtherExecutionProvider"))
    found = check(classifier())
    rows = [row for row in found.rows if row.what.endswith("against CPUExecutionProvider")]
    assert [row.what.split()[0] for row in rows] == ["scores", "activations", "gradients"] * 2
    assert found.agrees
    assert found.provider == "OtherExecutionProvider"

    def confused(engine: OnnxEngine, names: Any, seed: Any) -> Any:
        table = wrong("Relu") if engine.pool.options.providers is None else None
        return add_gradients(engine.network.model, engine.network.score.name, names, seed, table=table)

    monkeypatch.setattr(OnnxEngine, "_with_gradients", confused)
    row = next(row for row in check(classifier()).rows if row.what == "gradients against CPUExecutionProvider")
    assert row.verdict == "differs"
    assert row.note.startswith("values agree; the gradients disagree at 'c2', which Relu '")


def test_what_torch_cannot_convert_is_an_error() -> None:
    text = "g (float[n, 3, 8, 8] x) => (float[n, 3] y) { a = Mish(x) y = ReduceMean<keepdims = 0>(a, k) }"
    with pytest.raises(UnsupportedError, match="Mish"):
        check(model(text, {"k": np.array([2, 3])}), None, against="torch")


def test_integer_arithmetic_is_skipped_with_the_reason() -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        c = Conv(x, w) a = Relu(c) q = QuantizeLinear(a, s, z) d = DequantizeLinear(q, s, z)
        y = ReduceMean<keepdims = 0>(d, k)
    }"""
    weights: dict[str, npt.NDArray[Any]] = {
        "w": floats(4, 3, 3, 3),
        "s": np.array(0.05, np.float32),
        "z": np.array(0, np.uint8),
        "k": np.array([2, 3]),
    }
    found = check(model(text, weights), "a")
    assert found.agrees
    skipped = [row for row in found.rows if row.verdict == "skipped"]
    assert len(skipped) == 2
    assert all("piecewise constant (DequantizeLinear, QuantizeLinear" in row.note for row in skipped)
    # After the last integer there is something to differentiate.
    assert all(row.verdict == "agrees" for row in check(model(text, weights), "d").rows if row.at == "layer 'd'")


@pytest.mark.parametrize(
    "layer",
    [
        "a = Erf(c)",
        "a = HardSwish(c)",
        "a = LeakyRelu<alpha = 0.2>(c)",
        "a = PRelu(c, half)",
        "a = Elu(c)",
        "a = Softplus(c)",
        "a = Mish(c)",
        'a = Gelu<approximate = "tanh">(c)',
        "a = Gelu(c)",
        "a = AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(c)",
        "a = AveragePool<kernel_shape = [2, 3], pads = [1, 1, 0, 0], count_include_pad = 1>(c)",
        "a = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(c)",
        'a = Resize<mode = "linear">(c, , up)',
        "b = InstanceNormalization(c, ones, zeros) a = Sigmoid(b)",
        "a = Conv<group = 2, dilations = [2, 1], pads = [2, 0, 1, 1]>(c, grouped, zeros)",
        "a = Conv<group = 4, strides = [2, 2]>(c, deep)",
        "b = GlobalMaxPool(c) a = Mul(c, b)",
        "b = Tanh(c) e = Sin(c) a = Mean(b, e)",
    ],
)
def test_operators_without_kernels_for_doubles_are_written_with_others(layer: str) -> None:
    weights = {
        "w": floats(4, 3, 3, 3),
        "half": np.full((4, 1, 1), 0.5, np.float32),
        "up": np.array([1, 1, 2, 1.5], np.float32),
        "ones": np.ones(4, np.float32),
        "zeros": np.zeros(4, np.float32),
        "grouped": floats(4, 2, 2, 2),
        "deep": floats(4, 1, 3, 3),
    }
    text = f"""g (float[n, 3, 8, 8] x) => (float[n, 4] y) {{
        c = Conv(x, w) {layer} p = GlobalAveragePool(a) y = Flatten(p)
    }}"""
    proto = model(text, weights, opset=20)
    slope = FiniteDifferences(read_network(proto), "x", floats(2, 4)).check({"x": floats(2, 3, 8, 8)})
    assert slope.precision == "float64"
    assert slope.error < 1e-4


def test_without_doubles_float32_has_to_do() -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        c = ConvTranspose(x, w) a = Relu(c) p = GlobalAveragePool(a) y = Flatten(p)
    }"""
    proto = model(text, {"w": floats(3, 4, 3, 3)})
    slopes = FiniteDifferences(read_network(proto), "x", floats(2, 4))
    slope = slopes.check({"x": floats(2, 3, 8, 8)})
    assert (slope.precision, slope.agrees) == ("float32", True)
    bad = FiniteDifferences(read_network(proto), "x", floats(2, 4), rules=wrong("ConvTranspose"))
    assert not bad.check({"x": floats(2, 3, 8, 8)}).agrees


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL_MODELS)
def test_every_real_model_passes(name: str) -> None:
    explainer = Explainer(shared_path("models", f"{name}.onnx"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own
        try:
            found = verify(explainer.network, explainer.layer.name, against="torch")
        except UnsupportedError:
            found = verify(explainer.network, explainer.layer.name)
    found.require()
    quantised = any(part in name for part in ("int8", "uint8", "dynquant"))
    assert any(row.verdict == "skipped" for row in found.rows) == quantised


@pytest.mark.parametrize(("dtype", "tolerance"), [("uint16", 1e-2), ("float16", 1e-1)])
def test_only_half_precision_is_allowed_larger_errors(dtype: str, tolerance: float) -> None:
    text = f"""g ({dtype}[n, 3, 8, 8] x) => (float[n, 4] y) {{
        f = Cast <to = 1> (x) c = Conv (f, k) p = GlobalAveragePool (c) y = Flatten (p)
    }}"""
    rows = check(model(text, {"k": floats(4, 3, 3, 3)}), None).rows
    assert [row.tolerance for row in rows if row.what.endswith("head alone")] == [tolerance]
