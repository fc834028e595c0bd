"""Slow methods: each map written place by place from its paper, in plain Python loops.

An oracle joins by standing in a file of ``oracles/methods/``: there is no second list. It returns the map of
one image, ``[*spatial]``, and shares nothing with the formulas of the package: not a helper, not a rearrangement.

- ``@oracle(name)`` is for a formula of arrays. It takes the method (for its fields) and one image's activations and
  gradient ``[K, *spatial]``.
- ``@view_oracle(name)`` is for a method that asks a view. It takes the method, a network of ``tests/networks`` and
  which of its images; it runs the network's trunk and head itself.

Both name the fields with which the method is tested beside its defaults.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import tests.oracles.methods
from tests.networks.small import NETWORKS, Network

Floats: TypeAlias = npt.NDArray[np.float64]
Fields: TypeAlias = Mapping[str, Any]
ArrayOracle: TypeAlias = Callable[[Any, Floats, Floats], Floats]
ViewOracle: TypeAlias = Callable[[Any, Any, int], Floats]


@dataclass(frozen=True)
class Oracle:
    """An oracle, and with which fields its method is tested; networks are named if it runs them."""

    run: Callable[..., Floats]
    fields: tuple[Fields, ...]
    networks: tuple[str, ...] = ()


_found: dict[str, Oracle] = {}


@cache
def oracles() -> dict[str, Oracle]:
    """Return every oracle by the name of its method."""
    for module in pkgutil.iter_modules(tests.oracles.methods.__path__, "tests.oracles.methods."):
        importlib.import_module(module.name)
    return _found


def oracle(name: str, *variants: Fields) -> Callable[[ArrayOracle], ArrayOracle]:
    """Register the oracle of a formula of arrays; it is tested with default fields and with each variant."""
    return lambda function: _register(name, function, Oracle(function, ({}, *variants)))


def view_oracle(
    name: str, *variants: Fields, quick: Fields | None = None, networks: Sequence[str] = ("pooled", "curved")
) -> Callable[[ViewOracle], ViewOracle]:
    """Register the oracle of a method that asks a view.

    Args:
        name: of the method.
        *variants: fields away from their defaults, on top of ``quick``.
        quick: fields with which it is tested in place of its defaults, where these take long.
        networks: names in ``NETWORKS``.
    """
    fields = tuple({**(quick or {}), **variant} for variant in ({}, *variants))
    return lambda function: _register(name, function, Oracle(function, fields, tuple(networks)))


def expected(method: Any, a: Floats, g: Floats) -> Floats:
    """Return the oracle's maps ``[N, *spatial]`` of a batch of arrays."""
    return np.stack([oracles()[method.name].run(method, *image) for image in zip(a, g, strict=True)])


@cache
def expected_of_network(method: Any, name: str) -> Floats:
    """Return the oracle's maps ``[N, *spatial]`` of all images of a network."""
    network: Network = NETWORKS[name]()
    return np.stack([oracles()[method.name].run(method, network, i) for i in range(len(network.targets))])


def _register(name: str, function: Any, made: Oracle) -> Any:
    assert name not in _found, f"two oracles of {name}"
    _found[name] = made
    return function
