"""Normalisations in the many ways that exporters write them, as torch modules of one function each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Form = Callable[["Norm", Any], Any]
EPS = 1e-3


class Norm(nn.Module):  # type: ignore[misc]
    """A normalisation of ``[N, C, H, W]`` over some axes, by one of its forms.

    Attributes:
        axes: ``(1,)`` for one of channels (LayerNorm), ``(2, 3)`` for InstanceNorm; a group's for GroupNorm.
        scale: ``[C]``; so is ``shift``.
    """

    def __init__(self, form: Form, channels: int, axes: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        self.form, self.axes, self.channels = form, axes, channels
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, channels) * torch.tensor([1.0, -1.0]).repeat(channels // 2))
        self.shift = nn.Parameter(torch.linspace(-0.6, 0.9, channels))

    def forward(self, x: Any) -> Any:
        return self.form(self, x)

    @property
    def gamma(self) -> Any:
        return self.scale.view(-1, 1, 1)

    @property
    def beta(self) -> Any:
        return self.shift.view(-1, 1, 1)

    def mean(self, x: Any) -> Any:
        return x.mean(self.axes, keepdim=True)

    def var(self, x: Any) -> Any:
        return ((x - self.mean(x)) ** 2).mean(self.axes, keepdim=True)


def _tokens(norm: Norm, x: Any) -> Any:
    y = functional.layer_norm(x.permute(0, 2, 3, 1), (norm.channels,), norm.scale, norm.shift, EPS)
    return y.permute(0, 3, 1, 2)


def _written(norm: Norm, x: Any) -> Any:
    return (x - norm.mean(x)) / torch.sqrt(norm.var(x) + EPS) * norm.gamma + norm.beta


def _keras(norm: Norm, x: Any) -> Any:
    factor = torch.rsqrt(norm.var(x) + EPS) * norm.gamma
    return x * factor + (norm.beta - norm.mean(x) * factor)


def _keras_3(norm: Norm, x: Any) -> Any:
    return (x - norm.mean(x)) * (torch.rsqrt(norm.var(x) + EPS) * norm.gamma) + norm.beta


def _moments(norm: Norm, x: Any) -> Any:
    mean = norm.mean(x)
    inverse = 1 / torch.sqrt((x * x).mean(norm.axes, keepdim=True) - mean * mean + EPS)
    return (x * inverse - mean * inverse) * norm.gamma + norm.beta


def _sums(norm: Norm, x: Any) -> Any:
    count = 1
    for axis in norm.axes:
        count *= x.shape[axis]
    mean = x.sum(norm.axes, keepdim=True) / count
    centred = x + (-mean)
    return norm.beta + norm.gamma * (centred * ((centred * centred).sum(norm.axes, keepdim=True) / count + EPS) ** -0.5)


def _squeezed(norm: Norm, x: Any) -> Any:
    mean = x.mean(norm.axes)
    for axis in norm.axes:
        mean = mean.unsqueeze(axis)
    return (x - mean) * norm.gamma / torch.sqrt(norm.var(x) + EPS) + norm.beta


def _instance(norm: Norm, x: Any) -> Any:
    return functional.instance_norm(x, weight=norm.scale, bias=norm.shift, eps=EPS)


def _group(norm: Norm, x: Any) -> Any:
    return functional.group_norm(x, 2, norm.scale, norm.shift, EPS)


def _grouped(form: Form) -> Form:
    """Apply a form of normalisation over the last axis to groups of channels, each one row."""

    def function(norm: Norm, x: Any) -> Any:
        rows = x.reshape(x.shape[0], 2, -1)
        return form(norm, rows).reshape(x.shape) * norm.gamma + norm.beta

    return function


def _row(norm: Norm, rows: Any) -> Any:
    centred = rows - rows.mean(2, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(2, keepdim=True) + EPS)


def _row_of_moments(norm: Norm, rows: Any) -> Any:
    mean = rows.mean(2, keepdim=True)
    inverse = torch.rsqrt((rows * rows).mean(2, keepdim=True) - mean * mean + EPS)
    return rows * inverse - mean * inverse


def _row_of_layer_norm(norm: Norm, rows: Any) -> Any:
    return functional.layer_norm(rows, rows.shape[2:], None, None, EPS)


def _rms(norm: Norm, x: Any) -> Any:
    return x / torch.sqrt((x * x).mean(norm.axes, keepdim=True) + EPS) * norm.gamma


def _rms_llama(norm: Norm, x: Any) -> Any:
    return norm.gamma * (x * torch.rsqrt(x.pow(2).mean(norm.axes, keepdim=True) + EPS))


def _rms_grouped(norm: Norm, x: Any) -> Any:
    return x * (torch.rsqrt((x**2).mean(norm.axes, keepdim=True) + EPS) * norm.gamma)


def _rms_norm(norm: Norm, x: Any) -> Any:
    y = functional.rms_norm(x.permute(0, 2, 3, 1), (norm.channels,), norm.scale, EPS)
    return y.permute(0, 3, 1, 2)


FORMS: dict[str, dict[str, Form]] = {
    "layer": {
        "operator": _tokens,
        "written out": _written,
        "keras": _keras,
        "keras 3": _keras_3,
        "moments": _moments,
        "sums": _sums,
        "squeezed": _squeezed,
    },
    "instance": {
        "operator": _instance,
        "written out": _written,
        "keras": _keras,
        "moments": _moments,
        "sums": _sums,
        "squeezed": _squeezed,
    },
    "group": {
        "operator": _group,
        "written out": _grouped(_row),
        "moments": _grouped(_row_of_moments),
        "as layer": _grouped(_row_of_layer_norm),
    },
    "rms": {"operator": _rms_norm, "written out": _rms, "llama": _rms_llama, "grouped": _rms_grouped},
}
AXES = {"layer": (1,), "instance": (2, 3), "group": (), "rms": (1,)}


class Normed(nn.Module):  # type: ignore[misc]
    """Two convolutions, each followed by a normalisation of one kind, between them an activation; a dense layer."""

    def __init__(self, kind: str, form: str) -> None:
        super().__init__()
        width, made = 8, FORMS[kind][form]
        generator = torch.random.fork_rng()
        with generator:
            torch.manual_seed(3)
            self.first, self.second = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, width, 1)
            self.last = nn.Linear(width, 5)
        self.one, self.two = (Norm(made, width, AXES[kind]) for _ in range(2))

    def forward(self, x: Any) -> Any:
        x = self.one(self.first(x))
        x = x + self.second(x).relu()
        return self.last(self.two(x).relu().mean(dim=(2, 3)))
