"""HiResCAM of brighter, darker and mirrored images, one after the other, averaged."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.networks.small import Network
from tests.oracles.methods.sampled import hires_at
from tests.oracles.registry import Floats, wrapper_oracle


@wrapper_oracle("augment", {"flip": False, "factors": (0.5, 2.0)})
def augment(wrapper: Any, network: Network, image: int) -> Floats:
    x = network.x[image]
    maps = [hires_at(network, image, factor * x) for factor in wrapper.factors]
    if wrapper.flip:
        maps += [np.fliplr(hires_at(network, image, factor * x[:, :, ::-1].copy())) for factor in wrapper.factors]
    return np.asarray(sum(maps) / len(maps))
