"""The view that a method gets of a network; it runs graphs to compute what the method asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.attribution.context import Context
from onnxcam.attribution.layer_layout import LayerLayout
from onnxcam.autodiff.intercepts import REST, intercept_name
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.engines.result import EngineResult
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.axes import channels_first, spatial_axes
from onnxcam.graph.analysis.layers import Layer
from onnxcam.methods.view import Attention
from onnxcam.perturbation.head_runner import HeadRunner
from onnxcam.relevance.composite import Composite
from onnxcam.targets.batch import TargetBatch

Tensor: TypeAlias = npt.NDArray[Any]

# Relative difference up to which relevance in the graph and in NumPy started from the same: they round differently.
_SAME = 1e-5


@dataclass(frozen=True, eq=False)
class BatchView:
    """One batch of samples at one layer of a network: a ``NetworkView``, which describes the members that it shares.

    Attributes:
        context: plan, engine and graphs.
        feeds: an array for each input.
        result: scores, values and gradients of the batch.
        samples: for each target the row of ``feeds`` that it belongs to; targets of one sample share what does not
            depend on them.
        origin: for each target the sample that it was given for, of the arrays that the user passed.
        at: which of the context's layers.
    """

    context: Context
    feeds: Mapping[str, Tensor]
    result: EngineResult
    samples: npt.NDArray[np.int64]
    origin: npt.NDArray[np.int64]
    at: int = 0

    @property
    def layer(self) -> Layer:
        """The layer whose value is ``a``."""
        return self.context.layers[self.at]

    @property
    def affine(self) -> bool:
        """Whether the score is an affine function of ``a``; computed for the first layer, False for the others."""
        return self.context.plan.affine and self.at == 0

    @property
    def leading_tokens(self) -> int:
        """Tokens of the layer before those of the image's patches."""
        layout = self._layout(self.layer)
        return layout.arrangement(self._value)[1] if layout.has_tokens else 0

    @cached_property
    def x(self) -> Tensor:
        """The image input, channels first, float32."""
        image = self.context.image
        return self.feeds[image.name].transpose(channels_first(image.axes)).astype(np.float32)[self.samples]

    @cached_property
    def a(self) -> Tensor:
        """The layer's value, channels first, float32."""
        return self._to_positions(self.layer, self._value)

    @cached_property
    def g(self) -> Tensor:
        """The gradient of the score with respect to ``a``; computed by the head alone if the engine did not."""
        gradient = self.result.gradients.get(self.layer.name)
        if gradient is None:
            gradient = self._head.gradients(self.samples.tolist(), self.weights)
        return self._to_positions(self.layer, gradient)

    @property
    def scores(self) -> Tensor:
        """All scores, as the model shapes them."""
        return self.result.scores

    @cached_property
    def weights(self) -> Tensor:
        """The weight of each score in what is explained, of the scores' shape."""
        return self.result.targets.weights(self.result.scores)

    @cached_property
    def score(self) -> Tensor:
        """The explained number of each sample."""
        return self._explained(False)

    def probability(self) -> Tensor:
        """Return the probability of each target, or its score where it has none."""
        return self._explained(True)

    def ablated(self, sample: int, keep: Tensor, probability: bool = False) -> Tensor:
        """Run the head once for each row of ``keep``."""
        self._require_graphs("ablation")
        targets = self.result.targets
        return self._head.ablated(
            int(self.samples[sample]),
            self._layout(self.layer).factors(np.asarray(keep, np.float32), self._value),
            lambda scores: targets.value(sample, scores, probability),
        )

    def replaced(self, sample: int, values: Tensor, probability: bool = False) -> Tensor:
        """Run the head once for each of the values, which multiply ones in place of the layer's own."""
        self._require_graphs("ablation")
        row, targets = int(self.samples[sample]), self.result.targets
        own = self._value[row : row + 1]
        extra = self._layout(self.layer).factors(np.zeros((1, *values.shape[1:]), np.float32), own)
        return self._head.ablated(
            row,
            self._layout(self.layer).factors(np.asarray(values, np.float32), own),
            lambda scores: targets.value(sample, scores, probability),
            np.where(extra != 0, own, np.ones_like(own)),
        )

    def masked_image(
        self,
        sample: int,
        masks: Tensor,
        image: Tensor | None = None,
        background: Tensor | None = None,
        rescale: bool = True,
        probability: bool = False,
    ) -> Tensor:
        """Run the whole network once for each mask."""
        self._require_graphs("masking")
        row, targets = int(self.samples[sample]), self.result.targets
        feeds = self._rows(slice(row, row + 1))
        if image is not None:
            feeds |= self._as_fed(image[None])
        return self.context.masked.run(
            feeds, masks, background, rescale, lambda scores: targets.value(sample, scores, probability)
        )

    def with_images(self, x: Tensor) -> BatchView:
        """Run the engine on other images, for the same targets."""
        feeds = self._rows(self.samples) | self._as_fed(x)
        result = self.context.engine.run(feeds, self.result.targets)
        return replace(self, feeds=feeds, result=result, samples=np.arange(len(x)))

    def layers(self) -> Sequence[BatchView]:
        """Return the same batch at each layer that the method combines."""
        return [replace(self, at=at) for at in range(1, len(self.context.layers))]

    def hessian_vector_product(self, v: Tensor) -> Tensor:
        """Run the graph of the head's second derivative."""
        self._require_graphs("second derivatives")
        layout = self._layout(self.layer)
        v = layout.from_positions(v, self._value)
        return layout.to_positions(self._head.hessian_vector_product(self.samples.tolist(), self.weights, v))

    def deeplift_multipliers(self) -> Tensor:
        """Run the head on the layer and on zeros at once, and propagate by DeepLIFT's rules."""
        self._require_graphs("DeepLIFT")
        layout, kept = self._layout(self.layer), None
        if layout.has_tokens:
            # As where it is ablated: extra tokens stay.
            kept = layout.factors(np.zeros((1, 1, 1), np.float32), self._value)
        found = self._head.deeplift_multipliers(self.samples.tolist(), self.weights, kept)
        return self._layout(self.layer).to_positions(found)

    def guided(self) -> Tensor:
        """Run the whole network, and propagate by the rules of guided backpropagation."""
        self._require_graphs("guided backpropagation")
        engine = self.context.guided
        found = engine.run(self._rows(self.samples), self.result.targets).gradients[engine.names[0]]
        return found.transpose(channels_first(self.context.image.axes)).astype(np.float32, copy=False)

    def relevance(
        self,
        composite: Composite,
        start: Tensor | None = None,
        of: Literal["score", "layer"] = "score",
        to: Literal["layer", "input"] | int = "layer",
    ) -> Tensor:
        """Propagate relevance by the rules of a composite, unless the engine has done so in its run."""
        self._require_graphs("relevance")
        if start is None:
            start = self.weights * self.scores if of == "score" else self.a
        given = start if of == "score" else self._layout(self.layer).from_positions(start, self._value)
        source = self.context.network.score.name if of == "score" else self.layer.name
        end = self._end(to)
        if self._is_known(composite, given, source, end.name):
            return self._to_positions(end, np.asarray(self.result.relevance))
        found = self.context.relevance.run(self._rows(self.samples), given, composite, source, end.name)
        return self._to_positions(end, found)

    def bias_terms(self) -> Sequence[Tensor]:
        """Return constants of channels times the gradient there, and the terms that the graph has computed."""
        result, found = self.result, self.context.plan.biases
        terms = []
        for site in found.constants:
            g = result.gradients[site.name].transpose(site.order).astype(np.float32, copy=False)
            terms.append(g * np.reshape(site.bias, (1, -1) + (1,) * (g.ndim - 2)))
        return terms + [result.intercepts[site.name].transpose(site.order) for site in found.intercepts]

    def bias_rest(self) -> Tensor:
        """Run each sample by itself: what has no known axes is summed up over the whole run."""
        self._require_graphs("the terms of biases without positions")
        rows, size = [], self.context.network.batch or 1
        if not self.context.plan.biases.rest:
            return np.zeros(len(self.samples), np.float32)
        session = self.context.rest.session
        for index, sample in enumerate(self.samples.tolist()):
            given = {**self._rows(np.full(size, sample)), COTANGENT: self.weights[np.full(size, index)]}
            found = session.run({name: given[name] for name in session.inputs}, [intercept_name(REST)])
            rows.append(found[intercept_name(REST)][0] / size)
        return np.array(rows, np.float32)

    def attentions(self) -> Sequence[Attention]:
        """Return attention matrices; their gradients are NaN where the method asked for none."""
        values, gradients = self.result.values, self.result.gradients
        return [
            Attention(
                site.heads(values[site.name], len(self.samples)),
                site.heads(gradients.get(site.name, values[site.name] * np.nan), len(self.samples)),
            )
            for site in self.context.plan.attentions
        ]

    def to_positions(self, tokens: Tensor) -> Tensor:
        """Return tokens ``[N, C, T]`` as positions ``[N, C, rows, columns]``."""
        return self._layout(self.layer).tokens_to_positions(tokens)

    def steps(self, total: int) -> Iterator[int]:
        """Yield 0 to ``total - 1``, reporting progress."""
        progress = self.context.settings.progress
        return iter(range(total) if progress is None else progress(range(total), total))

    @property
    def _value(self) -> Tensor:
        """The layer's value in its own layout."""
        return self.result.values[self.layer.name]

    def _rows(self, which: Tensor | slice) -> dict[str, Tensor]:
        """Return the feeds of some samples."""
        return self.context.network.rows(self.feeds, which)

    @cached_property
    def _head(self) -> HeadRunner:
        first_targets = np.unique(self.samples, return_index=True)[1]
        known = {self.layer.name: self._value[first_targets]}
        return HeadRunner(self.context.head(self.layer.name), self.feeds, known)

    def _explained(self, probability: bool) -> Tensor:
        scores, targets = self.result.scores, self.result.targets
        return np.concatenate([targets.value(row, scores[row : row + 1], probability) for row in range(len(scores))])

    def _is_known(self, composite: Composite, start: Tensor, of: str, to: str) -> bool:
        """Whether the engine has propagated this relevance already, from the same start."""
        known, started = self.context.plan.relevance, self.result.relevance_start
        if known is None or started is None or (known.composite, known.start, known.end) != (composite, of, to):
            return False
        return bool(np.abs(started - start).max() <= _SAME * np.abs(start).max())

    def _end(self, to: Literal["layer", "input"] | int) -> Layer:
        if to == "layer":
            return self.layer
        if to == "input":
            image = self.context.image
            return Layer(image.value, "", "", image.shape, image.axes)
        return self.context.layers[to + 1]

    def _as_fed(self, x: Tensor) -> dict[str, Tensor]:
        """Return images as the model takes them; integers are rounded."""
        image = self.context.image
        array = x.transpose(np.argsort(channels_first(image.axes)))
        if image.dtype.kind in "iu":
            span = np.iinfo(image.dtype)
            array = np.clip(np.rint(array), span.min, span.max)
        return {image.name: np.ascontiguousarray(array.astype(image.dtype))}

    def _layout(self, layer: Layer) -> LayerLayout:
        image = self.context.image
        shape = self.feeds[image.name].shape
        extent = tuple(shape[axis] for axis in spatial_axes(image.axes))
        return LayerLayout(layer, self.context.settings.grid, extent)

    def _to_positions(self, layer: Layer, array: Tensor) -> Tensor:
        return self._layout(layer).to_positions(array).astype(np.float32, copy=False)

    def _require_graphs(self, what: str) -> None:
        if not self.context.engine.runs_graphs:
            raise UnsupportedError(f"the torch engine has no {what}; use engine='onnx'")


def view_batch(
    context: Context, feeds: Mapping[str, Tensor], targets: TargetBatch, samples: npt.NDArray[np.int64]
) -> BatchView:
    """Run a batch and return the view of it.

    Where samples have several targets, the trunk runs once for all of them if the method reads its one layer only; else
    the samples are repeated.
    """
    engine, plan = context.engine, context.plan
    if len(np.unique(samples)) == len(samples):
        result = engine.run(feeds, targets)
    elif plan.is_one_layer and engine.runs_graphs and plan.layers[0].name != context.image.value:
        return BatchView(context, feeds, engine.run_shared(feeds, targets, samples), samples, samples)
    else:
        feeds = context.network.rows(feeds, samples)
        result = engine.run(feeds, targets)
    return BatchView(context, feeds, result, np.arange(len(samples)), samples)
