"""Layers that a map can be read from: values that all of the computation passes through, as it reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from onnxcam.errors import NameNotFoundError, UnsupportedError
from onnxcam.graph.analysis.axes import Axes, axis_meanings, spatial_axes
from onnxcam.graph.analysis.inputs import model_inputs
from onnxcam.graph.analysis.reachability import ancestors, bottlenecks, signal_path
from onnxcam.graph.analysis.scale_invariance import normalised_values
from onnxcam.graph.analysis.tokens import is_extra, mixed_values
from onnxcam.graph.analysis.values import data_inputs, find_value, has_name, shape_tuple
from onnxcam.graph.operators import Trait, operators_with

_INDEX = re.compile("-?[0-9]{1,9}")
# Operators that treat every position alike: a layer is what comes after them.
_POINTWISE = operators_with(Trait.ACTIVATION | Trait.COPIES | Trait.CONVERTS) | {
    *("Add", "Sub", "Mul", "Div", "BatchNormalization", "Transpose"),
}
_WRITTEN_OUT = _POINTWISE | operators_with(Trait.IN_ACTIVATIONS)
_SAME_POSITIONS = operators_with(Trait.RESHAPES) | {"Resize", "Upsample"}


@dataclass(frozen=True)
class Layer:
    """A value that a map can be read from.

    Attributes:
        name: of the value.
        node: name of the node that makes it.
        op_type: operator of that node.
        shape: symbols by name, None where unknown.
        axes: one letter an axis: N batch, C channels, D H W space, T tokens.
        grid: rows and columns of the positions that tokens stand for; empty where there are no tokens or it is unknown.
        before: tokens before these that stand for no position.
        after: such tokens after them.
    """

    name: str
    node: str
    op_type: str
    shape: tuple[int | str | None, ...]
    axes: str
    grid: tuple[int, ...] = ()
    before: int = 0
    after: int = 0

    @property
    def extent(self) -> tuple[int | str | None, ...]:
        """Sizes of the spatial axes; of tokens, their grid where it is known."""
        if self.grid:
            return self.grid
        return tuple(self.shape[axis] for axis in spatial_axes(self.axes))

    @property
    def has_extent(self) -> bool:
        """Whether there is more than one position, as far as the file says."""
        sizes = [size for size in self.extent if isinstance(size, int)]
        return len(sizes) < len(self.extent) or prod(sizes) > 1


def candidates(graph: ir.Graph, score: str) -> list[Layer]:
    """Return the layers between the inputs and the score, first to last; the last one is the default.

    A layer is a value that every path from the inputs to the score passes through, of known axes and with more than one
    position. Of a convolution with its normalisation and activation, the result counts. Tokens count as long as the
    score still depends on more than one of them, which after the last attention of a network with a class token it does
    not. A network without such a value (parallel branches up to the score) offers every spatial value on the paths.
    Paths begin at the image where there are other inputs too, and a value that does not count samples first is none.
    Where the score reads a value through normalisations alone, what they give stands for it, though other positions
    (a class token) may pass beside: the gradient times the value itself is 0 at every position.
    """
    axes = {value: found for value, found in axis_meanings(graph).items() if found.letters.startswith("N")}
    nodes, on_path = signal_path(graph, find_value(graph, score), _image(graph))
    narrow = bottlenecks(nodes, on_path)
    forms = _other_forms(find_value(graph, score), on_path)
    mixed = mixed_values(nodes, on_path, axes)
    made = [value for node in nodes for value in node.outputs if value in on_path]
    for values in (narrow, made):
        spatial = [v for v in values if v in axes and v not in forms and _layer(v, axes[v]).has_extent]
        spatial = [v for v in spatial if "T" not in axes[v].letters or v in mixed]
        if spatial:
            chosen = {form for v in spatial for form in _as_read(v, axes, nodes, on_path, mixed)} or set(spatial)
            return [_layer(v, axes[v]) for v in made if v in chosen and not _is_superseded(v, chosen)]
    return []


def find_layer(graph: ir.Graph, score: str, wanted: str | int | None = None) -> Layer:
    """Return the layer to explain at.

    Args:
        graph: canonical.
        score: name of the score tensor.
        wanted: name of a value or node, or an index into the candidates (-1 is the last), also as text where nothing
            has that name; None for the default.

    Raises:
        NameNotFoundError: no value or node has that name, or there is no such index.
        UnsupportedError: the value has no known spatial axes, or only one position.
    """
    offered = candidates(graph, score)
    if wanted is None or isinstance(wanted, int) or (_INDEX.fullmatch(wanted) and not has_name(graph, wanted)):
        return _by_index(offered, -1 if wanted is None else int(wanted))
    value = find_value(graph, wanted)
    axes = axis_meanings(graph).get(value)
    if axes is None:
        raise UnsupportedError(
            f"layer '{wanted}' of shape {value.shape} has no axes that are known to span space; "
            "choose one that onnxcam inspect lists"
        )
    if not axes.letters.startswith("N"):
        raise UnsupportedError(
            f"layer '{wanted}' of shape {value.shape} counts something else than samples along its first axis; "
            "choose one that onnxcam inspect lists"
        )
    layer = _layer(value, axes)
    if not layer.has_extent:
        raise UnsupportedError(
            f"layer '{wanted}' of shape {value.shape} has one position only, so there is nothing to locate; "
            "choose an earlier layer (onnxcam inspect lists them)"
        )
    return layer


def _by_index(offered: Sequence[Layer], index: int) -> Layer:
    if not offered:
        raise UnsupportedError(
            "no layer with spatial extent lies between the input and the score; "
            "use a method that works on the input, such as gradient-x-input"
        )
    if not -len(offered) <= index < len(offered):
        raise NameNotFoundError(f"there is no layer {index}: the model offers {len(offered)} (onnxcam inspect)")
    return offered[index]


def _layer(value: ir.Value, axes: Axes) -> Layer:
    node = value.producer()
    return Layer(
        name=str(value.name),
        node="" if node is None else node.name or "",
        op_type="" if node is None else node.op_type,
        shape=shape_tuple(value.shape),
        axes=axes.letters,
        grid=axes.grid,
        before=axes.before,
        after=axes.after,
    )


def _image(graph: ir.Graph) -> list[ir.Value]:
    """Return the input that holds the image; all of them where none looks like one."""
    inputs = data_inputs(graph)
    names = [entry.name for entry in model_inputs(graph) if entry.axes][:1]
    return [value for value in inputs if value.name in names] or inputs


def _other_forms(score: ir.Value, on_path: set[ir.Value]) -> set[ir.Value]:
    """Return the score and other forms of it: its positions resized, transposed or through one function."""
    forms, value = {score}, score
    while (node := value.producer()) is not None and (node.op_type in _POINTWISE or node.op_type in _SAME_POSITIONS):
        signals = [v for v in node.inputs if v is not None and v in on_path]
        if len(signals) != 1:
            break
        value = signals[0]
        forms.add(value)
    return forms


def _as_read(
    value: ir.Value, axes: dict[ir.Value, Axes], nodes: Sequence[ir.Node], on_path: set[ir.Value], mixed: set[ir.Value]
) -> list[ir.Value]:
    """Return a value, or the normalised values of known axes through which alone the score reads it."""
    letters = axes[value].letters
    has_tokens = "T" in letters

    def is_read(entry: ir.Value) -> bool:
        return not has_tokens or (entry in mixed and not is_extra(entry, axes))

    found = normalised_values(value, letters.index("C"), nodes, on_path, is_read)
    if found is None:
        return [value]
    return [form for form in found if form in axes and _layer(form, axes[form]).has_extent]


def _is_superseded(value: ir.Value, chosen: set[ir.Value]) -> bool:
    """Whether an element-wise function of this value alone is another candidate: its activation, for instance."""
    nodes = value.consumers()
    if len(nodes) == 1:
        return nodes[0].op_type in _POINTWISE and any(output in chosen for output in nodes[0].outputs)
    # An activation written out reads the value more than once, as x * sigmoid(x) does.
    ends: set[ir.Value] = set()
    reached, waiting = {value}, list(nodes)
    while waiting:
        node = waiting.pop()
        if node.op_type not in _WRITTEN_OUT:
            return False
        reached.update(node.outputs)
        ends.update(output for output in node.outputs if output in chosen)
        waiting += [user for output in node.outputs if output not in chosen for user in output.consumers()]
    inside = reached - {value}
    given = {v for end in ends for v in ancestors(end, inside.__contains__)}
    return len(ends) == 1 and all(v in reached or v.const_value is not None for v in given)
