"""Every formula against its oracle, and properties that all raw maps share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings

from onnxcam.methods.registry import method
from tests.helpers.method_samples import SAMPLES, assert_agree, assume_one_component, fixed_pair, pairs, raw_map
from tests.oracles.registry import Floats, expected

if TYPE_CHECKING:
    from onnxcam.methods.base import Method

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=repr)


@every_sample
@settings(deadline=None, max_examples=60)
@given(pair=pairs())
def test_equals_its_oracle(sample: Method, pair: tuple[Floats, Floats]) -> None:
    assume_one_component(sample, *pair)
    assert_agree(raw_map(sample, *pair), expected(sample, *pair))


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if not sample.signed], ids=repr)
@settings(deadline=None, max_examples=60)
@given(pair=pairs())
def test_an_unsigned_method_is_never_negative(sample: Method, pair: tuple[Floats, Floats]) -> None:
    assert (raw_map(sample, *pair) >= 0).all()


@pytest.mark.parametrize("name", ["grad-cam", "gradient"])
def test_signed_depends_on_the_method_and_its_fields(name: str) -> None:
    assert method(name).signed is (name == "grad-cam")
    assert method("gradient", reduce="sum").signed


@every_sample
def test_a_map_does_not_depend_on_its_batch(sample: Method) -> None:
    a, g = fixed_pair(shape=(5, 6, 7, 7))
    alone = np.concatenate([raw_map(sample, a[i : i + 1], g[i : i + 1]) for i in range(len(a))])
    np.testing.assert_array_equal(raw_map(sample, a, g), alone)


@every_sample
def test_keeps_float32(sample: Method) -> None:
    a, g = fixed_pair()
    found = raw_map(sample, a.astype(np.float32), g.astype(np.float32))
    assert found.dtype == np.float32
    assert_agree(found, raw_map(sample, a, g), tolerance=1e-5)


@pytest.mark.parametrize(("scale", "eps", "power"), [(1e-5, 0.0, 1), (1e-16, 0.0, 1), (1e-5, 1e-6, 3)])
def test_grad_cam_plus_plus_of_small_gradients(scale: float, eps: float, power: int) -> None:
    """The paper's alpha tends to 1/2 as the gradient goes to 0; with pytorch-grad-cam's eps it goes to 0 as well."""
    a, g = (x.astype(np.float32) for x in fixed_pair())
    found = raw_map(method("grad-cam++", eps=eps), a, g * np.float32(scale))  # at 1e-16 cubes are 0 in float32
    limit = (np.maximum(g, 0) ** power).sum(axis=(2, 3), keepdims=True) * a
    found, limit = found / found.max(), limit.sum(axis=1) / limit.sum(axis=1).max()
    assert_agree(found, limit, tolerance=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_value_in_one_image_does_not_affect_components_of_the_others(bad: float) -> None:
    a, g = fixed_pair(shape=(3, 4, 5, 5))
    sound = raw_map(method("eigen-cam"), a, g)
    a[1, 2, 3, 3] = bad
    found = raw_map(method("eigen-cam"), a, g)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2]], sound[[0, 2]])


@pytest.mark.parametrize(("name", "other"), [("eigen-cam", "sum"), ("eigen-grad-cam", "hires-cam")])
def test_the_sign_of_a_component_agrees_with_the_sum_over_channels(name: str, other: str) -> None:
    for seed in range(20):
        a, g = fixed_pair(seed)
        reference = a.sum(axis=1) if other == "sum" else raw_map(method(other), a, g)
        component = raw_map(method(name), a, g)
        assert ((component * (reference - reference.mean(axis=(1, 2), keepdims=True))).sum(axis=(1, 2)) >= 0).all()
        np.testing.assert_array_equal(raw_map(method(name), -a, g), -component)
