"""HiResCAM of noisy images, one after the other, averaged."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.networks.small import Network
from tests.oracles.methods.sampled import hires_at
from tests.oracles.registry import Floats, wrapper_oracle


@wrapper_oracle("noise", {"n": 3, "sigma": 0.3, "seed": 4})
def noise(wrapper: Any, network: Network, image: int) -> Floats:
    x = network.x[image]
    draw, spread = np.random.default_rng(wrapper.seed), wrapper.sigma * (max(x.ravel()) - min(x.ravel()))
    maps = [hires_at(network, image, x + spread * draw.standard_normal(x.shape)) for _ in range(wrapper.n)]
    return np.asarray(sum(maps) / len(maps))
