"""The composite that ``auto`` stands for on one network."""

from __future__ import annotations

from dataclasses import replace

from onnxcam.graph.analysis.attention_sites import has_attention
from onnxcam.methods.base import Method
from onnxcam.methods.support.lrp_base import LRPMethod
from onnxcam.methods.support.propagating import inside
from onnxcam.network.network import Network
from onnxcam.relevance.composite import AUTO, default_composite


def with_composite(method: Method, network: Network) -> Method:
    """Return a method with the composite chosen by name wherever it, or the method inside, says ``auto``."""
    if isinstance(method, LRPMethod) and method.composite == AUTO:
        attention = has_attention(network.model.graph, network.score.name)
        return replace(method, composite=default_composite(attention, method.contrasts).name)
    changed = {name: with_composite(one, network) for name, one in inside(method).items()}
    return replace(method, **changed) if changed else method
