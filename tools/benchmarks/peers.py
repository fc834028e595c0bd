"""What other libraries do, on a share of the channels where all of them would take minutes."""

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
    """Return pytorch-grad-cam's Ablation-CAM on the first ``channels`` channels: it does the same for each of them."""
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


def lrp(module: Any, x: Tensor, target: int) -> Callable[[], object]:
    """Return a run of zennit's LRP epsilon-plus down to the input, from the target's logit.

    Normalisations are merged where zennit begins to attribute, which it does once for many runs: a run is torch's
    forward and backward pass with zennit's hooks, and the logit that the relevance begins with is that of this pass.
    """
    from tests.helpers.torch_shim import torchvision  # isort: skip  # zennit imports it

    assert torchvision is not None
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus
    from zennit.torchvision import ResNetCanonizer, VGGCanonizer

    module.requires_grad_(False)
    kind = type(module).__name__
    canonizer = {"ResNet": ResNetCanonizer, "VGG": VGGCanonizer}[kind]()
    attribute = Gradient(module, EpsilonPlus(canonizers=[canonizer]))
    attribute.__enter__()
    tensor = torch.from_numpy(x)

    def start(y: Any) -> Any:
        return torch.nn.functional.one_hot(torch.tensor([target]), y.shape[1]) * y.detach()

    return lambda: attribute(tensor, start)[1].sum(dim=1)


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
