"""What a method may ask of the network: one batch of samples, what is explained of each, and one layer.

The formulas of this package know arrays only. What they cannot compute from arrays, such as the score of an image with
a part of it hidden, they ask of a view; tests answer with a few lines of NumPy, the explainer with a graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from onnxcam.arrays import Array
from onnxcam.relevance.composite import Composite


@dataclass(frozen=True, eq=False)
class Bias:
    """A place of the network where a constant is added for each channel.

    Attributes:
        bias: the constant, ``[K]``.
        g: gradient of the explained number where it is added, ``[N, K, *spatial]``; ``[N, K]`` behind the last layer
            with spatial extent.
    """

    bias: Array
    g: Array


@dataclass(frozen=True, eq=False)
class Attention:
    """The attention of one layer of a transformer.

    Attributes:
        a: softmax of queries with keys, ``[N, heads, T, T]``: how much the token of a row reads of that of a column.
        g: gradient of the explained number with respect to it, of the same shape.
    """

    a: Array
    g: Array


class NetworkView(Protocol):
    """One batch of ``N`` samples, seen at a layer of ``K`` channels.

    Every array is float32 and channels come first, whatever the file's own layout. *The score* of a sample is the
    number that is explained: the logit of a class, unless the target says otherwise.
    """

    @property
    def x(self) -> Array:
        """The image input as the model takes it, ``[N, C, *space]``."""

    @property
    def a(self) -> Array:
        """The layer's value, ``[N, K, *spatial]``; tokens as the places that they stand for."""

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
        """How much each of them weighs in the score, of the same shape: 1 for the class and 0 elsewhere, as a rule."""

    @property
    def affine(self) -> bool:
        """Whether the score is an affine function of ``a``: then its gradient tells every difference exactly."""

    @property
    def leading_tokens(self) -> int:
        """Tokens in front of those that stand for places: class, register, distillation."""

    def probability(self) -> Array:
        """Return the model's probability of the target, ``[N]``; the score where the target has none."""

    def ablated(self, sample: int, keep: Array, probability: bool = False) -> Array:
        """Return the score of one sample with the layer's value multiplied by masks.

        Only what follows the layer runs. Tokens that stand for no place stay as they are.

        Args:
            sample: which of the ``N``.
            keep: factors for ``a``, ``[M, K or 1, *spatial or 1s]``.
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
        """Return the score of one sample's image seen through masks: ``image * m + background * (1 - m)``.

        Args:
            sample: which of the ``N``.
            masks: ``[M, *any size]``; each is brought to the image's size (bilinear) where it has another.
            image: ``[C, *space]`` in place of the sample's own.
            background: ``[C, *space]``, what shows where the mask is 0; zeros if not given.
            rescale: bring each mask, at the image's size, to minimum 0 and maximum 1. A constant mask becomes 0.
            probability: return the probability of the target in place of the score.

        Returns:
            ``[M]``.
        """

    def with_images(self, x: Array) -> NetworkView:
        """Return a view of other images ``[N, C, *space]``, with the targets of these."""

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
        """Return relevance, propagated back by the rules of a composite.

        Args:
            composite: rules.
            start: relevance where it starts, of the shape of ``scores`` or of ``a``; by default each score times its
                weight: the value of the target's logit at the target, and 0 elsewhere.
            of: where it starts.
            to: where it ends: this layer, the image input, or which of the method's ``layers``.

        Returns:
            ``[N, K, *spatial]``, signed.
        """

    def biases(self) -> Sequence[Bias]:
        """Return every place where a constant is added, from the input on, where a method reads ``biases``."""

    def attentions(self) -> Sequence[Attention]:
        """Return the attention of every layer of a transformer, first to last, where a method reads ``attentions``."""

    def to_positions(self, tokens: Array) -> Array:
        """Return tokens of the attentions, ``[N, C, T]``, as places ``[N, C, rows, columns]``."""

    def steps(self, total: int) -> Iterator[int]:
        """Count from 0 to ``total``, telling whoever waits how far it is."""
