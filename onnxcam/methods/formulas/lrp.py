"""Layer-wise relevance propagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxcam.arrays import Array, Maps
from onnxcam.methods.support.lrp_base import LRPMethod
from onnxcam.methods.support.propagating import total
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class LRP(LRPMethod):
    """Relevance of each input value: the score distributed backward, layer by layer.

    ``L = sum_k R_k`` over the input's channels, ``R_i = sum_j z_ij / sum_i z_ij R_j`` from layer to layer, starting
    from the target's logit. How an input's contribution ``z_ij`` is defined is the rule of each layer, and a composite
    says which layer uses which rule: ``epsilon-plus`` (epsilon for dense layers, z+ for convolutions),
    ``epsilon-plus-flat``, ``epsilon-alpha2-beta1``, ``epsilon-alpha2-beta1-flat``, ``epsilon-gamma-box``,
    ``excitation-backprop``, ``z-plus``, ``zero``, or one of your own.

    Normalisations with stored statistics are folded first. One with statistics of its own (layer, instance, group
    normalisation, root mean square) has one rule, however a file writes it: its deviation counts as constant, its
    mean, scale and shift follow the epsilon rule, and the shift keeps its share. So does an encoding of positions.
    Where the composite's rule of dense layers has shares of one sign only (z+), both pass relevance unchanged.

    By default, ``auto``, dense layers follow epsilon and convolutions z+ without biases, and what a unit that its bias
    alone activates would lose is spread evenly over what it reads (``epsilon-plus-spread``); where the network has
    attention, its first convolution follows gamma (``epsilon-plus-gamma-spread``). The result names the composite.
    These were chosen by measurement (``onnxcam docs composites``): the biases of a deep network of depthwise
    convolutions take 99.9 % of the score by ``epsilon-plus``.

    A warning says so where less than a tenth of the score arrives in the map, whatever the composite, and where
    relevance overflows. LRP-0 without biases does: it divides by sums that can be anywhere near 0, and a stabilizer
    that is large enough against it takes the score instead.

    Source: Bach et al. 2015; other composites and stabilizers are those of zennit 0.5; remaining normalisations and
    products follow AttnLRP.

    Differences: spreading, and with it the default, are our additions.

    Attributes:
        composite: name of a composite, a JSON file, the composite itself, or ``auto``.
        to: where the map ends: ``input``, or a layer, by name or by index.
    """

    name: ClassVar[str] = "lrp"
    paper: ClassVar[str] = "bach2015"

    @property
    def initial_relevance(self) -> Literal["score"]:
        """``score``: relevance starts at the score, as the explained number."""
        return "score"

    def arrival(self, view: NetworkView, raw: Maps) -> tuple[Array, Array]:
        """Return the explained number of each sample, and the total of its map."""
        return total(view.weights * view.scores), total(raw)

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` where it ends, signed, in units of the score."""
        return self.propagated(view)
