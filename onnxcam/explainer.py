"""The main entry: an explainer of one model by one method at one layer, and ``explain`` for a single call."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias, Unpack

import numpy as np
import numpy.typing as npt

from onnxcam.attribution.cancelled import CancellationWarnings
from onnxcam.attribution.chosen_composite import with_composite
from onnxcam.attribution.context import Context
from onnxcam.attribution.image_reader import ImageReader
from onnxcam.attribution.plan import plan_for
from onnxcam.attribution.resolution import at_resolution, propagates, resolutions
from onnxcam.attribution.settings import ExplainerOptions, Settings
from onnxcam.attribution.strip import strip
from onnxcam.attribution.suggestions import with_suggestions
from onnxcam.attribution.view import BatchView, view_batch
from onnxcam.engines.protocol import Engine
from onnxcam.engines.torch_module import TorchModule
from onnxcam.errors import InputError, OnnxcamWarning
from onnxcam.explanation import Explanation, Images, Recipe
from onnxcam.graph.analysis.axes import channels_first
from onnxcam.graph.analysis.inputs import ModelInput
from onnxcam.graph.analysis.layers import Layer
from onnxcam.graph.io.model_file import ModelSource
from onnxcam.images import (
    ImageInput,
    ImageSource,
    Photograph,
    Preprocess,
    check_labels,
    list_sources,
)
from onnxcam.methods.base import Method
from onnxcam.methods.cancellation.recorded_view import RecordedView
from onnxcam.methods.registry import method as find_method
from onnxcam.methods.support.arrived import arrival_warnings
from onnxcam.methods.support.display import display
from onnxcam.methods.support.propagating import INPUT, with_end
from onnxcam.network.feeds import check_feeds, extra_inputs
from onnxcam.network.network import Network
from onnxcam.network.provenance import provenance
from onnxcam.network.read import read_network
from onnxcam.network.sessions import SessionPool
from onnxcam.runtime.messages import report_memory_errors
from onnxcam.runtime.providers import Provider
from onnxcam.runtime.session import Session
from onnxcam.targets.batch import Targets, contrast_with_nearest, flatten_targets, resolve_targets
from onnxcam.targets.scores import box_labels, reported_scores

Tensor: TypeAlias = npt.NDArray[Any]


class Explainer:
    """Explains one model by one method at one layer.

    Attributes:
        method: how activations and gradients become a map.
        labels: names of the classes, from the model file if not given; None where it has none.
    """

    def __init__(
        self,
        model: ModelSource | Network,
        method: str | Method = "hires-cam",
        layer: str | int | None = None,
        score: str | None = None,
        providers: Sequence[Provider] | None = None,
        **keywords: Unpack[ExplainerOptions],
    ) -> None:
        """Read the model and find everything that the method needs; nothing runs yet.

        Args:
            model: path, bytes or onnx ``ModelProto``; or a ``Network`` that has been read, whose score it keeps.
            method: a name from ``onnxcam methods``, or ``onnxcam.method(name, **fields)``.
            layer: name of a value or node, or an index into the layers that ``onnxcam inspect`` lists. Default: the
                last one with spatial extent that the score depends on.
            score: name of the tensor to explain. Default: the one before a final Softmax, Sigmoid or LogSoftmax.
            providers: of onnxruntime, best first ("cuda", "cpu" or full names). Default: CUDA where it works, else the
                CPU; the result says which.
            **keywords: as ``onnxcam.attribution.settings.ExplainerOptions`` describes them: ``batch_size``,
                ``threads``, ``share_weights`` or all of them as ``options``; ``engine``; ``preprocess``, ``resize``,
                ``labels``; ``grid``; ``resolution``; ``progress``.

        Raises:
            ModelError: no ONNX model.
            NameNotFoundError: no such method, layer or score; near names are suggested.
            UnsupportedError: the method does not apply to this network, or the layer has nothing to locate.
            InputError: a keyword has a value that is not accepted, or contradicts another one.
        """
        settings = Settings.of(providers, keywords)
        network = model if isinstance(model, Network) else read_network(model, score)
        self._assemble(network, find_method(method), layer, settings, keywords.get("resolution"))

    def _assemble(
        self,
        network: Network,
        method: Method,
        layer: str | int | None,
        settings: Settings,
        resolution: int | tuple[int, ...] | None,
        pool: SessionPool | None = None,
    ) -> None:
        self._read_network = network
        self._start_layer = layer
        self._settings = settings
        self.method = method = with_composite(method, network)
        if resolution is not None:
            self.method, layer = at_resolution(method, network, resolution, layer)
        plan = plan_for(self.method, network, layer)
        self.labels = tuple(settings.labels) if settings.labels is not None else network.labels
        self._pool = pool or SessionPool(settings.options)
        self._images = ImageReader(plan.network, settings.preprocess, settings.resize)
        self._context = Context(plan, settings, self._pool, self.method.needs.gradient)
        self._cancellation = CancellationWarnings(self.method, self._context)

    def at(self, resolution: int | tuple[int, ...]) -> Explainer:
        """Return an explainer like this one whose raw maps have another size; loaded graphs are shared.

        Args:
            resolution: as ``ExplainerOptions`` describes it.

        Raises:
            NameNotFoundError: no layer has that size; the message lists those that there are.
            UnsupportedError: the method makes maps of one size only.
        """
        method = with_end(self.method, INPUT) if propagates(self.method) else self.method
        made = Explainer.__new__(Explainer)
        made._assemble(self._read_network, method, self._propagation_start, self._settings, resolution, self._pool)
        return made

    @property
    def network(self) -> Network:
        """The model in the form that runs, with quantised layers as the real numbers that they stand for."""
        return self._context.network

    @property
    def layer(self) -> Layer:
        """The layer whose activations are read."""
        return self._context.layers[0]

    @property
    def image(self) -> ModelInput:
        """The input that holds the image."""
        return self._images.image

    @property
    def image_spec(self) -> ImageInput:
        """The size, channels, layout and type of the image input.

        Raises:
            UnsupportedError: the input is no two-dimensional image.
        """
        return self._images.spec

    @property
    def preprocessing(self) -> tuple[Preprocess, str]:
        """How photographs become inputs, and a note on the source of that, which begins with "assumed" for a guess."""
        return self._images.preprocessing

    @property
    def engine(self) -> Engine:
        """What computes scores, activations and gradients."""
        return self._context.engine

    @property
    def session(self) -> Session | TorchModule:
        """The graph that computes scores, activations and gradients, loaded."""
        with with_suggestions(self.network, self._pool):
            return self.engine.session

    @property
    def batch_size(self) -> int:
        """The number of samples that run at once."""
        return self.engine.batch_size

    def __call__(self, inputs: Tensor | Mapping[str, Tensor], targets: Targets = None) -> Explanation:
        """Explain arrays that are ready for the model.

        Args:
            inputs: array as the model takes it, or one for each input's name. The first axis counts samples, but that
                of inputs that all samples share: those of a fixed size that is not the image's batch.
            targets: what to explain: None for the predicted class, an index, a label or a ``Target``, or one for each
                sample, or a list of several for each: then there is a map for each of them, sample by sample, and the
                part of the network before the layer runs once for all.

        Returns:
            The explanation: maps at the input's size, raw maps at the layer's, scores, warnings, provenance.

        Raises:
            InputError: the model does not take such arrays.
            TargetError: there is no such class.
            UnsupportedError, DependencyError: there is no gradient at the layer; the message names methods that need
                none.
            ProviderError: the provider fails, or there is too little memory.
        """
        with with_suggestions(self.network, self._pool), report_memory_errors():
            return self._explain(inputs, targets)

    def _explain(self, inputs: Tensor | Mapping[str, Tensor], targets: Targets) -> Explanation:
        view = self.view(inputs, targets)
        resolved, score = view.result.targets, self.network.score
        scores = reported_scores(view.scores, resolved)
        if self.labels is not None and score.kind != "boxes":
            check_labels(self.labels, scores.shape[1])
        # Infinite activations are reported by the display map, in words.
        record = RecordedView(view)
        with np.errstate(all="ignore"):
            raw = np.asarray(self.method.explain(record), np.float32)
            lost = arrival_warnings(self.method, view, raw)
            cancelled = self._cancellation.of(record, view, raw)
        maps, doubts = display(raw, self._map_size(view.feeds, raw), self.method.signed, self.method.enlarged_first)
        recipe = Recipe(
            layer=self.layer.name,
            method=self.method.describe(),
            score=score.name,
            provider=self.engine.provider,
            labels=box_labels(scores) if score.kind == "boxes" else self.labels,
            activation=score.activation if score.kind == "classes" else None,
            provenance=self.provenance,
        )
        return Explanation(
            maps=maps,
            raw=raw,
            scores=scores,
            targets=resolved.indices,
            warnings=tuple(tuple(chain(*texts)) for texts in zip(doubts, lost, cancelled, strict=True)),
            recipe=recipe,
            asked=tuple(target.describe() for target in resolved.targets),
            images=Images(samples=tuple(view.origin.tolist())),
        )

    def view(self, inputs: Tensor | Mapping[str, Tensor], targets: Targets = None) -> BatchView:
        """Run arrays that are ready for the model and return the view that the method gets.

        Arguments and errors are those of calling the explainer.
        """
        feeds = check_feeds(self.network, inputs)
        wanted, samples = flatten_targets(targets, self.network.count(feeds))
        batch = resolve_targets(wanted, len(samples), self.network.score, self.labels)
        if (contrast := self.method.needs.contrast) is not None:
            batch = contrast_with_nearest(batch, contrast.count, contrast.weight, contrast.mean)
        return view_batch(self._context, feeds, batch, samples)

    def read(self, source: ImageSource) -> Photograph:
        """Read one photograph and prepare it for the model.

        Raises:
            ImageError: it cannot be read, or the model takes no such image.
        """
        return self._images.read(source)

    def explain(
        self,
        photographs: Sequence[Photograph],
        targets: Targets = None,
        *,
        film: bool = False,
        inputs: Mapping[str, Tensor] | None = None,
    ) -> Explanation:
        """Explain photographs that ``read`` has prepared.

        Args:
            photographs: of one size as the model sees them.
            targets: as for arrays.
            film: also draw each photograph's maps of every size that the method can make, coarse to fine, in one strip.
            inputs: extra inputs, by name: one row for all photographs, or a row for each.

        Raises:
            InputError: there are none, the model sees them in different sizes, or takes no such inputs.
        """
        if not photographs:
            raise InputError("there are no photographs to explain; give at least one")
        if len({photograph.array.shape for photograph in photographs}) != 1:
            raise InputError("these photographs have several sizes as the model sees them; explain them one by one")
        with report_memory_errors():
            arrays = np.concatenate([photograph.array for photograph in photographs])
        extra = extra_inputs(self.network.inputs, inputs or {}, len(photographs))
        explanation = self({**extra, self.image.name: arrays}, targets)
        shown = [photographs[sample] for sample in explanation.samples]
        images = Images(
            names=tuple(photograph.name for photograph in shown),
            photos=tuple(photograph.image for photograph in shown),
            frames=tuple(photograph.frame for photograph in shown),
            samples=explanation.samples,
        )
        provenance = {**explanation.provenance, "preprocessing": self.preprocessing[0].to_dict()}
        recipe = replace(explanation.recipe, provenance=provenance)
        explanation = replace(explanation, recipe=recipe, images=images)
        return self._with_films(explanation, photographs, targets, inputs) if film else explanation

    def _with_films(
        self,
        explanation: Explanation,
        photographs: Sequence[Photograph],
        targets: Targets,
        inputs: Mapping[str, Tensor] | None,
    ) -> Explanation:
        steps = [
            explanation
            if (one.method, one.layer) == (self.method, self.layer)
            else one.explain(photographs, targets, inputs=inputs)
            for one in self._by_resolution
        ]
        films = tuple(strip([step[row] for step in steps]) for row in range(len(explanation)))
        return replace(explanation, images=replace(explanation.images, films=films))

    @property
    def _propagation_start(self) -> str | int | None:
        """The layer where a method that propagates starts; for other methods a resolution chooses the layer."""
        return self._start_layer if propagates(self.method) else None

    @cached_property
    def _by_resolution(self) -> list[Explainer]:
        """An explainer for each size of maps that the method can make, coarse to fine."""
        return [self.at(size) for size in resolutions(self.method, self._read_network, self._propagation_start)]

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """The model file, its hash, the layer and the versions of the software, to repeat an explanation."""
        return provenance(self.network, self.layer)

    def _map_size(self, feeds: Mapping[str, Tensor], raw: Tensor) -> tuple[int, ...]:
        """Return the input's spatial size, or the map's own where the input has another number of axes."""
        entry = self.image
        shape = feeds[entry.name].shape
        size = tuple(shape[axis] for axis in channels_first(entry.axes)[2:])
        return size if len(size) == raw.ndim - 1 else raw.shape[1:]


def explain(
    model: ModelSource,
    images: ImageSource | Sequence[ImageSource],
    method: str | Method = "hires-cam",
    layer: str | int | None = None,
    targets: Targets = None,
    score: str | None = None,
    providers: Sequence[Provider] | None = None,
    **keywords: Unpack[ExplainerOptions],
) -> Explanation:
    """Explain photographs: read, prepare, run and put the maps back over them.

    Args:
        model: path, bytes or onnx ``ModelProto``.
        images: path, folder, glob pattern, Pillow image or uint8 array ``[H, W, 3]``, or a list of those.
        method: a name from ``onnxcam methods``, or ``onnxcam.method(name, **fields)``.
        layer: name of a value or node, or an index into the layers that ``onnxcam inspect`` lists.
        targets: None for the predicted class, a class index or label, or one for each image.
        score: as of ``Explainer``.
        providers: as of ``Explainer``.
        **keywords: as of ``Explainer``.

    Raises:
        ImageError: a path matches nothing, or is no image.
        OnnxcamError: as of ``Explainer``.

    Example:
        >>> result = onnxcam.explain("model.onnx", "photo.jpg", preprocess="imagenet")
        >>> result.save("maps")
    """
    explainer = Explainer(model, method, layer, score, providers, **keywords)
    note = explainer.preprocessing[1]
    if note.startswith("assumed"):
        warnings.warn(f"preprocessing {note}", OnnxcamWarning, stacklevel=2)
    return explainer.explain([explainer.read(source) for source in list_sources(images)], targets)
