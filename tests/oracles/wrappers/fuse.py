"""HiResCAM's maps of several layers, scaled and enlarged one by one, fused value by value."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.networks.special import Special
from tests.oracles.methods.wholes import enlarged, layer_maps
from tests.oracles.registry import Floats, wrapper_oracle


@wrapper_oracle(
    "fuse", {"how": "max", "shallow": 2}, {"how": "product"}, {"shallow": 1, "gamma": 3.0, "layers": (0, 1, 2)}
)
def fuse(wrapper: Any, network: Special, image: int) -> Floats:
    maps = [cam / max(cam.ravel()) for cam in layer_maps("hires-cam", network, image)]
    for shallow in range(len(maps) - wrapper.shallow, len(maps)):
        maps[shallow] = np.tanh(wrapper.gamma * maps[shallow])
    maps = [enlarged(cam, maps[-1].shape) for cam in maps]
    if wrapper.how == "max":
        return np.asarray([[max(values) for values in zip(*rows, strict=True)] for rows in zip(*maps, strict=True)])
    if wrapper.how == "product":
        return np.asarray(maps[0] * maps[1] * maps[2])
    return np.asarray(sum(maps) / len(maps))
