"""Convolutions of one to three axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.helpers.sample import Attribute, Sample, coin, const, listed, pick, samples, smooth, var


def _ints(rng: np.random.Generator, low: int, high: int, rank: int) -> list[int]:
    return [int(n) for n in rng.integers(low, high + 1, rank)]


def _channels(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return channels in, channels out and groups: plain, grouped, depthwise, depthwise with a multiplier."""
    options = [(2, 3, 1), (4, 6, 2), (3, 3, 3), (2, 4, 2)]
    return options[int(rng.integers(len(options)))]


@samples(24)
def conv(rng: np.random.Generator) -> Sample:
    rank = int(rng.choice([1, 2, 2, 3]))
    inner, out, group = _channels(rng)
    kernel, strides, dilations = _ints(rng, 1, 3, rank), _ints(rng, 1, 3, rank), _ints(rng, 1, 2, rank)
    sizes = _ints(rng, 5, 7 if rank < 3 else 6, rank)
    auto = pick(rng, "NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    attributes: dict[str, Attribute] = {"strides": strides, "group": group}
    if auto == "NOTSET":
        attributes |= {"pads": _ints(rng, 0, 3, 2 * rank), "dilations": dilations}
    elif auto == "VALID":
        attributes |= {"auto_pad": auto, "dilations": dilations}
    else:
        attributes |= {"auto_pad": auto}  # onnxruntime takes no dilation beside it
    if coin(rng):
        attributes["kernel_shape"] = kernel
    bias = [var(smooth(rng, out))] if coin(rng) else []
    return Sample(
        "Conv",
        (var(smooth(rng, 2, inner, *sizes)), const(smooth(rng, out, inner // group, *kernel)), *bias),
        attributes,
        static_only=auto.startswith("SAME") and any(s > 1 for s in strides),
    )


@samples(12)
def conv_stride_one(rng: np.random.Generator) -> Sample:
    """The rule writes another graph for stride 1."""
    rank = int(rng.choice([1, 2, 2, 3]))
    inner, out, group = _channels(rng)
    kernel, dilations = _ints(rng, 1, 3, rank), _ints(rng, 1, 2, rank)
    sizes = _ints(rng, 5, 6, rank)
    return Sample(
        "Conv",
        (var(smooth(rng, 2, inner, *sizes)), const(smooth(rng, out, inner // group, *kernel))),
        {"group": group, "dilations": dilations, "pads": _ints(rng, 0, 4, 2 * rank)},
    )


@samples(24)
def conv_transpose(rng: np.random.Generator) -> Sample:
    rank = int(rng.choice([1, 2, 2, 3]))
    inner, out, group = _channels(rng)
    kernel, strides, dilations = _ints(rng, 1, 3, rank), _ints(rng, 1, 3, rank), _ints(rng, 1, 2, rank)
    sizes = _ints(rng, 3, 4, rank)
    form = pick(rng, "pads", "pads", "output_shape", "VALID", "SAME_UPPER", "SAME_LOWER")
    # Engines do not agree on output_padding beside SAME padding, and onnxruntime wants it below the stride.
    extra = [0 if form.startswith("SAME") else int(rng.integers(0, s)) for s in strides]
    attributes: dict[str, Attribute] = {"strides": strides, "dilations": dilations, "group": group}
    attributes |= {"output_padding": extra}
    full = [
        s * (n - 1) + x + (k - 1) * d + 1
        for s, n, x, k, d in zip(strides, sizes, extra, kernel, dilations, strict=True)
    ]
    dynamic = form in ("pads", "VALID")
    if form == "pads":
        pads = [int(rng.integers(0, min(3, f // 3) + 1)) for f in full * 2]
        attributes["pads"] = pads
    elif form == "output_shape":
        # Smaller than the input, onnx's shape inference gives a shape of too few axes.
        # Larger than the windows reach it may be by less than a stride.
        less = [max(int(rng.integers(-1, 4)), x + 1 - s) for x, s in zip(extra, strides, strict=True)]
        attributes["output_shape"] = [max(f - c, n) for f, c, n in zip(full, less, sizes, strict=True)]
    elif form.startswith("SAME") and any(f < s * n for f, s, n in zip(full, strides, sizes, strict=True)):
        dynamic = True  # would need negative padding, which engines do not agree on
    else:
        attributes["auto_pad"] = form
    bias = [var(smooth(rng, out))] if coin(rng) else []
    return Sample(
        "ConvTranspose",
        (var(smooth(rng, 2, inner, *sizes)), const(smooth(rng, inner, out // group, *kernel)), *bias),
        attributes,
        static_only=not dynamic,
    )


def _with_computed_weight(sample: Sample) -> Sample:
    """Return it with a weight that the file does not fix; the node says the kernel's sizes."""
    x, weight, *bias = (arg for arg in sample.args if arg is not None)
    attributes = {**sample.attributes, "kernel_shape": list(weight.array.shape[2:])}
    return replace(sample, args=(x, var(weight.array), *bias), attributes=attributes, note="weight")


@samples(24)
def computed_weight(rng: np.random.Generator) -> Sample:
    return _with_computed_weight(conv(rng))


@samples(24)
def computed_transposed_weight(rng: np.random.Generator) -> Sample:
    return _with_computed_weight(conv_transpose(rng))


_RNG = np.random.default_rng(7)
listed(
    __name__,
    *(
        Sample(
            "Conv",
            (var(smooth(_RNG, 2, 4, 6, 5)), var(smooth(_RNG, 6, 4 // group, 3, 2))),
            {"strides": [2, 1], "group": group},
            note="sizes",
        )
        for group in (1, 2)
    ),
    # Kernel 5, stride 4, padding 2: output_shape makes ConvTranspose ignore pads, a known trap.
    Sample(
        "Conv",
        (var(smooth(_RNG, 1, 1, 11, 11)), const(smooth(_RNG, 2, 1, 5, 5))),
        {"strides": [4, 4], "pads": [2, 2, 2, 2]},
    ),
    # A stride larger than the kernel leaves positions unread.
    Sample("Conv", (var(smooth(_RNG, 2, 2, 9)), const(smooth(_RNG, 2, 2, 1))), {"strides": [4]}),
    # The 7x7 stem of a ResNet.
    Sample(
        "Conv",
        (var(smooth(_RNG, 1, 3, 10, 12)), const(smooth(_RNG, 2, 3, 7, 7))),
        {"strides": [2, 2], "pads": [3, 3, 3, 3]},
    ),
    # Depthwise with a stride is differentiated through zeros between the positions of dy.
    *(
        Sample("Conv", (var(smooth(_RNG, 2, 3, *sizes)), const(smooth(_RNG, 3, 1, k, k))), given)
        for sizes, k, given in [
            ((6, 7), 3, {"group": 3, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
            ((8, 9), 5, {"group": 3, "strides": [2, 3], "pads": [2, 1, 0, 2]}),
            ((9, 8), 2, {"group": 3, "strides": [3, 2], "dilations": [2, 3]}),
            # A stride larger than the kernel, whose windows leave positions unread.
            ((9, 7), 1, {"group": 3, "strides": [3, 2]}),
            # Enough positions that a ConvTranspose puts the zeros between them.
            ((56, 83), 3, {"group": 3, "strides": [2, 3], "pads": [1, 0, 1, 1]}),
        ]
    ),
    # As many channels as a block of onnxruntime's layout holds.
    Sample(
        "Conv",
        (var(smooth(_RNG, 1, 16, 5, 6)), const(smooth(_RNG, 4, 16, 3, 3))),
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
    ),
)
