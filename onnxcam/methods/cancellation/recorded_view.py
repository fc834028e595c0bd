"""A view that keeps what it answers a method, so that the method can be asked again without running the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from onnxcam.arrays import Array
from onnxcam.methods.cancellation.view_around import ViewAround
from onnxcam.methods.view import Attention, NetworkView
from onnxcam.relevance.composite import Composite

# The question, and the layers between which relevance was propagated.
Question: TypeAlias = tuple[str | int, ...]


@dataclass(eq=False)
class Answers:
    """What a view has answered, besides what it holds anyway.

    Attributes:
        numbers: answers that are one number a run, in order: scores of ablated layers and of masked images.
        arrays: the first answer to each question of an array, and the array that was given with it. Later ones are not
            kept: a method that looks at many images would otherwise keep an array of each.
        others: whether images other than the view's own were looked at.
        scores: whether scores were asked for. Differences of scores are small beside them without being rounding.
    """

    numbers: list[Array] = field(default_factory=list)
    arrays: dict[Question, tuple[Array | None, Array]] = field(default_factory=dict)
    others: bool = False
    scores: bool = False

    def number(self, found: Array) -> Array:
        """Keep a number."""
        self.scores = True
        self.numbers.append(found)
        return found

    def array(self, question: Question, found: Array, given: Array | None = None) -> Array:
        """Keep an array if it is the first answer."""
        self.arrays.setdefault(question, (given, found))
        return found


@dataclass(eq=False)
class RecordedView(ViewAround):
    """Asks another view everything, and keeps the answers: a ``NetworkView``, which describes the members.

    Attributes:
        view: answers.
        answers: what is kept; views of other images keep theirs in the same place.
        other: whether the images are others than those that are explained.
    """

    view: NetworkView
    answers: Answers = field(default_factory=Answers)
    other: bool = False
    _layers: list[RecordedView] = field(default_factory=list)

    @property
    def a(self) -> Array:
        """The layer's value."""
        return self.answers.array(("a",), self.view.a) if self.other else self.view.a

    @property
    def g(self) -> Array:
        """The gradient of the score with respect to it."""
        return self.answers.array(("g",), self.view.g) if self.other else self.view.g

    @property
    def score(self) -> Array:
        """The score of each sample."""
        self.answers.scores = True
        return self.view.score

    def probability(self) -> Array:
        """Keep the probability of the target."""
        return self.answers.number(self.view.probability())

    def ablated(self, sample: int, keep: Array, probability: bool = False) -> Array:
        """Keep the scores of an ablated layer."""
        return self.answers.number(self.view.ablated(sample, keep, probability))

    def replaced(self, sample: int, values: Array, probability: bool = False) -> Array:
        """Keep the scores of other values of the layer."""
        return self.answers.number(self.view.replaced(sample, values, probability))

    def masked_image(
        self,
        sample: int,
        masks: Array,
        image: Array | None = None,
        background: Array | None = None,
        rescale: bool = True,
        probability: bool = False,
    ) -> Array:
        """Keep the scores of masked images."""
        return self.answers.number(self.view.masked_image(sample, masks, image, background, rescale, probability))

    def with_images(self, x: Array) -> RecordedView:
        """Return a view of other images that keeps its answers here."""
        self.answers.others = True
        return RecordedView(self.view.with_images(x), self.answers, other=True)

    def layers(self) -> Sequence[RecordedView]:
        """Return views of the layers, each of which keeps its own answers."""
        self._layers = self._layers or [RecordedView(one) for one in self.view.layers()]
        return self._layers

    def hessian_vector_product(self, v: Array) -> Array:
        """Keep the first product."""
        return self.answers.array(("hessian",), self.view.hessian_vector_product(v), v)

    def deeplift_multipliers(self) -> Array:
        """Keep the first multipliers."""
        return self.answers.array(("deeplift",), self.view.deeplift_multipliers())

    def guided(self) -> Array:
        """Keep the first guided gradient."""
        return self.answers.array(("guided",), self.view.guided())

    def relevance(
        self,
        composite: Composite,
        start: Array | None = None,
        of: Literal["score", "layer"] = "score",
        to: Literal["layer", "input"] | int = "layer",
    ) -> Array:
        """Keep the first relevance between the same two layers."""
        return self.answers.array(("relevance", of, to), self.view.relevance(composite, start, of, to), start)

    def bias_terms(self) -> Sequence[Array]:
        """Return what biases with positions are worth."""
        return self.view.bias_terms()

    def bias_rest(self) -> Array:
        """Keep what the others are worth."""
        return self.answers.array(("rest",), self.view.bias_rest())

    def attentions(self) -> Sequence[Attention]:
        """Return the attention of every layer."""
        return self.view.attentions()

    def steps(self, total: int) -> Iterator[int]:
        """Count, reporting progress."""
        return self.view.steps(total)
