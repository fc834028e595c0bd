"""The stand-ins for operators of onnx's reference evaluator compute what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import OnnxRuntime, Reference, assert_close
from tests.helpers.sample import Sample
from tests.oracles.exact import EXACT

_STOOD_IN = {operator.__name__ for operator in EXACT}


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.op in _STOOD_IN], ids=lambda s: s.name)
def test_stand_ins_equal_onnxruntime(sample: Sample) -> None:
    exact = Reference(sample.model(np.float64))(sample.feeds(np.float64))[sample.score]
    found = OnnxRuntime(sample.model(np.float32))(sample.feeds(np.float32))[sample.score]
    assert_close(found, exact, max(sample.rtol, 1e-5))
