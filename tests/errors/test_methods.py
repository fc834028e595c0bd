"""Methods where they do not work: one line that says why and which others do, an exit code of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxcam
from onnxcam.attribution.suggestions import without_backward_pass
from onnxcam.errors import DependencyError, NoGradientError, NoRuleError, OnnxcamError, UnsupportedError
from onnxcam.methods.registry import method, methods
from tests.helpers.commands import Ran, check, draw, run, save
from tests.helpers.models import classifier, floats, model

WEIGHTS: dict[str, Any] = {
    "w": floats(4, 3, 3, 3),
    "numbers": np.arange(4, dtype=np.float32).reshape(1, 1, 4),
    "boxes": np.array([[[0, 0, 1, 1], [0, 0, 2, 2], [1, 1, 2, 2], [2, 2, 3, 3]]], np.float32),
    "most": np.array([3]),
    "rows": np.array([1, 1, 4]),
    "on": np.array(True),
}
_POOLED = "p = GlobalAveragePool (b) y = Flatten (p)"
# After the layer "a" [n, 4, 6, 6]: what has no rule, and what names it.
NO_RULE = {
    "Det": "y = Det (a)",
    "com.microsoft:SampleOp": f"i = com.microsoft.SampleOp (a) b = Add (a, i) {_POOLED}",
    "Loop": """z = Abs (a) t = ReduceMax <keepdims = 0> (z) trips = Cast <to = 7> (t)
        b = Loop (trips, on, a) <body = step (int64 i, bool go, float[n, 4, 6, 6] v)
            => (bool more, float[n, 4, 6, 6] next) { more = Identity (go) next = Tanh (v) }>
        p = GlobalAveragePool (b) y = Flatten (p)""",
}
NO_GRADIENT = {
    "Round": f"b = Round (a) {_POOLED}",
    "NonMaxSuppression": """p = GlobalAveragePool (a) f = Reshape (p, rows)
        k = NonMaxSuppression (boxes, f, most) r = Cast <to = 1> (k) s = ReduceSum <keepdims = 0> (r)
        q = Add (numbers, s) y = Flatten (q)""",
}


def network_with(body: str, batch: str = "1") -> onnx.ModelProto:
    """Return a classifier of 4 classes whose layer "a" is followed by ``body``."""
    text = f"g (float[{batch}, 3, 8, 8] x) => (float[{batch}, 4] y) {{ c = Conv (x, w) a = Relu (c) {body} }}"
    proto = model(text, {name: array for name, array in WEIGHTS.items() if name in f"w {body}"})
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return proto


def small(name: str) -> Any:
    """Return a method of few steps, at one layer where it combines several."""
    few: dict[str, dict[str, Any]] = {"refine-cam": {"layers": ("a",)}, "rise": {"count": 8}}
    return method(name, **few.get(name, {}))


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw(Path("a.png"))
    return tmp_path


def explain(capsys: pytest.CaptureFixture[str], proto: onnx.ModelProto, *options: object) -> Ran:
    save(proto, Path("m.onnx"))
    return run(capsys, "explain", "m.onnx", "a.png", "-p", "unit", "-q", *options)


def raised(proto: onnx.ModelProto, name: Any, **options: Any) -> OnnxcamError | None:
    """Return the error of explaining one image, or None."""
    try:
        found = onnxcam.Explainer(proto, small(name) if isinstance(name, str) else name, threads=1, **options)
        found(floats(1, 3, 8, 8))
    except OnnxcamError as error:
        return error
    return None


ERRORS = [(kind, NO_RULE[kind], UnsupportedError) for kind in NO_RULE] + [
    (kind, NO_GRADIENT[kind], DependencyError) for kind in NO_GRADIENT
]


@pytest.mark.parametrize(("kind", "body", "error"), ERRORS, ids=[kind for kind, *_ in ERRORS])
def test_what_cannot_be_differentiated_names_methods_that_need_not(
    kind: str, body: str, error: type[OnnxcamError], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = "choose a later layer" if kind in NO_RULE else "choose a layer that the score depends on"
    named = ("ablation-cam", "score-cam", "rise", "eigen-cam", advice)
    check(explain(capsys, network_with(body), "--layer", "a"), error, kind, *named)
    for name, layer in (("relevance-cam", "a"), ("guided-backprop", None)):
        found = raised(network_with(body), name, layer=layer)
        assert isinstance(found, error)
        assert all(word in str(found) for word in (kind, *named))
    for name in ("ablation-cam", "score-cam", "eigen-cam"):
        assert raised(network_with(body), name, layer="a") is None


def test_methods_that_need_no_gradient_are_known_to_the_registry() -> None:
    """Each is run on a network that no gradient passes: those that are named work, all others do not."""
    failed = {name: raised(network_with(NO_RULE["Det"], "n"), name) for name in methods()}
    refused = {name for name, error in failed.items() if isinstance(error, NoRuleError)}
    unfit = {name for name, error in failed.items() if error is not None} - refused
    assert unfit == {"cam", "rollout", "le-grad"}
    assert refused == {name for name in failed if small(name).needs.backward_pass} - unfit
    of_score, blind = without_backward_pass()
    assert set(failed) - refused - unfit == {*of_score, *blind}
    assert "random-cam" in blind[1:]


def test_a_wrapper_needs_what_the_method_inside_needs(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = network_with(NO_RULE["Det"])
    check(explain(capsys, proto, "--method", "relevance-cam", "--wrap", "augment"), UnsupportedError, "Det", "rise")
    assert explain(capsys, proto, "--method", "score-cam", "--wrap", "augment").code == 0


def test_where_the_model_does_not_run_no_other_method_is_named(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = network_with(f"b = my.own.Twist (a) {_POOLED}")
    proto.opset_import.append(helper.make_opsetid("my.own", 1))
    ran = explain(capsys, proto, "--layer", "a")
    check(ran, UnsupportedError, "my.own:Twist", "the model does not run", "not a registered function")
    assert "score-cam" not in ran.err


@pytest.mark.parametrize(
    ("name", "said"),
    [("cam", "use hires-cam or grad-cam"), ("rollout", "use hires-cam"), ("le-grad", "use hires-cam or layer-cam")],
)
def test_a_network_that_a_method_is_not_for(
    name: str, said: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(explain(capsys, classifier(), "--method", name), UnsupportedError, said)
    assert explain(capsys, classifier(), "--method", "hires-cam").code == 0


# Layers that the score is not computed from


def beside() -> onnx.ModelProto:
    """Return a classifier with a second output, a map, that its score does not read."""
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y, float[n, 4, 6, 6] z) {
        c = Conv (x, w) a = Relu (c) p = GlobalAveragePool (a) y = Flatten (p) z = Sigmoid (c)
    }"""
    return model(text, {"w": WEIGHTS["w"]})


