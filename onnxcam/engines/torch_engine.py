"""The second engine: the file converted by onnx2torch, and differentiated by torch.

It shares no code for gradients with the first one, so that where both agree neither is likely to be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.engines.result import EngineResult
from onnxcam.engines.torch_module import PROVIDER, TorchModule, convert, gradients
from onnxcam.errors import InputError
from onnxcam.graph.analysis.batch import batch_size
from onnxcam.network.network import Network
from onnxcam.network.run_options import RunOptions
from onnxcam.targets.batch import TargetBatch

Tensor: TypeAlias = npt.NDArray[Any]

_USUAL_BATCH = 8


class TorchEngine:
    """Runs the converted model; the interface is ``onnxcam.engines.protocol.Engine``."""

    def __init__(
        self,
        network: Network,
        names: str | Sequence[str],
        options: RunOptions | None = None,
        gradient: bool = True,
        *,
        module: TorchModule | None = None,
    ) -> None:
        """Remember what to compute; the file is converted when that is first needed.

        Args:
            network: the model.
            names: of the values to read, the layer first.
            options: threads and batch size.
            gradient: whether the gradients with respect to these values are needed.
            module: the converted file, if it has been converted already.
        """
        self.network = network
        self.names = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        self.options = options or RunOptions()
        self.gradient = gradient
        self._module = module

    @property
    def runs_graphs(self) -> bool:
        """Always false: torch runs the file itself, and no graph that onnxcam writes."""
        return False

    @cached_property
    def session(self) -> TorchModule:
        """The converted model.

        Raises:
            ProviderError: torch or onnx2torch is not installed.
            UnsupportedError: the file cannot be converted.
        """
        module = self._module or convert(self.network.file)
        if self.options.threads is not None:
            import torch

            torch.set_num_threads(self.options.threads)
        return module

    def at(self, name: str) -> TorchEngine:
        """Return an engine that reads another value; the file is converted once."""
        return TorchEngine(self.network, name, self.options, self.gradient, module=self.session)

    @property
    def provider(self) -> str:
        """``torch (onnx2torch)``: torch runs the model, onnx2torch converts the file."""
        return PROVIDER

    @cached_property
    def batch_size(self) -> int:
        """The number of samples that run at once: what the file, converted unchanged, fixes, else the option."""
        fixed = batch_size(self.network.file.ir.graph) or self.network.batch
        return fixed or self.options.batch_size or _USUAL_BATCH

    def run(self, feeds: Mapping[str, Tensor], targets: TargetBatch) -> EngineResult:
        """Compute scores, activations and gradients; arguments and errors as of ``Engine.run``."""
        count = self.network.count(feeds)
        if count == 0:
            raise InputError("there are no samples: the first axis of the input is empty")
        pieces = [self._piece(feeds, targets, start, count) for start in range(0, count, self.batch_size)]
        scores, *found = (np.concatenate(arrays)[:count] for arrays in zip(*pieces, strict=True))
        values = dict(zip(self.names, found, strict=False))
        gradients = dict(zip(self.names, found[len(self.names) :], strict=False))
        return EngineResult(scores, values, gradients, targets if targets.is_resolved else targets.resolved(scores))

    def run_shared(self, feeds: Mapping[str, Tensor], targets: TargetBatch, samples: Tensor) -> EngineResult:
        """Run every target's sample: torch keeps nothing between runs that several targets could share."""
        return self.run(self.network.rows(feeds, samples), targets)

    def trace(
        self, names: Sequence[str], feeds: Mapping[str, Tensor], cotangents: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return values and gradients of those names that the file has, of one batch."""
        score, size = self.network.score.name, self.batch_size
        known = [name for name in names if name in self.session.nodes]
        found = self.session.run(self.network.rows(feeds, slice(size)), [score, *known])
        backward = gradients(found, score, known, cotangents[:size])
        return {name: found[name].detach().numpy() for name in known}, dict(zip(known, backward, strict=True))

    def _piece(self, feeds: Mapping[str, Tensor], targets: TargetBatch, start: int, count: int) -> list[Tensor]:
        """Run some samples; where the file insists on a number of them, the last one is repeated."""
        rows = np.minimum(np.arange(start, start + self.batch_size), count - 1)
        if batch_size(self.network.file.ir.graph) is None:
            rows = np.unique(rows)
        score = self.network.score.name
        found = self.session.run(self.network.rows(feeds, rows), [score, *self.names])
        scores = found[score].detach().numpy().astype(np.float32)
        result = [scores, *(found[name].detach().numpy() for name in self.names)]
        if self.gradient:
            result += gradients(found, score, list(self.names), targets.rows(rows.tolist()).weights(scores))
        return result
