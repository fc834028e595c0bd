from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import onnxcam
from onnxcam.errors import NameNotFoundError, TargetError
from onnxcam.graph.analysis.score import Score
from onnxcam.methods.formulas.gradient import Gradient
from onnxcam.targets import Box, Class, Cotangent, Difference, Target
from onnxcam.targets.parse import parse_targets
from onnxcam.targets.scores import scores_by_class
from tests.helpers.models import classifier, floats, model

CLASSES = Score("y", None, ("n", 5), ())
DENSE = Score("y", None, ("n", 3, 2, 4), (), "NCHW")
LAST = Score("y", None, ("n", 2, 4, 3), (), "NHWC")
BOXES = Score("y", None, ("n", 4, 7), (), coordinates=4)
LABELS = ["ant", "pug-dog", "cat", "dog", "eel"]


def test_kinds_of_scores() -> None:
    assert [score.kind for score in (CLASSES, DENSE, LAST, BOXES)] == ["classes", "dense", "dense", "boxes"]
    assert [score.classes for score in (CLASSES, DENSE, LAST, BOXES)] == [5, 3, 3, None]
    assert Score("y", None, ("n", 5, 1, 1), ()).kind == "classes"
    assert Score("y", None, ("n", 5, 4, 3), ()).kind == "other"


def test_a_class_of_a_vector() -> None:
    scores = np.array([0.1, 3, -1, 2, 0], np.float32)
    for target, index in ((Class(2), 2), (Class(), 1), (Class(rank=1), 3), (Class(rank=4), 2)):
        cotangent, found = target.resolve(scores, CLASSES)
        assert found == index
        np.testing.assert_array_equal(cotangent, np.eye(5)[index])


def test_a_class_over_places_is_its_mean_over_the_region() -> None:
    scores = floats(3, 2, 4)
    won = scores.argmax(axis=0)
    cotangent, index = Class().resolve(scores, DENSE)
    assert index == np.bincount(won.ravel()).argmax()
    assert (cotangent * scores).sum() == pytest.approx(scores[index][won == index].mean())
    mask = np.zeros((2, 4), bool)
    mask[1, 2:] = True
    cotangent, _ = Class(2, mask).resolve(scores, DENSE)
    assert (cotangent * scores).sum() == pytest.approx(scores[2, 1, 2:].mean())
    big, _ = Class(2, mask.repeat(3, axis=0).repeat(2, axis=1)).resolve(scores, DENSE)
    np.testing.assert_array_equal(big, cotangent)
    last, _ = Class(2, mask).resolve(scores.transpose(1, 2, 0), LAST)
    np.testing.assert_array_equal(last, cotangent.transpose(1, 2, 0))


def test_a_class_that_wins_nowhere_is_explained_everywhere() -> None:
    scores = np.zeros((3, 2, 4), np.float32)
    scores[0] = 1
    cotangent, _ = Class(1).resolve(scores, DENSE)
    np.testing.assert_array_equal(cotangent[1], np.full((2, 4), 1 / 8))


def test_a_difference_of_classes() -> None:
    cotangent, index = Difference(3, (1, 4), weight=0.5).resolve(floats(5), CLASSES)
    assert index == 3
    np.testing.assert_array_equal(cotangent, [0, -0.25, 0, 1, -0.25])


def test_boxes_go_by_index_value_or_rank() -> None:
    scores = floats(4, 7)
    rated = scores[:, 4:]
    best = rated.max(axis=1)
    for target, box, value in (
        (Box(2), 2, 4 + rated[2].argmax()),
        (Box(2, 6), 2, 6),
        (Box(), best.argmax(), 4 + rated[best.argmax()].argmax()),
        (Box(rank=1), np.argsort(-best)[1], 4 + rated[np.argsort(-best)[1]].argmax()),
        (Box(-1, 5), scores[:, 5].argmax(), 5),
    ):
        cotangent, index = target.resolve(scores, BOXES)
        assert index == box
        assert np.argwhere(cotangent).tolist() == [[box, value]]


def test_boxes_along_the_last_axis() -> None:
    scores, turned = floats(4, 7), Score("y", None, ("n", 7, 4), (), box_axis=2, coordinates=4)
    for target in (Box(2), Box(2, 6), Box(), Box(rank=1), Class()):
        cotangent, index = target.resolve(scores, BOXES)
        found, box = target.resolve(scores.T, turned)
        assert box == index
        np.testing.assert_array_equal(found, cotangent.T)
    np.testing.assert_array_equal(scores_by_class(scores.T[None], turned), scores_by_class(scores[None], BOXES))


