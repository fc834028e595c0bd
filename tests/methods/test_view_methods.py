"""Every method that uses a view against its oracle, and properties that all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.helpers.method_samples import VIEWED, assert_agree
from tests.networks.table import NETWORKS
from tests.oracles.registry import expected_of_network

if TYPE_CHECKING:
    from onnxcam.methods.base import Method

every_sample = pytest.mark.parametrize(
    ("sample", "name"), VIEWED, ids=[f"{name}-{sample!r}" for sample, name in VIEWED]
)


@every_sample
def test_equals_its_oracle_and_a_scaled_map_does_not(sample: Method, name: str) -> None:
    view = NETWORKS[name]().view()
    found, wanted = sample.explain(view), expected_of_network(sample, name)
    assert abs(wanted).max() > 1e-5
    for ours, theirs in zip(found, wanted, strict=True):
        assert_agree(ours, theirs)
        for wrong in (1.001 * ours, -ours) if theirs.any() else ():
            with pytest.raises(AssertionError):
                assert_agree(wrong, theirs)
    if not sample.signed:
        assert (found >= 0).all()


@every_sample
def test_a_map_does_not_depend_on_its_batch_and_repeats_exactly(sample: Method, name: str) -> None:
    network = NETWORKS[name]()
    together = sample.explain(network.view())
    np.testing.assert_array_equal(sample.explain(network.view()), together)
    for images in ([2, 0, 1], [1]):
        assert_agree(sample.explain(network.view(images)), together[images], 1e-12)
