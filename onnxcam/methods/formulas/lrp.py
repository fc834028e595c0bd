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
    ``excitation-backprop``, ``z-plus``, ``zero`` (LRP-0), ``fine-grained`` (the rules of ``fg-cam``),
    ``epsilon-plus-spread``, ``epsilon-plus-gamma-spread``, ``z-plus-spread``, or one of your own.

    Normalisations with stored statistics are folded first. One with statistics of its own (layer, instance, group
    normalisation, root mean square) has one rule, however a file writes it: its deviation counts as constant, its mean,
    scale and shift follow the epsilon rule, and the shift keeps its share. Position embeddings keep theirs, too. Where
    the composite's rule of dense layers has shares of one sign only (z+), these normalisations and sums with position
    embeddings pass relevance unchanged.

    By default, ``auto``, dense layers follow epsilon and convolutions z+ without biases. If a unit is active by its
    bias alone, its relevance is spread evenly over its inputs (``epsilon-plus-spread``). Where the network has
    attention, its first convolution follows gamma (``epsilon-plus-gamma-spread``). The record of a map names the
    composite. These were chosen by measurement (``onnxcam docs composites``): by ``epsilon-plus``, the biases of a deep
    network of depthwise convolutions take 99.9 % of the score or more.

    With every composite a warning is given where less than a tenth of the score arrives in the map, where more than ten
    times as much does, and where relevance overflows. LRP-0 without biases overflows in deep networks: it divides by
    sums that can be near 0, and a stabilizer that is large enough to prevent this takes the score instead.

    Source: Bach et al. 2015; other composites and stabilizers are those of zennit 0.5; normalisations that cannot be
    folded, softmax and products follow AttnLRP. A vision transformer with the epsilon rule everywhere has the map of
    the authors' code, lxt 2.1, within 2 %: lxt adds its stabilizer to negative sums too
    (``tests/relevance/test_attn_lrp.py``).

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
