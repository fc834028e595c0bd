"""What a method needs of the network that it explains, declared once; whatever prepares a run reads it here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Contrast:
    """Explain what sets a class apart from those whose scores are nearest to its own.

    Attributes:
        count: how many of the nearest classes, at least 1.
        weight: factor of their mean score, which is subtracted from that of the class.
        mean: ``plain``, or weighted by ``probability``.
    """

    count: int
    weight: float
    mean: Literal["plain", "probability"] = "plain"


@dataclass(frozen=True)
class Needs:
    """What a method needs besides the forward pass.

    Attributes:
        at: where its map is made: at a ``layer`` of the network, or at the ``input``.
        head: what must follow the layer: ``any`` network, or global average pooling and at most one linear layer
            (``gap-linear``).
        reads: the values that its formula uses: those of the ``layer``, the ``biases`` of all layers, or the
            ``attentions`` of a transformer.
        gradient: the gradient of the explained score with respect to these values.
        propagates: relevance or guided gradients are propagated backward through the network.
        layers: names or indices of the layers that it combines, where it takes more than one.
        ends_at: name or index of the layer where its map ends, for methods that propagate from one layer to an earlier
            one; None for methods that do not, or that end at the input.
        contrast: the explained score is that of the class minus that of its nearest classes, if not None.
    """

    at: Literal["layer", "input"] = "layer"
    head: Literal["any", "gap-linear"] = "any"
    reads: Literal["layer", "biases", "attentions"] = "layer"
    gradient: bool = False
    propagates: bool = False
    layers: tuple[str | int, ...] = ()
    ends_at: str | int | None = None
    contrast: Contrast | None = None

    @property
    def backward_pass(self) -> bool:
        """Whether every operator from the score back to the layer must have a rule."""
        return self.gradient or self.propagates
