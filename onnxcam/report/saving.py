"""Save the explanation of one image as files that belong together and replace no others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from onnxcam.errors import InputError
from onnxcam.report.files import make_folder, remove, slug, write
from onnxcam.report.format import Format, ImageReport
from onnxcam.report.record import read_record, same_explanation
from onnxcam.report.registry import find_formats, formats

# Always written, and last: where it exists, the files that it lists are complete and belong to its explanation.
_RECORD = "record"


@dataclass(frozen=True)
class Saved:
    """The files of one image. Each format is an attribute too: ``saved.overlay``, None where it was not written.

    Attributes:
        paths: by the name of the format.
    """

    paths: Mapping[str, Path]

    def __getattr__(self, name: str) -> Any:
        if name in formats():
            return self.paths.get(name)
        raise AttributeError(f"files of an explanation have no '{name}'; the formats are {', '.join(formats())}")

    @property
    def main(self) -> Path:
        """The file to look at first: that of the format with the highest rank."""
        return self.paths[max(self.paths, key=lambda name: formats()[name].rank)]


class Writer:
    """Writes explanations into one folder.

    Args:
        folder: where to; made if it is missing.
        names: the formats to write. Default: the default ones that apply to the explanation.
        replace: whether any explanation of the same name may be replaced, or only an earlier copy of the same one.

    Raises:
        NameNotFoundError: there is no such format.
        InputError: the folder cannot be made.
    """

    def __init__(self, folder: str | Path, names: Sequence[str] | None = None, replace: bool = False) -> None:
        self._wanted = None if names is None else find_formats(names)
        self._folder = make_folder(folder)
        self._replace = replace
        self._taken: set[str] = set()

    def save(self, stem: str, report: ImageReport) -> Saved:
        """Write the files under the first free name that begins with the stem.

        Raises:
            InputError: the stem is not a file name, a format does not apply, or the folder cannot be written.
        """
        if stem != Path(stem).name or not stem.strip(". "):
            raise InputError(
                f"'{stem}' cannot be a file name; give one without folders, such as '{slug(stem) or 'map'}'"
            )
        chosen = self._formats(report)
        name, earlier = self._free(stem, chosen, report.record)
        paths = self._paths(name, chosen)
        earlier_files = self._earlier_files(name, earlier)
        files = {each: path.name for each, path in paths.items() if each != _RECORD}
        same = earlier is not None and same_explanation(earlier, report.record)
        if same:  # what an earlier call wrote in other formats shows this explanation still
            files = {each: path.name for each, path in earlier_files.items()} | files
        report = replace(report, record={**report.record, "files": files})
        for each in chosen:
            write(paths[each.name], partial(each.write, report))
        for path in [] if same else earlier_files.values():
            if path not in paths.values():
                remove(path)
        return Saved(paths)

    def _formats(self, report: ImageReport) -> list[Format]:
        """Return the formats to write for one image, the record last."""
        if self._wanted is None:
            chosen = [each for each in formats().values() if each.default and not each.missing(report)]
        else:
            chosen = self._wanted
            for each in chosen:
                if missing := each.missing(report):
                    raise InputError(f"format {each.name} needs {missing}")
        return [*(each for each in chosen if each.name != _RECORD), formats()[_RECORD]]

    def _paths(self, name: str, chosen: Sequence[Format]) -> dict[str, Path]:
        return {each.name: self._folder / f"{name}{each.suffix}" for each in chosen}

    def _free(
        self, stem: str, chosen: Sequence[Format], record: Mapping[str, Any]
    ) -> tuple[str, Mapping[str, Any] | None]:
        """Return the first name to write under, and the record of the explanation that it replaces, if any."""
        for number in itertools.count(1):
            name = stem if number == 1 else f"{stem}-{number}"
            # Some file systems take Cat and cat for one name.
            if name.casefold() in self._taken:
                continue
            paths = self._paths(name, chosen)
            earlier = read_record(paths[_RECORD])
            if earlier is not None and not (self._replace or same_explanation(earlier, record)):
                continue
            own = {paths[_RECORD]} if earlier is not None else set()
            own.update(self._earlier_files(name, earlier).values())
            if all(path in own for path in paths.values() if path.exists()):
                self._taken.add(name.casefold())
                return name, earlier
        raise AssertionError("unreachable: numbers do not end")

    def _earlier_files(self, name: str, earlier: Mapping[str, Any] | None) -> dict[str, Path]:
        """Return the files that are there and that an earlier record of that name lists, by format."""
        listed = earlier.get("files") if earlier is not None else None
        if not isinstance(listed, Mapping):
            return {}
        paths = self._paths(name, list(formats().values()))
        return {each: path for each, path in paths.items() if listed.get(each) == path.name and path.exists()}
