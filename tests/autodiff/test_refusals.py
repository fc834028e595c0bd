"""What rules refuse: options and inputs that they have no formula for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import check_declared_once
from onnxcam.errors import UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.sample import Sample, const, sized, var


def _recurrent(op: str, gates: int, lengths: np.ndarray | None = None, **attributes: object) -> Sample:
    x, w, r = np.ones((2, 2, 3)), np.ones((1, 2 * gates, 3)), np.ones((1, 2 * gates, 2))
    given = () if lengths is None else (None, const(lengths))
    return Sample(op, (var(x), const(w), const(r), *given), {"hidden_size": 2, **attributes})


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (Sample("Pad", (var(np.ones((2, 3))), sized(np.array([0, 1, 0, 1]))), {"mode": "edge"}), "padding is computed"),
        (
            Sample(
                "ScatterND",
                (var(np.ones(4)), const(np.array([[1], [3]])), var(np.ones(2))),
                {"reduction": "mul"},
            ),
            "reduction 'mul'",
        ),
        (_recurrent("LSTM", 4, clip=1.0), "no gradient rule for clip"),
        (_recurrent("LSTM", 4, input_forget=1), "no gradient rule for input_forget"),
        (_recurrent("GRU", 3, activations=["Sigmoid", "Relu"]), "no gradient rule for activations"),
        (_recurrent("RNN", 1, lengths=np.array([2, 1], np.int32)), "no gradient rule for sequence_lens"),
    ],
    ids=lambda v: v.op if isinstance(v, Sample) else "",
)
def test_what_rules_refuse(sample: Sample, why: str) -> None:
    model = canonicalize(ir.from_proto(sample.model(np.float32)))
    with pytest.raises(UnsupportedError, match=why):
        add_gradients(model, "y0", ["x0"])


def test_operators_are_declared_once() -> None:
    rule, zero, refused = {("", "Relu")}, {("", "Ceil")}, {("", "Det")}
    check_declared_once(rule, zero, refused)
    for given in ((rule | refused, zero, refused), (rule, zero | refused, refused)):
        with pytest.raises(RuntimeError, match=r"refused: \[\('', 'Det'\)\]; take them out of rules/refused.py"):
            check_declared_once(*given)
    with pytest.raises(RuntimeError, match=r"zero_gradient too: \[\('', 'Relu'\)\]; take one"):
        check_declared_once(rule, zero | rule, refused)
