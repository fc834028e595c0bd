"""Attention of all layers over the same tokens, and maps of tokens."""

from __future__ import annotations

from onnxcam.arrays import Array
from onnxcam.errors import UnsupportedError
from onnxcam.methods.base import Method
from onnxcam.methods.view import Attention, NetworkView


def attentions_of(view: NetworkView, method: Method) -> list[Attention]:
    """Return the attention of every layer, checked to be over the same tokens in all.

    Raises:
        UnsupportedError: there is none, or layers attend within windows or merge tokens.
    """
    found = list(view.attentions())
    other = "use grad-cam, hires-cam or gradient-x-input"
    if not found:
        raise UnsupportedError(f"{method.name} needs attention, and this network has none; {other}")
    shapes = {(one.a.shape[0], *one.a.shape[2:]) for one in found}
    tokens = found[0].a.shape[-1]
    if shapes != {(view.x.shape[0], tokens, tokens)}:
        sizes = sorted({one.a.shape[-1] for one in found})
        raise UnsupportedError(
            f"{method.name} follows tokens through all layers, but these attend within windows or at several sizes "
            f"({', '.join(map(str, sizes))} tokens); {other}"
        )
    return found


def map_of_tokens(view: NetworkView, tokens: Array) -> Array:
    """Return one number per token, ``[N, T]``, as a map ``[N, rows, columns]`` of positions, without extra tokens."""
    return view.to_positions(tokens[:, None, :])[:, 0]
