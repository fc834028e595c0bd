"""Run the whole network on one image under many masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.arrays import interpolation, upsample
from onnxcam.graph.analysis.axes import channels_first
from onnxcam.graph.analysis.inputs import ModelInput
from onnxcam.graph.passes.expose import expose
from onnxcam.network.network import Network
from onnxcam.network.sessions import LoadedGraph, SessionPool, run_in_pieces
from onnxcam.perturbation import BACKGROUND, MASKS, RESIZERS, mask_image

Tensor: TypeAlias = npt.NDArray[Any]


class MaskedRuns:
    """Runs a network on masked images; the masks are applied inside the graph."""

    def __init__(self, network: Network, image: ModelInput, pool: SessionPool) -> None:
        """Remember what to run; graphs are written and loaded when they are first needed."""
        self.network = network
        self.image = image
        self.pool = pool

    def run(
        self,
        feeds: Mapping[str, Tensor],
        masks: Tensor,
        background: Tensor | None,
        rescale: bool,
        read: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Return a number for each mask.

        Args:
            feeds: an array of one sample for each input.
            masks: ``[M, *any size]``.
            background: ``[C, *space]``, what shows where a mask is 0; zeros if not given.
            rescale: bring each mask to [0, 1].
            read: makes one number of each row of scores ``[m, ...]``.
        """
        graph = self._graph(rescale)
        order = channels_first(self.image.axes)
        whole = feeds[self.image.name]
        space = tuple(whole.shape[axis] for axis in order[2:])
        below = np.zeros((1, whole.shape[order[1]], *space), np.float32) if background is None else background[None]
        fixed = {
            **feeds,
            BACKGROUND: np.ascontiguousarray(below.astype(np.float32).transpose(np.argsort(order))),
        }
        masks = np.asarray(masks, np.float32)
        if len(space) == len(RESIZERS):
            matrices = [interpolation(old, new) for old, new in zip(masks.shape[1:], space, strict=True)]
            fixed |= {name: matrix.astype(np.float32) for name, matrix in zip(RESIZERS, matrices, strict=True)}
        else:
            masks = upsample(masks, space)
        score = self.network.score.name
        return run_in_pieces(
            masks,
            graph.rows,
            self.network.batch is not None,
            lambda rows: read(graph.session.run({**fixed, MASKS: rows}, [score])[score]),
        )

    def _graph(self, rescale: bool) -> LoadedGraph:
        score = self.network.score.name
        return self.pool.get(
            self.network,
            ("masked", score, self.image.name, rescale),
            lambda: mask_image(expose(self.network.model, [score]), self.image, rescale),
        )
