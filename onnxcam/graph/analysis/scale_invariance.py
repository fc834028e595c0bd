"""Values whose scale does not reach the score, because everything that reads them normalises.

The gradient times such a value sums to 0 (Euler's theorem), so that a map of it is what rounding leaves. What the
normalisations give is what the network reads instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import onnx_ir as ir

from onnxcam.graph.analysis.homogeneity import Degree, result_degree
from onnxcam.graph.analysis.position_axis import channels_after
from onnxcam.graph.analysis.reachability import signal_path
from onnxcam.graph.analysis.subgraphs import reads
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with

_COPIES = operators_with(Trait.COPIES) | {"Cast", "CastLike"}
_SCALE_AND_SHIFT = _COPIES | {"Add", "Sub", "Mul", "Div"}


@dataclass(frozen=True)
class _Scaling:
    """What becomes of a value when the vector at one position of the layer is multiplied by a factor.

    Attributes:
        here: its degree at that position.
        elsewhere: its degree at the others.
        channels: the channel axis, where that is known.
        own: whether each position is computed from the layer's vector there alone.
    """

    here: Degree
    elsewhere: Degree
    channels: int | None
    own: bool = False

    @property
    def is_scaled(self) -> bool:
        """Whether it changes with the factor."""
        return self.here != 0 or self.elsewhere != 0


_FIXED = _Scaling(0.0, 0.0, None)


def normalised_values(
    layer: ir.Value,
    channels: int,
    nodes: Sequence[ir.Node],
    on_path: set[ir.Value],
    is_read: Callable[[ir.Value], bool],
) -> list[ir.Value] | None:
    """Return what the score reads of a value in its place: at each position normalised over the channels.

    Args:
        layer: the value.
        channels: its channel axis.
        nodes: those on the paths to the score, in order.
        on_path: the values on these paths.
        is_read: whether the score reads what a value holds at the layer's positions, not at extra tokens alone.

    Returns:
        In order, each with its scale and shift, of as many channels. None where the scale of a position changes the
        score: one path without a normalisation is enough.
    """
    known = {layer: _Scaling(1.0, 0.0, channels, own=True)}
    found: list[ir.Value] = []
    for node in nodes:
        if not any(value in known for value in reads(node)):
            continue
        scaling = _scaling(node, known)
        for value in node.outputs:
            if value not in on_path or value is layer:
                continue
            at = scaling if is_read(value) else replace(scaling, here=scaling.elsewhere)
            if at.here is None or at.elsewhere is None:
                return None
            known[value] = at
            if at == scaling and at.own and not at.here and any(known.get(v, _FIXED).here for v in reads(node)):
                found.append(value)
    ends = [_with_scale_and_shift(value, known) for value in found]
    return [value for value in dict.fromkeys(ends) if _sizes(value, known[value].channels) == _sizes(layer, channels)]


def sums_to_zero(graph: ir.Graph, layer: str, score: str) -> bool:
    """Whether gradient times value sums to 0 over the whole of a layer: the score does not change with its scale.

    So it is where a network normalises after pooling. A map is then relative: one position against the others.
    """
    start, end = find_value(graph, layer), find_value(graph, score)
    nodes, on_path = signal_path(graph, end)
    degrees: dict[ir.Value, float] = {start: 1.0}
    for node in nodes:
        given = [0.0 if value is None else degrees.get(value, 0.0) for value in _inputs(node)]
        if not any(value in degrees for value in reads(node)):
            continue
        degree = result_degree(node, given)
        for value in node.outputs:
            if value in on_path and value is not start:
                if degree is None:
                    return False
                degrees[value] = degree
    return start is not end and degrees.get(end) == 0


def _scaling(node: ir.Node, known: dict[ir.Value, _Scaling]) -> _Scaling:
    given = [_FIXED if value is None else known.get(value, _FIXED) for value in _inputs(node)]
    read = [value for value in reads(node) if value in known]
    scaled = [value for value in read if known[value].is_scaled]
    channels = _channels(node, scaled or read, known)
    if not scaled:
        return _Scaling(0.0, 0.0, channels, channels is not None and all(known[value].own for value in read))
    if channels is None:
        return _Scaling(None, None, None)
    here, elsewhere = ([getattr(one, which) for one in given] for which in ("here", "elsewhere"))
    if node.op_type == "Concat":
        # Extra tokens, set beside the others, are at no position of the layer.
        return _Scaling(_of_joined(here), _of_joined(elsewhere), channels, all(known[value].own for value in scaled))
    degree = partial(result_degree, node)
    return _Scaling(degree(here), degree(elsewhere), channels, all(known[value].own for value in read))


def _of_joined(degrees: Sequence[Degree]) -> Degree:
    scaled = {degree for degree in degrees if degree != 0}
    return 0.0 if not scaled else scaled.pop() if len(scaled) == 1 else None


def _channels(node: ir.Node, values: Sequence[ir.Value], known: dict[ir.Value, _Scaling]) -> int | None:
    """Return the channel axis of a node's results, on which all of some values that it reads agree."""
    axes = set()
    for value in values:
        before = known[value].channels
        axes.add(None if before is None else channels_after(node, value, before))
    return axes.pop() if len(axes) == 1 else None


def _inputs(node: ir.Node) -> list[ir.Value | None]:
    """Return a node's inputs, also those left out, and what its branches or body read."""
    return list(node.inputs) + [value for value in reads(node) if value not in node.inputs]


def _with_scale_and_shift(value: ir.Value, known: dict[ir.Value, _Scaling]) -> ir.Value:
    """Follow a normalised value through what multiplies each channel, and adds to it."""
    while len(users := value.consumers()) == 1 and users[0].op_type in _SCALE_AND_SHIFT:
        result = users[0].outputs[0]
        others = [entry for entry in users[0].inputs if entry is not None and entry is not value]
        fixed = all(entry.const_value is not None or (entry in known and known[entry].own) for entry in others)
        if not fixed or result not in known or not known[result].own or known[result].here:
            break
        value = result
    return value


def _sizes(value: ir.Value, channels: int | None) -> tuple[int, int | None]:
    """Return a value's rank and number of channels."""
    if value.shape is None or channels is None:
        return 0, None
    size = value.shape[channels]
    return len(value.shape), size if isinstance(size, int) else None
