"""A second engine: the file converted by onnx2torch, and differentiated by torch.

It shares nothing with the first one but the file, so that where both agree neither is likely to be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.engines.onnx_engine import EngineResult
from onnxcam.engines.torch_module import PROVIDER, TorchModule, convert, gradients
from onnxcam.errors import InputError
from onnxcam.graph.analysis.batch import batch_size
from onnxcam.network.network import Network
from onnxcam.targets.batch import TargetBatch, Targets, resolve_targets

Tensor: TypeAlias = npt.NDArray[Any]

_USUAL_BATCH = 8


class TorchEngine:
    """Runs the converted model; the interface is that of ``onnxcam.engines.onnx_engine.Engine``."""

    def __init__(
        self,
        network: Network,
        names: str | Sequence[str],
        gradient: bool,
        batch_size: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Remember what to compute; the file is converted when that is first needed."""
        self.network = network
        self.names = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        self.gradient = gradient
        self._batch_size = batch_size
        self._threads = threads

    @cached_property
    def session(self) -> TorchModule:
        """The converted model.

        Raises:
            ProviderError: torch or onnx2torch is not installed.
            UnsupportedError: the file cannot be converted.
        """
        converted = convert(self.network.file)
        if self._threads is not None:
            import torch

            torch.set_num_threads(self._threads)
        return converted

    def at(self, layer: str) -> TorchEngine:
        """Return the same engine at another layer; the file is converted once."""
        other = TorchEngine(self.network, layer, self.gradient, self._batch_size, self._threads)
        other.session = self.session
        return other

    @property
    def provider(self) -> str:
        """What runs the model."""
        return PROVIDER

    @cached_property
    def batch_size(self) -> int:
        """Samples a run: what the file says, which is converted as it is."""
        return batch_size(self.network.file.ir.graph) or self.network.batch or self._batch_size or _USUAL_BATCH

    def run(self, feeds: Mapping[str, Tensor], targets: Targets, labels: Sequence[str] | None) -> EngineResult:
        """Compute scores, activations and gradients.

        Raises:
            TargetError: there is no such target.
            InputError: the model does not take such arrays.
            UnsupportedError: the file cannot be converted.
        """
        return self.explain(feeds, resolve_targets(targets, self.network.count(feeds), self.network.score, labels))

    def explain(self, feeds: Mapping[str, Tensor], chosen: TargetBatch) -> EngineResult:
        """Compute the same for targets that have been chosen."""
        count = self.network.count(feeds)
        if count == 0:
            raise InputError("there are no samples: the first axis of the input is empty")
        pieces = [self._piece(feeds, chosen, start, count) for start in range(0, count, self.batch_size)]
        scores, *found = (np.concatenate(arrays)[:count] for arrays in zip(*pieces, strict=True))
        values = dict(zip(self.names, found, strict=False))
        gradients = dict(zip(self.names, found[len(self.names) :], strict=False))
        return EngineResult(scores, values, gradients, chosen if chosen.is_resolved else chosen.resolved(scores))

    def trace(
        self, names: Sequence[str], feeds: Mapping[str, Tensor], cotangents: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return values and gradients as the other engine does, of those names that the file has, at one batch."""
        score, size = self.network.score.name, self.batch_size
        known = [name for name in names if name in self.session.places]
        found = self.session.run(self.network.rows(feeds, slice(size)), [score, *known])
        backward = gradients(found, score, known, cotangents[:size])
        return {name: found[name].detach().numpy() for name in known}, dict(zip(known, backward, strict=True))

    def _piece(self, feeds: Mapping[str, Tensor], chosen: TargetBatch, start: int, count: int) -> list[Tensor]:
        """Run some samples; where the file insists on a number of them, the last one is repeated."""
        rows = np.minimum(np.arange(start, start + self.batch_size), count - 1)
        if batch_size(self.network.file.ir.graph) is None:
            rows = np.unique(rows)
        score = self.network.score.name
        found = self.session.run(self.network.rows(feeds, rows), [score, *self.names])
        scores = found[score].detach().numpy().astype(np.float32)
        result = [scores, *(found[name].detach().numpy() for name in self.names)]
        if self.gradient:
            result += gradients(found, score, list(self.names), chosen.rows(rows.tolist()).weights(scores))
        return result
