"""What is explained: the kinds of targets. In Python this module is ``onnxcam.target``; on the command line, --target.

Every kind in ``onnxcam.targets.kinds`` is an attribute here, under the name of its class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For type checkers only; a kind that is not named here is an attribute all the same.
    from onnxcam.targets.base import Target as Target
    from onnxcam.targets.kinds.box import Box as Box
    from onnxcam.targets.kinds.class_ import Class as Class
    from onnxcam.targets.kinds.cotangent import Cotangent as Cotangent
    from onnxcam.targets.kinds.difference import Difference as Difference
    from onnxcam.targets.kinds.nearest import Nearest as Nearest


def _public() -> dict[str, type[Any]]:
    from onnxcam.targets.base import Target
    from onnxcam.targets.registry import kinds

    return {"Target": Target, **{cls.__name__: cls for cls in kinds().values()}}


def __getattr__(name: str) -> Any:
    # Submodules, too, are looked up here before they are imported; the registry must not be asked for those.
    if name[:1].isupper() and name in (found := _public()):
        return found[name]
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(_public())
