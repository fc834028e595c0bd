"""The composites that are compared: those that have a name, and others that differ in one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxcam.relevance.composite import Composite, composites, default_composite

DEFAULT = default_composite(attention=False).name


def _own(title: str, *rules: Mapping[str, Any], **fields: Any) -> dict[str, Composite]:
    return {title: Composite.parse({"name": title, "rules": list(rules), **fields})}


_DENSE: Mapping[str, Any] = {"at": "any", "rule": "epsilon"}
_FREE: Mapping[str, Any] = {"bias": False}
_EXACT: Mapping[str, Any] = {"stabilizer": 0.0, "bias": False}
_BOX: Mapping[str, Any] = {"at": "first conv", "rule": "box", **_EXACT}
_PLUS: Mapping[str, Any] = {"at": "conv", "rule": "z-plus", **_EXACT}

CONTENDERS: Mapping[str, Composite] = {
    **{f"`{name}`": composite for name, composite in composites().items()},
    **_own("box, then spread z-plus, epsilon", _BOX, _PLUS, _DENSE, spread=True),
    **_own("z-plus without bias, epsilon", _PLUS, _DENSE),
    **_own("gamma 1 without bias, epsilon", {"at": "conv", "rule": "gamma", "gamma": 1.0, **_FREE}, _DENSE),
    **_own(
        "gamma, also 0.05 for dense layers", {"at": "conv", "rule": "gamma"}, {**_DENSE, "rule": "gamma", "gamma": 0.05}
    ),
    **_own("LRP-0 without bias", {"at": "any", "rule": "zero", **_FREE}, stabilizer=0.0),
}
