"""Operators that move numbers, and casts."""

from __future__ import annotations

import numpy as np
import onnx

from tests.helpers.sample import Sample, coin, const, fed, listed, pick, samples, sized, smooth, var

_RNG = np.random.default_rng(6)


def _x(*shape: int) -> np.ndarray:
    return smooth(_RNG, *shape)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


listed(
    __name__,
    Sample("Dropout", (var(_x(2, 3)),)),
    Sample("Dropout", (var(_x(2, 3)), const(np.float32(0.4)), const(np.bool_(False)))),
    Sample("Cast", (var(_x(2, 3)),), {"to": onnx.TensorProto.FLOAT}, rtol=1e-5, oracle="linear"),
    Sample("Cast", (var(_x(2, 3)),), {"to": onnx.TensorProto.DOUBLE}),
    Sample("CastLike", (var(_x(2, 3)), fed(np.float32(1))), opset=19, oracle="linear"),
    Sample("CastLike", (var(_x(2, 3)), var(_x(4))), opset=19),
    Sample("Reshape", (var(_x(2, 3, 4)), const(_ints(2, -1)))),
    Sample("Reshape", (var(_x(2, 3, 4)), const(_ints(0, 4, 3)))),
    Sample("Reshape", (var(_x(2, 3, 4)), sized(_ints(4, 3, 2)))),
    Sample("Reshape", (var(_x(1)), const(_ints()))),
    *(Sample("Flatten", (var(_x(2, 3, 4)),), {"axis": axis}) for axis in (0, 1, 2, 3, -1)),
    Sample("Squeeze", (var(_x(2, 1, 3, 1)),)),
    Sample("Squeeze", (var(_x(2, 1, 3, 1)), const(_ints(-1, 1)))),
    Sample("Squeeze", (var(_x(2, 1, 3)), sized(_ints(1)))),
    Sample("Unsqueeze", (var(_x(2, 3)), const(_ints(0, -1)))),
    Sample("Unsqueeze", (var(_x(2, 3)), sized(_ints(1)))),
    Sample("Transpose", (var(_x(2, 3, 4)),)),
    Sample("Transpose", (var(_x(2, 3, 4)),), {"perm": [1, 2, 0]}),
    Sample("Transpose", (var(_x(2, 3, 4, 5)),), {"perm": [3, 0, 2, 1]}),
    Sample("Expand", (var(_x(3, 1)), const(_ints(2, 3, 4)))),
    Sample("Expand", (var(_x(1)), sized(_ints(2, 3)))),
    Sample("Expand", (var(_x(2, 1, 3)), sized(_ints(1, 4, 1)))),
    Sample("Expand", (var(_x()), const(_ints(2, 3)))),
    Sample("Concat", (var(_x(2, 3)), var(_x(2, 1)), var(_x(2, 4))), {"axis": 1}),
    Sample("Concat", (var(_x(2, 3)), const(_x(1, 3)), var(_x(3, 3))), {"axis": -2}),
    Sample("Concat", (var(_x(4)),), {"axis": 0}),
    Sample("Split", (var(_x(2, 6)),), {"axis": 1, "num_outputs": 3}, outputs=3, uses=(2, 0, 1)),
    Sample("Split", (var(_x(2, 7)),), {"axis": -1, "num_outputs": 3}, outputs=3, uses=(2,), note="uneven"),
    Sample("Split", (var(_x(2, 6)), const(_ints(1, 3, 2))), {"axis": 1}, outputs=3, uses=(1,)),
    Sample("Split", (var(_x(5, 2)), sized(_ints(4, 1))), {"axis": 0}, outputs=2, uses=(1, 0)),
    Sample("Split", (var(_x(5, 2)), sized(_ints(4, 1))), {"axis": 0}, outputs=2, uses=(1,)),
)


@samples(6)
def depth_to_space(rng: np.random.Generator) -> Sample:
    block = int(rng.integers(2, 4))
    x = smooth(rng, 2, 2 * block * block, 2, 3)
    return Sample("DepthToSpace", (var(x),), {"blocksize": block, "mode": pick(rng, "DCR", "CRD")})


@samples(3)
def space_to_depth(rng: np.random.Generator) -> Sample:
    block = int(rng.integers(2, 4))
    return Sample("SpaceToDepth", (var(smooth(rng, 2, 3, 2 * block, 3 * block)),), {"blocksize": block})


@samples(24)
def pad(rng: np.random.Generator) -> Sample:
    mode = pick(rng, "constant", "constant", "reflect", "edge", "wrap")
    shape = (2, 3, 4, 5)[int(rng.integers(0, 3)) :]
    rank = len(shape)
    limit = [size - 1 for size in shape]
    low = -1 if mode == "constant" else 0
    pads = np.array([int(rng.integers(low, min(n, 3) + 1)) for n in limit * 2], np.int64)
    if coin(rng):
        axes = rng.permutation(rank)[: max(1, rank - 1)]
        chosen = np.array([int(a) - (rank if coin(rng) else 0) for a in axes], np.int64)
        pads = np.array([*pads[axes], *pads[axes + rank]], np.int64)
        value = var(np.float64(0.7)) if mode == "constant" else None
        return Sample(
            "Pad",
            (var(smooth(rng, *shape)), const(pads), value, const(chosen)),
            {"mode": mode},
            opset=19,
            note=str(pads),
        )
    more = [var(np.float64(0.7))] if mode == "constant" and coin(rng) else []
    return Sample("Pad", (var(smooth(rng, *shape)), const(pads), *more), {"mode": mode}, opset=19, note=str(pads))
