"""Random arrays that a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.graph.analysis.inputs import ModelInput

Tensor: TypeAlias = npt.NDArray[Any]

# Random integers fit every type that a model may take them in.
_LARGEST = 127
_OPEN_SIZE = 32


def random_inputs(inputs: Sequence[ModelInput], count: int, seed: int = 0) -> dict[str, Tensor]:
    """Return an array for each input: standard normal numbers, or small integers; open sizes become 32.

    Args:
        inputs: of the model.
        count: samples, for inputs with a batch axis.
        seed: of the generator.
    """
    rng = np.random.default_rng(seed)
    arrays = {}
    for entry in inputs:
        shape = [_OPEN_SIZE if size is None else size for size in entry.shape]
        if entry.batched:
            shape[:1] = [count]
        if entry.dtype.kind in "iu":
            arrays[entry.name] = rng.integers(0, min(_LARGEST, entry.below or _LARGEST), shape).astype(entry.dtype)
        else:
            arrays[entry.name] = rng.standard_normal(shape).astype(entry.dtype)
    return arrays
