"""What an engine is: anything that computes scores, activations and gradients of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from onnxcam.engines.result import EngineResult
from onnxcam.engines.torch_module import TorchModule
from onnxcam.network.network import Network
from onnxcam.runtime.session import Session
from onnxcam.targets.batch import TargetBatch

Tensor: TypeAlias = npt.NDArray[Any]


class Engine(Protocol):
    """Computes scores, some values of a network, and the gradients of what is explained with respect to them."""

    @property
    def network(self) -> Network:
        """The model."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values that are read, the layer first."""

    @property
    def runs_graphs(self) -> bool:
        """Whether graphs that onnxcam writes run on it: ablation, masks, relevance, the head of the network alone."""

    @property
    def session(self) -> Session | TorchModule:
        """What runs the usual case, written and loaded when it is first asked for.

        Raises:
            UnsupportedError: an operator has no rule, or the file cannot be converted.
            ModelError, ProviderError: it does not load.
        """

    @property
    def provider(self) -> str:
        """What computes, such as ``CPUExecutionProvider``."""

    @property
    def batch_size(self) -> int:
        """The number of samples that run at once; larger batches are run in pieces."""

    def run(self, feeds: Mapping[str, Tensor], targets: TargetBatch) -> EngineResult:
        """Compute scores, values and gradients.

        Args:
            feeds: an array for each input of the model.
            targets: what is explained of each sample; targets of an earlier run keep the class that they had there.

        Raises:
            TargetError: there is no such target.
            InputError: the model does not take such arrays.
            ProviderError: the provider fails.
        """

    def run_shared(self, feeds: Mapping[str, Tensor], targets: TargetBatch, samples: Tensor) -> EngineResult:
        """Compute scores and values once for each sample, and repeat them for its targets; without gradients.

        Args:
            feeds: an array for each input of the model, a row for each sample.
            targets: what is explained, several of each sample.
            samples: for each target, the row of ``feeds`` that it belongs to.
        """

    def trace(
        self, names: Sequence[str], feeds: Mapping[str, Tensor], cotangents: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return values, and the gradients of the weighted scores with respect to each, by name.

        An engine that does not know some of the names leaves them out, and may compute its first batch only.

        Args:
            names: of values.
            feeds: an array for each input of the model.
            cotangents: weight of each score, of the scores' shape.
        """

    def at(self, name: str) -> Engine:
        """Return an engine that reads another value, and shares what has been loaded."""
