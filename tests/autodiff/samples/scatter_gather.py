"""Operators that read or write single positions by index."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Oracle, Sample, coin, const, distinct, fed, listed, pick, samples, smooth, var


@samples(8)
def gather_elements(rng: np.random.Generator) -> Sample:
    shape = (3, 4, 5)[int(rng.integers(0, 2)) :]
    axis = int(rng.integers(-len(shape), len(shape)))
    count = list(shape)
    count[axis] = int(rng.integers(1, 6))
    index = rng.integers(-shape[axis], shape[axis], count).astype(np.int64 if coin(rng) else np.int32)
    wrap = const if coin(rng) else fed
    # The evaluator takes no negative axis.
    oracle: Oracle = "linear" if axis < 0 else "reference"
    x = var(smooth(rng, *shape))
    return Sample("GatherElements", (x, wrap(index)), {"axis": axis}, oracle=oracle, note=str(index.dtype))


@samples(8)
def gather_nd(rng: np.random.Generator) -> Sample:
    batch = int(rng.integers(0, 3))
    shape = (2, 3, 4, 5)
    depth = int(rng.integers(1, 5 - batch))
    picked = [rng.integers(-n, n, (*shape[:batch], 3)) for n in shape[batch : batch + depth]]
    index = np.stack(picked, axis=-1).astype(np.int64)
    return Sample("GatherND", (var(smooth(rng, *shape)), fed(index)), {"batch_dims": batch})


@samples(8)
def scatter_elements(rng: np.random.Generator) -> Sample:
    shape = (4, 5)
    axis = int(rng.integers(-2, 2))
    reduction = pick(rng, "none", "add")
    count = list(shape)
    count[axis] = 3
    # Every position is written at most once, as ONNX asks for where nothing is added.
    index = np.take(rng.random(shape).argsort(axis=axis), range(3), axis=axis)
    if reduction == "add":
        index = rng.integers(0, shape[axis], count)
    given = (var(smooth(rng, *shape)), fed(index.astype(np.int64)), var(smooth(rng, *count)))
    return Sample("ScatterElements", given, {"axis": axis, "reduction": reduction}, opset=18)


@samples(6)
def scatter_nd(rng: np.random.Generator) -> Sample:
    reduction = pick(rng, "none", "add")
    positions = rng.permutation(12)[:5]
    index = np.stack(np.unravel_index(positions, (3, 4)), axis=-1).astype(np.int64)
    if reduction == "add":
        index[1] = index[0]
    given = (var(smooth(rng, 3, 4, 2)), fed(index), var(smooth(rng, 5, 2)))
    return Sample("ScatterND", given, {"reduction": reduction}, opset=18)


@samples(6)
def top_k(rng: np.random.Generator) -> Sample:
    shape = (3, 6, 4)
    axis = int(rng.integers(-3, 3))
    k = int(rng.integers(1, shape[axis] + 1))
    attributes = {"axis": axis, "largest": int(coin(rng))}
    given = (var(distinct(rng, *shape)), const(np.array([k], np.int64)))
    return Sample("TopK", given, attributes, outputs=2, opset=18, note=f"k{k}")


_RNG = np.random.default_rng(21)
_KEPT = np.array([True, False, True, True])
listed(
    __name__,
    Sample("Compress", (var(smooth(_RNG, 4, 3)), const(_KEPT)), {"axis": 0}),
    Sample("Compress", (var(smooth(_RNG, 3, 4)), const(_KEPT[:3])), {"axis": -1}),
    Sample("Compress", (var(smooth(_RNG, 2, 2)), const(_KEPT))),
    Sample("ReverseSequence", (var(smooth(_RNG, 4, 3, 2)), fed(np.array([4, 1, 2])))),
    Sample(
        "ReverseSequence",
        (var(smooth(_RNG, 3, 4, 2)), const(np.array([4, 1, 2]))),
        {"batch_axis": 0, "time_axis": 1},
    ),
    Sample(
        "MaxUnpool",
        (var(smooth(_RNG, 1, 1, 2, 2)), const(np.array([[[[5, 7], [13, 8]]]]))),
        {"kernel_shape": [2, 2], "strides": [2, 2]},
    ),
    Sample(
        "MaxUnpool",
        (var(smooth(_RNG, 1, 1, 2, 2)), const(np.array([[[[5, 7], [13, 8]]]])), const(np.array([1, 1, 5, 5]))),
        {"kernel_shape": [2, 2], "strides": [2, 2]},
    ),
)
