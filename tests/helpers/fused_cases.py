"""Cases of each operator that onnxruntime's optimiser writes, with onnxruntime's kernel or torch as oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from onnxcam.graph.analysis.quantization import MICROSOFT
from tests.helpers.models import floats
from tests.helpers.sample import Array

Oracle = Callable[..., torch.Tensor]


@dataclass(frozen=True, eq=False)
class Fused:
    """One fused node.

    Attributes:
        op: operator.
        inputs: float64 arrays are float inputs of the model, others weights; None for what is left out.
        attributes: as in ONNX.
        outputs: names of the node's outputs; the score is the first unless ``score`` says otherwise.
        torch: the same on torch's tensors, for operators that onnxruntime has no CPU kernel for or that have kinks.
        kernel: whether onnxruntime has a CPU kernel.
        differentiable: whether differences can check the gradient: rounding has none.
        domain: where onnxruntime writes it.
        opset: of the main domain.
        note: for the test's name.
    """

    op: str
    inputs: tuple[Array | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("y",)
    score: str = "y"
    torch: Oracle | None = None
    kernel: bool = True
    differentiable: bool = True
    domain: str = MICROSOFT
    opset: int = 17
    note: str = ""

    @property
    def name(self) -> str:
        """Name in the test's report."""
        return "-".join(filter(None, (self.op, self.note)))

    @property
    def feeds(self) -> dict[str, npt.NDArray[np.float32]]:
        """What the model is fed."""
        given = {f"x{i}": a for i, a in enumerate(self.inputs) if a is not None and a.dtype == np.float64}
        return {name: a.astype(np.float32) for name, a in given.items()}

    @property
    def model(self) -> onnx.ModelProto:
        """The node as a model, its input shapes known and its score's rank not."""
        names = ["" if a is None else f"x{i}" for i, a in enumerate(self.inputs)]
        weights = {f"x{i}": a for i, a in enumerate(self.inputs) if a is not None and a.dtype != np.float64}
        node = helper.make_node(self.op, names, self.outputs, name="node", domain=self.domain, **self.attributes)
        graph = helper.make_graph(
            [node],
            "fused",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in self.feeds.items()],
            [onnx.ValueInfoProto(name=self.score)],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def fed(*shape: int, seed: int = 0) -> Array:
    """Return an input."""
    return floats(*shape, seed=seed).astype(np.float64)


def fixed(*shape: int, seed: int = 9) -> Array:
    """Return a weight."""
    return floats(*shape, seed=seed)


def _conv(
    activation: str, parameters: list[float], real: Oracle, *, residual: bool = False, bias: bool = True
) -> Fused:
    def convolve(x: torch.Tensor, w: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        y = torch.conv2d(x, w, rest[0] if bias else None, padding=1)
        return real(y + rest[-1] if residual else y)

    z = (fed(2, 4, 6, 6, seed=3),) if residual else ()
    attributes: dict[str, Any] = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3], "activation": activation}
    if parameters:
        attributes["activation_params"] = parameters
    return Fused(
        "FusedConv",
        (fed(2, 3, 6, 6), fixed(4, 3, 3, 3), fixed(4, seed=8) if bias else None, *z),
        attributes,
        torch=convolve,
        note=f"{activation}{'-residual' if residual else ''}{'' if bias else '-without-bias'}",
    )


def _attention(note: str, mask: Array | None = None, bias: Array | None = None, **attributes: Any) -> Fused:
    return Fused(
        "Attention",
        (fed(2, 5, 8), fixed(8, 24) / 3, fixed(24, seed=8), mask, None, bias),
        {"num_heads": 2, **attributes},
        note=note,
    )


def _heads(note: str, *inputs: Array | None, **attributes: Any) -> Fused:
    return Fused("MultiHeadAttention", inputs, {"num_heads": 2, **attributes}, note=note)


