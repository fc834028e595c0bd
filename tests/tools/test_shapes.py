"""The known-truth shapes set: what decides the class is where the masks say, and the committed files are current."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import PIL
import pytest
from numpy.typing import NDArray
from PIL import Image

from tools.shapes.clutter import SIZE
from tools.shapes.draw import RADII, draw
from tools.shapes.outlines import CLASSES, REACH, area, outline
from tools.shapes.samples import DEMO, MODEL, SAMPLES, SEEDS, WHEEL, file_name

LABELS = range(len(CLASSES))
PATHS = sorted(path for path in SAMPLES.glob("*.png") if not path.name.endswith(".mask.png"))


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.array(image)


def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The committed model's logits, fed as its own metadata says."""
    metadata = {prop.key: prop.value for prop in onnx.load(MODEL).metadata_props}
    recipe = json.loads(metadata["onnxcam.preprocess"])
    assert json.loads(metadata["onnxcam.labels"]) == list(CLASSES)
    assert recipe["channels"] == "RGB"
    x = (images * recipe["scale"] - np.array(recipe["mean"])) / np.array(recipe["std"])
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(["logits"], {"image": x.transpose(0, 3, 1, 2).astype(np.float32)})[0]
    return found


@pytest.mark.parametrize("label", LABELS)
def test_shapes_have_equal_area_and_keep_within_reach(label: int) -> None:
    rim, *holes = outline(label)
    assert area(rim) - sum(map(area, holes)) == pytest.approx(np.pi)
    assert np.linalg.norm(rim, axis=1).max() < REACH


def test_a_seed_always_draws_the_same() -> None:
    first, again, other = draw(123), draw(123), draw(129)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert first.label == other.label
    assert (first.image != other.image).any()


@pytest.mark.parametrize("seed", range(100, 106))
def test_the_class_changes_nothing_outside_the_masks(seed: int) -> None:
    drawn = [draw(seed, label) for label in LABELS]
    for one in drawn[1:]:
        outside = ~(drawn[0].mask | one.mask)
        np.testing.assert_array_equal(drawn[0].image[outside], one.image[outside])


@pytest.mark.parametrize("label", LABELS)
def test_the_mask_is_the_shape(label: int) -> None:
    """Its area is the outline's and a rim; every class's own pixels differ from the other classes' clutter."""
    one = draw(7, label)
    assert np.pi * RADII[0] ** 2 < one.mask.sum() < 1.6 * np.pi * RADII[1] ** 2
    assert not one.mask[[0, -1]].any()
    assert not one.mask[:, [0, -1]].any()
    other = draw(7, (label + 1) % len(CLASSES))
    changed = (one.image != other.image).any(axis=2)
    only_one_shape = one.mask ^ other.mask
    assert changed[only_one_shape].mean() > 0.9


def test_seeds_in_a_row_are_balanced() -> None:
    assert [draw(seed).label for seed in range(6)] == list(LABELS)


@pytest.mark.skipif(
    tuple(map(int, PIL.__version__.split(".")[:2])) < (11, 2), reason="Pillow drew some polygon edges otherwise"
)
@pytest.mark.parametrize("seed", SEEDS)
def test_committed_samples_are_what_the_code_draws(seed: int) -> None:
    drawing = draw(seed)
    path = SAMPLES / f"{file_name(seed, drawing)}.png"
    np.testing.assert_array_equal(pixels(path), drawing.image)
    np.testing.assert_array_equal(pixels(path.with_suffix(".mask.png")) > 0, drawing.mask)


def test_two_samples_of_each_class_and_nothing_else_are_committed() -> None:
    names = [file_name(seed, draw(seed)) for seed in SEEDS]
    expected = {name + ending for name in names for ending in (".png", ".mask.png")}
    assert {path.name for path in SAMPLES.iterdir()} == expected


def test_the_wheel_carries_the_same_bytes() -> None:
    originals = [MODEL, *(SAMPLES / f"{file_name(seed, draw(seed))}.png" for seed in DEMO)]
    for original in originals:
        assert (WHEEL / original.name).read_bytes() == original.read_bytes()


def test_the_model_is_small_and_whole() -> None:
    assert MODEL.stat().st_size < 700_000
    model = onnx.load(MODEL, load_external_data=False)
    assert not any(one.data_location == onnx.TensorProto.EXTERNAL for one in model.graph.initializer)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:] == [3, SIZE, SIZE]


def test_the_model_knows_every_sample() -> None:
    named = [path.stem.split("_")[1] for path in PATHS]
    found = logits(np.stack([pixels(path) for path in PATHS])).argmax(axis=1)
    assert [CLASSES[label] for label in found] == named


def test_the_deciding_pixels_decide() -> None:
    """Drawing another class at the same position turns the answer for most seeds."""
    seeds = range(3_000_000, 3_000_012)
    drawn = [draw(seed, label) for seed in seeds for label in LABELS]
    found = logits(np.stack([one.image for one in drawn])).argmax(axis=1)
    assert np.mean([one.label for one in drawn] == found) > 0.9
