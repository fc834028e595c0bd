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

    Source: Abnar & Zuidema 2020, sec. 3, where heads are averaged.

    Differences: the other ways of fusing heads and the discarding of weak attention are those of Gildenblat's
    vit-explain. That code divides each column of ``A_l / 2 + I / 2`` by the sum of the row of the same number, and
    never discards the first entry of the first row: so does ``form=vit-explain``. Both are the same as the paper where
    heads are averaged and nothing is discarded, since all rows then sum to 1. vit-explain discards 0.9 by default,
    discards for the first image of a batch only, always reads the first row as that of a class token, drops one extra
    token, and divides the map by its maximum; here nothing is discarded by default, images do not depend on their
    batch, the file says which tokens are extra, and the raw map is not scaled.

    Attributes:
        heads: how heads are fused: ``mean``, ``max`` or ``min``.
        discard_ratio: fraction of the smallest entries of each layer's fused attention that is set to 0, from 0 to
            below 1.
        form: rows scaled to sum 1 as in the ``paper``, or columns and the first entry as in ``vit-explain``.
    """

    name: ClassVar[str] = "rollout"
    paper: ClassVar[str] = "abnar2020"
    needs: ClassVar[Needs] = Needs(reads="attentions")
    heads: Literal["mean", "max", "min"] = "mean"
    discard_ratio: float = 0.0
    form: Literal["paper", "vit-explain"] = "paper"

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
            mixed = mixed / self._divisors(mixed)
            rolled = mixed if rolled is None else mixed @ rolled
        return map_of_tokens(view, rolled[:, 0] if view.leading_tokens else rolled.mean(axis=1))

    def _divisors(self, mixed: Array) -> Array:
        """Return the sums of rows ``[N, T, 1]``, by which rows are divided; as ``[N, 1, T]`` columns are."""
        sums = mixed.sum(axis=-1, keepdims=True)
        return sums if self.form == "paper" else np.swapaxes(sums, 1, 2)

    def _discard(self, fused: Array) -> Array:
        """Return attention with its weakest entries set to 0; of equal ones the first go."""
        flat = fused.reshape(len(fused), -1)
        weakest = np.argsort(flat, axis=1, kind="stable")[:, : int(flat.shape[1] * self.discard_ratio)]
        kept = flat.copy()
        np.put_along_axis(kept, weakest, 0, axis=1)
        if self.form == "vit-explain":
            kept[:, 0] = flat[:, 0]
        return kept.reshape(fused.shape)
