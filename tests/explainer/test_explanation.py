from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxcam.errors import InputError
from onnxcam.explanation import Explanation, Images, Recipe
from onnxcam.images import Frame

LABELS = ("n02123045 tabby, tabby cat", "boxer", "owl")
PARTS = ("recipe", "images")
SCORES = np.array([[0, 2, 1], [3, -1, 3]], np.float32)


def explanation(**changes: Any) -> Explanation:
    """Return the explanation of two images, with some fields of it, its recipe or its images changed."""
    rng = np.random.default_rng(0)
    recipe = Recipe(
        layer="features/29",
        method={"name": "hires-cam"},
        score="logits",
        provider="CPUExecutionProvider",
        labels=LABELS,
        activation="softmax",
        provenance={"model": "m.onnx", "sha256": "0" * 64, "preprocessing": {"scale": np.float32(1)}},
    )
    images = Images(
        names=("a/cat.jpg", "b/cat.jpg"),
        photos=(Image.new("RGB", (60, 40), "gray"), Image.new("L", (8, 8))),
        frames=(Frame.whole((60, 40), (8, 8)), Frame.whole((8, 8), (8, 8))),
    )
    made = Explanation(
        maps=rng.random((2, 8, 8), dtype=np.float32),
        raw=rng.standard_normal((2, 2, 2)).astype(np.float32),
        scores=SCORES,
        targets=np.array([1, 0]),
        warnings=((), ("the map is blank",)),
        recipe=recipe,
        images=images,
    )
    return changed(made, **changes)


def changed(one: Explanation, **changes: Any) -> Explanation:
    """Return an explanation with some fields of it, its recipe or its images changed."""
    parts = {name: {key: changes.pop(key) for key in vars(getattr(one, name)) if key in changes} for name in PARTS}
    return replace(one, **changes, **{name: replace(getattr(one, name), **own) for name, own in parts.items()})


def test_one_image_of_many() -> None:
    result = explanation()
    assert len(result) == 2
    last = result[-1]
    assert len(last) == 1
    np.testing.assert_array_equal(last.maps, result.maps[1:])
    assert last.targets.tolist() == [0]
    assert (last.names, last.warnings) == (("b/cat.jpg",), (("the map is blank",),))
    assert last.photos == result.photos[1:] if result.photos else False
    assert [one.names[0] for one in result] == ["a/cat.jpg", "b/cat.jpg"]
    with pytest.raises(IndexError):
        result[2]


def test_top_by_probability() -> None:
    powers = np.exp(SCORES.astype(float))
    expected = powers / powers.sum(axis=1, keepdims=True)
    best = explanation().top(2)
    assert [[(p.class_index, p.label) for p in image] for image in best] == [
        [(1, "boxer"), (2, "owl")],
        [(0, "tabby, tabby cat"), (2, "owl")],
    ]
    assert best[0][0].value == pytest.approx(expected[0, 1])
    assert len(explanation().top(99)[0]) == 3


def test_activations() -> None:
    assert explanation(activation=None).explained[0] == (1, "boxer", 2.0)
    assert explanation(activation="sigmoid").explained[0].value == pytest.approx(1 / (1 + np.exp(-2)))
    assert explanation(labels=None).explained[0].label == "class 1"


def test_scores_without_bounds_make_no_noise() -> None:
    wild = np.array([[np.inf, -np.inf, 0], [np.nan, 1e38, -1e38]], np.float32)
    for activation in ("softmax", "sigmoid", None):
        best = explanation(scores=wild, activation=activation).top()
        assert [image[0].class_index for image in best] == [0, 1]


def test_counts_must_agree() -> None:
    with pytest.raises(InputError, match="'scores': 1"):
        explanation(scores=SCORES[:1])


def test_repr_is_one_short_line() -> None:
    expected = "<Explanation of 2 images by hires-cam at features/29, maps 8x8, 1 with warnings>"
    assert repr(explanation()) == expected
    assert repr(explanation()[0]) == "<Explanation of 1 image by hires-cam at features/29, maps 8x8>"


def test_overlay_has_the_size_of_the_photograph() -> None:
    result = explanation()
    assert result.overlay(0, captioned=False).size == (300, 200)
    assert result.overlay(0).height > 200
    assert result.overlay(1, captioned=False).size == (256, 256)
    assert explanation(photos=(), frames=()).overlay(1, captioned=False).size == (256, 256)


