"""A view that gives recorded answers again, each number changed by chance: nothing is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import cycle
from typing import Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.cancellation.recorded_view import Question, RecordedView
from onnxcam.methods.cancellation.view_around import ViewAround
from onnxcam.methods.view import Attention, NetworkView
from onnxcam.relevance.composite import Composite


class ReplayedView(ViewAround):
    """Answers as a recorded view did, times ``1 + change e``: a ``NetworkView``, which describes the members.

    ``e`` is random, of mean 0 and standard deviation 1, the same for every sample, and drawn anew for each answer. The
    images, and what the target weighs, are data and stay as they are. Every view of other images gives the answers of
    the first one. An answer to a question with an array in it changes at least as much, relative to itself, as that
    array has changed since it was recorded: all such questions are linear in it.
    """

    def __init__(self, record: RecordedView, change: float, seed: int = 0, other: bool = False) -> None:
        """Remember what to answer.

        Args:
            record: after a method has asked it.
            change: relative; 0 repeats the answers.
            seed: of the changes.
            other: whether to answer as the recorded views of other images did.
        """
        self.view: NetworkView = record
        self._record = record
        self._change = change
        self._seed = seed
        self._other = other
        self._draw = np.random.default_rng(seed)
        self._numbers = cycle(record.answers.numbers)

    @cached_property
    def a(self) -> Array:
        """The layer's value, changed."""
        return self._changed(self._held("a", self._record))

    @cached_property
    def g(self) -> Array:
        """The gradient, changed."""
        return self._changed(self._held("g", self._record))

    @cached_property
    def score(self) -> Array:
        """The score, changed."""
        return self._changed(self._record.score)

    def probability(self) -> Array:
        """Return the next answer."""
        return self._changed(next(self._numbers))

    def ablated(self, sample: int, keep: Array, probability: bool = False) -> Array:
        """Return the next answer."""
        del sample, probability
        return self._next(len(keep))

    def replaced(self, sample: int, values: Array, probability: bool = False) -> Array:
        """Return the next answer."""
        del sample, probability
        return self._next(len(values))

    def masked_image(
        self,
        sample: int,
        masks: Array,
        image: Array | None = None,
        background: Array | None = None,
        rescale: bool = True,
        probability: bool = False,
    ) -> Array:
        """Return the next answer."""
        del sample, image, background, rescale, probability
        return self._next(len(masks))

    def with_images(self, x: Array) -> ReplayedView:
        """Return the view that stands for all other images; numbers go on where they are."""
        del x
        if not self._other:
            self._elsewhere._numbers = self._numbers
        return self._elsewhere

    @cached_property
    def _elsewhere(self) -> ReplayedView:
        return self if self._other else ReplayedView(self._record, self._change, self._seed + 1, other=True)

    def layers(self) -> Sequence[NetworkView]:
        """Return views of the layers."""
        return [ReplayedView(one, self._change, self._seed) for one in self._record.layers()]

    def hessian_vector_product(self, v: Array) -> Array:
        """Return the recorded product, changed."""
        return self._first(("hessian",), v)

    def deeplift_multipliers(self) -> Array:
        """Return the recorded multipliers, changed."""
        return self._first(("deeplift",))

    def guided(self) -> Array:
        """Return the recorded guided gradient, changed."""
        return self._first(("guided",))

    def relevance(
        self,
        composite: Composite,
        start: Array | None = None,
        of: Literal["score", "layer"] = "score",
        to: Literal["layer", "input"] | int = "layer",
    ) -> Array:
        """Return the recorded relevance, changed."""
        del composite
        return self._first(("relevance", of, to), start)

    def bias_terms(self) -> Sequence[Array]:
        """Return what biases with positions are worth, changed."""
        return [self._changed(one) for one in self._record.bias_terms()]

    def bias_rest(self) -> Array:
        """Return what the others are worth, changed."""
        return self._first(("rest",))

    def attentions(self) -> Sequence[Attention]:
        """Return attention and gradients, both changed."""
        return [Attention(self._changed(one.a), self._changed(one.g)) for one in self._record.attentions()]

    def steps(self, total: int) -> Iterator[int]:
        """Count without reporting progress."""
        return iter(range(total))

    def _next(self, count: int) -> Array:
        # A method that chooses what it runs may choose another number of channels when they have changed.
        return self._changed(np.resize(next(self._numbers), count))

    def _held(self, name: Literal["a", "g"], record: RecordedView) -> Array:
        known = record.answers.arrays.get((name,)) if self._other else None
        return getattr(record, name) if known is None else known[1]

    def _first(self, question: Question, given: Array | None = None) -> Array:
        was, found = self._record.answers.arrays[question]
        change: Array = self._change
        if given is not None and was is not None:
            change = np.maximum(change, _difference(given, was)).reshape(-1, *[1] * (found.ndim - 1))
        return self._changed(found, change)

    def _changed(self, found: Array, change: Array | None = None) -> Array:
        change = np.asarray(self._change if change is None else change, found.dtype)
        if not change.any():
            return found
        shape = found.shape[1:] if found.ndim > 1 else found.shape
        # Uniform numbers of standard deviation 1: drawn in a fraction of the time of normal ones.
        e = (self._draw.random(shape, np.float32) - np.float32(0.5)) * np.float32(12**0.5)
        return found * (1 + change * e.astype(found.dtype))


def _difference(new: Array, old: Array) -> Array:
    """Return how much each sample of an array has changed, relative to its largest number, ``[N]``."""
    axes = tuple(range(1, old.ndim))
    moved, peak = np.abs(new - old).max(axis=axes), np.abs(old).max(axis=axes)
    return moved / np.where(peak > 0, peak, 1)
