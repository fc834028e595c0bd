"""QDQ networks in torch, float64, as training with fake quantisation sees them: an engine apart from the package's.

Rounding passes the gradient on, the ends of the range stop it. Only what such files are made of: convolutions, pools,
products, activations, and moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import torch

Tensors: TypeAlias = list[Any]
Attributes: TypeAlias = dict[str, Any]


def _shaped(parameter: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    if parameter.numel() == 1:
        return parameter.reshape(())
    return parameter.reshape([-1 if a == axis % x.ndim else 1 for a in range(x.ndim)])


def _quantize(given: Tensors, attributes: Attributes) -> torch.Tensor:
    """Values stay real: what DequantizeLinear would make of the integers, so that it has nothing left to do."""
    x, scale, zero = given
    low, high = torch.iinfo(zero.dtype).min, torch.iinfo(zero.dtype).max
    number = x / _shaped(scale, x, attributes.get("axis", 1)) + zero.to(x)
    cut = number.clamp(low, high)
    rounded = cut + (cut.round() - cut).detach()
    return (rounded - zero.to(x)) * scale


def _dequantize(given: Tensors, attributes: Attributes) -> torch.Tensor:
    x, scale, zero = given
    if x.is_floating_point():
        return x
    axis = attributes.get("axis", 1)
    return (x.double() - _shaped(zero, x, axis).double()) * _shaped(scale, x, axis)


def _convolve(given: Tensors, attributes: Attributes) -> torch.Tensor:
    x, w, *bias = given
    strides = attributes.get("strides", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])
    if attributes.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        totals = [
            max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(x.shape[2:], strides, w.shape[2:], strict=True)
        ]
        pads = [*(t // 2 for t in totals), *(t - t // 2 for t in totals)]
    padded = torch.nn.functional.pad(x, [pads[1], pads[3], pads[0], pads[2]])
    return torch.conv2d(padded, w, *bias, stride=strides, groups=attributes.get("group", 1))


def _pool(given: Tensors, attributes: Attributes) -> torch.Tensor:
    kernel = attributes["kernel_shape"]
    result: torch.Tensor = torch.nn.functional.avg_pool2d(given[0], kernel, attributes.get("strides", [1, 1]))
    return result


_OPERATORS: dict[str, Callable[[Tensors, Attributes], torch.Tensor]] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Conv": _convolve,
    "AveragePool": _pool,
    "Relu": lambda given, _: torch.relu(given[0]),
    "Clip": lambda given, _: given[0].clamp(*given[1:]),
    "Add": lambda given, _: given[0] + given[1],
    "MatMul": lambda given, _: given[0] @ given[1],
    "Reshape": lambda given, _: given[0].reshape([int(n) for n in given[1]]),
    "Transpose": lambda given, attributes: given[0].permute(attributes["perm"]),
    "Softmax": lambda given, attributes: torch.softmax(given[0], attributes.get("axis", -1)),
}


def gradient(
    model: onnx.ModelProto, x: npt.NDArray[Any], score: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the scores, and the gradient of the largest one with respect to the integers of the input."""
    values: dict[str, Any] = {i.name: _tensor(onnx.numpy_helper.to_array(i)) for i in model.graph.initializer}
    entry = model.graph.input[0].name
    numbers = torch.tensor(x.astype(np.float64), requires_grad=True)
    values[entry] = numbers
    whole = {entry}
    for node in model.graph.node:
        given = [values[name] for name in node.input]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "DequantizeLinear" and node.input[0] in whole:
            result = (given[0] - given[2].double()) * given[1]
        else:
            result = _OPERATORS[node.op_type](given, attributes)
            # The input's integers may be moved before they become real.
            whole |= set(node.output) if node.input[0] in whole else set()
        values[node.output[0]] = result
    scores = values[score]
    scores.max().backward()
    assert numbers.grad is not None
    return scores.detach().numpy(), numbers.grad.numpy()


def _tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    tensor = torch.tensor(array)
    return tensor.double() if tensor.is_floating_point() else tensor
