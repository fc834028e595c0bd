"""Warnings about relevance that does not arrive: less than a tenth of what it starts as, far more, or no number."""

from __future__ import annotations

import numpy as np

from onnxcam.arrays import Maps
from onnxcam.methods.base import Method
from onnxcam.methods.support.propagating import PropagatingMethod
from onnxcam.methods.view import NetworkView

# A map that less of the score arrives in explains next to nothing of it, and one that more of it arrives in is made of
# terms that cancel.
LEAST, MOST = 0.1, 10.0


def arrival_warnings(method: Method, view: NetworkView, raw: Maps) -> list[list[str]]:
    """Return for each map of a method that propagates relevance what it leaves unexplained; nothing for other methods.

    Args:
        method: the one that was asked for; one inside a wrapper is not looked at.
        view: of the samples.
        raw: their raw maps, ``[N, *spatial]``.
    """
    found: list[list[str]] = [[] for _ in raw]
    if not isinstance(method, PropagatingMethod):
        return found
    for texts, one in zip(found, raw, strict=True):
        if not np.isfinite(one).all():
            texts.append(f"relevance overflows: it is divided by sums near 0, layer after layer; {method.remedy}")
    totals = method.arrival(view, raw)
    for texts, started, arrived in zip(found, *totals, strict=True) if totals is not None else ():
        if not np.isfinite(arrived) or not started:
            continue
        share = arrived / started
        numbers = f"of {method.origin} arrives in the map ({arrived:.3g} of {started:.3g})"
        if abs(share) < LEAST:
            texts.append(f"only {abs(share):.2g} {numbers}: biases and stabilizers take the rest; {method.remedy}")
        elif share < LEAST or share > MOST:
            texts.append(
                f"{share:.2g} times {numbers}: relevance of both signs grows where it cancels; {method.remedy}"
            )
    return found
