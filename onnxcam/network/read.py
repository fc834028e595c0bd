"""Read a model and make it ready to be explained."""

from __future__ import annotations

import numpy as np

from onnxcam.errors import OnnxcamError
from onnxcam.graph.analysis.batch import batch_size, mixes_samples
from onnxcam.graph.analysis.inputs import model_inputs
from onnxcam.graph.analysis.score import Score, find_score
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.io.load import load
from onnxcam.graph.io.model_file import Model, ModelFile, ModelSource
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.open_batch import OpenBatch
from onnxcam.graph.passes.score_batch_axis import score_of_open_batch, with_samples_first
from onnxcam.network.network import Network
from onnxcam.network.open_session import open_session
from onnxcam.network.random_inputs import random_inputs
from onnxcam.runtime.providers import CPU

# Rounding differs a little between one run of two samples and two runs of one.
_TOLERANCE = 1e-3


def read_network(source: ModelSource, score: str | None = None, samples_first: bool = True) -> Network:
    """Load a model, bring it into canonical form and open its batch axis where that is safe.

    Args:
        source: path, bytes or onnx ``ModelProto``.
        score: name of the tensor to explain; without it, the one before a final activation.
        samples_first: reshape or transpose a score that is not ``[N, classes, ...]`` to that shape.

    Raises:
        ModelError: no ONNX model.
        NameNotFoundError: no value has the score's name.
        UnsupportedError: no output holds scores.
    """
    return prepare_network(load(source), score, samples_first)


def prepare_network(file: ModelFile, score: str | None = None, samples_first: bool = True) -> Network:
    """Return the network of a file that has been loaded; arguments and errors as of ``read_network``."""
    model = canonicalize(file.ir)
    found, size = find_score(model.graph, score), batch_size(model.graph)
    alone = mixes_samples(model.graph) or _is_one_number(model, found)
    if samples_first:
        found = with_samples_first(model, found, size)
    if alone:
        return Network(file, model, found, 1)
    if size is None and found.shape and isinstance(found.shape[0], int):
        # The inputs are open, but an operator before the score, a Reshape for instance, has a number built in.
        size = found.shape[0]
    if size == 1:
        opened = OpenBatch()(model).model
        if _samples_stay_apart(model, opened, found.name, file):
            return Network(file, opened, score_of_open_batch(found, opened.graph), None)
    return Network(file, model, found, size)


def _is_one_number(model: Model, score: Score) -> bool:
    """Whether a run of several samples would give a single number, so that each sample must run alone."""
    shape = find_value(model.graph, score.name).shape
    return shape is not None and len(shape) == 0 and batch_size(model.graph) in (None, 1)


def _samples_stay_apart(fixed: Model, opened: Model, score: str, file: ModelFile) -> bool:
    """Whether two samples have the same scores when they run together as when they run one by one."""
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
