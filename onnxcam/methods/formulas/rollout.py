"""Attention rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.attention import attentions_of, map_of_tokens
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class Rollout(Method):
    """Attention rollout: attention multiplied through all layers of a transformer; class-agnostic.

    ``L = (R_last ... R_2 R_1)[class token]``, ``R_l`` the rows of ``A_l / 2 + I / 2`` scaled to sum 1, ``A_l`` the
    attention of a layer fused over its heads. Without a class token the mean of all rows is taken.

    Source: Abnar & Zuidema 2020, sec. 3, where heads are averaged. The other ways of fusing them and the discarding of
    weak attention are those of Gildenblat's vit-explain, without its exemption of the first entry.

    Attributes:
        heads: how heads are fused: ``mean``, ``max`` or ``min``.
        discard_ratio: fraction of the smallest entries of each layer's fused attention that is set to 0, from 0 to
            below 1.
    """

    name: ClassVar[str] = "rollout"
    paper: ClassVar[str] = "abnar2020"
    needs: ClassVar[Needs] = Needs(reads="attentions")
    heads: Literal["mean", "max", "min"] = "mean"
    discard_ratio: float = 0.0

    def __post_init__(self) -> None:
        """Refuse to discard everything."""
        super().__post_init__()
        if not 0 <= self.discard_ratio < 1:
            raise InputError(f"field discard_ratio of rollout is {self.discard_ratio}; it must be from 0 to below 1")

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: it cannot, since attention never is."""
        return False

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, rows, columns]``, never negative; with the extra tokens' own shares it sums to 1."""
        rolled: Array = None
        for attention in attentions_of(view, self):
            fused = self._discard(getattr(np, self.heads)(attention.a, axis=1))
            mixed = 0.5 * fused + 0.5 * np.eye(fused.shape[-1], dtype=fused.dtype)
            mixed = mixed / mixed.sum(axis=-1, keepdims=True)
            rolled = mixed if rolled is None else mixed @ rolled
        return map_of_tokens(view, rolled[:, 0] if view.leading_tokens else rolled.mean(axis=1))

    def _discard(self, fused: Array) -> Array:
        """Return attention with its weakest entries set to 0; of equal ones the first go."""
        flat = fused.reshape(len(fused), -1)
        weakest = np.argsort(flat, axis=1, kind="stable")[:, : int(flat.shape[1] * self.discard_ratio)]
        kept = flat.copy()
        np.put_along_axis(kept, weakest, 0, axis=1)
        return kept.reshape(fused.shape)
