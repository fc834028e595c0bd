"""Find the first value where two ways of computing one gradient part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.coverage import has_gradient
from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.driver import label
from onnxcam.autodiff.registry import Table
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.engine import Engine
from onnxcam.graph.layers import bottlenecks, way
from onnxcam.graph.signal import FLOATS
from onnxcam.graph.values import expose, find_value
from onnxcam.network import Network, open_session
from onnxcam.runtime.providers import CPU
from onnxcam.torch_engine import TorchEngine, gradients

Tensor: TypeAlias = npt.NDArray[Any]

_VALUES, _GRADIENTS = 1e-3, 1e-2


def part_by_differences(network: Network, start: str, agrees: Callable[[str], bool]) -> str:
    """Return which value behind ``start``, where the gradient is wrong, is the last one where it is.

    What is wrong at one value stays wrong before it, so that the values in between are searched by halves.

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
    return f"the gradient is wrong from '{points[wrong]}' on back, {_readers(network, points[wrong])}"


def part_from(
    network: Network,
    start: str,
    other: Engine | TorchEngine,
    feeds: Mapping[str, Tensor],
    weights: Tensor,
    table: Table | None,
) -> str:
    """Return the first value that two engines disagree on; where it is none, the last one whose gradient they do."""
    graph, score = network.model.graph, network.score.name
    points = [p for p in [*_points(network, None), score] if has_gradient(graph, p, score)]
    if isinstance(other, TorchEngine):
        points = [point for point in points if point in other.session.places]
        feeds = {name: array[: other.batch_size] for name, array in feeds.items()}
        weights = weights[: other.batch_size]
        kept = other.session.run(feeds, points)
        theirs = {point: kept[point].detach().numpy() for point in points}
        backward = dict(zip(points, gradients(kept, score, points, weights), strict=True))
    else:
        theirs, backward = _run(network, points, feeds, weights, table, [CPU])
    mine, own = _run(network, points, feeds, weights, table, None)
    for point in points:
        if relative(mine[point], theirs[point]) > _VALUES:
            return f"the engines part at '{point}', {_maker(network, point)}"
    for point in reversed(points):
        if relative(own[point], backward[point]) > _GRADIENTS:
            return f"values agree; the gradients part at '{point}', {_readers(network, point)}"
    return f"the engines agree at every value that all paths pass, and part at '{start}'"


def _run(
    network: Network,
    points: Sequence[str],
    feeds: Mapping[str, Tensor],
    weights: Tensor,
    table: Table | None,
    providers: Sequence[str] | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    model = add_gradients(network.model, network.score.name, points, table=table)
    names = [*points, *map(gradient_name, points)]
    session = open_session(expose(model, names), providers, folder=network.folder)
    size = network.batch or len(weights)
    found = session.run_batched({**feeds, COTANGENT: weights}, size=size, fixed=network.batch is not None)
    return {point: found[point] for point in points}, {point: found[gradient_name(point)] for point in points}


def _points(network: Network, start: str | None) -> list[str]:
    """Return the real values that every path to the score passes, in order; those behind ``start`` if it is given."""
    graph = network.model.graph
    nodes, on_way = way(graph, find_value(graph, network.score.name))
    names = [str(value.name) for value in bottlenecks(nodes, on_way) if value.dtype in FLOATS]
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
