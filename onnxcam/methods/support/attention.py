"""What the methods of attention share: one square of tokens for every layer."""

from __future__ import annotations

from onnxcam.arrays import Array
from onnxcam.errors import UnsupportedError
from onnxcam.methods.base import Method
from onnxcam.methods.view import Attention, NetworkView


def attentions_of(view: NetworkView, method: Method) -> list[Attention]:
    """Return the attention of every layer, whose tokens are the same in all.

    Raises:
        UnsupportedError: there is none, or layers attend within windows or among merged tokens.
    """
    found = list(view.attentions())
    other = "grad-cam, hires-cam and gradient-x-input explain it"
    if not found:
        raise UnsupportedError(f"{method.name} needs attention, which this network has none of; {other}")
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
    """Return one number for each token, ``[N, T]``, as a map ``[N, rows, columns]`` of those that stand for places."""
    return view.to_positions(tokens[:, None, :])[:, 0]
