"""Perturbed networks: parts of a layer ablated, an image masked, and second derivatives of the head.

The masks are applied inside the graph, so that only they are copied to the device, and not the masked activations.
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
