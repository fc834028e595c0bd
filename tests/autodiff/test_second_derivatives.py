"""The gradient of the gradient of every rule: what a first backward pass writes, a second one has to pass."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import Rule, gradient_table
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import OnnxRuntime, assert_close
from tests.helpers.models import floats, model
from tests.helpers.sample import Sample, Sizes
from tests.helpers.scaling import scaled
from tests.helpers.second_order import check_curvature, check_open


def _first_of_each_rule() -> list[Sample]:
    """Return one sample a rule, of those whose sizes may be open where there are any."""
    found: dict[Rule, Sample] = {}
    for sample in sorted(SAMPLES, key=lambda sample: sample.static_only):
        found.setdefault(sample.rule, sample)
    return list(found.values())


_FAST = _first_of_each_rule()


def check(sample: Sample, sizes: tuple[Sizes, ...]) -> None:
    """Float64 against differences of the first gradient; then float32, with sizes known and open, against float64."""
    known = check_curvature(sample)
    for some in sizes:
        if not sample.static_only or some in ("static", "batch"):
            check_open(sample, some, known)


@pytest.mark.parametrize("sample", _FAST, ids=lambda sample: sample.name)
def test_one_sample_of_each_rule(sample: Sample) -> None:
    check(sample, ("batch", "unknown"))


@pytest.mark.slow
@pytest.mark.parametrize("sample", [s for s in SAMPLES if s not in _FAST], ids=lambda sample: sample.name)
def test_every_other_sample(sample: Sample) -> None:
    check(sample, ("static", "batch", "symbolic", "unknown"))


# An operator that the first backward pass of a sample writes, and the sample's operator.
_WRONG = [
    *(("Mul", "Tanh"), ("Mul", "Sigmoid"), ("Sigmoid", "Softplus"), ("MatMul", "MatMul"), ("ReduceSum", "Softmax")),
    *(("Div", "LayerNormalization"), ("Scan", "LSTM")),
]


@pytest.mark.parametrize(("written", "op"), _WRONG)
def test_a_second_backward_pass_that_is_a_thousandth_wrong_fails(written: str, op: str) -> None:
    sample = next(s for s in _FAST if s.op == op)
    (rule,) = gradient_table()["", written]
    known = check_curvature(sample)
    with pytest.raises(AssertionError):
        check_open(sample, "batch", known, table=scaled(rule, 0))


_QUANTISED = """g (float[n, 3] x) => (float[n, 2] y) {
  q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
  m = MatMul(d, w) a = Sigmoid(m) qa = QuantizeLinear(a, t, zero) y = DequantizeLinear(qa, t, zero)
}"""


def test_rounding_counts_as_the_identity_twice() -> None:
    """As in torch, where the rounded number is the number plus a constant."""
    s, z, t = 0.01, 3, 1 / 256
    w, x, c, u = floats(3, 2, seed=1), floats(4, 3, seed=2), floats(4, 2, seed=3), floats(4, 3, seed=4)
    scales = {"s": np.float32(s), "t": np.float32(t), "z": np.uint8(z), "zero": np.uint8(0)}
    proto = model(_QUANTISED, {"w": w, **{name: np.asarray(value) for name, value in scales.items()}})
    once = canonicalize(add_gradients(canonicalize(load(proto).ir), "y", ["x"]))
    twice = ir.to_proto(add_gradients(once, "grad/x", ["x"], order=2))
    found = OnnxRuntime(twice, optimize=False)({"x": x, "cotangent": c, "cotangent2": u})["grad2/x"]

    def fake(value: torch.Tensor, scale: float, zero: int) -> torch.Tensor:
        number = value / scale + zero
        cut = number.clamp(0, 255)
        return (cut + (cut.round() - cut).detach() - zero) * scale

    leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = fake(torch.sigmoid(fake(leaf, s, z) @ torch.tensor(w).double()), t, 0)
    (g,) = torch.autograd.grad((y * torch.tensor(c)).sum(), leaf, create_graph=True)
    (wanted,) = torch.autograd.grad((g * torch.tensor(u)).sum(), leaf)
    assert float(wanted.abs().max()) > 0
    assert (wanted == 0).any()
    assert_close(found, wanted.numpy(), 1e-4)
