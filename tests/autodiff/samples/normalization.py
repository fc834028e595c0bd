"""Normalisations and the softmax family."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Arg, Array, Attribute, Sample, const, listed, positive, samples, smooth, var

_RNG = np.random.default_rng(10)


def _image(rng: np.random.Generator, channels: int) -> np.ndarray:
    return smooth(rng, 2, channels, *(int(n) for n in rng.integers(3, 5, int(rng.integers(1, 4)))))


def _parameter(rng: np.random.Generator, array: Array) -> Arg:
    """Return what is mostly fixed in the file, and sometimes computed."""
    return var(array) if rng.integers(3) == 0 else const(array)


@samples(12)
def batch_normalization(rng: np.random.Generator) -> Sample:
    stored = [
        _parameter(rng, smooth(rng, 3)),
        _parameter(rng, smooth(rng, 3)),
        _parameter(rng, smooth(rng, 3)),
        _parameter(rng, positive(rng, 3)),
    ]
    return Sample(
        "BatchNormalization", (var(_image(rng, 3)), *stored), {"epsilon": float(rng.choice([1e-5, 1e-3, 0.1]))}
    )


@samples(10)
def instance_normalization(rng: np.random.Generator) -> Sample:
    weights = _parameter(rng, smooth(rng, 3)), _parameter(rng, smooth(rng, 3))
    return Sample("InstanceNormalization", (var(_image(rng, 3)), *weights), {"epsilon": float(rng.choice([1e-5, 0.1]))})


@samples(14)
def layer_normalization(rng: np.random.Generator) -> Sample:
    shape, axis = (2, 3, 4), int(rng.choice([-1, -2, 1, 2, 0]))
    weights = [_parameter(rng, smooth(rng, *shape[axis:])) for _ in range(int(rng.integers(1, 3)))]
    epsilon = float(rng.choice([1e-5, 0.1]))
    return Sample("LayerNormalization", (var(smooth(rng, *shape)), *weights), {"axis": axis, "epsilon": epsilon})


@samples(12)
def rms_normalization(rng: np.random.Generator) -> Sample:
    shape, axis = (2, 3, 4), int(rng.choice([-1, -2, 1, 2, 0]))
    epsilon = float(rng.choice([1e-5, 0.1]))
    return Sample(
        "RMSNormalization",
        (var(smooth(rng, *shape)), _parameter(rng, smooth(rng, *shape[axis:]))),
        {"axis": axis, "epsilon": epsilon},
        opset=23,
    )


@samples(10)
def group_normalization(rng: np.random.Generator) -> Sample:
    return Sample(
        "GroupNormalization",
        (var(_image(rng, 6)), _parameter(rng, smooth(rng, 6)), _parameter(rng, smooth(rng, 6))),
        {"num_groups": int(rng.choice([1, 2, 3, 6])), "epsilon": float(rng.choice([1e-5, 0.1]))},
        opset=21,
    )


@samples(10)
def group_normalization_18(rng: np.random.Generator) -> Sample:
    groups = int(rng.choice([1, 2, 3, 6]))
    return Sample(
        "GroupNormalization",
        (var(_image(rng, 6)), _parameter(rng, smooth(rng, groups)), _parameter(rng, smooth(rng, groups))),
        {"num_groups": groups, "epsilon": float(rng.choice([1e-5, 0.1]))},
        opset=18,
        rtol=1e-4,  # one number may be summed over all that there is
    )


_VARIANCES: list[tuple[tuple[int, ...], dict[str, Attribute]]] = [
    ((2, 3, 3, 2), {}),
    ((2, 3, 3, 2), {"axes": [0, 1, 2, 3]}),
    ((2, 5), {"axes": [1]}),
    ((2, 5, 3), {"axes": [-1, 1]}),
]

listed(
    __name__,
    # A function whose body has float32 constants: there is no float64.
    *(
        Sample("MeanVarianceNormalization", (var(smooth(_RNG, *shape)),), attributes, oracle="float32", rtol=1e-4)
        for shape, attributes in _VARIANCES
    ),
    *(
        Sample("LpNormalization", (var(smooth(_RNG, 2, 3, 4)),), {"axis": axis, "p": p})
        for axis, p in [(-1, 2), (1, 1), (0, 2), (-2, 1)]
    ),
    Sample("LpNormalization", (var(smooth(_RNG, 2, 3)),)),
    *(
        Sample(op, (var(smooth(_RNG, *shape)),), {"axis": axis})
        for op in ("Softmax", "LogSoftmax")
        for axis, shape in [(-1, (2, 5)), (1, (2, 5, 3)), (0, (4,)), (-3, (3, 2, 2))]
    ),
    Sample("Softmax", (var(smooth(_RNG, 2, 5)),)),
    Sample("LogSoftmax", (var(smooth(_RNG, 2, 5)),)),
)


@samples(8)
def lrn(rng: np.random.Generator) -> Sample:
    # Odd sizes: onnxruntime refuses others, which tests/autodiff/test_edges.py checks in float64.
    attributes = {"size": int(rng.choice([1, 3, 5])), "alpha": float(rng.choice([1e-4, 0.5, 2.0]))}
    return Sample(
        "LRN",
        (var(smooth(rng, 2, 5, *(int(n) for n in rng.integers(2, 4, 2)))),),
        {**attributes, "beta": float(rng.choice([0.75, 0.5, 1.2])), "bias": float(rng.choice([1.0, 2.0]))},
    )
