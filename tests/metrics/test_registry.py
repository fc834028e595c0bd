"""Nothing joins the registry of metrics half finished."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from onnxcam.discovery import find_classes
from onnxcam.errors import InputError, NameNotFoundError
from onnxcam.methods.papers import bibtex
from onnxcam.metrics.base import Metric
from onnxcam.metrics.formulas.sparseness import Sparseness
from onnxcam.metrics.registry import metric, metrics
from tests.oracles.metrics import all_samples

every_metric = pytest.mark.parametrize("cls", metrics().values(), ids=metrics().keys())


def module_of(cls: type[Metric]) -> str:
    return cls.__module__.rpartition(".")[2]


def test_every_metric_has_samples_and_every_sample_a_metric() -> None:
    assert {module_of(cls) for cls in metrics().values()} == set(all_samples())


@every_metric
def test_a_metric_is_documented(cls: type[Metric]) -> None:
    text = cls.__doc__ or ""
    assert len(cls.summary()) < 120
    assert cls.summary().endswith(".")
    assert " = " in text, "no formula"
    assert "Source: " in text
    assert bibtex(cls.paper)
    for field in fields(cls):
        assert f"        {field.name}: " in text, f"field {field.name} is not described"


@every_metric
def test_a_metric_declares_what_its_values_mean(cls: type[Metric]) -> None:
    assert cls.better in ("higher", "lower")
    low, high = cls.bounds
    assert low < high


@every_metric
def test_every_field_is_varied_in_the_tests(cls: type[Metric]) -> None:
    varied = {
        name
        for options in all_samples()[module_of(cls)].fields
        for name, value in options.items()
        if value != getattr(cls(), name)
    }
    assert varied == {field.name for field in fields(cls)}


@every_metric
def test_a_description_builds_the_same_metric(cls: type[Metric]) -> None:
    for options in ({}, *all_samples()[module_of(cls)].fields):
        made = metric(cls.name, **options)
        assert metric(**made.describe()) == made
        assert metric(made) is made


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("sparsness", {}, NameNotFoundError, "no metric is named 'sparsness'; did you mean sparseness?"),
        ("xyz", {}, NameNotFoundError, f"no metric is named 'xyz'; there are {', '.join(metrics())}"),
        ("sparseness", {"eps": 1}, InputError, "metric sparseness has no field eps; it has none"),
        ("pointing-game", {"radius": 1}, InputError, "metric pointing-game has no field radius; it has tolerance"),
        ("pointing-game", {"tolerance": "3"}, InputError, "field tolerance of pointing-game is '3'; it must be of"),
        ("pointing-game", {"tolerance": -1}, InputError, "field tolerance of pointing-game is -1; it must be at least"),
        (Sparseness(), {"eps": 1}, InputError, "options eps given with a metric that is built already"),
    ],
)
def test_what_is_wrong_is_refused(
    name: str | Metric, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        metric(name, **options)
    assert str(caught.value).startswith(message)


def test_a_second_class_of_one_name_is_an_error() -> None:
    @dataclass(frozen=True)
    class Twin(Sparseness):
        pass

    Twin.__module__ = "onnxcam.metrics.formulas.twin"
    try:
        with pytest.raises(RuntimeError, match="two classes are the metric sparseness"):
            find_classes(Metric, "metric", "onnxcam.metrics.formulas")  # type: ignore[type-abstract]
    finally:
        Twin.__module__ = __name__  # classes live as long as their base: elsewhere it is left out
