from __future__ import annotations

import json
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxcam.errors import InputError
from onnxcam.report.files import make_folder, slug, to_json, write

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_json_is_valid_and_stable(value: object) -> None:
    def refuse(literal: str) -> None:
        raise AssertionError(literal)

    text = to_json(value)
    assert to_json(json.loads(text, parse_constant=refuse)) == text


def test_json_of_everything_else() -> None:
    value = {
        "b": np.float32(0.5),
        "a": (np.array([1, 2]), {2, 1}, Path("x"), math.nan, np.array([np.inf])),
        3: np.bool_(True),
    }
    assert json.loads(to_json(value)) == {"b": 0.5, "a": [[1, 2], [1, 2], "x", None, [None]], "3": True}


@given(st.text())
def test_slugs_are_plain_file_names(text: str) -> None:
    made = slug(text)
    assert len(made.encode()) <= 80
    assert not set(made) & set('/\\:*?"<>| \0\n')
    assert not made.startswith((".", "-"))


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write(path, lambda file: file.write(b"old"))

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"cannot be written \(No space"):
        write(path, fail)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("x", b"old")]


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("file", "file/below"):
        with pytest.raises(InputError, match="cannot be made"):
            make_folder(tmp_path / name)
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "none" / "x", lambda file: None)
