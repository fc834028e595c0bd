from __future__ import annotations

import pytest

from onnxcam.errors import NameNotFoundError, UnsupportedError
from onnxcam.graph.analysis.score import Score, find_score
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.models import classifier, model


def _score(ending: str, name: str | None = None, opset: int = 18) -> Score:
    return find_score(canonicalize(load(classifier(ending=ending, opset=opset)).ir).graph, name)


@pytest.mark.parametrize(
    ("ending", "name", "activation", "passed"),
    [
        ("y = Identity(logits)", "y", None, ()),
        ("y = Softmax(logits)", "logits", "softmax", ("Softmax",)),
        ("y = LogSoftmax(logits)", "logits", "softmax", ("LogSoftmax",)),
        ("y = Sigmoid(logits)", "logits", "sigmoid", ("Sigmoid",)),
        ("p = Softmax(logits)  y = Identity(p)", "logits", "softmax", ("Identity", "Softmax")),
        ("i = Identity(logits)  y = Softmax(i)", "logits", "softmax", ("Softmax", "Identity")),
        ("q = Relu(logits)  y = Softmax(q)", "q", "softmax", ("Softmax",)),
        ("s = Sigmoid(logits)  y = Softmax(s)", "s", "softmax", ("Softmax",)),
    ],
)
def test_a_final_activation_is_looked_through(
    ending: str, name: str, activation: str | None, passed: tuple[str, ...]
) -> None:
    score = _score(ending)
    assert (score.name, score.activation, score.passed) == (name, activation, passed)
    assert score.classes == 5


def test_a_named_score_stands_as_it_is() -> None:
    score = _score("y = Softmax(logits)", name="y")
    assert (score.name, score.activation) == ("y", None)
    assert _score("y = Softmax(logits)", name="logits").activation == "softmax"


def test_a_reshape_that_the_converter_adds_is_passed() -> None:
    # Before opset 13 Softmax flattened its input, which the converter writes out.
    assert _score("y = Softmax <axis = 1> (logits)", opset=11).name == "logits"


def test_argmax_gives_the_scores_it_chose_from() -> None:
    proto = classifier(ending="y = Identity(logits)  best = ArgMax <axis = 1> (logits)")
    proto.graph.output[0].CopyFrom(proto.graph.output[0].__class__(name="best"))
    proto.graph.output[0].type.tensor_type.elem_type = 7
    score = find_score(canonicalize(load(proto).ir).graph)
    assert (score.name, score.activation) == ("logits", "softmax")


def test_integer_outputs_alone_are_refused() -> None:
    proto = model("g (int64[n, 3] x) => (int64[n, 3] y) { y = Add(x, x) }")
    with pytest.raises(UnsupportedError, match="--score"):
        find_score(canonicalize(load(proto).ir).graph)


def test_a_typo_is_met_with_near_names() -> None:
    with pytest.raises(NameNotFoundError, match="did you mean logits"):
        _score("y = Softmax(logits)", name="logit")
