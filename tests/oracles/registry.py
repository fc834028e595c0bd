"""Slow methods and wrappers: each map written position by position from its paper, in plain Python loops.

An oracle joins by standing in a file of ``oracles/methods/`` or ``oracles/wrappers/``: there is no second list. It
returns the map of one image, ``[*spatial]``, and shares nothing with the formulas of the package: not a helper, not a
rearrangement.

- ``@oracle(name)`` is for a formula of arrays. It takes the method (for its fields) and one image's activations and
  gradient ``[K, *spatial]``.
- ``@view_oracle(name)`` is for a method that uses a view. It takes the method, a network of ``tests/networks`` and
  which of its images; it runs the network's trunk and head itself.
- ``@wrapper_oracle(name)`` is for a wrapper, around HiResCAM. It takes the same as the oracle of a view.

All name the fields with which the method is tested beside its defaults.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import tests.oracles.methods
import tests.oracles.wrappers
from tests.networks.small import Network
from tests.networks.table import NETWORKS

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


_methods: dict[str, Oracle] = {}
_wrappers: dict[str, Oracle] = {}


@cache
def oracles() -> dict[str, Oracle]:
    """Return every oracle of a method by the method's name."""
    _import_all(tests.oracles.methods)
    return _methods


@cache
def wrapper_oracles() -> dict[str, Oracle]:
    """Return every oracle of a wrapper by the wrapper's name."""
    _import_all(tests.oracles.wrappers)
    return _wrappers


def oracle(name: str, *variants: Fields) -> Callable[[ArrayOracle], ArrayOracle]:
    """Register the oracle of a formula of arrays; it is tested with default fields and with each variant."""
    return lambda function: _register(_methods, name, function, Oracle(function, ({}, *variants)))


def view_oracle(
    name: str, *variants: Fields, quick: Fields | None = None, networks: Sequence[str] = ("pooled", "curved")
) -> Callable[[ViewOracle], ViewOracle]:
    """Register the oracle of a method that uses a view.

    Args:
        name: of the method.
        *variants: fields away from their defaults, on top of ``quick``.
        quick: fields with which it is tested in place of its defaults, where these take long.
        networks: names in ``NETWORKS``.
    """
    fields = tuple({**(quick or {}), **variant} for variant in ({}, *variants))
    return lambda function: _register(_methods, name, function, Oracle(function, fields, tuple(networks)))


def wrapper_oracle(name: str, *variants: Fields) -> Callable[[ViewOracle], ViewOracle]:
    """Register the oracle of a wrapper; it is tested around HiResCAM, with default fields and with each variant."""
    return lambda function: _register(_wrappers, name, function, Oracle(function, ({}, *variants), ("layered",)))


def expected(method: Any, a: Floats, g: Floats) -> Floats:
    """Return the oracle's maps ``[N, *spatial]`` of a batch of arrays."""
    return np.stack([oracles()[method.name].run(method, *image) for image in zip(a, g, strict=True)])


@cache
def expected_of_network(method: Any, name: str) -> Floats:
    """Return the oracle's maps ``[N, *spatial]`` of all images of a network."""
    network: Network = NETWORKS[name]()
    return np.stack([oracles()[method.name].run(method, network, i) for i in range(len(network.targets))])


def _register(registry: dict[str, Oracle], name: str, function: Any, made: Oracle) -> Any:
    assert name not in registry, f"two oracles of {name}"
    registry[name] = made
    return function


def _import_all(package: ModuleType) -> None:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
