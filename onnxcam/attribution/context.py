"""What explaining a network needs again and again: engines and graphs, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy.typing as npt

from onnxcam.attribution.plan import Plan
from onnxcam.engines.onnx_engine import Engine
from onnxcam.engines.torch_engine import TorchEngine
from onnxcam.graph.analysis.axes import channels_first
from onnxcam.graph.analysis.inputs import ModelInput
from onnxcam.graph.analysis.layers import Layer
from onnxcam.graph.analysis.tokens import to_places
from onnxcam.graph.passes.dequantize_layer import dequantized
from onnxcam.network.network import Network
from onnxcam.network.sessions import RunOptions
from onnxcam.perturbation.head import HeadSessions
from onnxcam.perturbation.masked_runs import MaskedRuns
from onnxcam.relevance.guided import guided_table
from onnxcam.relevance.runs import RelevanceRuns

Tensor: TypeAlias = npt.NDArray[Any]
Progress: TypeAlias = Callable[[Iterable[int], int], Iterable[int]]


@dataclass(frozen=True, eq=False)
class Context:
    """What stays the same from one batch to the next.

    Attributes:
        reading: what the method reads of the network.
        engine: computes scores, values and gradients.
        image: the input that holds the image.
        grid: rows and columns of a transformer's tokens, where the user gives them.
        running: how further graphs are run.
        masking: the network on masked images.
        relevances: the network's walks of relevance.
        progress: wraps the steps of what takes long.
    """

    reading: Plan
    engine: Engine | TorchEngine
    image: ModelInput
    grid: tuple[int, int] | None
    running: RunOptions
    masking: MaskedRuns
    relevances: RelevanceRuns
    progress: Progress | None = None
    _parts: dict[str, HeadSessions] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """The model."""
        return self.reading.network

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layer first, then the others that the method combines."""
        return self.reading.layers

    @cached_property
    def guided(self) -> Engine:
        """What goes back to the image by the rules of guided backpropagation."""
        model, name = dequantized(self.network.model, self.image.value)
        how, rules = self.running, guided_table()
        given = (how.providers, how.threads, how.batch_size)
        return Engine(
            replace(self.network, model=model), name, True, *given, share_weights=how.share_weights, table=rules
        )

    def parts(self, layer: str) -> HeadSessions:
        """Return the network cut at a layer, always the same."""
        if layer not in self._parts:
            self._parts[layer] = HeadSessions(self.network, layer, self.running)
        return self._parts[layer]

    def places(self, layer: Layer, array: Tensor, extent: tuple[int, ...]) -> Tensor:
        """Return a value of a layer as ``[N, C, *space]``, for images of some extent."""
        array = array.transpose(channels_first(layer.axes))
        if "T" not in layer.axes:
            return array
        return to_places(array, layer.grid, layer.before, layer.after, self.grid, extent)
