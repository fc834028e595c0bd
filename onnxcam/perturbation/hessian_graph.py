"""Second derivatives: the gradient graph, differentiated once more."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.seed import COTANGENT, numbered
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.fold_shapes import FoldShapes
from onnxcam.graph.passes.infer_shapes import InferShapes

SCORE_COTANGENT = COTANGENT
DIRECTION = numbered(COTANGENT, 2)
PRODUCT = "hessian_vector_product"


def hessian_vector_product(model: ir.Model, score: str, layer: str) -> ir.Model:
    """Return a model whose one output ``hessian_vector_product`` is ``H v``.

    ``H`` is the second derivative of ``sum(cotangent * score)`` with respect to the layer, ``v`` the input named by
    ``DIRECTION``, of the layer's shape. Reverse over reverse (Pearlmutter 1994).

    Raises:
        DependencyError: the gradient does not depend on the layer: the second derivative is 0.
        UnsupportedError: operators without a rule, all of them listed.
    """
    once = expose(add_gradients(model, score, [layer]), [gradient_name(layer)])
    # The rules of the second backward pass need shapes, which those of the first do not write.
    once = FoldShapes()(InferShapes()(once).model).model
    twice = expose(add_gradients(once, gradient_name(layer), [layer], order=2), [gradient_name(layer, 2)])
    twice.graph.outputs[0].name = PRODUCT
    return twice
