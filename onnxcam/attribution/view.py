"""What methods ask of a network, answered by its graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.attribution.context import Context
from onnxcam.engines.onnx_engine import Engine, EngineResult
from onnxcam.engines.torch_engine import TorchEngine
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.axes import channels_first, spatial_axes
from onnxcam.graph.analysis.layers import Layer
from onnxcam.graph.analysis.tokens import arrangement, to_places
from onnxcam.methods.view import Attention, Bias
from onnxcam.perturbation.head import HeadRunner
from onnxcam.relevance.composite import Composite
from onnxcam.targets.batch import TargetBatch

Tensor: TypeAlias = npt.NDArray[Any]

# Two ways of computing one mean differ by rounding.
_SAME = 1e-5


@dataclass(frozen=True, eq=False)
class BatchView:
    """One batch of samples, seen at one layer of a network.

    Attributes:
        setting: network and engine.
        feeds: an array for each input.
        found: scores, values and gradients of the batch.
        at: which of the setting's layers.
        samples: for each target the row of ``feeds`` that it belongs to; targets of one sample share what does not
            depend on them.
        origin: for each target the sample that it was given for.
    """

    setting: Context
    feeds: Mapping[str, Tensor]
    found: EngineResult
    samples: npt.NDArray[np.int64]
    origin: npt.NDArray[np.int64]
    at: int = 0

    @property
    def layer(self) -> Layer:
        """The layer."""
        return self.setting.layers[self.at]

    @property
    def affine(self) -> bool:
        """Known of the first layer only."""
        return self.setting.reading.affine and self.at == 0

    @property
    def leading(self) -> int:
        """Tokens in front of those that stand for places, as the layer has them."""
        return self._arrangement[1] if "T" in self.layer.axes else 0

    @cached_property
    def x(self) -> Tensor:
        """The image input, channels first, float32."""
        array = self.feeds[self.setting.image.name].transpose(channels_first(self.setting.image.axes))
        return array.astype(np.float32)[self.samples]

    @cached_property
    def a(self) -> Tensor:
        """The layer's value."""
        return self._places(self.layer, self.found.values[self.layer.name]).astype(np.float32, copy=False)

    @cached_property
    def g(self) -> Tensor:
        """Its gradient: where the engine was not asked for it, from the part behind the layer."""
        name = self.layer.name
        gradient = self.found.gradients.get(name)
        if gradient is None:
            gradient = self._behind.gradients(self.samples.tolist(), self.weights)
        return self._places(self.layer, gradient).astype(np.float32, copy=False)

    @property
    def scores(self) -> Tensor:
        """All scores."""
        return self.found.scores

    @cached_property
    def weights(self) -> Tensor:
        """How much each of them weighs."""
        return self.found.chosen.weights(self.found.scores)

    @cached_property
    def score(self) -> Tensor:
        """The explained number of each sample."""
        return self._read(False)

    def probability(self) -> Tensor:
        """Return the probability of each target, or its score where it has none."""
        return self._read(True)

    def head(self, sample: int, keep: Tensor, probability: bool = False) -> Tensor:
        """Run what follows the layer, once for each row of ``keep``."""
        self._need_onnx("ablation")
        chosen = self.found.chosen
        return self._behind.kept(
            int(self.samples[sample]),
            self._own_layout(np.asarray(keep, np.float32)),
            lambda scores: chosen.value(sample, scores, probability),
        )

    def masked(
        self,
        sample: int,
        masks: Tensor,
        image: Tensor | None = None,
        background: Tensor | None = None,
        rescale: bool = True,
        probability: bool = False,
    ) -> Tensor:
        """Run the whole network, once for each mask."""
        self._need_onnx("masking")
        row, chosen = int(self.samples[sample]), self.found.chosen
        feeds = self._rows(slice(row, row + 1))
        if image is not None:
            feeds |= self._as_fed(image[None])
        return self.setting.masking.run(
            feeds, masks, background, rescale, lambda scores: chosen.value(sample, scores, probability)
        )

    def moved(self, x: Tensor) -> BatchView:
        """Run the engine on other images, for the same targets."""
        feeds = self._rows(self.samples) | self._as_fed(x)
        found = self.setting.engine.explain(feeds, self.found.chosen)
        return replace(self, feeds=feeds, found=found, samples=np.arange(len(x)))

    def layers(self) -> Sequence[BatchView]:
        """Return the same batch at each layer that the method combines."""
        return [replace(self, at=at) for at in range(1, len(self.setting.layers))]

    def curvature(self, v: Tensor) -> Tensor:
        """Run the gradient's gradient."""
        self._need_onnx("second derivatives")
        found = self._behind.curvature(self.samples.tolist(), self.weights, self._whole(v))
        return self._places(self.layer, found)

    def lift(self) -> Tensor:
        """Run what follows the layer on it and on zeros at once, and DeepLIFT's rules back."""
        self._need_onnx("DeepLIFT")
        found = self._behind.lift(self.samples.tolist(), self.weights)
        return self._places(self.layer, found)

    def guided(self) -> Tensor:
        """Run the whole network, and guided backpropagation's rules back."""
        self._need_onnx("guided backpropagation")
        feeds = self._rows(self.samples)
        engine, image = self.setting.guided, self.setting.image
        found = engine.explain(feeds, self.found.chosen).gradients[engine.names[0]]
        return found.transpose(channels_first(image.axes)).astype(np.float32, copy=False)

    def relevance(
        self,
        composite: Composite,
        start: Tensor | None = None,
        of: Literal["score", "layer"] = "score",
        to: Literal["layer", "input"] | int = "layer",
    ) -> Tensor:
        """Walk back through the whole network by other rules than the gradient's."""
        self._need_onnx("relevance")
        setting, network = self.setting, self.setting.network
        if start is None:
            start = self.weights * self.scores if of == "score" else self.a
        given = start if of == "score" else self._whole(start)
        source = network.score.name if of == "score" else self.layer.name
        end = self._end(to)
        if self._has_walked(composite, given, source, end.name):
            return self._places(end, np.asarray(self.found.end)).astype(np.float32, copy=False)
        feeds = self._rows(self.samples)
        found = setting.relevances.run(feeds, given, composite, source, end.name)
        return self._places(end, found).astype(np.float32, copy=False)

    def _has_walked(self, composite: Composite, start: Tensor, of: str, to: str) -> bool:
        """Whether the engine has walked the same way already; relevance is linear in what it begins with."""
        known, walked = self.setting.reading.descent, self.found.start
        if known is None or walked is None or (known.composite, known.of, known.to) != (composite, of, to):
            return False
        return bool(np.abs(walked - start).max() <= _SAME * np.abs(start).max())

    def _end(self, to: Literal["layer", "input"] | int) -> Layer:
        if to == "layer":
            return self.layer
        if to == "input":
            image = self.setting.image
            return Layer(image.value, "", "", image.shape, image.axes)
        return self.setting.layers[to + 1]

    def biases(self) -> Sequence[Bias]:
        """Return the constants that are added, and the gradient there."""
        gradients = self.found.gradients
        return [
            Bias(site.bias, gradients[site.name].transpose(site.order).astype(np.float32, copy=False))
            for site in self.setting.reading.biases
        ]

    def attentions(self) -> Sequence[Attention]:
        """Return attention matrices; gradients only where the method asked for gradients."""
        values, gradients = self.found.values, self.found.gradients
        return [
            Attention(
                site.heads(values[site.name], len(self.samples)),
                site.heads(gradients.get(site.name, values[site.name] * np.nan), len(self.samples)),
            )
            for site in self.setting.reading.attentions
        ]

    def places(self, tokens: Tensor) -> Tensor:
        """Return tokens as the places that they stand for."""
        layer = self.layer
        return to_places(tokens, layer.grid, layer.before, layer.after, self.setting.grid, self._extent)

    def steps(self, total: int) -> Iterator[int]:
        """Count, and tell."""
        progress = self.setting.progress
        return iter(range(total) if progress is None else progress(range(total), total))

    def _rows(self, which: Tensor | slice) -> dict[str, Tensor]:
        """Return what the network is fed of some samples."""
        return self.setting.network.rows(self.feeds, which)

    @cached_property
    def _behind(self) -> HeadRunner:
        name = self.layer.name
        known = {name: self.found.values[name][self._first]}
        return HeadRunner(self.setting.parts(name), self.feeds, known)

    @cached_property
    def _first(self) -> npt.NDArray[np.int64]:
        """The first target of each sample."""
        return np.unique(self.samples, return_index=True)[1]

    def _read(self, probability: bool) -> Tensor:
        scores, chosen = self.found.scores, self.found.chosen
        return np.concatenate([chosen.value(row, scores[row : row + 1], probability) for row in range(len(scores))])

    def _as_fed(self, x: Tensor) -> dict[str, Tensor]:
        """Return images as the model takes them; integers are rounded."""
        image = self.setting.image
        array = x.transpose(np.argsort(channels_first(image.axes)))
        if image.dtype.kind in "iu":
            span = np.iinfo(image.dtype)
            array = np.clip(np.rint(array), span.min, span.max)
        return {image.name: np.ascontiguousarray(array.astype(image.dtype))}

    def _own_layout(self, keep: Tensor) -> Tensor:
        """Return factors for places as factors for the layer's value in its own layout."""
        layer = self.layer
        if "T" in layer.axes:
            keep = self._with_extra_tokens(keep)
        return np.ascontiguousarray(keep.transpose(np.argsort(channels_first(layer.axes))))

    def _with_extra_tokens(self, keep: Tensor) -> Tensor:
        """Return factors for tokens, 1 for those that stand for no place."""
        if keep.shape[2:] == (1,) * (keep.ndim - 2):
            keep = np.broadcast_to(keep, (*keep.shape[:2], *self.a.shape[2:]))
        _, before, after = self._arrangement
        ends = [np.ones((*keep.shape[:2], extra), np.float32) for extra in (before, after)]
        return np.concatenate([ends[0], keep.reshape(*keep.shape[:2], -1), ends[1]], axis=2)

    @property
    def _extent(self) -> tuple[int, ...]:
        """Height and width of the images, as far as they have these axes."""
        image = self.setting.image
        shape = self.feeds[image.name].shape
        return tuple(shape[axis] for axis in spatial_axes(image.axes))

    def _places(self, layer: Layer, array: Tensor) -> Tensor:
        return self.setting.places(layer, array, self._extent)

    @cached_property
    def _arrangement(self) -> tuple[tuple[int, ...], int, int]:
        """Grid of the layer's tokens, and how many in front and behind stand for no place."""
        layer = self.layer
        count = self.found.values[layer.name].shape[spatial_axes(layer.axes)[0]]
        return arrangement(count, layer.grid, layer.before, layer.after, self.setting.grid, self._extent)

    def _whole(self, v: Tensor) -> Tensor:
        """Return a direction at places as one of the layer's value, 0 at tokens that stand for no place."""
        layer = self.layer
        if "T" in layer.axes:
            _, before, after = self._arrangement
            v = np.pad(v.reshape(*v.shape[:2], -1), ((0, 0), (0, 0), (before, after)))
        return np.ascontiguousarray(v.transpose(np.argsort(channels_first(layer.axes))).astype(np.float32))

    def _need_onnx(self, what: str) -> None:
        if isinstance(self.setting.engine, TorchEngine):
            raise UnsupportedError(f"the torch engine knows no {what}; use the onnx engine")


def view_batch(
    setting: Context, feeds: Mapping[str, Tensor], chosen: TargetBatch, samples: npt.NDArray[np.int64]
) -> BatchView:
    """Run a batch and return what can be asked of it.

    Where samples have several targets, the part before the layer runs once for all of them if the method reads that
    layer only; else the samples are repeated.
    """
    engine = setting.engine
    if len(np.unique(samples)) == len(samples):
        found = engine.explain(feeds, chosen)
    elif setting.reading.is_one_layer and isinstance(engine, Engine) and setting.layers[0].name != setting.image.value:
        return BatchView(setting, feeds, engine.shared(feeds, chosen, samples), samples, samples)
    else:
        feeds = setting.network.rows(feeds, samples)
        found = engine.explain(feeds, chosen)
    return BatchView(setting, feeds, found, np.arange(len(samples)), samples)
