"""Composites: names, files, selectors; and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import onnxcam
from onnxcam.errors import InputError, NameNotFoundError, UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.relevance.composite import Composite, LayerSelector, composites
from onnxcam.relevance.origins import Origins
from onnxcam.relevance.rules import Box, Epsilon, Flat, Gamma, ZPlus
from tests.helpers import torch_shim  # noqa: F401 - before anything that imports torchvision
from tests.helpers.models import classifier, floats, model

MINE: dict[str, Any] = {
    "name": "mine",
    "rules": [{"at": "first conv", "rule": "box", "low": -2.0}, {"at": "any", "rule": "gamma", "gamma": 0.1}],
    "stabilizer": 1e-4,
}


@pytest.mark.parametrize("name", list(composites()))
def test_a_description_builds_the_same_composite(name: str) -> None:
    made = Composite.parse(name)
    assert Composite.parse(json.loads(json.dumps(made.describe()))) == made
    assert Composite.parse(made) is made


def test_the_first_selector_that_holds_decides() -> None:
    made = Composite.parse(MINE)
    assert made.rule("Conv", True) == Box(low=-2.0)
    assert made.rule("Conv", False) == made.rule("Gemm", True) == Gamma(gamma=0.1)
    assert (made.name, made.stabilizer) == ("mine", 1e-4)
    flat = composites()["epsilon-plus-flat"]
    assert flat.rule("MatMul", True) == flat.rule("ConvTranspose", True) == Flat()
    assert (flat.rule("ConvTranspose", False), flat.rule("MatMul", False)) == (ZPlus(), Epsilon())
    assert [str(LayerSelector.parse(text)) for text in ("first", "first conv", "any", "MatMul")] == [
        *("first", "first conv", "any", "MatMul")
    ]


def test_a_file_makes_a_method_that_describes_itself_wholly(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(MINE))
    made = onnxcam.method("lrp", composite=str(file))
    file.unlink()
    rules = [
        {"at": "first conv", "rule": "box", "stabilizer": 1e-6, "bias": True, "low": -2.0, "high": None},
        {"at": "any", "rule": "gamma", "stabilizer": 1e-6, "bias": True, "gamma": 0.1},
    ]
    composite = {**MINE, "rules": rules, "rectified_pools": False, "spread": False}
    assert made.describe() == {"name": "lrp", "to": "input", "composite": composite}
    assert onnxcam.method(**made.describe()) == made
    assert onnxcam.Explainer(classifier(), made)(floats(1, 3, 8, 8)).method == made.describe()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("epsilon-pls", NameNotFoundError, "did you mean epsilon-plus"),
        ("nowhere.json", InputError, "cannot be read"),
        ({"rules": [{"at": "conv", "rule": "z-plus"}]}, InputError, "no rule for Gemm"),
        ({"rules": [{"at": "any", "rule": "zplus"}]}, NameNotFoundError, "did you mean z-plus"),
        ({"rules": [{"at": "any", "rule": "gamma", "alpha": 1}]}, InputError, "no field alpha"),
        ({"rules": [{"at": "any", "rule": "gamma", "gamma": "1"}]}, InputError, "must be float"),
        ({"rules": [{"at": "any", "rule": "gamma", "gamma": -1}]}, InputError, "0 or more"),
        ({"rules": [{"at": "any", "rule": "epsilon", "stabilizer": -1}]}, InputError, "0 or more"),
        ({"rules": [{"at": "any", "rule": "alpha-beta", "alpha": 3}]}, InputError, "do not conserve relevance"),
        ({"rules": [{"at": "last", "rule": "flat"}, {"rule": "flat"}]}, InputError, "needs 'at' and 'rule'"),
        ({"rules": [{"at": "conv first", "rule": "flat"}]}, InputError, "not at 'conv first'"),
        ({"rule": []}, InputError, "needs a list 'rules'"),
        ({**MINE, "stabilizer": True}, InputError, "is a number"),
    ],
)
def test_what_is_no_composite_is_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        onnxcam.method("lrp", composite=given)


BRANCHES = """g (float[N, 3, 6, 6] x) => (float[N, 2, 6, 6] y) {
    n = Sub (x, mean)
    p = Pad (n, pads)
    a = Conv (p, w1)
    b = Conv (x, w3)
    s = Add (a, b)
    r = Relu (s)
    y = Conv (r, w2)
}
"""


def _branches() -> Any:
    shapes = {"w1": (2, 3, 3, 3), "w2": (2, 2, 1, 1), "w3": (2, 3, 1, 1), "mean": (3, 1, 1)}
    weights: dict[str, Any] = {name: floats(*shape) for name, shape in shapes.items()}
    return model(BRANCHES, {**weights, "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])})


def test_layers_that_read_the_input_are_first() -> None:
    """Through a subtracted mean and a border too; each of two branches has a first layer."""
    graph = canonicalize(ir.from_proto(_branches())).graph
    origins = Origins()
    first = {str(node.outputs[0].name): origins.is_first(node) for node in graph if node.op_type == "Conv"}
    assert first == {"a": True, "b": True, "y": False}


def test_one_class_against_all_others_needs_classes() -> None:
    for name in ("clrp", "sglrp"):
        with pytest.raises(UnsupportedError, match="compares one class with all others"):
            onnxcam.Explainer(_branches(), name, score="y")(floats(1, 3, 6, 6))


def test_operators_without_a_rule_are_all_named() -> None:
    graph = model("""g (float[N, 3, 6, 6] x) => (float[N, 3, 1, 1] y) {
        a = LpPool <kernel_shape = [2, 2]> (x)
        y = GlobalLpPool (a)
    }""")
    with pytest.raises(UnsupportedError, match=r"2 operator\(s\).*GlobalLpPool.*LpPool.*use a gradient method"):
        onnxcam.Explainer(graph, "lrp", score="y")(floats(1, 3, 6, 6))


def test_the_torch_engine_knows_no_relevance() -> None:
    with pytest.raises(UnsupportedError, match="torch engine has no relevance"):
        onnxcam.Explainer(classifier(), "lrp", engine="torch")(floats(1, 3, 8, 8))
