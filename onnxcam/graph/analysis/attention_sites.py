"""Where a network computes attention, whose matrices attention rollout reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.reachability import signal_path
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with

Tensor: TypeAlias = npt.NDArray[Any]

_MATRIX_RANKS = (3, 4)
# Before opset 13 a softmax over the last axis is one of a matrix, from which its result is reshaped.
_BETWEEN = operators_with(Trait.COPIES) | {"Cast", "Reshape"}


@dataclass(frozen=True)
class AttentionSite:
    """The attention matrix of one layer.

    Attributes:
        name: of the softmax, ``[N, heads, T, T]``, or ``[N * heads, T, T]``.
    """

    name: str

    def heads(self, array: Tensor, samples: int) -> Tensor:
        """Return ``[N, heads, T, T]``, float32, of so many samples.

        Raises:
            UnsupportedError: it is not between the tokens of one set.
        """
        if array.shape[-1] != array.shape[-2]:
            raise UnsupportedError(
                f"attention '{self.name}' of shape {list(array.shape)} is between two different sets of tokens, "
                "which cannot be followed through layers; use hires-cam or layer-cam"
            )
        return array.astype(np.float32, copy=False).reshape(samples, -1, *array.shape[-2:])


def attention_sites(graph: ir.Graph, score: str) -> tuple[AttentionSite, ...]:
    """Return every softmax on the paths to the score between two products: of queries with keys, and with values.

    Raises:
        UnsupportedError: there is none.
    """
    sites = _sites(graph, score)
    if not sites:
        raise UnsupportedError("the network has no attention; use hires-cam or layer-cam, which work with any network")
    return sites


def has_attention(graph: ir.Graph, score: str) -> bool:
    """Whether the score is computed by way of attention."""
    return bool(_sites(graph, score))


def _sites(graph: ir.Graph, score: str) -> tuple[AttentionSite, ...]:
    nodes, _ = signal_path(graph, find_value(graph, score))
    return tuple(site for node in nodes if node.op_type == "Softmax" and (site := _attention(node)) is not None)


def _attention(node: ir.Node) -> AttentionSite | None:
    """Return the matrix that a softmax gives, if a product reads it, directly or after its shape has been restored."""
    value = node.outputs[0]
    reader = value
    while len(reader.consumers()) == 1 and (user := reader.consumers()[0]).op_type in _BETWEEN:
        reader = user.outputs[0]
        if user.op_type == "Reshape":
            value = reader
    multiplied = any(user.op_type == "MatMul" and user.inputs[0] is reader for user in reader.consumers())
    if value.shape is None or len(value.shape) not in _MATRIX_RANKS or not multiplied:
        return None
    sizes = {size for size in (value.shape[-1], value.shape[-2]) if isinstance(size, int)}
    return AttentionSite(str(value.name)) if len(sizes) < 2 else None
