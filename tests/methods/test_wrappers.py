"""Wrappers: each against a slow form of its own, what they pass on, and what they refuse."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.errors import InputError, NameNotFoundError
from onnxcam.methods.base import Method, WeightedMethod
from onnxcam.methods.needs import Contrast
from onnxcam.methods.nested import Wrapper
from onnxcam.methods.papers import bibtex
from onnxcam.methods.registry import method, methods, wrap, wrappers
from tests.helpers.method_samples import WRAPPED, assert_agree, fixed_pair
from tests.networks.special import Special
from tests.networks.table import NETWORKS
from tests.oracles.registry import wrapper_oracles

HIRES = method("hires-cam")
SUMS = ", ".join(name for name, cls in methods().items() if issubclass(cls, WeightedMethod))
every_sample = pytest.mark.parametrize("sample", WRAPPED, ids=repr)
every_wrapper = pytest.mark.parametrize("cls", wrappers().values(), ids=wrappers().keys())


def network() -> Special:
    found = NETWORKS["layered"]()
    assert isinstance(found, Special)
    return found


def test_every_wrapper_has_an_oracle_and_every_oracle_a_wrapper() -> None:
    assert set(wrapper_oracles()) == set(wrappers())


@every_sample
def test_equals_its_oracle_and_a_scaled_map_does_not(sample: Method) -> None:
    found = sample.explain(network().view())
    for image, ours in enumerate(found):
        wanted = wrapper_oracles()[sample.name].run(sample, network(), image)
        assert_agree(ours, wanted)
        with pytest.raises(AssertionError):
            assert_agree(1.001 * ours, wanted)
    assert sample.signed or (found >= 0).all()


@every_sample
def test_a_map_does_not_depend_on_its_batch(sample: Method) -> None:
    together = sample.explain(network().view())
    assert_agree(sample.explain(network().view([2, 0])), together[[2, 0]], 1e-12)


@every_sample
def test_a_description_nests_and_builds_the_same_wrapper(sample: Method) -> None:
    outer = wrap("noise", sample)
    assert outer.describe()["method"]["method"] == {"name": "hires-cam"}
    assert method(**outer.describe()) == outer
    assert hash(outer) == hash(method(**outer.describe()))
    plain: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in sample.describe().items()
    }
    assert method(**plain) == sample  # as JSON has it


def test_wrappers_nest_in_the_order_given() -> None:
    """Averaging over mirror images first or last differs, since the noise is not mirrored."""
    one, other = wrap("noise", wrap("augment", HIRES, factors=(1.0,)), n=2), wrap("noise", HIRES, n=2)
    view = network().view()
    with pytest.raises(AssertionError):
        assert_agree(one.explain(view), wrap("augment", other, factors=(1.0,)).explain(view), 1e-3)
    symmetric = wrap("augment", HIRES, factors=(1.0,))
    mirrored = symmetric.explain(view.with_images(np.ascontiguousarray(view.x[..., ::-1])))
    assert_agree(mirrored, symmetric.explain(view)[..., ::-1], 1e-12)


def test_noise_of_sigma_zero_and_an_augmentation_without_changes_keep_the_map() -> None:
    view = network().view()
    for unchanged in (wrap("noise", HIRES, sigma=0.0), wrap("augment", HIRES, flip=False, factors=(1.0,))):
        assert_agree(unchanged.explain(view), HIRES.explain(view), 1e-12)


def test_principal_of_hires_cam_equals_eigen_grad_cam() -> None:
    view = network().view()
    np.testing.assert_array_equal(wrap("principal", HIRES).explain(view), method("eigen-grad-cam").explain(view))


@pytest.mark.parametrize("cls", [cls for cls in methods().values() if issubclass(cls, WeightedMethod)])
def test_components_add_up_to_the_map(cls: type[WeightedMethod]) -> None:
    a, g = fixed_pair()
    terms = cls().components(a, g)
    assert terms.shape == a.shape
    assert_agree(terms.sum(axis=1), cls()(a, g), 1e-12)


def test_needs_of_a_wrapper_are_those_of_the_method_inside() -> None:
    for name in ("augment", "noise"):
        for inner in methods().values():
            wrapped, plain = wrap(name, inner()), inner()
            assert (wrapped.needs, wrapped.signed) == (plain.needs, plain.signed), (name, inner.name)
    fused = wrap("noise", wrap("fuse", method("finer-cam"), layers=(0, -1)))
    assert (fused.needs.layers, fused.signed, fused.needs.contrast) == ((0, -1), False, Contrast(3, 0.6))
    assert not wrap("fuse", method("eigen-cam")).needs.gradient


SUMS = ", ".join(name for name, cls in methods().items() if issubclass(cls, WeightedMethod))


@pytest.mark.parametrize(
    ("name", "inner", "options", "message"),
    [
        (
            "fuse",
            "gradient",
            {},
            "fuse cannot take gradient, which does not explain at a layer; choose another method inside",
        ),
        (
            "fuse",
            "refine-cam",
            {},
            "fuse cannot take refine-cam, which combines layers itself; choose another method inside",
        ),
        ("fuse", "cam", {}, "fuse cannot take cam, which applies to one layer only; choose another method inside"),
        ("fuse", "grad-cam", {"layers": ()}, "field layers of fuse is empty; name layers, such as -1,-2,-3"),
        ("fuse", "grad-cam", {"how": "sum"}, "field how of fuse is 'sum'; it must be 'mean' or 'max' or 'product'"),
        ("noise", "grad-cam", {"n": 0}, "field n of noise is 0; it must be at least 1"),
        ("noise", "grad-cam", {"m": 1}, "wrapper noise has no field m; it has n, sigma, seed"),
        (
            "noise",
            "grad-cam",
            {"method": 1},
            "wrapper noise takes the wrapped method as the argument inner; leave out the option method",
        ),
        (
            "augment",
            "grad-cam",
            {"factors": ()},
            "field factors of augment is empty; 1.0 stands for the unchanged image",
        ),
        (
            "principal",
            "eigen-cam",
            {},
            f"principal takes a method whose map is a sum over channels ({SUMS}), not eigen-cam",
        ),
    ],
)
def test_what_cannot_be_wrapped_is_refused(name: str, inner: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        wrap(name, method(inner), **options)
    assert str(caught.value) == message


def test_unknown_names_and_values_that_are_not_methods_are_refused() -> None:
    with pytest.raises(NameNotFoundError, match="no wrapper is named 'noisy'; did you mean noise"):
        wrap("noisy", HIRES)
    with pytest.raises(NameNotFoundError, match="no method is named 'noise'; wrap a method in it: --wrap noise"):
        method("noise")
    with pytest.raises(InputError, match="noise wraps a method, not 'grad-cam'"):
        wrap("noise", "grad-cam")  # type: ignore[arg-type]


def test_methods_and_wrappers_have_separate_names() -> None:
    assert {"augment", "fuse", "noise", "principal"} <= set(wrappers())
    assert not set(wrappers()) & set(methods())
    assert not any(issubclass(cls, Wrapper) for cls in methods().values())


@every_wrapper
def test_a_wrapper_is_documented_and_its_fields_are_varied(cls: type[Method]) -> None:
    text = cls.__doc__ or ""
    assert len(cls.summary()) < 120
    assert cls.summary().endswith(".")
    assert "``L = " in text
    assert "\n\n    Source: " in text
    assert "\n\n    Differences: " in text, "say where it differs from the authors' code and from libraries, or 'none'"
    assert bibtex(cls.paper)
    own = {field.name: field.default for field in fields(cls) if field.default is not MISSING}
    assert {field.name for field in fields(cls)} - set(own) == {"method"}
    assert all(f"        {field.name}: " in text for field in fields(cls))
    varied = {n for n, default in own.items() for s in WRAPPED if type(s) is cls and getattr(s, n) != default}
    assert varied == set(own)


def test_every_kind_of_method_can_be_wrapped_in_noise() -> None:
    """Noise changes what the method reads: attention, layers, biases."""
    for name, inner in (("class token", "rollout"), ("biased", "full-grad"), ("layered", "refine-cam")):
        sample: Method = method(inner)
        view = NETWORKS[name]().view()
        found = wrap("noise", sample, n=2).explain(view)
        assert found.shape == sample.explain(view).shape
        assert not np.allclose(found, sample.explain(view))
        assert torch.is_grad_enabled()
