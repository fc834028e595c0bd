"""Match the arrays that a user gives to the inputs of a model, and validate them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.errors import InputError, did_you_mean
from onnxcam.graph.analysis.inputs import ModelInput
from onnxcam.network.network import Network

Tensor: TypeAlias = npt.NDArray[Any]


def check_feeds(network: Network, inputs: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an array for each input of the model.

    Args:
        network: the model.
        inputs: an array for each input's name, or the array of the only input.

    Raises:
        InputError: an input has no array, a name is no input's, or the numbers of samples differ.
    """
    entries = {entry.name: entry for entry in network.inputs}
    if not isinstance(inputs, Mapping):
        if len(entries) != 1:
            raise InputError(f"the model has the inputs {list(entries)}; give a dictionary with an array for each")
        inputs = {next(iter(entries)): inputs}
    check_names(network, inputs)
    feeds = {name: np.asarray(inputs[name]) for name in inputs}
    counts = {name: array.shape[:1] for name, array in feeds.items() if name not in network.shared}
    if len(set(counts.values())) != 1 or () in counts.values():
        shapes = ", ".join(f"'{name}' has shape {list(feeds[name].shape)}" for name in counts)
        raise InputError(f"every input needs the same number of samples along its first axis, but {shapes}")
    return feeds


def check_names(network: Network, given: Collection[str]) -> None:
    """Raise unless every input of the model is given, and nothing else.

    Raises:
        InputError: the model has no input of one of the names, or some inputs are missing; all of those are listed.
    """
    entries = {entry.name: entry for entry in network.inputs}
    if unknown := [name for name in given if name not in entries]:
        raise InputError(
            f"the model has no input '{unknown[0]}'{did_you_mean(unknown[0], entries)}; its inputs are {list(entries)}"
        )
    if missing := [entry for name, entry in entries.items() if name not in given]:
        raise InputError(
            f"nothing is given for {_describe(missing)} of the model: pass an array for each input by name in Python "
            "(Explainer(...)({name: array})), or a file of numbers with onnxcam explain --input NAME=FILE.npy"
        )


def extra_inputs(entries: Sequence[ModelInput], given: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return the extra inputs with a row for each photograph where the input has a batch axis.

    Args:
        entries: the model's inputs.
        given: by name, an array for all photographs, with or without a first axis of 1, or one with a row for each.
        count: number of photographs.

    Raises:
        InputError: an array fits neither one photograph nor all of them.
    """
    known = {entry.name: entry for entry in entries}
    return {
        name: _in_rows(known[name], np.asarray(array), count) if name in known else np.asarray(array)
        for name, array in given.items()
    }


def _in_rows(entry: ModelInput, array: Tensor, count: int) -> Tensor:
    if not entry.batched:
        return array
    if array.ndim == len(entry.shape) - 1:
        array = array[None]
    if array.ndim != len(entry.shape) or len(array) not in (1, count):
        raise InputError(
            f"input '{entry.name}' takes {_shape(entry)}: give one row for all {count} images, or a row for each, "
            f"not shape {list(array.shape)}"
        )
    return array if len(array) == count else np.repeat(array, count, axis=0)


def _describe(entries: Sequence[ModelInput]) -> str:
    """Return a description of some inputs: names, types and shapes."""
    described = " and ".join(f"'{entry.name}' ({entry.dtype}, {_shape(entry)})" for entry in entries)
    return f"input{'s' * (len(entries) > 1)} {described}"


def _shape(entry: ModelInput) -> str:
    sizes = ["N" if entry.batched else "?", *("?" for _ in entry.shape[1:])]
    shown = [str(size) if isinstance(size, int) else mark for size, mark in zip(entry.shape, sizes, strict=False)]
    return f"shape {' x '.join(shown)}" if shown else "a single number"
