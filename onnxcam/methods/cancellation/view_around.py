"""What a view that stands around another one has in common with it."""

from __future__ import annotations

from onnxcam.arrays import Array
from onnxcam.methods.view import NetworkView


class ViewAround:
    """The members of a ``NetworkView`` that are data and no answers of the network, as another view has them.

    Attributes:
        view: the other one.
    """

    view: NetworkView

    @property
    def x(self) -> Array:
        """The images."""
        return self.view.x

    @property
    def scores(self) -> Array:
        """All scores."""
        return self.view.scores

    @property
    def weights(self) -> Array:
        """Weight of each score."""
        return self.view.weights

    @property
    def affine(self) -> bool:
        """Whether the score is an affine function of the layer."""
        return self.view.affine

    @property
    def leading_tokens(self) -> int:
        """Number of extra tokens."""
        return self.view.leading_tokens

    def to_positions(self, tokens: Array) -> Array:
        """Return tokens as positions."""
        return self.view.to_positions(tokens)
