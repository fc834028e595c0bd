"""Lists of tensors that are fixed, taken apart, against onnxruntime's own."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.errors import UnsupportedError
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime
from tests.helpers.models import floats, model

_ONE, _LAST, _TWO, _SIZES = (np.array(v, np.int64) for v in (1, -1, 2, [1, 3, 2]))
_CASES = {
    "split at sizes": "s = SplitToSequence <axis = 1> (x, sizes) a = SequenceAt(s, one) b = SequenceAt(s, last)",
    "split in steps": "s = SplitToSequence <axis = 1> (x, two) a = SequenceAt(s, one) b = SequenceAt(s, last)",
    "an uneven split": "s = SplitToSequence <axis = 1> (x, four) a = SequenceAt(s, one) b = SequenceAt(s, last)",
    "split in slices": "s = SplitToSequence <axis = 1> (x) a = SequenceAt(s, one) b = SequenceAt(s, last)",
    "slices without their axis": "s = SplitToSequence <axis = -1, keepdims = 0> (x) a = SequenceAt(s, one) "
    "b = ConcatFromSequence <axis = 0, new_axis = 1> (s)",
    "construct": "c = Exp(x) s = SequenceConstruct(x, c) a = SequenceAt(s, one) b = ConcatFromSequence <axis = 0> (s)",
    "insert and erase": "c = Exp(x) d = Sin(x) s = SequenceConstruct(x, c) t = SequenceInsert(s, d, one) "
    "u = SequenceErase(t, last) v = SequenceInsert(u, c) a = SequenceAt(v, one) b = ConcatFromSequence <axis = 1> (v)",
    "from nothing": "c = Exp(x) e = SequenceEmpty() s = SequenceInsert(e, c) t = SequenceInsert(s, x, zero) "
    "l = SequenceLength(t) f = Cast <to = 1> (l) a0 = SequenceAt(t, one) a = Mul(a0, f) "
    "b = ConcatFromSequence <axis = 0> (t)",
}


def _model(text: str) -> onnx.ModelProto:
    weights = {
        "one": _ONE,
        "last": _LAST,
        "two": _TWO,
        "sizes": _SIZES,
        "four": np.array(4),
        "zero": np.array(0),
    }
    used = {name: array for name, array in weights.items() if f"{name})" in text}
    ending = "p = ReduceSum <keepdims = 0> (a) q = Mul(b, b) y = Mul(q, p)"
    return model(f"g (float[2,6] x, int64 open) => (float[k,l] y) {{ {text} {ending} }}", used)


@pytest.mark.parametrize("name", _CASES)
def test_the_same_numbers_and_right_gradients(name: str) -> None:
    proto = _model(_CASES[name])
    canonical = canonicalize(load(proto).ir)
    assert not [node.op_type for node in canonical.graph if "Sequence" in node.op_type]
    feeds = {"x": floats(2, 6), "open": np.array(0)}
    run = OnnxRuntime(proto)
    wanted = run(feeds)["y"]
    np.testing.assert_allclose(OnnxRuntime(ir.to_proto(canonical))(feeds)["y"], wanted, rtol=1e-6)
    cotangent, direction, step = floats(*wanted.shape, seed=7), floats(2, 6, seed=8), 1e-2
    found = OnnxRuntime(ir.to_proto(add_gradients(canonical, "y", ["x"])))({**feeds, "cotangent": cotangent})["grad/x"]
    ends = [run({**feeds, "x": feeds["x"] + np.float32(s * step) * direction})["y"].astype(float) for s in (1, -1)]
    slope = float((cotangent * (ends[0] - ends[1])).sum() / (2 * step))
    assert float((found * direction).sum()) == pytest.approx(slope, rel=2e-3)
    # The check is able to fail.
    assert 1.01 * float((found * direction).sum()) != pytest.approx(slope, rel=2e-3)


def test_an_open_position_is_refused() -> None:
    text = "s = SplitToSequence <axis = 1> (x, sizes) a = SequenceAt(s, open) b = SequenceAt(s, last)"
    canonical = canonicalize(load(_model(text)).ir)
    names = [node.name for node in canonical.graph]
    assert len(set(names)) == len(names)
    wanted = OnnxRuntime(_model(text))({"x": floats(2, 6), "open": np.array(1)})["y"]
    found = OnnxRuntime(ir.to_proto(canonical))({"x": floats(2, 6), "open": np.array(1)})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    with pytest.raises(UnsupportedError, match=r"SequenceAt \(at .*lengths and positions are fixed in the file"):
        add_gradients(canonical, "y", ["x"])
