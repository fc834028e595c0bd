"""Layer-wise relevance propagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.methods.support.lrp_base import LRPMethod
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class LRP(LRPMethod):
    """Relevance of each input value: the score distributed backward, layer by layer.

    ``L = sum_k R_k`` over the input's channels, ``R_i = sum_j z_ij / sum_i z_ij R_j`` from layer to layer, starting
    from the target's logit. How an input's contribution ``z_ij`` is defined is the rule of each layer, and a composite
    says which layer uses which rule: ``epsilon-plus`` (epsilon for dense layers, z+ for convolutions),
    ``epsilon-plus-flat``, ``epsilon-alpha2-beta1``, ``epsilon-alpha2-beta1-flat``, ``epsilon-gamma-box``,
    ``excitation-backprop``, ``z-plus``, ``zero``, or one of your own. Normalisations with stored statistics are folded
    first.

    Source: Bach et al. 2015; composites and stabilizers are those of zennit 0.5; remaining normalisations and products
    follow AttnLRP.

    Attributes:
        composite: name of a composite, a JSON file, or the composite itself.
        to: where the map ends: ``input``, or a layer, by name or by index.
    """

    name: ClassVar[str] = "lrp"
    paper: ClassVar[str] = "bach2015"

    @property
    def initial_relevance(self) -> Literal["score"]:
        """``score``: relevance starts at the score, as the explained number."""
        return "score"

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` where it ends, signed, in units of the score."""
        return self.propagated(view)
