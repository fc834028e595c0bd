from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxcam.errors import InputError, NameNotFoundError
from onnxcam.images import METADATA_KEY, PRESETS, ImageInput, Preprocess, default_for
from tests.helpers.shared import shared_path

GOOD: dict[str, Any] = {"channels": "BGR", "mean": [1, 2, 3], "std": [4, 5, 6], "scale": 0.5}
FINITE = st.floats(-1e6, 1e6)


def spec(channels: int | None = 3, dtype: str = "float32") -> ImageInput:
    return ImageInput("x", 8, 8, channels, "NCHW", np.dtype(dtype))


@given(
    st.sampled_from(["RGB", "BGR", "L"]),
    FINITE,
    FINITE,
    st.floats(0.1, 10),
    st.sampled_from(["stretch", "crop", "letterbox"]),
    st.integers(0, 255),
)
def test_to_dict_reads_back(channels: Any, scale: float, mean: float, std: float, resize: Any, fill: int) -> None:
    made = Preprocess(channels, scale, (mean,), (std,), resize, fill)
    assert Preprocess.from_json(json.dumps(made.to_dict())) == made


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str) -> None:
    assert Preprocess.named(name) is Preprocess.parse(name) is PRESETS[name]


def test_a_preset_with_a_typo_is_suggested() -> None:
    with pytest.raises(NameNotFoundError, match="did you mean imagenet"):
        Preprocess.parse("imagnet")


def test_json_from_a_file_and_from_text(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    expected = Preprocess("BGR", 0.5, (1, 2, 3), (4, 5, 6))
    assert Preprocess.parse(str(path)) == Preprocess.from_json(path) == Preprocess.parse(json.dumps(GOOD)) == expected


def test_letterbox_is_a_fill_value_or_a_switch() -> None:
    by_value = Preprocess.from_json(json.dumps(GOOD | {"letterbox": 7}))
    assert (by_value.resize, by_value.fill) == ("letterbox", 7)
    assert Preprocess.from_json(json.dumps(GOOD | {"letterbox": True})).fill == 114
    assert Preprocess.from_json(json.dumps(GOOD | {"letterbox": False})).resize == "stretch"
    with pytest.raises(InputError, match="keep one"):
        Preprocess.from_json(json.dumps(GOOD | {"letterbox": True, "resize": "crop"}))


def test_every_entry_of_the_model_list_is_understood() -> None:
    entries = json.loads(shared_path("models", "models.json").read_text(encoding="utf-8"))
    made = {name: Preprocess.from_json(json.dumps(entry)) for name, entry in entries.items()}
    assert made["yolox_nano_detection"].resize == "letterbox"
    assert made["mnist_burn"].channels == "L"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"meen": 1}, "unknown keys meen; did you mean mean"),
        ({"channels": "RBG"}, "channels must be one of"),
        ({"channels": ["RGB"]}, "channels must be one of"),
        ({"mean": "0"}, "mean must be numbers"),
        ({"mean": [1, "2", 3]}, "mean must be finite numbers"),
        ({"mean": [1, 2]}, "mean has 2 values for 3 channels"),
        ({"mean": []}, "mean has 0 values"),
        ({"mean": None}, "mean must be numbers"),
        ({"mean": {"a": 1}}, "mean must be numbers"),
        ({"std": [1, 0, 1]}, "must not hold 0"),
        ({"std": True}, "std must be finite"),
        ({"scale": float("nan")}, "scale must be finite"),
        ({"scale": 10**400}, "scale must be finite"),
        ({"scale": [1]}, "scale must be finite"),
        ({"resize": "zoom"}, "resize must be one of"),
        ({"fill": 256}, "fill must be a whole number"),
        ({"letterbox": "yes"}, "fill must be a whole number"),
    ],
)
def test_bad_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Preprocess.from_json(json.dumps(GOOD | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", GOOD)
def test_missing_keys_are_named(key: str) -> None:
    with pytest.raises(InputError, match=f"lacks {key};"):
        Preprocess.from_json(json.dumps({other: value for other, value in GOOD.items() if other != key}))


@pytest.mark.parametrize("text", ["{", "{]", '{"a":' * 100_000])
def test_text_that_is_not_json(text: str) -> None:
    with pytest.raises(InputError, match="not valid JSON"):
        Preprocess.from_json(text)


def test_files_that_are_not_preprocessing(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(InputError, match="cannot be read"):
        Preprocess.parse(str(path))
    for data, message in [(b"[1]", "one object"), (b"\xff\xfe\x00", "not UTF-8"), (b" " * 2_000_000, "larger than")]:
        path.write_bytes(data)
        with pytest.raises(InputError, match=message):
            Preprocess.from_json(path)


def test_metadata_decides() -> None:
    made, note = default_for(spec(dtype="uint8"), {METADATA_KEY: json.dumps(GOOD)})
    assert made.channels == "BGR"
    assert METADATA_KEY in note
    assert default_for(spec(), {METADATA_KEY: "unit"})[0] == PRESETS["unit"]


def test_metadata_is_no_path_to_read(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    with pytest.raises(InputError, match="metadata entry"):
        default_for(spec(), {METADATA_KEY: str(path)})


@pytest.mark.parametrize(
    ("channels", "dtype", "expected", "assumed"),
    [
        (3, "float32", PRESETS["imagenet"], True),
        (None, "float16", PRESETS["imagenet"], True),
        (1, "float32", Preprocess("L", 1 / 255), True),
        (3, "uint8", Preprocess("RGB"), False),
        (1, "uint8", Preprocess("L"), False),
        (3, "int8", Preprocess("RGB", 1.0, (128,)), False),
        (3, "int32", Preprocess("RGB"), False),
    ],
)
def test_defaults(channels: int | None, dtype: str, expected: Preprocess, assumed: bool) -> None:
    made, note = default_for(spec(channels, dtype), {})
    assert made == expected
    assert note.startswith("assumed") == assumed
    assert ("--preprocess" in note) == assumed