def test_overlay_shows_the_bright_position_and_dims_what_was_cropped() -> None:
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, :, 6:] = 1
    frame = Frame((400, 400), (8, 8), (100.0, 100.0, 300.0, 300.0))
    one = changed(explanation()[0], maps=maps, photos=(Image.new("RGB", (400, 400), (90, 90, 90)),), frames=(frame,))
    pixels = np.asarray(one.overlay(captioned=False), np.int16)
    yellow = (pixels[:, :, 0] - pixels[:, :, 2]) > 60
    rows, columns = np.nonzero(yellow)
    assert (rows.min(), rows.max()) == (100, 299)
    assert 235 < columns.min() < 260
    assert columns.max() == 299
    assert pixels[50, 50].tolist() == [45, 45, 45]
    assert pixels[150, 150].tolist() == [90, 90, 90]


def test_notebooks_see_a_picture() -> None:
    for result in (explanation(), explanation()[0]):
        data = result._repr_png_()
        assert data is not None
        assert Image.open(io.BytesIO(data)).format == "PNG"
    assert explanation(photos=())._repr_png_() is None


def test_save_writes_three_files_an_image(tmp_path: Path) -> None:
    result = explanation()
    first, second = result.save(tmp_path / "new" / "out")
    assert first.record.name == "cat-hires-cam-boxer.json"
    assert second.record.name == "cat-hires-cam-tabby.json"
    np.testing.assert_array_equal(np.load(second.raw), result.raw[1])
    assert np.asarray(Image.open(first.overlay)).tolist() == np.asarray(result.overlay(0)).tolist()
    record = json.loads(second.record.read_text(encoding="utf-8"))
    assert record["target"] == {"class_index": 0, "label": "tabby, tabby cat", "value": pytest.approx(0.4954, abs=1e-4)}
    assert record["source"] == "b/cat.jpg"
    assert record["warnings"] == ["the map is blank"]
    assert record["files"] == {"overlay": second.overlay.name, "raw": second.raw.name}
    assert record["provenance"] == {"model": "m.onnx", "sha256": "0" * 64, "preprocessing": {"scale": 1.0}}
    assert {"method", "layer", "score", "provider", "predictions"} <= set(record)
    assert len(list((tmp_path / "new" / "out").iterdir())) == 6


def test_equal_names_never_collide(tmp_path: Path) -> None:
    """Not within a call, not between calls, and saving again replaces instead of piling up."""
    result = explanation(targets=np.array([1, 1]))
    for _ in range(2):
        together = [saved.record.stem for saved in result.save(tmp_path)]
        assert together == ["cat-hires-cam-boxer", "cat-hires-cam-boxer-2"]
        assert [result[1].save(tmp_path)[0].record.stem] == together[1:]
    other = changed(result[0], layer="features/10")
    assert other.save(tmp_path)[0].record.stem == "cat-hires-cam-boxer-3"
    assert len(list(tmp_path.iterdir())) == 9


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    (one, _), (two, _) = explanation().save(tmp_path / "1"), explanation().save(tmp_path / "2")
    assert [path.read_bytes() for path in one.paths.values()] == [path.read_bytes() for path in two.paths.values()]


def test_a_given_stem_replaces_explanations_but_nothing_else(tmp_path: Path) -> None:
    result = explanation()
    for one in result:
        assert one.save(tmp_path, "mine")[0].overlay.name == "mine.png"
    assert [saved.overlay.name for saved in result.save(tmp_path, "all")] == ["all-1.png", "all-2.png"]
    (tmp_path / "photo.png").write_bytes(b"precious")
    assert result[0].save(tmp_path, "photo")[0].overlay.name == "photo-2.png"
    assert (tmp_path / "photo.png").read_bytes() == b"precious"
    for stem in ("../up", "a/b", "", ".."):
        with pytest.raises(InputError, match="cannot be a file name"):
            result[0].save(tmp_path, stem)


@pytest.mark.parametrize("name", ["", "..", "image", "\u732b.png", "x" * 300 + ".png", "https://host/a b?c.png"])
def test_odd_sources_make_safe_names(tmp_path: Path, name: str) -> None:
    saved = explanation(names=(name, "other"), labels=None)[0].save(tmp_path)[0]
    assert saved.record.parent == tmp_path
    assert saved.record.name.endswith("-hires-cam-1.json")


def test_not_finite_numbers_become_null(tmp_path: Path) -> None:
    broken = explanation(scores=np.full((2, 3), np.nan, np.float32), raw=np.full((2, 2, 2), np.nan, np.float32))
    text = broken.save(tmp_path)[0].record.read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["target"]["value"] is None


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be made"):
        explanation().save(tmp_path / "file")
