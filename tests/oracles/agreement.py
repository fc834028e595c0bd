"""What every method and wrapper was held against: maps of other code beside ours, and how far apart they are.

A comparison joins by standing in a module of ``tests/oracles/held/``: there is no second list. It names the method, the
code and its revision, and returns our maps and theirs. Code that is installed runs as it is; the authors' public code,
which is not, is written again from its formula. ``tests/methods/test_agreement.py`` checks all of them, and
``python -m tools.agreement --write`` keeps the differences for the manual.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import tests.oracles.held
from onnxcam.methods.base import Method
from onnxcam.methods.registry import method, wrap
from tests.helpers.method_samples import SAMPLES, VIEWED, WRAPPED, fixed_pair, raw_map
from tests.networks.table import NETWORKS
from tests.oracles.registry import Floats, expected, expected_of_network, wrapper_oracles

Pair: TypeAlias = tuple[npt.ArrayLike, npt.ArrayLike]

# A difference of a thousandth is noticed by every comparison.
MOST = 5e-4


@dataclass(frozen=True)
class Code:
    """Code of other people.

    Attributes:
        name: an installed distribution, or owner and repository on GitHub.
        revision: version of the distribution, or commit.
        whose: of the method's ``authors``, of ``others``, of a ``library`` that is installed, or of the ``tests``.
    """

    name: str
    revision: str
    whose: str


# The paper's formula as tests/oracles/methods has it for every method and wrapper.
LOOPS = Code("the formula in loops", "", "tests")


@dataclass(frozen=True)
class Comparison:
    """One comparison of a method's maps with those of other code.

    Attributes:
        method: name of the method or wrapper.
        code: what it is held against.
        about: fields other than the defaults, and what is compared, for the manual.
        tolerance: largest difference that is accepted.
        run: returns our maps and theirs, ``[N, ...]``.
    """

    method: str
    code: Code
    about: str
    tolerance: float
    run: Callable[[], Pair]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Method, code, revision and what is compared: unique among all."""
        return (self.method, self.code.name, self.code.revision, self.about)

    def difference(self) -> float:
        """Return the largest difference, as a share of the largest value of that image's map."""
        return max(difference(ours, theirs) for ours, theirs in self.pairs())

    def pairs(self) -> Iterator[tuple[Floats, Floats]]:
        """Yield our map and theirs, image by image."""
        ours, theirs = (np.asarray(maps) for maps in self.run())
        assert ours.shape == theirs.shape
        yield from zip(ours, theirs, strict=True)


_held: list[Comparison] = []
_alone: dict[str, str] = {}


def authors(repository: str, revision: str) -> Code:
    """Return the authors' code at a commit."""
    return Code(repository, revision, "authors")


def others(repository: str, revision: str) -> Code:
    """Return code of other people at a commit."""
    return Code(repository, revision, "others")


def library(name: str) -> Code:
    """Return an installed distribution, at the version that is installed."""
    return Code(name, version(name), "library")


def held(name: str, code: Code, about: str = "", tolerance: float = 1e-6) -> Callable[[Callable[..., Pair]], Any]:
    """Register a comparison of a method or wrapper; the function it decorates may serve several of them."""
    assert tolerance <= MOST

    def register(function: Callable[..., Pair]) -> Callable[..., Pair]:
        _held.append(Comparison(name, code, about, tolerance, function))
        return function

    return register


def alone(name: str, why: str) -> None:
    """Register why a method is held against no other code."""
    _alone[name] = why


@cache
def comparisons() -> tuple[Comparison, ...]:
    """Return every comparison with other code, by method."""
    for module in pkgutil.iter_modules(tests.oracles.held.__path__, "tests.oracles.held."):
        importlib.import_module(module.name)
    return tuple(sorted(_held, key=lambda one: one.key))


@cache
def loops() -> tuple[Comparison, ...]:
    """Return for every method and wrapper the comparison with its paper's formula in loops.

    ``tests/methods/test_formulas.py``, ``test_view_methods.py`` and ``test_wrappers.py`` check these.
    """
    names = {sample.name for sample in (*SAMPLES, *(sample for sample, _ in VIEWED), *WRAPPED)}
    return tuple(Comparison(name, LOOPS, "", 1e-10, partial(_loops, name)) for name in sorted(names))


def reasons() -> dict[str, str]:
    """Return for each method that is held against no other code why not."""
    comparisons()
    return dict(_alone)


def difference(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> float:
    """Return the largest difference of two maps, as a share of the largest value of theirs."""
    one, other = (np.asarray(array, np.float64) for array in (ours, theirs))
    scale = np.abs(other).max(initial=0)
    gap = np.abs(one - other).max(initial=0)
    return float(gap / scale) if scale > 0 else float(gap)


def _loops(name: str) -> Pair:
    """Return our maps with every variant of the fields that is tested, and those of the loops."""
    ours: list[Floats] = []
    theirs: list[Floats] = []
    a, g = fixed_pair()
    for sample in (one for one in SAMPLES if one.name == name):
        ours += list(raw_map(sample, a, g))
        theirs += list(expected(sample, a, g))
    for sample, network in ((one, network) for one, network in VIEWED if one.name == name):
        ours += list(sample.explain(NETWORKS[network]().view()))
        theirs += list(expected_of_network(sample, network))
    for sample in (one for one in WRAPPED if one.name == name):
        for network in wrapper_oracles()[name].networks:
            made = NETWORKS[network]()
            ours += list(sample.explain(made.view()))
            theirs += [wrapper_oracles()[name].run(sample, made, i) for i in range(len(made.targets))]
    # Maps of several sizes: each becomes one row of numbers over the largest of its oracle.
    scales = [max(np.abs(one).max(), 1e-300) for one in theirs]
    flat = [np.concatenate([(one / s).ravel() for one, s in zip(maps, scales, strict=True)]) for maps in (ours, theirs)]
    return flat[0][None], flat[1][None]


def ours(name: str, view: Any, **fields: Any) -> Floats:
    """Return our raw maps of a view by a method with these fields."""
    return np.asarray(method(name, **fields).explain(view))


def wrapped(name: str, inner: str | Method, view: Any, **fields: Any) -> Floats:
    """Return our raw maps of a view by a method in a wrapper."""
    return np.asarray(wrap(name, method(inner), **fields).explain(view))
