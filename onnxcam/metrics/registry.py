"""Metrics by name. A metric is a class in a module of ``onnxcam.metrics.formulas``: there is no second list."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Any

from onnxcam.discovery import build, find_classes
from onnxcam.errors import InputError, NameNotFoundError, did_you_mean
from onnxcam.metrics.base import Metric

_METRICS = "onnxcam.metrics.formulas"


@cache
def metrics() -> MappingProxyType[str, type[Metric]]:
    """Return every metric class by name, in alphabetical order."""
    return find_classes(Metric, "metric", _METRICS)  # type: ignore[type-abstract]


def metric(name: str | Metric, **options: Any) -> Metric:
    """Return the metric of that name with its fields set.

    Args:
        name: of a metric, or a metric, which is returned as it is.
        **options: fields of the metric, for instance ``tolerance=0`` for ``pointing-game``.

    Raises:
        NameNotFoundError: no metric has that name; near names are suggested.
        InputError: the metric has no such field, or the field takes no such value.
    """
    if isinstance(name, Metric):
        if options:
            given = ", ".join(sorted(options))
            raise InputError(f"options {given} given with a metric that is built already; set them where it is built")
        return name
    known = metrics()
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise NameNotFoundError(f"no metric is named '{name}'{hint}")
    return build(known[name], "metric", options)
