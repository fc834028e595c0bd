"""Model, method and layer make an explainer; arrays or photographs make explanations."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.attribution.context import Context, Progress
from onnxcam.attribution.plan import plan_for
from onnxcam.attribution.resolution import at_resolution, resolutions, walks
from onnxcam.attribution.strip import strip
from onnxcam.attribution.suggestions import with_suggestions
from onnxcam.attribution.view import BatchView, view_batch
from onnxcam.engines.onnx_engine import Engine
from onnxcam.engines.torch_engine import TorchEngine
from onnxcam.engines.torch_module import TorchModule
from onnxcam.errors import InputError, OnnxcamWarning, UnsupportedError
from onnxcam.explanation import Explanation
from onnxcam.graph.analysis.axes import channels_first
from onnxcam.graph.analysis.inputs import ModelInput, image_input
from onnxcam.graph.analysis.layers import Layer
from onnxcam.graph.io.model_file import ModelSource
from onnxcam.images import (
    ImageInput,
    ImageSource,
    Photograph,
    Preprocess,
    Resize,
    check_labels,
    default_for,
    list_sources,
    read_photograph,
)
from onnxcam.methods.base import Method
from onnxcam.methods.registry import method as find_method
from onnxcam.methods.support.display import display
from onnxcam.methods.support.propagating import INPUT, ended
from onnxcam.network.feeds import check_feeds, extra_inputs
from onnxcam.network.network import Network, read_network
from onnxcam.network.provenance import provenance
from onnxcam.network.sessions import RunOptions
from onnxcam.perturbation.masked_runs import MaskedRuns
from onnxcam.relevance.runs import RelevanceRuns
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
        labels: names of the classes, from the model's metadata if not given.
    """

    def __init__(
        self,
        model: ModelSource,
        method: str | Method = "hires-cam",
        layer: str | int | None = None,
        score: str | None = None,
        providers: Sequence[Provider] | None = None,
        *,
        preprocess: Preprocess | str | None = None,
        resize: Resize | None = None,
        labels: Sequence[str] | None = None,
        batch_size: int | None = None,
        threads: int | None = None,
        grid: tuple[int, int] | None = None,
        engine: Literal["onnx", "torch"] = "onnx",
        share_weights: bool = True,
        progress: Progress | None = None,
        resolution: int | tuple[int, ...] | None = None,
    ) -> None:
        """Read the model and find everything that the method needs; nothing runs yet.

        Args:
            model: path, bytes or onnx ``ModelProto``.
            method: a name from ``onnxcam methods``, or ``onnxcam.method(name, **fields)``.
            layer: name of a value or node, or an index into the layers that ``onnxcam inspect`` lists. Default: the
                last one with spatial extent on the way to the score.
            score: name of the tensor to explain. Default: the one before a final Softmax, Sigmoid or LogSoftmax.
            providers: of onnxruntime, best first ("cuda", "cpu" or full names). Default: CUDA where it works, else the
                CPU; the result says which.
            preprocess: for photographs: a preset's name, a JSON file or text, or ``Preprocess``. Default: what the
                model's metadata says, or an assumption that warns.
            resize: how a photograph is brought to the model's size. Default: as ``preprocess`` says.
            labels: class names. Default: what the model's metadata says.
            batch_size: samples a run. Default: as many as fit about 1 GiB of values.
            threads: of onnxruntime, for one operator. Default: all cores.
            grid: rows and columns of a transformer's tokens. Default: what the graph tells, else a square.
            engine: ``onnx`` runs the gradient graph on onnxruntime; ``torch`` converts the file and differentiates it
                with torch, a second opinion on files that onnx2torch can convert.
            share_weights: let the backward pass read the forward pass's weights; False for runtimes that confuse them.
            progress: wraps the steps of methods that take many runs, as ``progress(steps, total)``, for a progress bar.
            resolution: size of the raw map, instead of a layer: 56, or (56, 56). Methods of layers explain at the last
                layer of that size; those that walk down (fg-cam, lrp, ...) begin at ``layer`` and end there.

        Raises:
            ModelError: no ONNX model.
            NameNotFoundError: no such method, layer or score; near names are suggested.
            UnsupportedError: the method does not apply to this network, or the layer has nothing to locate.
        """
        network = read_network(model, score)
        self._begin = layer
        self.method = find_method(method)
        if resolution is not None:
            self.method, layer = at_resolution(self.method, network, resolution, layer)
        self._reading = plan_for(self.method, network, layer)
        self.labels = tuple(labels) if labels is not None else network.labels
        self._preprocess = Preprocess.parse(preprocess) if isinstance(preprocess, str) else preprocess
        self._resize = resize
        self._grid = grid
        if batch_size is not None and batch_size < 1:
            raise InputError(f"the batch size is at least 1, not {batch_size}")
        self._running = RunOptions(providers, threads, batch_size, share_weights)
        self._progress = progress
        if engine not in ("onnx", "torch"):
            raise InputError(f"the engine is 'onnx' or 'torch', not '{engine}'")
        self._engine = engine

    @property
    def network(self) -> Network:
        """The model as it is explained."""
        return self._reading.network

    @property
    def layer(self) -> Layer:
        """Where activations are read."""
        return self._reading.layers[0]

    @cached_property
    def image(self) -> ModelInput:
        """The input that holds the image."""
        return image_input(self.network.model.graph)

    @cached_property
    def image_spec(self) -> ImageInput:
        """What the image input takes of a photograph.

        Raises:
            UnsupportedError: the input is no two-dimensional image.
        """
        entry = self.image
        if sorted(entry.axes) != sorted("NCHW"):
            raise UnsupportedError(
                f"input '{entry.name}' of shape {entry.shape} takes no photograph; pass arrays instead"
            )
        height, width = entry.extent
        layout: Literal["NCHW", "NHWC"] = "NHWC" if entry.axes.endswith("C") else "NCHW"
        return ImageInput(entry.name, height, width, entry.channels, layout, entry.dtype)

    @cached_property
    def preprocessing(self) -> tuple[Preprocess, str]:
        """How photographs become inputs, and where that comes from: a note that says so if it is only assumed."""
        if self._preprocess is not None:
            found, note = self._preprocess, "as asked for"
        else:
            found, note = default_for(self.image_spec, self.network.file.metadata)
        return found if self._resize is None else replace(found, resize=self._resize), note

    @cached_property
    def engine(self) -> Engine | TorchEngine:
        """What computes scores, activations and gradients."""
        gradient, how = self.method.needs.gradient, self._running
        if self._engine == "torch":
            return TorchEngine(self.network, self._reading.names, gradient, how.batch_size, how.threads)
        return Engine(
            self.network,
            self._reading.names,
            gradient,
            how.providers,
            how.threads,
            how.batch_size,
            share_weights=how.share_weights,
            descent=self._reading.descent,
        )

    @cached_property
    def _setting(self) -> Context:
        return Context(
            reading=self._reading,
            engine=self.engine,
            image=self.image,
            grid=self._grid,
            running=self._running,
            masking=MaskedRuns(self.network, self.image, self._running),
            relevances=RelevanceRuns(self.network, self._running),
            progress=self._progress,
        )

    @property
    def session(self) -> Session | TorchModule:
        """The graph that computes scores, activations and gradients, loaded."""
        with with_suggestions(self.network, self._running):
            return self.engine.session

    @property
    def batch_size(self) -> int:
        """Samples a run."""
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
            The explanation: maps at the input's size, raw maps at the layer's, scores and what else there is to know.

        Raises:
            InputError: the model does not take such arrays.
            TargetError: there is no such class.
            UnsupportedError, DependencyError: nothing leads back to the layer; the message names methods that need not.
            ProviderError: the provider fails, or there is too little memory.
        """
        with with_suggestions(self.network, self._running), report_memory_errors():
            return self._explain(inputs, targets)

    def _explain(self, inputs: Tensor | Mapping[str, Tensor], targets: Targets) -> Explanation:
        asked = self.ask(inputs, targets)
        found = asked.found
        scores = reported_scores(found.scores, found.chosen)
        if self.labels is not None and self.network.score.kind != "boxes":
            check_labels(self.labels, scores.shape[1])
        raw = self._formula(asked)
        maps, doubts = display(raw, self._map_size(asked.feeds, raw), self.method.signed)
        return Explanation(
            maps=maps,
            raw=raw,
            scores=scores,
            targets=found.chosen.indices,
            asked=tuple(target.describe() for target in found.chosen.targets),
            layer=self.layer.name,
            method=self.method.describe(),
            score=self.network.score.name,
            provider=self.engine.provider,
            warnings=tuple(tuple(texts) for texts in doubts),
            labels=box_labels(scores) if self.network.score.kind == "boxes" else self.labels,
            activation=self.network.score.activation if self.network.score.kind == "classes" else None,
            provenance=self.provenance,
            samples=tuple(asked.origin.tolist()),
        )

    def ask(self, inputs: Tensor | Mapping[str, Tensor], targets: Targets = None) -> BatchView:
        """Run arrays that are ready for the model and return what a method may ask of them; arguments as of a call."""
        feeds = check_feeds(self.network, inputs)
        wanted, samples = flatten_targets(targets, self.network.count(feeds))
        chosen = resolve_targets(wanted, len(samples), self.network.score, self.labels)
        if (contrast := self.method.needs.contrast) is not None:
            chosen = contrast_with_nearest(chosen, contrast.count, contrast.weight)
        return view_batch(self._setting, feeds, chosen, samples)

    def read(self, source: ImageSource) -> Photograph:
        """Read one photograph and prepare it for the model.

        Raises:
            ImageError: it cannot be read, or the model takes no such image.
        """
        return read_photograph(source, self.image_spec, self.preprocessing[0])

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
            inputs: what the model takes beside the image, by name: one row for all photographs, or a row for each.

        Raises:
            InputError: there are none, the model sees them in different sizes, or takes no such inputs.
        """
        if len({photograph.array.shape for photograph in photographs}) != 1:
            raise InputError("photographs of one size are explained together; explain these one by one")
        with report_memory_errors():
            arrays = np.concatenate([photograph.array for photograph in photographs])
        beside = extra_inputs(self.network.inputs, inputs or {}, len(photographs))
        explanation = self({**beside, self.image.name: arrays}, targets)
        shown = [photographs[sample] for sample in explanation.samples]
        told = replace(
            explanation,
            names=tuple(photograph.name for photograph in shown),
            photos=tuple(photograph.image for photograph in shown),
            frames=tuple(photograph.frame for photograph in shown),
            provenance={**explanation.provenance, "preprocessing": self.preprocessing[0].to_dict()},
        )
        if not film:
            return told
        steps = [
            told
            if (one.method, one.layer) == (self.method, self.layer)
            else one.explain(photographs, targets, inputs=inputs)
            for one in self._finer
        ]
        return replace(told, films=tuple(strip([step[row] for step in steps]) for row in range(len(told))))

    def at(self, resolution: int | tuple[int, ...]) -> Explainer:
        """Return an explainer like this one whose raw maps have another size; argument and errors as of the class."""
        made = copy.copy(self)
        method = ended(self.method, INPUT) if walks(self.method) else self.method
        made.method, layer = at_resolution(method, self.network, resolution, self._walk)
        made._reading = plan_for(made.method, self.network, layer)
        for name in ("engine", "_setting", "_finer", "provenance"):
            made.__dict__.pop(name, None)
        return made

    @property
    def _walk(self) -> str | int | None:
        """Where a method that walks down begins; its end, or the layer of another one, is what resolutions choose."""
        return self._begin if walks(self.method) else None

    @cached_property
    def _finer(self) -> list[Explainer]:
        """One for each size of maps, coarse to fine."""
        return [self.at(size) for size in resolutions(self.method, self.network, self._walk)]

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What is needed beside the explanation itself to repeat it."""
        return provenance(self.network, self.layer)

    def _formula(self, asked: BatchView) -> npt.NDArray[np.float32]:
        # Infinite activations are told of by the display map, in words.
        with np.errstate(all="ignore"):
            return np.asarray(self.method.explain(asked), np.float32)

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
    **options: Any,
) -> Explanation:
    """Explain photographs: read, prepare, run and put the maps back over them.

    Args:
        model: path, bytes or onnx ``ModelProto``.
        images: path, folder, glob pattern, Pillow image or uint8 array ``[H, W, 3]``, or a list of those.
        method: a name from ``onnxcam methods``, or ``onnxcam.method(name, **fields)``.
        layer: name of a value or node, or an index into the layers that ``onnxcam inspect`` lists.
        targets: None for the predicted class, a class index or label, or one for each image.
        **options: as of ``Explainer``.

    Raises:
        ImageError: a path matches nothing, or is no image.
        OnnxcamError: as of ``Explainer``.

    Example:
        >>> result = onnxcam.explain("model.onnx", "photo.jpg", preprocess="imagenet")
        >>> result.save("maps")
    """
    explainer = Explainer(model, method, layer, **options)
    note = explainer.preprocessing[1]
    if note.startswith("assumed"):
        warnings.warn(f"preprocessing {note}", OnnxcamWarning, stacklevel=2)
    return explainer.explain([explainer.read(source) for source in list_sources(images)], targets)
