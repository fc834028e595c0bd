"""A model made ready to be explained: canonical, its score known, its batch axis open where that is safe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.errors import ModelError, OnnxcamError
from onnxcam.graph.analysis.batch import batch_size, mixes_samples
from onnxcam.graph.analysis.inputs import ModelInput, model_inputs
from onnxcam.graph.analysis.score import Score, find_score
from onnxcam.graph.analysis.values import expose, find_value
from onnxcam.graph.io.load import load
from onnxcam.graph.io.model_file import Model, ModelFile, ModelSource
from onnxcam.graph.io.serialize import to_parts
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.open_batch import OpenBatch
from onnxcam.graph.passes.score_batch_axis import score_of_open_batch, with_samples_first
from onnxcam.runtime.providers import CPU, Provider
from onnxcam.runtime.session import Session

# Random integers fit every type that a model may take them in.
_MOST = 127
Tensor: TypeAlias = npt.NDArray[Any]

# Rounding differs a little between one run of two samples and two runs of one.
_TOLERANCE = 1e-3
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
        """What the model is fed."""
        return model_inputs(self.model.graph)

    @cached_property
    def shared(self) -> frozenset[str]:
        """Names of the inputs that have no row for each sample: all samples of a run share them."""
        return frozenset(entry.name for entry in self.inputs if not entry.batched)

    def count(self, feeds: Mapping[str, Tensor]) -> int:
        """Return how many samples an array for each input makes."""
        return next((len(array) for name, array in feeds.items() if name not in self.shared), 1)

    def rows(self, feeds: Mapping[str, Tensor], which: Tensor | slice) -> dict[str, Tensor]:
        """Return the arrays of some samples."""
        return {name: array if name in self.shared else array[which] for name, array in feeds.items()}

    @property
    def folder(self) -> Path | None:
        """Where external weights lie."""
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
            # Names that are looked up by something else than this score are none of its classes.
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


def read_network(source: ModelSource, score: str | None = None, samples_first: bool = True) -> Network:
    """Load a model, bring it into canonical form and open its batch axis where that is safe.

    Args:
        source: path, bytes or onnx ``ModelProto``.
        score: name of the tensor to explain; without it, what lies before a final activation.
        samples_first: give a score whose first axis counts no samples, or that has no second one, these two.

    Raises:
        ModelError: no ONNX model.
        NameNotFoundError: no value has the score's name.
        UnsupportedError: no output holds scores.
    """
    file = load(source)
    model = canonicalize(file.ir)
    found, size = find_score(model.graph, score), batch_size(model.graph)
    alone = mixes_samples(model.graph) or _is_one_number(model, found)
    if samples_first:
        found = with_samples_first(model, found, size)
    if alone:
        return Network(file, model, found, 1)
    if size is None and found.shape and isinstance(found.shape[0], int):
        # The inputs are open, but something on the way, a Reshape for instance, has a number built in.
        size = found.shape[0]
    if size == 1:
        opened = OpenBatch()(model).model
        if _samples_stay_apart(model, opened, found.name, file):
            return Network(file, opened, score_of_open_batch(found, opened.graph), None)
    return Network(file, model, found, size)


def open_session(
    model: Model, providers: Sequence[Provider] | None, *, threads: int | None = None, folder: Path | None = None
) -> Session:
    """Load a graph of this process into onnxruntime, its weights where they are."""
    parts = to_parts(model)
    return Session(parts.data, providers, threads=threads, folder=folder, weights=parts.weights)


def _is_one_number(model: Model, score: Score) -> bool:
    """Whether there is one score for all samples of a run, which then tells of one sample only if it is alone."""
    shape = find_value(model.graph, score.name).shape
    return shape is not None and len(shape) == 0 and batch_size(model.graph) in (None, 1)


def _samples_stay_apart(fixed: Model, opened: Model, score: str, file: ModelFile) -> bool:
    """Run two samples at once and one by one: where the scores are equal, the batch axis is a batch axis."""
    folder = None if file.path is None else file.path.parent
    samples = random_inputs(model_inputs(fixed.graph), 2)
    try:
        alone = open_session(expose(fixed, [score]), [CPU], folder=folder)
        shared = [entry.name for entry in model_inputs(fixed.graph) if not entry.batched]
        expected = alone.run_batched(samples, size=1, fixed=True, shared=shared)[score]
        together = open_session(expose(opened, [score]), [CPU], folder=folder).run(samples)[score]
    except OnnxcamError:
        # Not a failure: the file has its batch of one built in, and single images are explained one by one. A model
        # that does not run at all says so when it is asked to; until then it can be looked at.
        return False
    scale = float(np.abs(expected).max()) or 1.0
    return together.shape == expected.shape and bool(np.abs(together - expected).max() <= _TOLERANCE * scale)


def random_inputs(inputs: Sequence[ModelInput], count: int, seed: int = 0) -> dict[str, Tensor]:
    """Return arrays that the model takes; open sizes become 32."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for entry in inputs:
        shape = [32 if size is None else size for size in entry.shape]
        if entry.batched:
            shape[:1] = [count]
        if entry.dtype.kind in "iu":
            arrays[entry.name] = rng.integers(0, min(_MOST, entry.below or _MOST), shape).astype(entry.dtype)
        else:
            arrays[entry.name] = rng.standard_normal(shape).astype(entry.dtype)
    return arrays
