"""LeGrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, relu
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.attention import attentions_of, map_of_tokens
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class LeGrad(Method):
    """Positive gradients with respect to a transformer's attention, averaged in each layer and summed over layers.

    ``L = sum_l mean_heads mean_queries relu(dS/dA_l)``, ``A_l`` the attention of a layer, for each token as a key.

    Source: Bousselham et al. 2024.

    Differences: there each layer has a score of its own, the classifier applied to the layer's output, and the map is
    scaled to [0, 1]; here all gradients are those of the one explained score, so that the map explains the output of
    this file. For the last layer of a model that pools its tokens both are the same. The authors' code starts at a late
    layer by default; here all layers count.
    """

    name: ClassVar[str] = "le-grad"
    paper: ClassVar[str] = "bousselham2024"
    needs: ClassVar[Needs] = Needs(reads="attentions", gradient=True)

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: it cannot, since only positive gradients are kept."""
        return False

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, rows, columns]``, never negative, in units of the score per unit of attention."""
        tokens = sum(relu(attention.g).mean(axis=(1, 2)) for attention in attentions_of(view, self))
        return map_of_tokens(view, tokens)
