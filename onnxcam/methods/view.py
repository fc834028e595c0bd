"""What a method may ask of the network: one batch of samples, the explained score of each, and one layer.

The formulas of this package know arrays only. What they cannot compute from arrays, such as the score of an image with
a part of it masked, they ask of a view. The explainer's view runs graphs; that of the tests is a few lines of torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from onnxcam.arrays import Array
from onnxcam.relevance.composite import Composite


@dataclass(frozen=True, eq=False)
class Attention:
    """The attention of one layer of a transformer.

    Attributes:
        a: softmax of queries with keys, ``[N, heads, T, T]``: how much the token of a row attends to that of a column.
        g: gradient of the score with respect to it, of the same shape.
    """

    a: Array
    g: Array


class NetworkView(Protocol):
    """One batch of ``N`` samples, and one layer of ``K`` channels.

    Every array is float32 and channels come first, whatever the file's own layout. *The score* of a sample is the
    number that is explained: the logit of a class, unless the target says otherwise.
    """

    @property
    def x(self) -> Array:
        """The images as the network receives them, ``[N, C, *space]``."""

    @property
    def a(self) -> Array:
        """The layer's value, ``[N, K, *spatial]``; tokens as the positions that they stand for."""

    @property
    def g(self) -> Array:
        """Gradient of the score with respect to ``a``, of its shape."""

    @property
    def score(self) -> Array:
        """The score of each sample, ``[N]``."""

    @property
    def scores(self) -> Array:
        """All scores, ``[N, classes]``, or as the model shapes them."""

    @property
    def weights(self) -> Array:
        """Weight of each of ``scores`` in the score, of the same shape: for a class 1 there and 0 elsewhere."""

    @property
    def affine(self) -> bool:
        """Whether the score is an affine function of ``a``: then its gradient gives every difference exactly."""

    @property
    def leading_tokens(self) -> int:
        """Number of extra tokens (class, register, distillation) before those that stand for positions."""

    def probability(self) -> Array:
        """Return the probability of the target, ``[N]``; the score where the target has no probability."""

    def ablated(self, sample: int, keep: Array, probability: bool = False) -> Array:
        """Return the score of one sample with the layer's value multiplied by masks.

        Only the part of the network after the layer runs. Extra tokens stay as they are.

        Args:
            sample: which of the ``N``.
            keep: factors for ``a``, ``[M, K or 1, *spatial or 1s]``.
            probability: return the probability of the target in place of the score.

        Returns:
            ``[M]``.
        """

    def replaced(self, sample: int, values: Array, probability: bool = False) -> Array:
        """Return the score of one sample with other values of the layer.

        Only the part of the network after the layer runs. Extra tokens stay as they are.

        Args:
            sample: which of the ``N``.
            values: in place of ``a[sample]``, ``[M, K, *spatial]``.
            probability: return the probability of the target in place of the score.

        Returns:
            ``[M]``.
        """

    def masked_image(
        self,
        sample: int,
        masks: Array,
        image: Array | None = None,
        background: Array | None = None,
        rescale: bool = True,
        probability: bool = False,
    ) -> Array:
        """Return the score of one sample's image under masks: ``image * m + background * (1 - m)``.

        Args:
            sample: which of the ``N``.
            masks: ``[M, *any size]``; each is resized to the image's size (bilinear) where it has another.
            image: ``[C, *space]`` in place of the sample's own.
            background: ``[C, *space]``, shown where the mask is 0; zeros if not given.
            rescale: scale each mask, at the image's size, to minimum 0 and maximum 1. A constant mask becomes 0.
            probability: return the probability of the target in place of the score.

        Returns:
            ``[M]``.
        """

    def with_images(self, x: Array) -> NetworkView:
        """Return a view of other images ``[N, C, *space]``, with the same targets."""

    def layers(self) -> Sequence[NetworkView]:
        """Return a view for each of the layers that the method asked for, in its order."""

    def hessian_vector_product(self, v: Array) -> Array:
        """Return ``H v``, with ``H`` the second derivative of the score with respect to ``a``; ``v`` has its shape."""

    def deeplift_multipliers(self) -> Array:
        """Return DeepLIFT's multipliers ``m`` of ``a`` against the baseline 0: ``sum(m * a)`` is the score's change."""

    def guided(self) -> Array:
        """Return guided backpropagation of the score to ``x``, of its shape."""

    def relevance(
        self,
        composite: Composite,
        start: Array | None = None,
        of: Literal["score", "layer"] = "score",
        to: Literal["layer", "input"] | int = "layer",
    ) -> Array:
        """Return relevance, propagated backward by the rules of a composite.

        Args:
            composite: the rule of each layer.
            start: relevance where it starts, of the shape of ``scores`` or of ``a``; by default each score times its
                weight: the value of the target's logit at the target, and 0 elsewhere.
            of: where relevance starts, the score or the layer.
            to: where it ends: this layer, the image input, or which of the method's ``layers``.

        Returns:
            ``[N, K, *spatial]``, signed.
        """

    def bias_terms(self) -> Sequence[Array]:
        """Return what each bias is worth, times its gradient, if the method reads ``biases``.

        Those of feature maps, ``[N, K, *spatial]`` each: constants of layers, and implicit biases ``f(x) - f'(x) x``.
        """

    def bias_rest(self) -> Array:
        """Return the sum of what all other biases are worth, those without positions, ``[N]``."""

    def attentions(self) -> Sequence[Attention]:
        """Return the attention of every layer of a transformer, first to last, if the method reads ``attentions``."""

    def to_positions(self, tokens: Array) -> Array:
        """Return tokens of the attentions, ``[N, C, T]``, without extra tokens, as ``[N, C, rows, columns]``."""

    def steps(self, total: int) -> Iterator[int]:
        """Yield 0 to ``total - 1``, reporting progress after each."""
