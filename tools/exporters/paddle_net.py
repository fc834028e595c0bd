"""Paddle networks through paddle2onnx.

In a virtual environment of its own, from the root:

    python -m venv paddle-venv
    paddle-venv/bin/pip install paddlepaddle==3.3.1 paddle2onnx==2.1.0 onnxruntime pillow
    paddle-venv/bin/python -m tools.exporters.paddle_net
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version

import numpy as np
import onnx
import paddle
import paddle2onnx
from paddle import nn

from tools.exporters import shared


def shapes() -> nn.Layer:
    """Return the shapes classifier."""
    weights = shared.shapes()
    parts: list[nn.Layer] = []
    for one in weights.convolutions:
        outputs, inputs, kernel, _ = one.kernel.shape
        parts += [nn.Conv2D(inputs, outputs, kernel, one.stride, one.pad), nn.ReLU()]
        parts += [nn.MaxPool2D(2, 2)] if one.pool else []
    model = nn.Sequential(*parts, nn.Flatten(), nn.Linear(*weights.kernel.T.shape))
    arrays = [array for one in weights.convolutions for array in (one.kernel, one.bias)]
    for parameter, array in zip(model.parameters(), [*arrays, weights.kernel.T, weights.bias], strict=True):
        parameter.set_value(array.astype(paddle.get_default_dtype()))
    return model


def _convolve(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2D(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias_attr=False)
    return nn.Sequential(convolution, nn.BatchNorm2D(outputs), nn.Hardswish())


class Squeeze(nn.Layer):
    """Squeeze and excite, as MobileNetV3 has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.reduce, self.expand = nn.Conv2D(channels, channels // 4, 1), nn.Conv2D(channels // 4, channels, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Weigh each channel."""
        gate = self.expand(nn.functional.relu(self.reduce(self.pool(x))))
        return x * nn.functional.hardsigmoid(gate, slope=0.2, offset=0.5)


class Small(nn.Layer):
    """PP-LCNet in small, with two scales joined; ends in a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolve(3, 12, 3, 2)
        self.block = nn.Sequential(_convolve(12, 12, 5, 2, groups=12), Squeeze(12), _convolve(12, 20, 1))
        self.pool = nn.AvgPool2D(3, 2, 1, ceil_mode=True)
        self.join = _convolve(32, 24, 3)
        self.head = nn.Linear(24, 5)

    def logits(self, x: paddle.Tensor) -> paddle.Tensor:
        """What the softmax reads."""
        first = self.stem(x)
        # By size, not by scale_factor: paddle2onnx 2.1.0 does not read that attribute (it is no FloatAttribute).
        second = nn.functional.interpolate(self.block(first), first.shape[2:], mode="bilinear", align_corners=False)
        x = self.join(self.pool(paddle.concat([first, second], axis=1)))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Images to probabilities."""
        return nn.functional.softmax(self.logits(x))


def small() -> Small:
    """Return the network with seeded random weights."""
    model = Small()
    rng = np.random.default_rng(0)
    for name, tensor in model.state_dict().items():
        centred = rng.standard_normal(tensor.shape) / np.sqrt(max(int(np.prod(tensor.shape[1:])), 4))
        spread = rng.uniform(0.5, 1.5, tensor.shape)
        tensor.set_value((spread if name.endswith("_variance") else centred).astype(paddle.get_default_dtype()))
    return model


def export(name: str, model: nn.Layer, size: tuple[int, int, int]) -> None:
    """Write the model as paddle2onnx converts it, with a dynamic batch."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/{name}"
        paddle.jit.save(model, path, [paddle.static.InputSpec([None, *size], "float32", "image")])
        # Not paddle.onnx.export, which folds constants by a tool that installs packages by itself.
        paddle2onnx.export(f"{path}.json", f"{path}.pdiparams", f"{path}.onnx", opset_version=17, optimize_tool="None")
        proto = onnx.load(f"{path}.onnx")
    packages = ("paddlepaddle", "paddle2onnx")
    shared.store(f"paddle_{name}", proto, ", ".join(f"{package} {version(package)}" for package in packages))


def differentiate(model: nn.Layer, x: shared.Array) -> tuple[shared.Array, shared.Array]:
    """Return logits and gradient, in float64."""
    entry = paddle.to_tensor(x.astype(np.float64), stop_gradient=False)
    y = getattr(model, "logits", model)(entry)
    (y * paddle.to_tensor(shared.one_hot(y))).sum().backward()
    return y.numpy(), entry.grad.numpy()


def main() -> None:
    """Write both networks and their gradients."""
    export("shapes", shapes().eval(), (3, 96, 96))
    export("small", small().eval(), (3, 36, 32))
    paddle.set_default_dtype("float64")
    shared.store_gradient("paddle_shapes", *differentiate(shapes().eval(), shared.shapes_input()))
    x = shared.random_input(2, 3, 36, 32)
    shared.store_gradient("paddle_small", *differentiate(small().eval(), x), x)


if __name__ == "__main__":
    main()
