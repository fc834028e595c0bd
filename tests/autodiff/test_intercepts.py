"""What every operator adds beside its inputs: ``<dy, y> = sum <dx, x> + terms``, in double precision."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.intercepts import REST, has_intercept, has_positions, intercept_name
from onnxcam.autodiff.paths import between
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import OnnxRuntime, Reference, cotangent_like
from tests.helpers.sample import Sample

_FIRST = list({sample.op: sample for sample in SAMPLES[::-1]}.values())


def check_terms(sample: Sample, scale: float = 1.0) -> None:
    """Add up the input's share and the terms, those with positions apart from the rest."""
    exact = sample.oracle == "reference"
    dtype, engine = (np.float64, Reference) if exact else (np.float32, OnnxRuntime)
    plain, inputs = canonicalize(ir.from_proto(sample.model(dtype))), list(sample.variables)
    graph = plain.graph
    nodes, wanted = between(graph, [find_value(graph, name) for name in inputs], find_value(graph, sample.score))
    counting = [node for node in nodes if has_intercept(node, wanted)]
    placed = [str(node.outputs[0].name) for node in counting if has_positions(node)]
    groups = {name: [name] for name in placed}
    groups[REST] = [str(node.outputs[0].name) for node in counting if not has_positions(node)]
    made = add_gradients(plain, sample.score, inputs, intercepts=groups)
    feeds = sample.feeds(dtype)
    y = engine(ir.to_proto(plain))(feeds)[sample.score]
    dy = cotangent_like(y)
    found = engine(ir.to_proto(made))(feeds | {"cotangent": dy})
    shares = [found[gradient_name(name)].astype(np.float64) * feeds[name] for name in inputs]
    terms = [found[intercept_name(group)] for group in groups]
    wanted_sum = float((dy * y.astype(np.float64)).sum())
    total = sum(float(share.sum()) for share in shares) + scale * sum(float(term.sum()) for term in terms)
    size = sum(float(abs(share).sum()) for share in shares) + abs(wanted_sum)
    assert abs(total - wanted_sum) <= (1e-6 if exact else 1e-5) * size
    for name in placed:
        if name == sample.score:
            assert found[intercept_name(name)].shape == y.shape


@pytest.mark.parametrize("sample", _FIRST, ids=lambda sample: sample.name)
def test_terms_of_every_operator(sample: Sample) -> None:
    check_terms(sample)


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_terms_of_every_sample(sample: Sample) -> None:
    check_terms(sample)


@pytest.mark.parametrize("op", ["Sigmoid", "LayerNormalization", "MatMul", "Conv"])
def test_a_wrong_term_is_noticed(op: str) -> None:
    sample = next(s for s in SAMPLES if s.op == op and len(s.variables) == (1 if op == "Sigmoid" else len(s.args)))
    with pytest.raises(AssertionError):
        check_terms(sample, scale=0.999)
