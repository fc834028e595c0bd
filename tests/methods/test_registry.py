"""Every method in the registry has an oracle, documentation, varied fields; wrong names and fields are refused."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from onnxcam.errors import InputError, NameNotFoundError
from onnxcam.methods.papers import bibtex
from onnxcam.methods.registry import method, methods
from tests.helpers.method_samples import EVERY
from tests.oracles.registry import oracles

if TYPE_CHECKING:
    from onnxcam.methods.base import Method

every_method = pytest.mark.parametrize("cls", methods().values(), ids=methods().keys())


def test_the_methods_of_this_release_are_there() -> None:
    release = """cam eigen-cam eigen-grad-cam grad-cam grad-cam++ grad-cam-elementwise gradient gradient-x-input
        hires-cam layer-cam random-cam xgrad-cam"""
    assert set(release.split()) <= set(methods())


def test_every_method_has_an_oracle_and_every_oracle_a_method() -> None:
    assert set(oracles()) == set(methods())


@every_method
def test_a_method_is_documented(cls: type[Method]) -> None:
    text = cls.__doc__ or ""
    assert len(cls.summary()) < 120
    assert cls.summary().endswith(".")
    assert "``L = " in text, "no formula"
    assert "\n\n    Source: " in text
    assert "\n\n    Differences: " in text, "say where it differs from the authors' code and from libraries, or 'none'"
    assert bibtex(cls.paper)
    for field in fields(cls):
        assert f"        {field.name}: " in text, f"field {field.name} is not described"


@every_method
def test_every_field_of_a_method_is_varied_in_the_tests(cls: type[Method]) -> None:
    default = cls()
    varied = {
        field.name
        for variant in EVERY
        if type(variant) is cls
        for field in fields(cls)
        if getattr(variant, field.name) != getattr(default, field.name)
    }
    assert varied == {field.name for field in fields(cls)}


@pytest.mark.parametrize("sample", EVERY, ids=repr)
def test_a_description_builds_the_same_method(sample: Method) -> None:
    assert method(**sample.describe()) == sample
    assert method(sample) is sample


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gradient", {"reduce": "mean"}, "field reduce of gradient is 'mean'; it must be 'max-abs' or 'sum'"),
        ("grad-cam++", {"eps": "1e-6"}, "field eps of grad-cam++ is '1e-6'; it must be of type float"),
        ("random-cam", {"seed": True}, "field seed of random-cam is True; it must be of type int"),
        ("hires-cam", {"eps": 1.0}, "method hires-cam has no field eps; it has none"),
    ],
)
def test_a_wrong_field_is_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        method(name, **options)
    assert str(caught.value) == message


def test_options_for_a_method_that_is_built_already_are_refused() -> None:
    with pytest.raises(InputError, match="seed"):
        method(method("random-cam"), seed=1)


def test_an_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(NameNotFoundError, match="did you mean hires-cam"):
        method("hirescam")
