"""Append the methods that work without a backward pass to an error about gradients.

The code that raises such an error works on graphs and does not know of methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from onnxcam.errors import NoGradientError, NoRuleError, OnnxcamError
from onnxcam.graph.passes.expose import expose
from onnxcam.methods.base import ActivationMethod
from onnxcam.methods.needs import Needs
from onnxcam.methods.registry import methods
from onnxcam.network.network import Network
from onnxcam.network.sessions import SessionPool


@contextmanager
def with_suggestions(network: Network, pool: SessionPool) -> Iterator[None]:
    """Append to errors about gradients that the body raises what to use instead.

    Raises:
        NoRuleError, NoGradientError: with the names of methods that need no backward pass; or that none helps, if the
            network does not run at all.
    """
    try:
        yield
    except (NoRuleError, NoGradientError) as error:
        raise type(error)(f"{error}{_instead(network, pool)}") from error


@cache
def without_backward_pass() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the methods that need no backward pass: those that explain the score, then the class-agnostic ones."""
    found = {name: cls() for name, cls in methods().items()}
    usable = {name: one for name, one in found.items() if _is_usable(one.needs)}
    class_agnostic = tuple(name for name, one in usable.items() if isinstance(one, ActivationMethod))
    return tuple(name for name in usable if name not in class_agnostic), class_agnostic


def _is_usable(needs: Needs) -> bool:
    """Whether a method with these needs works on any network without a backward pass."""
    return not needs.backward_pass and needs.head == "any" and needs.reads == "layer"


def _instead(network: Network, pool: SessionPool) -> str:
    try:
        pool.open(network, expose(network.model, [network.score.name]))
    except OnnxcamError as error:
        return f"; no other method helps, since the model does not run: {error}"
    of_score, class_agnostic = without_backward_pass()
    listed = f"{', '.join(of_score)}, or {class_agnostic[0]}, which is class-agnostic"
    return f", or a method that needs no gradient: {listed}"
