"""Relevance of a chain of torch modules: what ``TorchView.relevance`` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from onnxcam.relevance.composite import Composite

_OPERATORS = {nn.Linear: "Gemm", nn.Conv1d: "Conv", nn.Conv2d: "Conv"}
_PASSING = (nn.ReLU, nn.SiLU, nn.Identity)
_AVERAGES = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AvgPool2d)


def chain(module: Any) -> list[Any]:
    """Return the modules of nested sequences, in order."""
    if isinstance(module, nn.Sequential):
        return [inner for child in module for inner in chain(child)]
    return [module]


def propagate(modules: list[Any], x: Any, r: Any, composite: Composite, first: bool) -> Any:
    """Return the relevance of what a chain is applied to, given that of its result.

    Args:
        modules: the chain.
        x: its input.
        r: relevance of its result.
        composite: rules.
        first: whether the chain begins at the network's input.
    """
    values = [x.detach()]
    for module in modules:
        values.append(module(values[-1]).detach())
    weighted = [i for i, module in enumerate(modules) if type(module) in _OPERATORS]
    for i in reversed(range(len(modules))):
        module, value = modules[i], values[i]
        if type(module) in _OPERATORS:
            rule = composite.rule(_OPERATORS[type(module)], first and i == weighted[0])
            r = by_rule(module, value, r, rule, composite.spread)
        elif isinstance(module, nn.Flatten):
            r = r.reshape(value.shape)
        elif isinstance(module, _AVERAGES):
            value = value.relu() if composite.rectified_pools else value
            rest = r * (module(value) == 0) if composite.spread else 0 * r
            r = value * pulled(module, value, quotient(r, module(value), composite.stabilizer))
            r = r + pulled(module, value, rest)
        elif isinstance(module, (nn.MaxPool1d, nn.MaxPool2d)):
            r = r * (values[i + 1] > 0) if composite.rectified_pools and not composite.spread else r
            r = pulled(module, value, r)
        else:
            assert isinstance(module, _PASSING), module
    return r


def by_rule(module: Any, x: Any, r: Any, rule: Any, spread: bool = False) -> Any:
    """Return the relevance of a linear module's input, what no share receives spread evenly."""
    bias = module.bias if rule.bias else None
    up, down = (None if bias is None else bias.clamp(**side) for side in ({"min": 0}, {"max": 0}))
    plus, minus = module.weight.clamp(min=0), module.weight.clamp(max=0)

    def shares(*parts: tuple[float, Any, Any, Any]) -> Any:
        """Divide by the sum of ``sign (w x + b)``, and take it back through every part."""
        forms = [_form(module, w, b) for _, _, w, b in parts]
        total = sum(sign * form(v) for form, (sign, v, _, _) in zip(forms, parts, strict=True))
        s = quotient(r, total, rule.stabilizer)
        found = sum(sign * v * pulled(form, v, s) for form, (sign, v, _, _) in zip(forms, parts, strict=True))
        if not spread:
            return found
        even, ones = _form(module, torch.ones_like(module.weight), None), torch.ones_like(x)
        return found + pulled(even, ones, r * (total == 0) / even(ones))

    if rule.name == "epsilon":
        return shares((1, x, module.weight, bias))
    if rule.name == "z-plus":
        return shares((1, x.clamp(min=0), plus, up), (1, x.clamp(max=0), minus, None))
    assert rule.name == "box", rule
    axes = tuple(range(1, x.ndim))
    low, high = (f(x, dim=axes, keepdim=True).expand_as(x) for f in (torch.amin, torch.amax))
    return shares((1, x, module.weight, bias), (-1, low, plus, up), (-1, high, minus, down))


def _form(module: Any, weight: Any, bias: Any) -> Callable[[Any], Any]:
    """Return a module's function with other parameters."""
    parameters = {"weight": weight, "bias": torch.zeros(len(module.weight)).to(weight) if bias is None else bias}
    return lambda v: torch.func.functional_call(module, parameters, (v,))


def pulled(function: Callable[[Any], Any], x: Any, s: Any) -> Any:
    """Return what the derivative of a function makes of a cotangent."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x), x, s)[0].detach()


def quotient(r: Any, z: Any, stabilizer: float) -> Any:
    """Return ``r / z``; without a stabilizer 0 where ``z`` is."""
    if stabilizer:
        return r / (z + torch.where(z < 0, -1.0, 1.0).to(z) * stabilizer)
    return torch.where(z == 0, torch.zeros_like(r), r / torch.where(z == 0, torch.ones_like(z), z))
