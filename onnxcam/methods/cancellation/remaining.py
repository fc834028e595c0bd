"""Maps that are only what is left where their terms cancel.

A map is a sum of signed terms, such as ``g_k A_k``. Where the part of the network after a layer does not change with
the scale of the layer's value at a position (LayerNorm, RMSNorm, features of unit length), ``sum_k g_k A_k = 0`` there
(Euler's theorem for functions of degree 0), and the map is rounding. It says nothing, and scaled to [0, 1] it looks
like any other map.

How large the terms are is measured, for any formula: the method is asked again with every number that it got from the
network changed by a small fraction, at random. Its sums then change by that fraction of their terms.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.cancellation.recorded_view import RecordedView
from onnxcam.methods.cancellation.replayed_view import ReplayedView

Numbers: TypeAlias = npt.NDArray[Any]

# Sums that cancel change by eight times themselves. Nothing else does: where a formula has a pole or turns a sign, the
# map changes by about as much as it is large.
_CHANGE = 2.0**-5
# Of the root of the sum of the squares of the terms. Measured: rounding leaves up to 4e-6 in float32 and 1.4e-3 in
# float16, the epsilon of a normalisation (1e-5 where the variance is 0.5) up to 4e-4; maps of real models are at least
# 0.057, and one at a layer of a transformer that nearly cancels is 0.07.
_BOUND = _CHANGE / 8
# In units of the arithmetic, where small sums are no sign of anything but rounding: differences of scores, of which one
# channel of thousands is a small part; and the positive part of a map, which is what is shown, where the rest is large.
_ROUNDING = 32


def remaining(method: Method, record: RecordedView, raw: Array, unit: float) -> Numbers:
    """Return what is left of the terms of each map that is only cancellation, relative to them; NaN for other maps.

    A map of zeros is none: nothing cancels in it.

    Args:
        method: has explained the recorded view.
        record: what it asked, and was answered.
        raw: the map that it made, ``[N, *spatial]``.
        unit: the distance from 1 to the next number of the arithmetic that made the answers.

    Returns:
        ``[N]``.
    """
    with np.errstate(all="ignore"):
        # The sums themselves: those of the map are known, unless other images stand for those that were looked at.
        known = type(method).judged is Method.judged and not record.answers.others
        sums = [np.asarray(one, np.float64) for one in ([raw] if known else method.judged(ReplayedView(record, 0)))]
        found = _changed(method, record, sums, raw, unit, seed=0)
        # Random changes can meet a pole of the formula. Two of them do not.
        again = np.isfinite(found).any() and _changed(method, record, sums, raw, unit, seed=1)
    return np.where(np.isfinite(again), found, np.nan)


def _changed(method: Method, record: RecordedView, sums: list[Numbers], raw: Array, unit: float, seed: int) -> Numbers:
    """Return what ``remaining`` does, as one set of random changes shows it."""
    found = np.full(len(raw), np.nan)
    rounding = min(_BOUND, _ROUNDING * unit)
    bound = rounding if record.answers.scores else _BOUND
    for values, others in zip(sums, method.judged(ReplayedView(record, _CHANGE, seed)), strict=True):
        terms = np.abs(np.asarray(others, np.float64) - values) / _CHANGE
        usable = np.isfinite(values) & np.isfinite(terms)
        is_map = values.shape == raw.shape
        for row, (one, size) in enumerate(zip(np.where(usable, values, 0), np.where(usable, terms, 0), strict=True)):
            left = _relative(np.abs(one), size)
            shown = _relative(np.maximum(one, 0), size) if is_map else np.inf
            if left <= bound or shown <= rounding:
                found[row] = np.fmin(found[row], min(left, shown))
    return found


def _relative(sums: Numbers, terms: Numbers) -> float:
    """Return the largest sum over the terms where sums are large; infinity where there is none."""
    peak = sums.max()
    if not peak > 0:
        return np.inf
    # More than one position: at a single one the random changes can cancel, too.
    size = np.sqrt(np.mean(np.square(terms[sums >= peak / 2])))
    return float(peak / size) if size > 0 else np.inf
