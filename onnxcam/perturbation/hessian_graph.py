"""Second derivatives: the gradient graph, differentiated once more."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.graph.analysis.values import data_inputs
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.infer_shapes import InferShapes

SCORE_COTANGENT = "score_cotangent"
DIRECTION = COTANGENT
_GRADIENT = "score_gradient"
PRODUCT = "hessian_vector_product"


def hessian_vector_product(model: ir.Model, score: str, layer: str) -> ir.Model:
    """Return a model whose one output ``hessian_vector_product`` is ``H v``.

    ``H`` is the second derivative of ``sum(score_cotangent * score)`` with respect to the layer, and ``v`` the input
    named by ``DIRECTION``, of the layer's shape. Reverse over reverse (Pearlmutter 1994).

    Raises:
        DependencyError: the gradient does not depend on the layer: the second derivative is 0.
        UnsupportedError: operators without a rule, all of them listed.
    """
    once = add_gradients(model, score, [layer])
    for value in data_inputs(once.graph):
        if value.name == COTANGENT:
            value.name = SCORE_COTANGENT
    for output in once.graph.outputs:
        if output.name == gradient_name(layer):
            output.name = _GRADIENT
    # The rules of the second backward pass need shapes, which those of the first do not write.
    first = InferShapes()(expose(once, [_GRADIENT])).model
    twice = expose(add_gradients(first, _GRADIENT, [layer]), [gradient_name(layer)])
    twice.graph.outputs[0].name = PRODUCT
    return twice
