"""AttnLRP by its authors' own functions (lxt), for torchvision's vision transformer."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch.nn import functional

# What lxt adds to the result of a layer before it divides by it, whatever its sign.
EPSILON = 1e-6


class _Convolution(torch.autograd.Function):  # type: ignore[misc]
    """The epsilon rule of a convolution, which lxt has for dense layers."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, stride: int) -> Any:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = functional.conv2d(x, weight, bias, stride)
        ctx.save_for_backward(x, y)
        return y.detach()

    @staticmethod
    def backward(ctx: Any, r: Any) -> Any:
        x, y = ctx.saved_tensors
        (slopes,) = torch.autograd.grad(y, x, r / (y + EPSILON))
        return slopes * x, None, None, None


class _Unchanged(torch.autograd.Function):  # type: ignore[misc]
    """The identity rule of an element-wise function."""

    @staticmethod
    def forward(ctx: Any, x: Any, function: Any) -> Any:
        return function(x)

    @staticmethod
    def backward(ctx: Any, r: Any) -> Any:
        return r, None


def attn_lrp(network: Any, x: Any, targets: list[int], dtype: torch.dtype = torch.float64) -> tuple[Any, Any]:
    """Return the relevance of the input ``[N, C, H, W]`` of a ``VisionTransformer``, and its scores ``[N]``."""
    network, x = deepcopy(network).to(dtype), x.to(dtype).requires_grad_()
    logits = _scores(network, x)
    torch.testing.assert_close(logits, network(x), atol=1e-4, rtol=1e-4)
    scores = logits[range(len(targets)), targets]
    (relevance,) = torch.autograd.grad(scores, x, scores.detach())
    return relevance.numpy(), scores.detach().numpy()


def _scores(network: Any, x: Any) -> Any:
    import lxt.explicit.functional as lxt

    def normalised(norm: Any, x: Any) -> Any:
        return lxt.layer_norm(x, norm.weight, norm.bias, norm.eps)

    def dense(layer: Any, x: Any) -> Any:
        return lxt.linear_epsilon(x, layer.weight, layer.bias, EPSILON)

    y = _Convolution.apply(x, network.conv_proj.weight, network.conv_proj.bias, network.patch_size)
    y = torch.cat([network.class_token.expand(len(x), -1, -1), y.flatten(2).transpose(1, 2)], dim=1)
    y = lxt.add2(y, network.encoder.pos_embedding)
    for block in network.encoder.layers:
        attention, (first, _, _, second, _) = block.self_attention, block.mlp
        joined = lxt.linear_epsilon(
            normalised(block.ln_1, y), attention.in_proj_weight, attention.in_proj_bias, EPSILON
        )
        q, k, v = joined.unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
        logits = lxt.matmul(lxt.mul2(q, q.shape[-1] ** -0.5), k.transpose(2, 3))
        mixed = lxt.matmul(lxt.softmax(logits, -1), v).transpose(1, 2).flatten(2)
        y = lxt.add2(y, dense(attention.out_proj, mixed))
        inner = _Unchanged.apply(dense(first, normalised(block.ln_2, y)), functional.gelu)
        y = lxt.add2(y, dense(second, inner))
    return dense(network.heads[0], normalised(network.encoder.ln, y)[:, 0])
