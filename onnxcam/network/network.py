"""A model ready to be explained: the file, its canonical graph, and the score that is explained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from onnxcam.errors import ModelError
from onnxcam.graph.analysis.inputs import ModelInput, model_inputs
from onnxcam.graph.analysis.score import Score
from onnxcam.graph.io.model_file import Model, ModelFile

Tensor: TypeAlias = npt.NDArray[Any]

_LABELS_KEY = "onnxcam.labels"


@dataclass(frozen=True)
class Network:
    """A model file, and the canonical graph that is explained in its place.

    Attributes:
        file: as it was given.
        model: canonical; takes any number of samples unless ``batch`` says otherwise.
        score: the tensor that is explained.
        batch: None where any number of samples goes; else the number that the file insists on, or 1 where the
            samples of one run would change each other's results.
    """

    file: ModelFile
    model: Model
    score: Score
    batch: int | None

    @property
    def inputs(self) -> list[ModelInput]:
        """The inputs that a user feeds, in the file's order."""
        return model_inputs(self.model.graph)

    @cached_property
    def shared(self) -> frozenset[str]:
        """Names of the inputs that have no row for each sample: all samples of a run share them."""
        return frozenset(entry.name for entry in self.inputs if not entry.batched)

    def count(self, feeds: Mapping[str, Tensor]) -> int:
        """Return the number of samples in ``feeds``, an array for each input; 1 where all samples share every input."""
        return next((len(array) for name, array in feeds.items() if name not in self.shared), 1)

    def rows(self, feeds: Mapping[str, Tensor], which: Tensor | slice) -> dict[str, Tensor]:
        """Return the rows of some samples; arrays that all samples share stay whole.

        Args:
            feeds: an array for each input, or for some of them.
            which: indices or a slice of the samples.
        """
        return {name: array if name in self.shared else array[which] for name, array in feeds.items()}

    @property
    def folder(self) -> Path | None:
        """The folder of external weights."""
        return None if self.file.path is None else self.file.path.parent

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The class names that the file carries.

        Raises:
            ModelError: they are no list of names.
        """
        text = self.file.metadata.get(_LABELS_KEY)
        if text is None:
            found = self.file.labels
            # The file may name the classes of another output: a list of another length is not of this score.
            return found if found is not None and self.score.classes in (None, len(found)) else None
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise ModelError(
                f"metadata entry {_LABELS_KEY} of the model is no JSON list of names; give --labels instead"
            )
        return tuple(found)
