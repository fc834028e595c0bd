"""How much a float network's own input gradient turns when its input or its activations move a little.

A network of ReLUs is linear between its kinks: its gradient is a product of weights, those of dead units left out. What
moves an activation over a kink turns the gradient, however right the rules are; so no quantised network can be more
like the float network that it was made from than that network is like itself, rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

import onnxcam
from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.registry import Table
from onnxcam.graph.analysis.axes import channels_first
from onnxcam.graph.analysis.inputs import ModelInput
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.infer_shapes import InferShapes
from onnxcam.methods.support.noise import noisy_views
from onnxcam.methods.view import NetworkView
from onnxcam.network.open_session import open_session

Array: TypeAlias = npt.NDArray[Any]
# Of images as the network takes them and one class each: their gradients at the input, channels first.
Gradients: TypeAlias = Callable[[Array, Array], Array]


def gradients(explainer: onnxcam.Explainer, *, model: ir.Model | None = None, table: Table | None = None) -> Gradients:
    """Return what computes gradients at the input.

    Args:
        explainer: by the method ``gradient``.
        model: differentiated in place of the explainer's own.
        table: rules; ONNX's gradients if not given.
    """
    network, layer = explainer.network, explainer.layer
    name = gradient_name(layer.name)
    model = add_gradients(model or network.model, network.score.name, [layer.name], "class", table=table)
    session = open_session(expose(model, [name]), ["cpu"], folder=network.folder)

    def run(images: Array, classes: Array) -> Array:
        feeds = {explainer.image.name: images, "class_index": classes}
        found = session.run_batched(feeds, size=network.batch or 4, fixed=network.batch is not None)[name]
        return found.transpose(channels_first(layer.axes))

    return run


@dataclass(frozen=True)
class Images:
    """The part of a view that ``noisy_views`` uses.

    Attributes:
        x: images in float32, channels first.
        like: input that takes them.
    """

    x: Array
    like: ModelInput

    @classmethod
    def read(cls, images: Array, like: ModelInput) -> Images:
        """Take images as the network does."""
        return cls(images.transpose(channels_first(like.axes)).astype(np.float32), like)

    @property
    def fed(self) -> Array:
        """The images as the network takes them; integers are rounded."""
        images, dtype = self.x.transpose(np.argsort(channels_first(self.like.axes))), self.like.dtype
        if dtype.kind not in "iu":
            return images.astype(dtype)
        span = np.iinfo(dtype)
        return np.clip(np.rint(images), span.min, span.max).astype(dtype)

    def steps(self, n: int) -> range:
        """Return the numbers of the copies; progress is not reported."""
        return range(n)

    def with_images(self, x: Array) -> Images:
        """Return other images for the same network."""
        return Images(x, self.like)


def steadied(explainer: onnxcam.Explainer, images: Array, classes: Array, n: int, sigma: float) -> Array:
    """Return the gradient averaged over noisy copies, as ``smooth-grad`` does before it makes a map of it."""
    gradient, seen = gradients(explainer), Images.read(images, explainer.image)
    copies: Iterator[Any] = noisy_views(cast(NetworkView, seen), n, sigma, seed=0)
    mean: Array = np.mean([gradient(copy.fed, classes) for copy in copies], axis=0)
    return mean


def moved(images: Array, level: float, seed: int = 0) -> Array:
    """Return images whose every number is moved by up to one grey level, evenly distributed."""
    noise = np.random.default_rng(seed).uniform(-level, level, images.shape)
    return (images + noise).astype(images.dtype)


def rounded(model: ir.Model) -> ir.Model:
    """Return a model in which what each convolution reads is rounded to 8 bits over its own range."""
    model = model.clone()
    for index, node in enumerate([node for node in model.graph if node.op_type == "Conv"]):
        down = ir.node("DynamicQuantizeLinear", [node.inputs[0]], num_outputs=3)
        up = ir.node("DequantizeLinear", list(down.outputs))
        for position, value in enumerate([*down.outputs, *up.outputs]):
            value.name = f"rounded/{index}/{position}"
        model.graph.insert_before(node, [down, up])
        node.replace_input_with(0, up.outputs[0])
    return InferShapes()(model).model
