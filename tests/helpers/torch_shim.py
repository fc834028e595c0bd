"""Makes torchvision importable beside a torch whose build its compiled operators do not match.

torchvision's wheel from PyPI is compiled against the CUDA build of torch. Beside a CPU build its operators do not
load, and the import then fails where it attaches Python functions to ``nms`` and ``qnms``. Two declared schemas are
enough for it to go on; the classifiers that the tests use call neither operator.
"""

from __future__ import annotations

import sys
import warnings

import torch

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _forget_half_import() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


def _import_torchvision() -> torch.library.Library | None:
    """Import torchvision; return what declares its operators, which must live as long as they are needed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not ours: compiled operators missing, deprecated torch names
        try:
            import torchvision
        except RuntimeError as error:
            if "nms" not in str(error):
                raise
        else:
            return None
        _forget_half_import()
        library = torch.library.Library("torchvision", "DEF")
        library.define(f"nms{_NMS}")
        library.define(f"qnms{_NMS}")
        import torchvision  # noqa: F401
    return library


_LIBRARY = _import_torchvision()

# Import it from here: whatever order imports are sorted into, the shim then comes first.
torchvision = sys.modules["torchvision"]
