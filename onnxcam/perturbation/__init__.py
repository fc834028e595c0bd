"""Perturbed networks: parts of a layer ablated, an image masked, and the derivatives of the head that go with it.

The change is part of the graph, so that only small masks cross to the device and never what is masked by them.
"""

from onnxcam.perturbation.ablation_graph import KEEP, ablate_layer
from onnxcam.perturbation.hessian_graph import DIRECTION, PRODUCT, SCORE_COTANGENT, hessian_vector_product
from onnxcam.perturbation.masking_graph import BACKGROUND, MASKS, RESIZERS, mask_image

__all__ = [
    "BACKGROUND",
    "DIRECTION",
    "KEEP",
    "MASKS",
    "PRODUCT",
    "RESIZERS",
    "SCORE_COTANGENT",
    "ablate_layer",
    "hessian_vector_product",
    "mask_image",
]