@pytest.mark.parametrize("name", [name for name, cls in methods().items() if cls().needs.at == "layer"])
def test_a_layer_that_the_score_does_not_depend_on(name: str) -> None:
    """Whether a method would differentiate, ablate, mask or propagate there; what explains no score may look anyway."""
    error = raised(beside(), name, layer="z")
    if name in without_backward_pass()[1]:
        assert error is None
    else:
        assert isinstance(error, DependencyError), error
        assert "'y' does not depend on 'z'" in str(error)
        assert "choose a layer that the score depends on" in str(error)
        assert not isinstance(error, NoGradientError)


@pytest.mark.parametrize("name", ["hires-cam", "ablation-cam", "score-cam"])
def test_a_layer_beside_the_way_from_the_command_line(
    name: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(explain(capsys, beside(), "--method", name, "--layer", "z"), DependencyError, "'z'", "inspect", "--score")


@pytest.mark.parametrize("name", ["lrp", "fg-cam"])
def test_an_end_that_the_score_does_not_depend_on(name: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(
        explain(capsys, beside(), "--method", name, "--to", "z"),
        DependencyError,
        "'z'",
        "choose a layer that the score depends on",
    )


def test_an_end_later_than_the_start(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = explain(capsys, classifier(), "--method", "fg-cam", "--layer", "a1", "--to", "a2")
    check(ran, DependencyError, "'a1' does not depend on 'a2'", "end at the layer itself or at an earlier one")


def test_methods_inside_a_wrapper_are_asked_too() -> None:
    from onnxcam.methods.registry import wrap

    assert raised(beside(), wrap("augment", method("eigen-cam")), layer="z") is None
    assert isinstance(raised(beside(), wrap("augment", method("score-cam")), layer="z"), DependencyError)
