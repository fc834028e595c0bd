"""Flax networks through jax2onnx.

In a virtual environment of its own, from the root:

    python -m venv flax-venv
    flax-venv/bin/pip install jax==0.10.2 flax==0.12.8 jax2onnx==0.17.1 onnxruntime pillow
    flax-venv/bin/python -m tools.exporters.flax_net
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import jax2onnx
import numpy as np
from flax import nnx

from tools.exporters import shared


class Shapes(nnx.Module):
    """The shapes classifier, channels last."""

    def __init__(self) -> None:
        weights = shared.shapes()
        rngs = nnx.Rngs(0)
        self.pools = [one.pool for one in weights.convolutions]
        self.convolutions = nnx.List([_convolution(one, rngs) for one in weights.convolutions])
        self.linear = nnx.Linear(len(weights.kernel_last), len(weights.bias), rngs=rngs)
        self.linear.kernel[...] = jnp.asarray(weights.kernel_last)
        self.linear.bias[...] = jnp.asarray(weights.bias)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images to logits."""
        for convolution, pool in zip(self.convolutions, self.pools, strict=True):
            x = nnx.relu(convolution(x))
            x = nnx.max_pool(x, window_shape=(2, 2), strides=(2, 2)) if pool else x
        return self.linear(x.reshape(x.shape[0], -1))


def _convolution(weights: shared.Convolution, rngs: nnx.Rngs) -> nnx.Conv:
    height, width, inputs, outputs = weights.kernel_last.shape
    padding = [(weights.pad, weights.pad)] * 2
    made = nnx.Conv(inputs, outputs, (height, width), weights.stride, padding=padding, rngs=rngs)
    made.kernel[...] = jnp.asarray(weights.kernel_last)
    made.bias[...] = jnp.asarray(weights.bias)
    return made


class Small(nnx.Module):
    """Convolutions normalised in groups, then one transformer block on their positions."""

    width = 24

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        width = self.width
        self.stem = nnx.Conv(3, 16, (3, 3), 2, padding="SAME", rngs=rngs)
        self.stem_norm = nnx.GroupNorm(16, num_groups=4, rngs=rngs)
        self.spread = nnx.Conv(16, 16, (5, 5), 2, padding="SAME", feature_group_count=16, rngs=rngs)
        self.widen = nnx.Conv(16, width, (1, 1), rngs=rngs)
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(3, width, decode=False, rngs=rngs)
        self.second_norm = nnx.LayerNorm(width, rngs=rngs)
        self.first, self.second = nnx.Linear(width, 48, rngs=rngs), nnx.Linear(48, width, rngs=rngs)
        self.head = nnx.Linear(width, 5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images to logits."""
        x = nnx.gelu(self.stem_norm(self.stem(x)))
        x = nnx.silu(self.widen(self.spread(x)))
        x = nnx.max_pool(x, window_shape=(2, 2), strides=(1, 1), padding="SAME")
        x = x.reshape(x.shape[0], -1, self.width)
        normal = self.norm(x)
        x = x + self.attention(normal)
        x = x + self.second(nnx.gelu(self.first(self.second_norm(x)), approximate=False))
        return self.head(x.mean(axis=1))


def export(name: str, model: nnx.Module, size: tuple[int, int, int]) -> None:
    """Write the model as jax2onnx converts it, with a dynamic batch."""
    proto = jax2onnx.to_onnx(model, [("B", *size)], model_name=name, opset=21)
    packages = ("flax", "jax", "jax2onnx")
    shared.store(f"flax_{name}", proto, ", ".join(f"{package} {version(package)}" for package in packages))


def differentiate(model: nnx.Module, x: shared.Array) -> tuple[Any, Any]:
    """Return logits and gradient, in float64."""
    graph, state = nnx.split(model)
    wide = jax.tree.map(lambda a: a.astype(jnp.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a, state)
    model = nnx.merge(graph, wide)
    for _, part in nnx.iter_graph(model):
        # Flax casts what a layer reads to this type.
        if isinstance(part, nnx.Module) and getattr(part, "dtype", None) is not None:
            part.dtype = jnp.float64
    entry = jnp.asarray(x, jnp.float64)
    y = model(entry)
    gradient = jax.grad(lambda x: (model(x) * shared.one_hot(y)).sum())(entry)
    assert gradient.dtype == y.dtype == jnp.float64
    return y, gradient


def main() -> None:
    """Write both networks and their gradients."""
    shapes, small = Shapes(), Small()
    export("shapes", shapes, (96, 96, 3))
    export("small", small, (33, 30, 3))
    jax.config.update("jax_enable_x64", True)
    x = shared.shapes_input().transpose(0, 2, 3, 1)
    shared.store_gradient("flax_shapes", *differentiate(shapes, x))
    x = shared.random_input(2, 33, 30, 3)
    shared.store_gradient("flax_small", *differentiate(small, x), np.asarray(x))


if __name__ == "__main__":
    main()