@pytest.mark.parametrize(
    ("ending", "shape", "batch"),
    [
        ("y = Squeeze (f, one)", "n", "n"),
        ("y = Squeeze (f, one)", "1", "1"),
        ("y = Squeeze (f)", "", "1"),
    ],
)
def test_one_score_a_sample(ending: str, shape: str, batch: str) -> None:
    """Regressors and heads of one logit write [N], or a number alone."""
    text = """g (float[{}, 3, 8, 8] x) => (float{} y) {{
        c = Conv (x, w) a = Relu (c) p = GlobalAveragePool (a) q = Flatten (p) f = MatMul (q, v) {}
    }}"""
    weights = {"w": floats(4, 3, 3, 3), "v": floats(4, 1, seed=1), "one": np.array([1])}
    made, with_both = (
        onnxcam.Explainer(model(text.format(*parts), weights), "hires-cam", preprocess="unit")
        for parts in ((batch, f"[{shape}]" if shape else "", ending), ("n", "[n, 1]", "y = Identity (f)"))
    )
    x = floats(2, 3, 8, 8)
    assert made.network.score.kind == "classes"
    for targets in (None, 0, Cotangent(np.ones(1, np.float32))):
        found, expected = made(x, targets=targets), with_both(x, targets=targets)
        assert found.scores.shape == (2, 1)
        np.testing.assert_allclose(found.raw, expected.raw, rtol=1e-5)
    with pytest.raises(TargetError, match="the model has 1 class, 0"):
        made(x, targets=1)


