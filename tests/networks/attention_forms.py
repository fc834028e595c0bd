"""One small vision transformer whose attention and softmax are written in many ways, as exporters and authors do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

WIDTH, HEADS = 8, 2
_SIZE = WIDTH // HEADS


def _softmax_written_out(logits: Any) -> Any:
    e = torch.exp(logits - logits.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def _on_logits(q: Any, k: Any, v: Any) -> Any:
    return torch.softmax(q @ k.transpose(2, 3) / math.sqrt(_SIZE), dim=-1) @ v


def _on_logits_times(q: Any, k: Any, v: Any) -> Any:
    return torch.softmax((q @ k.transpose(2, 3)) * _SIZE**-0.5, dim=-1) @ v


def _on_queries(q: Any, k: Any, v: Any) -> Any:
    return torch.softmax((q * _SIZE**-0.5) @ k.transpose(2, 3), dim=-1) @ v


def _on_keys(q: Any, k: Any, v: Any) -> Any:
    return torch.softmax(q @ (k.transpose(2, 3) / _SIZE**0.5), dim=-1) @ v


def _on_both(q: Any, k: Any, v: Any) -> Any:
    return torch.softmax((q * _SIZE**-0.25) @ (k.transpose(2, 3) * _SIZE**-0.25), dim=-1) @ v


def _fused(q: Any, k: Any, v: Any) -> Any:
    return functional.scaled_dot_product_attention(q, k, v)


def _summed(q: Any, k: Any, v: Any) -> Any:
    logits = torch.einsum("bhid,bhjd->bhij", q, k) * _SIZE**-0.5
    return torch.einsum("bhij,bhjd->bhid", torch.softmax(logits, dim=-1), v)


def _exponentials(q: Any, k: Any, v: Any) -> Any:
    return _softmax_written_out(q @ k.transpose(2, 3) * _SIZE**-0.5) @ v


ATTENTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "on logits": _on_logits,
    "on logits, times": _on_logits_times,
    "on queries": _on_queries,
    "on keys": _on_keys,
    "on both": _on_both,
    "fused": _fused,
    "einsum": _summed,
    "exponentials": _exponentials,
}


class Attending(nn.Module):  # type: ignore[misc]
    """Patches, a class token, positions, two layers of attention and dense layers, the first token read."""

    def __init__(self, form: str, depth: int = 2) -> None:
        super().__init__()
        self.attend = ATTENTIONS[form]
        with torch.random.fork_rng():
            torch.manual_seed(2)
            self.patches, self.last = nn.Conv2d(3, WIDTH, 4, stride=4), nn.Linear(WIDTH, 5)
            self.token, self.place = (nn.Parameter(torch.randn(1, n, WIDTH)) for n in (1, 10))
            self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2 * depth + 1))
            self.reads = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(depth))
            self.outs = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
            self.dense = nn.ModuleList(
                nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH)) for _ in range(depth)
            )
            for norm in self.norms:
                nn.init.normal_(norm.bias, 0, 0.3)
                nn.init.normal_(norm.weight, 1, 0.3)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.place
        for i, (read, out, dense) in enumerate(zip(self.reads, self.outs, self.dense, strict=True)):
            parts = read(self.norms[2 * i](x)).unflatten(2, (3, HEADS, _SIZE)).permute(2, 0, 3, 1, 4)
            x = x + out(self.attend(*parts).transpose(1, 2).flatten(2))
            x = x + dense(self.norms[2 * i + 1](x))
        return self.last(self.norms[-1](x)[:, 0])
