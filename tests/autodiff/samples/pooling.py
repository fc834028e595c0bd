"""Pooling over windows and over all positions."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Attribute, Sample, coin, distinct, listed, pick, samples, smooth, var


def _geometry(rng: np.random.Generator, sizes: list[int]) -> tuple[dict[str, Attribute], bool]:
    """Return window attributes, and whether they need sizes that the file says."""
    rank = len(sizes)
    kernel = [int(n) for n in rng.integers(2, 4, rank)]
    strides = [int(n) for n in rng.integers(1, 4, rank)]
    auto = pick(rng, "NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    attributes: dict[str, Attribute] = {"kernel_shape": kernel, "strides": strides}
    if auto == "NOTSET":
        # No window may lie in the padding alone.
        attributes["pads"] = pads = [int(rng.integers(0, k)) for k in kernel * 2]
        dilations = [int(n) for n in rng.integers(1, 3, rank)] if coin(rng) else [1] * rank
        attributes["dilations"] = dilations
        # Where a window would start past the input, onnx's shape inference miscounts: test_edges.py has that case.
        dropped = any(
            -(-(n + b + e - (k - 1) * d - 1) // s) * s >= n + b
            for n, b, e, k, d, s in zip(sizes, pads[:rank], pads[rank:], kernel, dilations, strides, strict=True)
        )
        attributes["ceil_mode"] = 0 if dropped else coin(rng)
    else:
        attributes["auto_pad"] = auto
    return attributes, auto.startswith("SAME") and any(s > 1 for s in strides)


def _sizes(rng: np.random.Generator, rank: int) -> list[int]:
    return [int(n) for n in rng.integers(6, 9 if rank < 3 else 7, rank)]


@samples(20)
def max_pool(rng: np.random.Generator) -> Sample:
    sizes = _sizes(rng, int(rng.choice([1, 2, 2, 3])))
    attributes, _ = _geometry(rng, sizes)
    if len(sizes) == 2:
        attributes["storage_order"] = coin(rng)
    return Sample("MaxPool", (var(distinct(rng, 2, 2, *sizes)),), attributes)


@samples(24)
def average_pool(rng: np.random.Generator) -> Sample:
    sizes = _sizes(rng, int(rng.choice([1, 2, 2, 3])))
    attributes, static = _geometry(rng, sizes)
    attributes["count_include_pad"] = coin(rng)
    return Sample("AveragePool", (var(smooth(rng, 2, 2, *sizes)),), attributes, opset=19, static_only=static)


@samples(12)
def lp_pool(rng: np.random.Generator) -> Sample:
    sizes = _sizes(rng, int(rng.choice([1, 2, 2, 3])))
    attributes, static = _geometry(rng, sizes)
    attributes["p"] = int(rng.integers(1, 4))
    return Sample("LpPool", (var(smooth(rng, 2, 2, *sizes)),), attributes, static_only=static)


@samples(4)
def global_pools(rng: np.random.Generator) -> Sample:
    return Sample("GlobalAveragePool", (var(smooth(rng, 2, 3, *_sizes(rng, int(rng.integers(1, 4))))),))


@samples(4)
def global_max_pool(rng: np.random.Generator) -> Sample:
    return Sample("GlobalMaxPool", (var(distinct(rng, 2, 3, *_sizes(rng, int(rng.integers(1, 4))))),))


_RNG = np.random.default_rng(8)
listed(
    __name__,
    Sample("GlobalAveragePool", (var(smooth(_RNG, 2, 16, 3, 2)),)),
    *(
        Sample("GlobalLpPool", (var(smooth(_RNG, 2, 3, *sizes)),), {"p": p})
        for p, sizes in [(1, (4,)), (2, (3, 4)), (3, (2, 3, 2)), (2, (5, 5))]
    ),
)
