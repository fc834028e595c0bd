"""Gradients of a model file as an ONNX model of their own, without any map."""

from __future__ import annotations

from collections.abc import Sequence

from onnxcam.autodiff.differentiate import Seed, add_gradients, next_order
from onnxcam.autodiff.quantized_range import QuantizedRange, gradient_rules
from onnxcam.graph.io.model_file import ModelProto, ModelSource
from onnxcam.graph.io.serialize import to_proto
from onnxcam.network.read import read_network


def differentiate(
    model: ModelSource,
    of: str,
    wrt: Sequence[str],
    seed: Seed = "cotangent",
    *,
    share_weights: bool = True,
    quantized_range: QuantizedRange = "unrounded",
) -> ModelProto:
    """Return a model that computes gradients too, with standard ONNX operators only.

    Its outputs are the model's own, then for each value ``v`` in ``wrt`` both ``v`` and its gradient ``grad/v``, of the
    shape of ``v``, in float32 (float64 where ``v`` is). Operators older than opset 18 are raised to it. The batch axis
    stays open where it was; where the file fixes it at 1, it is opened if two samples run at once give what they give
    one by one.

    Applied to its own result it gives second derivatives: of a gradient ``grad/x``, with respect to any value. What it
    adds then has a number in its name: input ``cotangent2``, output ``grad2/v``. With ``cotangent`` c and
    ``cotangent2`` u, ``grad2/x`` of ``grad/x`` is H u, where H is the second derivative of ``sum(c * of)``. What is
    linear between its kinks, such as ReLU, has the second derivative 0; where nothing else lies in between, that is a
    DependencyError.

    Args:
        model: path, bytes or onnx ``ModelProto`` (which is not changed).
        of: name of the value, or of the node that makes it, whose gradient is taken: usually the logits.
        wrt: names of values or nodes to differentiate with respect to.
        seed: ``cotangent`` adds a float32 input ``cotangent`` of the shape of ``of``: the gradient is that of
            ``sum(cotangent * of)``. ``class`` adds an int64 input ``class_index`` of shape [N], one class a sample,
            negative for the class with the highest score.
        share_weights: let the backward pass read the forward pass's weights. Some runtimes compute wrong gradients then
            without a word; False gives it copies, in a file that is larger by as much.
        quantized_range: where QuantizeLinear passes a gradient: where the number lies in the range before rounding
            (``unrounded``, as in TensorFlow), or after it (``rounded``, as in torch's fake quantisation).

    Raises:
        ModelError: no ONNX model, or one that onnxruntime does not take.
        NameNotFoundError: no value has such a name.
        DependencyError: ``of`` does not depend on one of ``wrt``, or in steps alone.
        UnsupportedError: operators without a gradient rule, all of them listed.

    Example:
        >>> graph = onnxcam.differentiate("model.onnx", of="logits", wrt=["layer4"], seed="class")
    """
    network = read_network(model, score=of, samples_first=False)
    table, order = gradient_rules(quantized_range), next_order(network.model.graph)
    with_gradients = add_gradients(
        network.model, network.score.name, wrt, seed, table=table, share_weights=share_weights, order=order
    )
    return to_proto(with_gradients)
