from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxcam.errors import InputError, NameNotFoundError, TargetError
from onnxcam.images import check_labels, find_label, label_of, load_labels
from tests.helpers.shared import shared_path

LABELS = (
    "n02123045 tabby, tabby cat",
    "n02123159 tiger cat",
    "n02129604 tiger, Panthera tigris",
    "n02012849 crane",
    "n03126707 crane",
    "Bull_Mastiff",
    "boxer",
    "boxers",
)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("tabby", 0),
        ("Tabby Cat", 0),
        ("tabby, tabby cat", 0),
        ("n02123045 tabby, tabby cat", 0),
        ("tiger", 2),
        ("panthera", 2),
        ("n03126707", 4),
        ("bull mastiff", 5),
        ("mastiff", 5),
        ("boxer", 6),
    ],
)
def test_find(name: str, index: int) -> None:
    assert find_label(name, LABELS) == index


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crane", r"could be crane \(3\), crane \(4\); give"),
        ("cat", r"tabby, tabby cat \(0\), tiger cat \(1\)"),
        ("taby", "did you mean tabby"),
        ("box", "no label is named"),
        ("", "no label is named"),
        ("(", "no label is named"),
    ],
)
def test_not_found(name: str, message: str) -> None:
    with pytest.raises(NameNotFoundError, match=message):
        find_label(name, LABELS)


@given(st.lists(st.text("abc ,_", min_size=1), unique=True, min_size=1), st.data())
def test_a_label_as_written_always_means_itself(labels: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(labels) - 1))
    if labels[index].replace("_", " ").strip():
        assert find_label(labels[index], labels) == index


def test_label_of() -> None:
    assert label_of(0, LABELS) == "tabby, tabby cat"
    assert label_of(7, None) == "class 7"
    assert label_of(0, ["", "a"]) == "class 0"
    for index in (-1, 8):
        with pytest.raises(TargetError, match="there are 8, from 0 to 7"):
            label_of(index, LABELS)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", "cat\n dog \n\nowl\n\n", ("cat", "dog", "", "owl")),
        ("a.txt", "\ufeffcat", ("cat",)),
        ("a.json", '["cat", "dog"]', ("cat", "dog")),
        ("a.txt", '["cat", "dog"]', ("cat", "dog")),
        ("a.json", '{"1": "dog", "0": "cat"}', ("cat", "dog")),
        ("a.json", '{"0": ["n01440764", "tench"]}', ("n01440764 tench",)),
    ],
)
def test_load(tmp_path: Path, name: str, text: str, expected: tuple[str, ...]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_labels(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"0": "cat", "2": "dog"}', "no name for class 1"),
        (b'{"cat": 0}', "invalid literal"),
        (b'["cat", 3]', "3 is no name"),
        (b"3", "neither a list"),
        (b"[", "label file"),
        (b"[]", "holds no names"),
        (b"\xff", "not UTF-8"),
        (b"[" * 200_000, "label file"),
    ],
)
def test_bad_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        load_labels(tmp_path / "a.json")
    assert len(str(caught.value)) < 400


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_labels(tmp_path / "none.txt")


def test_lengths() -> None:
    check_labels(LABELS, 8)
    with pytest.raises(InputError, match="background class: remove it"):
        check_labels(["background", "cat"], 1)
    with pytest.raises(InputError, match="add a name for it before the first"):
        check_labels(["cat"], 2)
    with pytest.raises(InputError, match="8 labels for a model of 1000 classes; give the list"):
        check_labels(LABELS, 1000)


def test_imagenet() -> None:
    labels = load_labels(shared_path("images", "imagenet_labels.json"))
    shifted = load_labels(shared_path("images", "imagenet_labels_1001.txt"))
    assert json.loads(json.dumps(labels)) == list(labels)
    for name, index in {"tabby": 281, "boxer": 242, "bull mastiff": 243, "tiger cat": 282}.items():
        assert find_label(name, labels) == index
        assert find_label(name, shifted) == index + 1
    assert label_of(281, labels) == label_of(282, shifted) == "tabby, tabby cat"
    with pytest.raises(InputError, match="'background'"):
        check_labels(shifted, 1000)