def _channels_last(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.conv2d(x.permute(0, 3, 1, 2), w, b, padding=1).permute(0, 2, 3, 1)


def _attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention of ``[B, S, H, d]``."""
    heads = torch.nn.functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)))
    result: torch.Tensor = heads.transpose(1, 2).flatten(2)
    return result


_MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
_RAGGED = (np.random.default_rng(0).random((2, 5, 5)) < 0.7).astype(np.int32) | np.eye(5, dtype=np.int32)
_Q, _K, _V = fed(2, 5, 8), fed(2, 6, 8, seed=1), fed(2, 6, 8, seed=2)
_SCALE = {"epsilon": 1e-5}
_GELU = torch.nn.functional.gelu
_BYTES = np.random.default_rng(1).integers(-100, 100, (4, 5)).astype(np.int8)

CASES = [
    _conv("Relu", [], torch.relu),
    _conv("Relu", [], torch.relu, bias=False),
    _conv("Relu", [], torch.relu, residual=True),
    _conv("Clip", [-0.5, 1.5], lambda y: y.clamp(-0.5, 1.5)),
    _conv("LeakyRelu", [0.2], lambda y: torch.nn.functional.leaky_relu(y, 0.2)),
    _conv("HardSigmoid", [0.3, 0.4], lambda y: (0.3 * y + 0.4).clamp(0, 1)),
    _conv("Sigmoid", [], torch.sigmoid),
    _conv("Tanh", [], torch.tanh),
    Fused("FusedMatMul", (fed(2, 3, 4), fed(2, 4, 5, seed=1)), {"alpha": 0.3}, note="alpha"),
    Fused("FusedMatMul", (fed(2, 4, 3), fed(4, 5, seed=1)), {"transA": 1}, note="transA"),
    Fused("FusedMatMul", (fed(2, 3, 4), fixed(2, 5, 4)), {"transB": 1, "alpha": -2.0}, note="transB"),
    Fused("FusedMatMul", (fed(3, 2, 4), fed(2, 4, 5, seed=1)), {"transBatchA": 1}, note="batch"),
    Fused(
        "FusedMatMul",
        (fed(4, 2, 6, 3), fed(2, 6, 5, 4, seed=1)),
        {"transA": 1, "transBatchA": 1, "transB": 1},
        note="batch and last",
    ),
    Fused("TransposeMatMul", (fed(4, 3), fed(5, 4, seed=1)), {"transA": 1, "transB": 1},
          kernel=False, torch=lambda a, b: a.T @ b.T),
    Fused("FusedGemm", (fed(3, 4), fed(5, 4, seed=1), fed(5, seed=2)),
          {"transB": 1, "alpha": 0.5, "beta": 2.0, "activation": "LeakyRelu", "activation_alpha": 0.3}),
    Fused("FusedGemm", (fed(3, 4), fed(4, 5, seed=1)), {"activation": "Relu"}, note="without C"),
    Fused("Gelu", (fed(3, 7),)),
    Fused("BiasGelu", (fed(3, 7), fed(7, seed=1))),
    Fused("FastGelu", (fed(3, 7),)),
    Fused("FastGelu", (fed(3, 7), fed(7, seed=1)), note="bias"),
    Fused("QuickGelu", (fed(3, 7),)),
    Fused("QuickGelu", (fed(3, 7),), {"alpha": 1.0}, note="SiLU"),
    Fused("BiasSplitGelu", (fed(2, 3, 8), fixed(8)),
          kernel=False, torch=lambda x, b: (x + b)[..., :4] * _GELU((x + b)[..., 4:])),
    Fused("BiasAdd", (fed(2, 3, 8), fixed(8), fed(2, 3, 8, seed=1)), kernel=False, torch=lambda x, b, z: x + b + z),
    Fused("BiasSoftmax", (fed(2, 3, 4, 4), fixed(2, 1, 1, 4)), {"axis": 3, "is_inner_broadcast": 1},
          kernel=False, torch=lambda x, b: torch.softmax(x + b, -1)),
    Fused("NhwcConv", (fed(2, 6, 6, 3), fixed(4, 3, 3, 3), fixed(4)), {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]},
          kernel=False, torch=_channels_last),
    Fused("NhwcConv", (fed(2, 6, 6, 2), np.ascontiguousarray(fixed(4, 2, 3, 3).transpose(0, 2, 3, 1)), fixed(4)),
          {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}, note="weight channels last",
          kernel=False, torch=lambda x, w, b: _channels_last(x, w.permute(0, 3, 1, 2), b)),
    Fused("NhwcFusedConv", (fed(2, 6, 6, 3), fixed(4, 3, 3, 3), fixed(4), fed(2, 6, 6, 4, seed=2)),
          {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3], "activation": "Relu"},
          kernel=False, torch=lambda x, w, b, z: torch.relu(_channels_last(x, w, b) + z)),
    Fused("LayerNormalization", (fed(2, 3, 8), fixed(8), fixed(8, seed=8)), _SCALE, domain="", opset=14),
    Fused("LayerNormalization", (fed(2, 3, 8), fixed(3, 8)), {"axis": 1}, domain="", opset=11, note="axis"),
    Fused("SimplifiedLayerNormalization", (fed(2, 3, 8), fixed(8)), _SCALE, domain=""),
    Fused("SkipLayerNormalization", (fed(2, 3, 8), fed(2, 3, 8, seed=1), fixed(8), fixed(8, seed=8)), _SCALE),
    Fused("SkipLayerNormalization", (fed(2, 3, 8), fed(2, 3, 8, seed=1), fixed(8), None, fixed(8, seed=7)), _SCALE,
          note="bias"),
    Fused("SkipLayerNormalization", (fed(2, 3, 8), fed(2, 3, 8, seed=1), fixed(8)), _SCALE,
          ("y", "", "", "sum"), score="sum", note="sum"),
    Fused("SkipSimplifiedLayerNormalization", (fed(2, 3, 8), fed(2, 3, 8, seed=1), fixed(8), fixed(8, seed=7)), _SCALE),
    _attention("plain"),
    _attention("causal", unidirectional=1),
    _attention("mask", _MASK),
    _attention("mask a query", _RAGGED),
    _attention("lengths", np.array([3, 5], np.int32)),
    _attention("bias", bias=fixed(2, 2, 5, 5)),
    _attention("scale", scale=0.2),
    Fused("Attention", (fed(2, 5, 8), fixed(8, 28) / 3, fixed(28, seed=8)),
          {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 12]}, note="wide values"),
    _heads("apart", _Q, _K, _V),
    _heads("bias", _Q, _K, _V, fixed(24)),
    _heads("keys in heads", _Q, fed(2, 2, 6, 4, seed=1), fed(2, 2, 6, 4, seed=2)),
    Fused("MultiHeadAttention", (_Q, fed(2, 6, 2, 2, 4, seed=1)), {"num_heads": 2}, note="keys and values packed",
          kernel=False, torch=lambda q, kv: _attended(q.reshape(2, 5, 2, 4), kv[..., 0, :], kv[..., 1, :])),
    Fused("MultiHeadAttention", (fed(2, 5, 2, 3, 4),), {"num_heads": 2}, note="all packed",
          kernel=False, torch=lambda qkv: _attended(*qkv.unbind(3))),
    _heads("mask", _Q, _K, _V, None, np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32)),
    _heads("lengths", _Q, _K, _V, None, np.array([4, 6], np.int32)),
    _heads("attention bias", _Q, _K, _V, None, None, fixed(1, 2, 5, 6)),
    _heads("causal", _Q, fed(2, 5, 8, seed=1), fed(2, 5, 8, seed=2), unidirectional=1, scale=0.3),
    Fused("DynamicQuantizeMatMul", (fed(3, 4), _BYTES, np.array([0.02], np.float32), np.array([3], np.int8),
                                    fixed(5)), differentiable=False),
    Fused("MatMulIntegerToFloat", (np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, _BYTES, fed(1), fixed(1),
                                   np.array([7], np.uint8), np.array([3], np.int8), fixed(5)), differentiable=False),
]  # fmt: skip
