"""Which nodes add something to the score beside their inputs, in groups that have positions, and the others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from onnxcam.autodiff.intercepts import has_intercept, has_positions
from onnxcam.autodiff.paths import between
from onnxcam.graph.analysis.axes import axis_meanings, channels_first, spatial_axes
from onnxcam.graph.analysis.inputs import ModelInput
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with

_ELEMENTWISE = operators_with(Trait.ELEMENTWISE)


@dataclass(frozen=True)
class InterceptSite:
    """Nodes whose terms lie at the same positions and count as one.

    Attributes:
        name: of the value that the last of them gives.
        members: names of the first outputs of the nodes.
        order: brings the value's axes into the order batch, channels, space.
    """

    name: str
    members: tuple[str, ...]
    order: tuple[int, ...]


def intercept_sites(
    graph: ir.Graph, image: ModelInput, score: str, covered: Collection[str]
) -> tuple[tuple[InterceptSite, ...], tuple[str, ...]]:
    """Return the groups of nodes with positions, and the names of the first outputs of all other nodes that count.

    Element-wise operators that follow each other count as one: an activation gives the same however a file writes it.

    Args:
        graph: canonical.
        image: the input where the score is explained.
        score: name of the score.
        covered: names of values whose constants are known already.
    """
    nodes, wanted = between(graph, [find_value(graph, image.value)], find_value(graph, score))
    letters = _letters(graph, image)
    ends = _ends(nodes, wanted)
    groups: dict[ir.Value, list[str]] = {}
    rest: list[str] = []
    for node in nodes:
        value = node.outputs[0]
        name = str(value.name)
        if name in covered or not has_intercept(node, wanted):
            continue
        if has_positions(node) and is_placed(letters.get(value, "")):
            groups.setdefault(ends.get(value, value), []).append(name)
        else:
            rest.append(name)
    sites = [
        InterceptSite(str(value.name), tuple(names), tuple(channels_first(letters[value])))
        for value, names in groups.items()
    ]
    return tuple(sites), tuple(rest)


def is_placed(letters: str) -> bool:
    """Whether axes have samples first, channels, and space that a map can be made of; tokens have none here."""
    return letters.startswith("N") and "C" in letters and "T" not in letters and bool(spatial_axes(letters))


def _letters(graph: ir.Graph, image: ModelInput) -> dict[ir.Value, str]:
    """Return what axes mean, also before the first layer: there as in the image."""
    known = {value: found.letters for value, found in axis_meanings(graph).items()}
    known.setdefault(find_value(graph, image.value), image.axes)
    for node in graph:
        value = node.outputs[0]
        if value in known or node.op_type not in _ELEMENTWISE or value.shape is None:
            continue
        given = [known[entry] for entry in node.inputs if entry is not None and entry in known]
        fitting = [letters for letters in given if len(letters) == len(value.shape)]
        if fitting:
            known[value] = fitting[0]
    return known


def _ends(nodes: list[ir.Node], wanted: Collection[ir.Value]) -> dict[ir.Value, ir.Value]:
    """Return for each element-wise result the last one that is made of it alone, position by position."""
    members = set(nodes)
    ends: dict[ir.Value, ir.Value] = {}
    for node in reversed(nodes):
        value = node.outputs[0]
        if node.op_type not in _ELEMENTWISE:
            continue
        users = {user for user in value.consumers() if user in members and user.outputs[0] in wanted}
        found = {ends.get(user.outputs[0]) for user in users if user.outputs[0].shape == value.shape}
        joined = len(found) == 1 and all(user.outputs[0].shape == value.shape for user in users)
        end = found.pop() if joined else None
        ends[value] = value if end is None else end
    return ends
