from __future__ import annotations

import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Shape, Var
from onnxcam.autodiff.driver import BackwardPass
from tests.networks.random_graphs import check, models

_FAST, _MANY = 60, 2000
_SLOW_GRAPHS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
_COMMON = settings(deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW_GRAPHS)


@settings(_COMMON, max_examples=_FAST)
@given(models())
def test_gradients_of_random_graphs(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.slow
@settings(_COMMON, max_examples=_MANY)
@given(models())
def test_gradients_of_many_random_graphs(model: onnx.ModelProto) -> None:
    check(model)


def only_the_first(backward: BackwardPass, value: object) -> Var | None:
    """Drop the cotangents of all paths but the first."""
    received = backward._received.get(value)  # type: ignore[call-overload]  # as the driver calls it
    return received[0] if received else None


def only_the_last(backward: BackwardPass, value: object) -> Var | None:
    received = backward._received.get(value)  # type: ignore[call-overload]  # as the driver calls it
    return received[-1] if received else None


def not_undone(op: Builder, dy: Var, result: Shape | None, x: Var) -> Var:
    """Leave the cotangent in the shape that broadcasting made."""
    return dy


def undone_by_a_mean(op: Builder, dy: Var, result: Shape | None, x: Var) -> Var:
    """Divide by how often a value was repeated."""
    undone = _unbroadcast(op, dy, result, x)
    repeated = op.Div(op.Size(dy), op.Size(x))
    return op.Div(undone, op.cast(repeated, undone.dtype))


_unbroadcast = shapes.unbroadcast


@pytest.mark.parametrize(
    ("owner", "name", "bug"),
    [
        (BackwardPass, "cotangent", only_the_first),
        (BackwardPass, "cotangent", only_the_last),
        (shapes, "unbroadcast", not_undone),
        (shapes, "unbroadcast", undone_by_a_mean),
    ],
    ids=["only the first", "only the last", "not undone", "undone by a mean"],
)
def test_planted_bugs_are_caught(owner: object, name: str, bug: object) -> None:
    # The same examples as above, without the search for a smaller one.
    @settings(_COMMON, max_examples=_FAST, phases=[Phase.generate], report_multiple_bugs=False)
    @given(models())
    def property_of_all(model: onnx.ModelProto) -> None:
        check(model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, bug)
        with pytest.raises((AssertionError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError)):
            property_of_all()