def test_scores_of_one_sample_without_a_batch_axis() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[4] y) {
        c = Conv (x, w) a = Relu (c) p = GlobalAveragePool (a) y = Reshape (p, flat)
    }"""
    made = onnxcam.Explainer(model(text, {"w": floats(4, 3, 3, 3), "flat": np.array([-1])}), "hires-cam")
    x = floats(2, 3, 8, 8)
    found = made(x, targets=[1, 3])
    assert found.scores.shape == (2, 4)
    # HiResCAM of an average is conserved: its mean is the score.
    np.testing.assert_allclose(found.raw.sum(axis=(1, 2)), found.scores[[0, 1], [1, 3]], rtol=1e-5)


@pytest.mark.parametrize(("batch", "shape"), [("n", "6, n, 5"), ("1", "6, 1, 5"), ("n", "6, m, 5")])
def test_steps_in_front_of_samples(batch: str, shape: str) -> None:
    """Readers of text give classes at each step as [steps, N, classes]."""
    text = f"""g (float[{batch}, 3, 4, 6] x) => (float[{shape}] y) {{
        c = Conv (x, w) m = ReduceMean <keepdims = 0> (c, rows) t = Transpose <perm = [2, 0, 1]> (m)
        y = LogSoftmax <axis = 2> (t)
    }}"""
    w = floats(5, 3, 1, 1)
    made = onnxcam.Explainer(model(text, {"w": w, "rows": np.array([2])}), Gradient(reduce="sum"), preprocess="unit")
    x = floats(2, 3, 4, 6)
    steps = np.einsum("kc,nchw->nwk", w[:, :, 0, 0], x) / 4
    found = made(x, targets=[Box(4, 3), None])
    best = steps.max(axis=2)
    best[0, 4] = steps[0, 4, 3]
    np.testing.assert_allclose(found.scores, best, rtol=1e-4)
    assert found.record()["target"]["label"] == "box 4"
    expected = np.zeros((4, 6), np.float32)
    expected[:, 4] = w[3].sum() / 4
    np.testing.assert_allclose(found.raw[0], expected, rtol=1e-4, atol=1e-6)
    # Softmax makes probabilities of all values: none of them is a coordinate.
    step, kind = np.unravel_index(steps[1].argmax(), steps[1].shape)
    expected = np.zeros((4, 6), np.float32)
    expected[:, step] = w[kind].sum() / 4
    np.testing.assert_allclose(found.raw[1], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("target", "score", "message"),
    [
        (Class(5), CLASSES, "5 classes"),
        (Class(rank=5), CLASSES, "no number 6"),
        (Class(0, np.zeros((2, 4), bool)), DENSE, "empty"),
        (Class(0, np.ones(3, bool)), DENSE, "does not fit"),
        (Box(0), CLASSES, "name a class"),
        (Box(4), BOXES, "does not exist"),
        (Box(0, 7), BOXES, "does not exist"),
        (Class(0), Score("y", None, ("n", 5, 4, 3), ()), "unknown axes"),
        (Cotangent(np.ones(4)), CLASSES, "does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(target: Target, score: Score, message: str) -> None:
    shape = tuple(size for size in score.shape[1:] if isinstance(size, int))
    with pytest.raises(TargetError, match=message):
        target.resolve(floats(*shape), score)


def test_texts() -> None:
    def read(text: str) -> list[str]:
        return [target.describe() for target in parse_targets(text, LABELS)]

    assert read("predicted") == ["predicted class of rank 1"]
    assert read("3") == read("dog") == ["class 3"]
    assert read("pug-dog") == ["class 1"]
    assert read("top:2") == ["predicted class of rank 1", "predicted class of rank 2"]
    assert read("3-0") == read("dog-ant") == ["class 3 less 1 times the mean of 0"]
    assert read("pug-dog-cat") == ["class 1 less 1 times the mean of 2"]
    assert read("box:12") == ["box 12"]
    assert read("box:12:5") == ["box 12, value 5"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("cow", NameNotFoundError),
        ("-1", TargetError),
        ("top:0", TargetError),
        ("top:x", TargetError),
        ("box:1:2:3", TargetError),
        ("box:x", TargetError),
        ("top:", TargetError),
        ("", TargetError),
        ("mask:file.png", TargetError),
        ("cow-dog", NameNotFoundError),
    ],
)
def test_wrong_texts_are_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_targets(text, LABELS)


def test_a_mask_is_read_from_a_picture(tmp_path: Path) -> None:
    picture = np.zeros((4, 6), np.uint8)
    picture[:2] = 255
    Image.fromarray(picture).save(tmp_path / "a:b.png")
    target = parse_targets(f"mask:{tmp_path / 'a:b.png'}:cat", LABELS)[0]
    assert isinstance(target, Class)
    assert target.index == 2
    assert target.mask is not None
    np.testing.assert_array_equal(target.mask, picture > 0)


def _one_hot(row: int) -> npt.NDArray[np.float32]:
    return np.asarray(np.eye(5, dtype=np.float32)[row])


def test_every_way_to_a_target_gives_the_same_map() -> None:
    explainer, x = onnxcam.Explainer(classifier(), labels=LABELS), floats(2, 3, 8, 8)
    by_index = explainer(x, [3, 0])
    by_array = explainer(x, [Cotangent(_one_hot(3), 3), Cotangent(_one_hot(0))])
    np.testing.assert_allclose(by_array.raw, by_index.raw, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(by_array.targets, [3, 0])
    difference = explainer(x, Difference(3, (0,)))
    three, zero = explainer(x, 3), explainer(x, 0)
    np.testing.assert_allclose(difference.raw, three.raw - zero.raw, rtol=1e-4, atol=1e-5)
    second = explainer(x, Class(rank=1))
    np.testing.assert_array_equal(second.targets, np.argsort(-second.scores, axis=1)[:, 1])


def test_dense_scores_are_explained_place_by_place() -> None:
    proto = model(
        """g (float[1, 3, 8, 8] x) => (float[1, 8, 8, 4] y) {
            a = Conv <pads = [1, 1, 1, 1]> (x, w)  r = Relu(a)  s = Conv(r, k)  y = Transpose <perm = [0, 2, 3, 1]> (s)
        }""",
        {"w": floats(5, 3, 3, 3), "k": floats(4, 5, 1, 1, seed=1)},
    )
    explainer, x = onnxcam.Explainer(proto), floats(2, 3, 8, 8)
    assert explainer.layer.name == "r"
    mask = np.zeros((8, 8), bool)
    mask[2, 5] = True
    result = explainer(x, Class(1, mask))
    # One place of a 1x1 convolution reads one place.
    assert (result.raw[:, ~mask] == 0).all()
    assert (result.raw[:, 2, 5] != 0).all()
    assert result.scores.sum(axis=1) == pytest.approx([1, 1])


def test_the_same_class_asked_for_differently_has_its_own_files(tmp_path: Path) -> None:
    explainer, x = onnxcam.Explainer(classifier()), floats(1, 3, 8, 8)
    names = [explainer(x, target).save(tmp_path)[0].overlay.name for target in (3, 3, Difference(3, (0,)))]
    assert names[0] == names[1] != names[2]
