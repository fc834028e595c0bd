"""The first principal component of HiResCAM's terms."""

from __future__ import annotations

from typing import Any

from tests.networks.small import Network
from tests.oracles.methods.arrays import principal_component
from tests.oracles.methods.sampled import layer_at
from tests.oracles.registry import Floats, wrapper_oracle


@wrapper_oracle("principal")
def principal(_: Any, network: Network, image: int) -> Floats:
    a, g = layer_at(network, image, network.x[image])
    return principal_component(a * g)
