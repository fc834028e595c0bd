"""Every small torch network that methods are tested on, by name."""

from __future__ import annotations

from collections.abc import Callable

from tests.networks.small import SMALL, Network
from tests.networks.special import SPECIAL

NETWORKS: dict[str, Callable[[], Network]] = {**SMALL, **SPECIAL}
