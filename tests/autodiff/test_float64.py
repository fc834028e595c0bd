"""Operators that onnxruntime computes in float32 only, written with others for float64."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff.float64 import rewrite_for_float64
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime
from tests.helpers.models import floats, model

KERNEL = floats(2, 3, 3, 3).astype(np.float64)


def pooled(size: str) -> ir.Model:
    """Return a convolution and a mean over positions, in float64."""
    text = (
        f"g (double[1, 3, {size}, {size}] x) => (double[1, 2, 1, 1] y) {{ a = Conv (x, w) y = GlobalAveragePool (a) }}"
    )
    return canonicalize(ir.from_proto(model(text, {"w": KERNEL})))


def operators(found: ir.Model) -> set[str]:
    return {node.op_type for node in found.graph}


def test_operators_of_known_sizes_are_rewritten_and_compute_the_same() -> None:
    found = rewrite_for_float64(pooled("6"))
    assert not {"Conv", "GlobalAveragePool"} & operators(found)
    x = floats(1, 3, 6, 6).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    wanted = np.einsum("nchwij,mcij->nmhw", windows, KERNEL).mean((2, 3), keepdims=True)
    np.testing.assert_allclose(OnnxRuntime(ir.to_proto(found))({"x": x})["y"], wanted, rtol=1e-12)


def test_an_operator_of_unknown_sizes_stays() -> None:
    assert operators(rewrite_for_float64(pooled("s"))) >= {"Conv", "ReduceMean"}


def test_the_given_model_is_not_changed() -> None:
    given = pooled("6")
    rewrite_for_float64(given)
    assert operators(given) == {"Conv", "GlobalAveragePool"}
