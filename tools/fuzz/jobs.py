"""What is done with each mutant: the commands and functions that read a model file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import onnxcam
from onnxcam.cli import main
from onnxcam.engines.gradient_model import differentiate
from onnxcam.network.network import Network
from onnxcam.network.random_inputs import random_inputs
from onnxcam.network.read import read_network
from onnxcam.runtime.providers import CPU
from onnxcam.runtime.session import Session

# Returns an exit code, as of the command line.
Job: TypeAlias = Callable[[Path], int]

_METHODS = ("grad-cam", "recipro-cam", "lrp", "gradient-x-input")


class MismatchError(Exception):
    """A rewritten graph computes something else than the file."""


def _inspect(path: Path) -> int:
    return main(["inspect", str(path)])


def _explain(path: Path) -> int:
    return main(["explain", str(path), "a.png", "--preprocess", "unit", "-o", "out", "--quiet"])


def _verify(path: Path) -> int:
    return main(["verify", str(path), "--json"])


def _film(path: Path) -> int:
    return main(["explain", str(path), "a.png", "-m", "fg-cam", "--film", "--preprocess", "unit", "-o", "out", "-q"])


def _differentiate(path: Path) -> int:
    network = read_network(path)
    differentiate(path, network.score.name, [network.inputs[0].value])
    return 0


def _api(path: Path) -> int:
    """Explain arrays by some methods, and compare the gradient graph's outputs with the file's own."""
    network = read_network(path)
    arrays = random_inputs(network.inputs, network.batch or 1)
    for method in _METHODS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            explanation = onnxcam.Explainer(path, method)(arrays)
        if not np.isfinite(explanation.maps).all():
            raise MismatchError(f"{method}: a map that is not finite is shown")
    _compare(path, network, arrays)
    return 0


def _compare(path: Path, network: Network, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Compare the outputs of the file, run as it is, with those of its gradient graph."""
    own = Session(path, [CPU])
    graph = differentiate(path, network.score.name, [network.inputs[0].value])
    ours = Session(graph.SerializeToString(), [CPU], folder=path.parent)
    expected = own.run(arrays)
    cotangent = next(name for name in ours.inputs if name not in own.inputs)
    shape = [size or network.batch or 1 for size in ours.inputs[cotangent].shape]
    found = ours.run({**arrays, cotangent: np.ones(shape, np.float32)})
    for name in set(expected) & set(found):
        one, other = expected[name].astype(np.float64), found[name].astype(np.float64)
        scale = float(np.abs(one[np.isfinite(one)]).max(initial=0)) or 1.0
        if one.shape != other.shape or not np.allclose(other, one, rtol=1e-3, atol=1e-3 * scale, equal_nan=True):
            raise MismatchError(f"the gradient graph computes another '{name}'")


JOBS: Mapping[str, Job] = MappingProxyType(
    {
        "inspect": _inspect,
        "explain": _explain,
        "film": _film,
        "verify": _verify,
        "differentiate": _differentiate,
        "api": _api,
    }
)
