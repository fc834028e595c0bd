"""pytorch-grad-cam on a torch network: its raw and display maps, beside arrays for ours taken by autograd.

Its hooks and ours are separate, so that a wrong activation or gradient on either side shows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tests.helpers import torch_shim  # noqa: F401 - before anything that imports torchvision

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # whatever its many dependencies warn of on import
    import pytorch_grad_cam
    import torch
    import torchvision
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

Maps: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A network, the layer to explain, a batch and its targets; activations and gradient at the layer."""

    network: Any
    layer: Any
    images: Any
    targets: tuple[int, ...]
    a: Maps
    g: Maps


def _case(network: Any, layer: Any, images: Any, targets: tuple[int, ...]) -> Case:
    kept: list[Any] = []
    with layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output)):
        scores = network(images)
    (gradient,) = torch.autograd.grad(scores[range(len(targets)), targets].sum(), kept[0])
    return Case(network, layer, images, targets, kept[0].detach().numpy(), gradient.numpy())


def small_network() -> Case:
    """Explain a convolution before its ReLU, so that activations have both signs."""
    torch.manual_seed(1)
    nn = torch.nn
    layer = nn.Conv2d(8, 12, 3)
    body = [nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), layer, nn.ReLU(), nn.Flatten(), nn.Linear(12 * 25, 10)]
    return _case(nn.Sequential(*body).eval(), layer, torch.randn(3, 3, 16, 16), (1, 7, 4))


def resnet18() -> Case:
    torch.manual_seed(2)
    network = torchvision.models.resnet18(weights=None).eval()
    return _case(network, network.layer4, torch.randn(2, 3, 224, 224), (5, 900))


CASES: dict[str, Callable[[], Case]] = {case.__name__: cache(case) for case in (small_network, resnet18)}


@cache
def peer_maps(name: str, case_name: str) -> tuple[Maps, Maps]:
    """Return raw maps at the layer's size and display maps at the input's, of the class of that name."""
    case = CASES[case_name]()
    targets = [ClassifierOutputTarget(target) for target in case.targets]
    with getattr(pytorch_grad_cam, name)(case.network, [case.layer]) as cam:
        shown = cam(case.images, targets)
        a = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients
        g = gradients[0].numpy() if gradients else None  # Eigen-CAM takes none
        return cam.get_cam_image(case.images, case.layer, targets, a, g, False), shown
