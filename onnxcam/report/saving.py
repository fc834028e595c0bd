"""One explanation as files that belong together and take nobody else's place."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxcam.errors import InputError
from onnxcam.report.files import plain, slug, to_json, write

FORMAT = "onnxcam-explanation-1"

# Two records that agree in these tell of the same explanation, whatever machine made it.
_IDENTITY = ("source", "method", "layer", "score")
_PLAIN = re.compile(r"class \d+|predicted class of rank \d+")
_PROVENANCE = ("sha256", "preprocessing")


class Saved(NamedTuple):
    """The files of one image.

    Attributes:
        overlay: the picture (PNG).
        raw: the signed map at the layer's size (NPY).
        record: what is needed to repeat it (JSON).
        film: the strip from coarse to fine (PNG), if there is one.
    """

    overlay: Path
    raw: Path
    record: Path
    film: Path | None = None

    @property
    def paths(self) -> dict[str, Path]:
        """Those that there are."""
        return {name: path for name, path in self._asdict().items() if path is not None}


class Writer:
    """Writes explanations into one folder.

    Args:
        folder: where to; it exists.
        replace: whether any explanation of the same name may be replaced, or only an earlier copy of the same one.
    """

    def __init__(self, folder: Path, replace: bool = False) -> None:
        self._folder = folder
        self._replace = replace
        self._taken: set[str] = set()

    def save(
        self,
        stem: str,
        picture: Image.Image,
        raw: npt.NDArray[Any],
        record: Mapping[str, Any],
        film: Image.Image | None = None,
    ) -> Saved:
        """Write the files under the first free name that begins with the stem.

        Raises:
            InputError: the stem is not a file name, or the folder cannot be written.
        """
        if stem != Path(stem).name or not stem.strip(". "):
            raise InputError(
                f"'{stem}' cannot be a file name; give one without folders, such as '{slug(stem) or 'map'}'"
            )
        saved = self._free(stem, record, film is not None)
        files = {name: path.name for name, path in saved.paths.items() if name != "record"}
        write(saved.overlay, lambda file: picture.save(file, "PNG"))
        write(saved.raw, lambda file: np.save(file, raw, allow_pickle=False))
        if film is not None and saved.film is not None:
            write(saved.film, lambda file: film.save(file, "PNG"))
        # The record comes last: where it stands, the others do.
        write(saved.record, lambda file: file.write(to_json({**record, "files": files}).encode()))
        return saved

    def _free(self, stem: str, record: Mapping[str, Any], film: bool) -> Saved:
        for number in itertools.count(1):
            name = stem if number == 1 else f"{stem}-{number}"
            ends = (".png", ".npy", ".json", *(["-film.png"] if film else []))
            saved = Saved(*(self._folder / f"{name}{end}" for end in ends))
            # Some file systems take Cat and cat for one name.
            if name.casefold() not in self._taken and self._may_take(saved, record):
                self._taken.add(name.casefold())
                return saved
        raise AssertionError("unreachable: numbers do not end")

    def _may_take(self, saved: Saved, record: Mapping[str, Any]) -> bool:
        if not any(path.exists() for path in saved.paths.values()):
            return True
        earlier = _read(saved.record)
        return earlier is not None and (self._replace or _identity(earlier) == _identity(record))


def _read(path: Path) -> Mapping[str, Any] | None:
    """Return an earlier record, or None where the file is something else."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def _identity(record: Mapping[str, Any]) -> object:
    target, provenance = record.get("target") or {}, record.get("provenance") or {}
    return plain(
        [
            *(record.get(key) for key in _IDENTITY),
            target.get("class_index"),
            # The predicted class and the same class by name make one map.
            None if _PLAIN.fullmatch(str(target.get("asked"))) else target.get("asked"),
            *(provenance.get(key) for key in _PROVENANCE),
        ]
    )
