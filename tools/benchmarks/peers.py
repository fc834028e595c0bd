"""What pytorch-grad-cam does, on a share of the channels where all of them would take minutes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Tensor = npt.NDArray[Any]


def ablation_cam(module: Any, layer: Any, x: Tensor, target: int, channels: int) -> Callable[[], object]:
    """Return a run of its Ablation-CAM on the first ``channels`` channels: it does the same for each of them."""
    from pytorch_grad_cam import AblationCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = AblationCAM(module, [layer], batch_size=32)
    return _on_channels(cam, module, layer, x, ClassifierOutputTarget(target), channels)


def score_cam(module: Any, layer: Any, x: Tensor, target: int, channels: int) -> Callable[[], object]:
    """Return the same for its Score-CAM."""
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = ScoreCAM(module, [layer])
    return _on_channels(cam, module, layer, x, ClassifierOutputTarget(target), channels)


def _on_channels(cam: Any, module: Any, layer: Any, x: Tensor, target: Any, channels: int) -> Callable[[], object]:
    tensor = torch.from_numpy(x)
    with torch.no_grad():
        a = _value(module, layer, tensor)[:, :channels]

    def run() -> object:
        with _quiet(), torch.no_grad():
            return cam.get_cam_weights(tensor, layer, [target], a, None)

    return run


def _value(module: Any, layer: Any, x: Any) -> Tensor:
    found: list[Any] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: found.append(output.detach().numpy()))
    module(x)
    handle.remove()
    return np.asarray(found[0])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Its progress bars would be part of what is timed, were they drawn."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
