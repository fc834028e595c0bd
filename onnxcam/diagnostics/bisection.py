"""Find the tensor where a gradient becomes wrong, or where two engines begin to disagree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.coverage import Coverage
from onnxcam.autodiff.paths import label
from onnxcam.engines.protocol import Engine
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.reachability import bottlenecks, signal_path
from onnxcam.graph.analysis.values import find_value
from onnxcam.network.network import Network

Tensor: TypeAlias = npt.NDArray[Any]

_VALUES, _GRADIENTS = 1e-3, 1e-2


def bisect_by_differences(network: Network, start: str, agrees: Callable[[str], bool]) -> str:
    """Return, in words, the latest value (closest to the score) at which the gradient is wrong.

    A gradient that is wrong at one value is wrong at all earlier values, so that a bisection finds it.

    Args:
        network: the model.
        start: name of a value with a wrong gradient.
        agrees: whether the gradient at a value is right.
    """
    points = [start, *_points(network, start)]
    wrong, right = 0, len(points)
    while right - wrong > 1:
        middle = (wrong + right) // 2
        if agrees(points[middle]):
            right = middle
        else:
            wrong = middle
    return f"the gradient is wrong at '{points[wrong]}' and before it, {_readers(network, points[wrong])}"


def first_disagreement(
    first: Engine,
    second: Engine,
    feeds: Mapping[str, Tensor],
    cotangents: Tensor,
) -> str:
    """Return, in words, the first value that two engines disagree on, or the latest one with different gradients."""
    network = first.network
    coverage = Coverage(network.model, network.score.name)
    names = [name for name in [*_points(network, None), network.score.name] if coverage.has_gradient(name)]
    theirs, backward = second.trace(names, feeds, cotangents)
    names = list(theirs)
    mine, own = first.trace(names, feeds, cotangents)
    for name in names:
        if relative(mine[name][: len(theirs[name])], theirs[name]) > _VALUES:
            return f"the engines disagree from '{name}', {_maker(network, name)}"
    for name in reversed(names):
        if relative(own[name][: len(theirs[name])], backward[name]) > _GRADIENTS:
            return f"values agree; the gradients disagree at '{name}', {_readers(network, name)}"
    return "the engines agree at every value that all paths pass"


def _points(network: Network, start: str | None) -> list[str]:
    """Return the real values that every path to the score passes, in order; those after ``start`` if it is given."""
    graph = network.model.graph
    nodes, used = signal_path(graph, find_value(graph, network.score.name))
    names = [str(value.name) for value in bottlenecks(nodes, used) if value.dtype in FLOATS]
    if start is None:
        return names
    order = {str(value.name): step for step, node in enumerate(graph) for value in node.outputs}
    return [name for name in names if order.get(name, -1) > order.get(start, -1)]


def relative(left: Tensor, right: Tensor) -> float:
    """Return the norm of the difference over that of the second; infinite where something is not finite."""
    wanted = right.astype(np.float64)
    gap, size = float(np.linalg.norm(left.astype(np.float64) - wanted)), float(np.linalg.norm(wanted))
    if not np.isfinite(gap):
        return float("inf")
    return gap / size if size else gap


def _maker(network: Network, name: str) -> str:
    node = find_value(network.model.graph, name).producer()
    return "an input" if node is None else f"which {label(node)} makes"


def _readers(network: Network, name: str) -> str:
    readers = find_value(network.model.graph, name).consumers()
    return f"which {' and '.join(map(label, readers[:3]))} read{'s' * (len(readers) == 1)}"
