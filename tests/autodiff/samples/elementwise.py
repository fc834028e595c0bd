"""Functions of one input, with the attributes that they have."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Arg, Attribute, Oracle, Sample, const, listed, positive, smooth, var

_RNG = np.random.default_rng(3)
_SHAPES = ((3, 4), (2, 3, 4, 2), (), (5,))


def _add(
    op: str, *choices: dict[str, Attribute], x: np.ndarray | None = None, opset: int = 18, oracle: Oracle = "reference"
) -> None:
    """Add samples of an operator: each choice of attributes, over inputs of different ranks."""
    for index, shape in enumerate(_SHAPES):
        given = smooth(_RNG, *shape) * 1.3 if x is None else x.reshape(-1)[: max(1, int(np.prod(shape)))].reshape(shape)
        listed(__name__, Sample(op, (var(given),), choices[index % len(choices)], opset=opset, oracle=oracle))


for _op in ("Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Tanh", "Sigmoid", "Softplus", "Softsign", "Erf", "Exp"):
    _add(_op, {})
for _op in ("Neg", "Abs", "Relu", "Reciprocal", "Identity"):
    _add(_op, {})
_MANY = (2, 3, 4, 2)
_add("Tan", {}, x=smooth(_RNG, *_MANY) * 0.8)
for _op in ("Asin", "Acos", "Atanh"):
    _add(_op, {}, x=smooth(_RNG, *_MANY) * 0.6)
_add("Acosh", {}, x=positive(_RNG, *_MANY) + 0.9)
for _op in ("Log", "Sqrt"):
    _add(_op, {}, x=positive(_RNG, *_MANY))
_add("LeakyRelu", {}, {"alpha": 0.3}, {"alpha": -0.5}, {"alpha": 1.5})
_add("ThresholdedRelu", {"alpha": 0.1}, {"alpha": 0.0}, {"alpha": -1.0})
_add("ThresholdedRelu", {}, x=np.where(abs(abs(_X := smooth(_RNG, *_MANY) * 2) - 1) < 0.05, 1.3, _X))
_add("Elu", {}, {"alpha": 0.4}, {"alpha": 2.0})
_add("Celu", {}, {"alpha": 0.4}, {"alpha": 2.0}, oracle="float32")  # ONNX has it in float32 only
_add("Selu", {}, {"alpha": 1.2, "gamma": 0.7})
_add("HardSigmoid", {}, {"alpha": 0.5, "beta": 0.4}, {"alpha": 0.15, "beta": 0.55})
_add("HardSwish", {}, x=smooth(_RNG, *_MANY) * 2.9)
_add("Mish", {})
_add("Swish", {}, {"alpha": 1.7}, {"alpha": -0.5}, opset=24)
_add("Gelu", {}, {"approximate": "tanh"}, opset=20)
_add("Shrink", {"lambd": 0.1, "bias": 0.2}, {"lambd": 0.15}, {"lambd": 0.0, "bias": 1.0})
_add("Shrink", {}, x=np.where(abs(abs(_X := smooth(_RNG, *_MANY)) - 0.5) < 0.05, 0.7, _X))


def _clip(low: float | None, high: float | None) -> Sample:
    bounds: list[Arg | None] = [None if b is None else const(np.asarray(b)) for b in (low, high)]
    x = smooth(_RNG, 3, 7) * 2
    x[abs(abs(x) - 1) < 0.05] = 0.5
    while bounds and bounds[-1] is None:
        bounds.pop()
    return Sample("Clip", (var(x), *bounds), note=f"{low}to{high}")


def _computed_bounds(*bounds: float | None) -> Sample:
    given = [None if bound is None else var(np.asarray(bound)) for bound in bounds]
    return Sample("Clip", (_clip(None, None).args[0], *given), note=f"computed{bounds}")


listed(__name__, _clip(-1.0, 1.0), _clip(None, 1.0), _clip(-1.0, None), _clip(None, None))
# Of bounds that cross, the upper one holds everywhere.
listed(__name__, *(_computed_bounds(*bounds) for bounds in [(-1.0, 1.0), (None, 1.0), (-1.0,), (1.0, -1.0)]))
