"""The score that is explained: the tensor before a final Softmax, Sigmoid, LogSoftmax or ArgMax."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import onnx_ir as ir

from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.axes import axis_meanings
from onnxcam.graph.analysis.detections import COORDINATES, box_axis, coordinates
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.values import find_value, shape_tuple
from onnxcam.graph.operators import Trait, operators_with

Kind: TypeAlias = Literal["classes", "dense", "boxes", "other"]
Activation: TypeAlias = Literal["softmax", "sigmoid"] | None

_ACTIVATIONS: dict[str, Activation] = {
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
    "Sigmoid": "sigmoid",
    "ArgMax": "softmax",
}
# Operators that leave every score what it is, perhaps in another shape or type.
_TRANSPARENT = operators_with(Trait.RESHAPES | Trait.COPIES | Trait.CONVERTS)


@dataclass(frozen=True)
class Score:
    """The value that is explained.

    Attributes:
        name: its name in the graph.
        activation: what the model makes of it to get probabilities, or None.
        shape: its shape, symbols by name.
        passed: operators between the value and the model's output, from the output on.
        axes: one letter an axis where they are known (N batch, C classes, D H W space, T tokens), else empty.
        box_axis: of detections, the axis that counts them; the other one of 1 and 2 holds the values of each.
        coordinates: how many of these come before its scores.
    """

    name: str
    activation: Activation
    shape: tuple[int | str | None, ...]
    passed: tuple[str, ...]
    axes: str = ""
    box_axis: int = 1
    coordinates: int = 0

    @property
    def kind(self) -> Kind:
        """``classes``: a vector a sample; ``dense``: classes at every position; ``boxes``: values of each detection."""
        if len(self.shape) == 2 or (len(self.shape) > 2 and all(size == 1 for size in self.shape[2:])):
            return "classes"
        if "C" in self.axes and "T" not in self.axes:
            return "dense"
        return "boxes" if len(self.shape) == 3 else "other"

    @property
    def described(self) -> str:
        """The score and its shape, to begin a sentence with."""
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"the score '{self.name}' has shape [{sizes}]"

    @property
    def class_axis(self) -> int:
        """The axis that counts classes."""
        return self.axes.index("C") if self.kind == "dense" else 1

    @property
    def classes(self) -> int | None:
        """Number of classes where the file states it."""
        size = self.shape[self.class_axis] if self.kind in ("classes", "dense") else None
        return size if isinstance(size, int) else None


def find_score(graph: ir.Graph, name: str | None = None) -> Score:
    """Return the score tensor.

    Args:
        graph: canonical.
        name: a value or node to use as it stands; without it, the first output that holds scores is followed back
            through what changes only its shape or type, and through one final activation.

    Raises:
        NameNotFoundError: nothing has that name.
        UnsupportedError: no output holds floating-point scores.
    """
    if name is not None:
        value = find_value(graph, name)
        return with_axes(graph, _score(value, _following_activation(value), ()))
    found = [with_axes(graph, score) for score in map(_peel, graph.outputs) if score is not None]
    for score in found:
        if not _is_coordinates(score, found):
            return score
    raise UnsupportedError("no output of the model is computed from floating-point scores; name the score with --score")


def _is_coordinates(score: Score, others: list[Score]) -> bool:
    """Whether an output gives four coordinates for each of the detections that another one gives scores for."""

    def is_such(one: Score) -> bool:
        counts = {one.shape[one.box_axis], score.shape[score.box_axis]}
        # An open number may be any.
        matches = len(counts) == 1 or not all(isinstance(count, int) for count in counts)
        return one.kind == "boxes" and one.shape[3 - one.box_axis] != COORDINATES and matches

    if score.kind != "boxes" or score.shape[3 - score.box_axis] != COORDINATES:
        return False
    return any(is_such(other) for other in others if other is not score)


def with_axes(graph: ir.Graph, score: Score) -> Score:
    """Return the score with what its axes mean."""
    known, value = axis_meanings(graph), find_value(graph, score.name)
    if value in known:
        score = replace(score, axes=known[value].letters)
    if score.kind != "boxes":
        return score
    axis = box_axis(value, known)
    first = coordinates(graph, value, axis, activated=score.activation is not None)
    return replace(score, box_axis=axis, coordinates=first)


def _peel(value: ir.Value) -> Score | None:
    """Follow an output back to the scores; stop at the first operator that computes them."""
    passed: list[str] = []
    activation: Activation = None
    best = value if value.dtype in FLOATS else None
    while (node := value.producer()) is not None and node.domain == "" and node.inputs and node.inputs[0] is not None:
        # The position of the largest probability is that of the largest score: both are passed.
        picked = bool(passed) and _first_activation(passed) == "ArgMax"
        if node.op_type in _ACTIVATIONS and (activation is None or (picked and node.op_type != "ArgMax")):
            activation = _ACTIVATIONS[node.op_type]
            value = node.inputs[0]
            passed.append(node.op_type)
            best = value if value.dtype in FLOATS else None
        elif node.op_type in _TRANSPARENT:
            value = node.inputs[0]
            passed.append(node.op_type)
            # After an activation the converter may have put a Reshape of its own: go on to what the file calls scores.
            if value.dtype in FLOATS and (best is None or (activation is not None and _same_classes(value, best))):
                best = value
        else:
            break
    return None if best is None else _score(best, activation, _until(best, passed))


def _first_activation(passed: list[str]) -> str | None:
    """Return the activation that was passed, if it was one only."""
    found = [op_type for op_type in passed if op_type in _ACTIVATIONS]
    return found[0] if len(found) == 1 else None


def _same_classes(value: ir.Value, other: ir.Value) -> bool:
    """Whether both hold one score a class along axis 1 and nothing else beside the batch."""
    if value.shape is None or other.shape is None or min(len(value.shape), len(other.shape)) < 2:
        return False
    return value.shape[1] == other.shape[1] and all(
        dim == 1 for shape in (value.shape, other.shape) for dim in shape.dims[2:]
    )


def _until(value: ir.Value, passed: list[str]) -> tuple[str, ...]:
    """Return those operators that come after the value."""
    count, consumers = 0, value.consumers()
    while consumers and count < len(passed):
        count += 1
        consumers = consumers[0].outputs[0].consumers()
    return tuple(passed[:count])


def _following_activation(value: ir.Value) -> Activation:
    for node in value.consumers():
        if node.op_type in _ACTIVATIONS:
            return _ACTIVATIONS[node.op_type]
    return None


def _score(value: ir.Value, activation: Activation, passed: tuple[str, ...]) -> Score:
    return Score(str(value.name), activation, shape_tuple(value.shape), passed)
