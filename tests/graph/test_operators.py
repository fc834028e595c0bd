"""The table of traits: it has every operator with a rule, and what it says holds for numbers and in ONNX's schemas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest

from onnxcam.autodiff.registry import gradient_table, zero_gradients
from onnxcam.graph.operators import OPERATORS, Trait, operators_with, traits
from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import OnnxRuntime, Reference
from tests.helpers.sample import Arg, Array, Sample

Check = Callable[[Sample], None]


def without_a_row(rules: set[str]) -> set[str]:
    return rules - set(OPERATORS)


def test_every_operator_with_a_rule_has_a_row() -> None:
    rules = {op_type for _, op_type in gradient_table()}
    missing = sorted(without_a_row(rules))
    assert not missing, f"add a row to OPERATORS in onnxcam/graph/operators.py for {missing}"
    assert without_a_row(rules | {"Novel"}) == {"Novel"}


def test_an_operator_that_is_not_in_the_table_has_no_trait() -> None:
    assert traits("Novel") is Trait.NONE
    assert traits("Relu") & Trait.RECTIFIER
    assert "Relu" in operators_with(Trait.COPIES | Trait.RECTIFIER)
    assert "Relu" not in operators_with(Trait.COPIES)


def result(sample: Sample, **arrays: Array) -> Array:
    """Return the first output with some of the inputs exchanged, in double precision where there is such a kernel."""
    args = list(sample.args)
    for name, array in arrays.items():
        arg = args[int(name[1:])]
        assert arg is not None
        args[int(name[1:])] = replace(arg, array=np.asarray(array))
    kind = np.float64 if sample.oracle == "reference" else np.float32
    made = replace(sample, args=tuple(args), uses=None)
    run = Reference(made.model(kind)) if kind is np.float64 else OnnxRuntime(made.model(kind))
    return run(made.feeds(kind))["y0"].astype(np.float64)


def numbers(sample: Sample) -> dict[str, Array]:
    """Return the inputs in floating point, also those that the file fixes."""
    given = enumerate(sample.args[: len(sample.args) - sample.captured])
    return {f"x{i}": arg.array for i, arg in given if isinstance(arg, Arg) and arg.array.dtype == np.float64}


def other(array: Array) -> Array:
    return np.random.default_rng(5).uniform(0.3, 0.9, array.shape)


def close(found: Array, wanted: Array) -> bool:
    return bool(np.allclose(found, wanted, 1e-4, 1e-5, equal_nan=True))


def elementwise(sample: Sample) -> None:
    given = {f"x{i}": arg.array for i, arg in enumerate(sample.args) if arg is not None and arg.array.size}
    plain = result(sample)
    assert close(result(sample, **{name: np.flip(array) for name, array in given.items()}), np.flip(plain))
    for name, array in numbers(sample).items():
        mark = np.zeros(array.shape, bool)
        mark.reshape(-1)[-1] = True
        moved = ~np.isclose(result(sample, **{name: np.where(mark, other(array), array)}), plain, equal_nan=True)
        # Of some inputs the type alone counts, whatever their shape.
        assert not moved.any() or not (moved & ~np.broadcast_to(mark, plain.shape)).any()


def squashes(sample: Sample) -> None:
    bounds = [float(abs(array).max()) for name, array in numbers(sample).items() if name != "x0"]
    if sample.op == "Clip" and len(bounds) < 2:
        return
    assert abs(result(sample, x0=numbers(sample)["x0"] * 1e4)).max() <= max([1.6, *bounds])


def never_negative(sample: Sample) -> None:
    given = numbers(sample)
    for factor in (1.0, -1.0, 3.0, -3.0):
        assert not (result(sample, **{name: factor * array for name, array in given.items()}) < 0).any()


def not_negative_if_first(sample: Sample) -> None:
    assert not (result(sample, x0=abs(numbers(sample)["x0"])) < 0).any()


def not_negative_if_all(sample: Sample) -> None:
    assert not (result(sample, **{name: abs(array) for name, array in numbers(sample).items()}) < 0).any()


def _affine(sample: Sample, names: list[str]) -> None:
    here = {name: numbers(sample)[name] for name in names}
    there = {name: other(array) - 1.0 * (array > 0) for name, array in here.items()}
    between = result(sample, **{name: (array + there[name]) / 2 for name, array in here.items()})
    assert close(between, (result(sample, **here) + result(sample, **there)) / 2)


def linear_in_all(sample: Sample) -> None:
    _affine(sample, list(numbers(sample)))


def linear_in_first(sample: Sample) -> None:
    if "x0" in numbers(sample):
        _affine(sample, ["x0"])


def linear_in_each(sample: Sample) -> None:
    for name in numbers(sample):
        _affine(sample, [name])


def scales(sample: Sample) -> None:
    x = numbers(sample)["x0"]
    assert close(result(sample, x0=3 * x), 3 * result(sample))


def copies(sample: Sample) -> None:
    assert np.array_equal(result(sample), numbers(sample)["x0"])


def reshapes(sample: Sample) -> None:
    assert np.array_equal(result(sample).reshape(-1), numbers(sample)["x0"].reshape(-1))


def moves(sample: Sample) -> None:
    read = np.concatenate([[0.0], *(array.reshape(-1) for array in numbers(sample).values())])
    found = result(sample)
    assert np.isin(found, read if sample.oracle == "reference" else read.astype(np.float32)).all()


def picks(sample: Sample) -> None:
    assert np.isin(result(sample), numbers(sample)["x0"]).all()


def averages(sample: Sample) -> None:
    x, y = numbers(sample)["x0"], result(sample)
    # Padding may count as zeros.
    assert min(0.0, x.min()) - 1e-9 <= y.min()
    assert y.max() <= max(0.0, x.max()) + 1e-9


CHECKS: dict[Trait, Check] = {
    Trait.ELEMENTWISE: elementwise,
    Trait.SQUASHES: squashes,
    Trait.NONNEGATIVE: never_negative,
    Trait.NONNEGATIVE_IF_FIRST: not_negative_if_first,
    Trait.NONNEGATIVE_IF_ALL: not_negative_if_all,
    Trait.LINEAR_IN_ALL: linear_in_all,
    Trait.LINEAR_IN_FIRST: linear_in_first,
    Trait.LINEAR_IN_EACH: linear_in_each,
    Trait.SCALES: scales,
    Trait.COPIES: copies,
    Trait.RESHAPES: reshapes,
    Trait.MOVES: moves,
    Trait.PICKS: picks,
    Trait.AVERAGES: averages,
}
# An operator without the trait, for which the check has to fail.
WRONG = {
    Trait.ELEMENTWISE: "Softmax",
    Trait.SQUASHES: "Softplus",
    Trait.NONNEGATIVE: "Tanh",
    Trait.NONNEGATIVE_IF_FIRST: "Cos",
    Trait.NONNEGATIVE_IF_ALL: "Sub",
    Trait.LINEAR_IN_ALL: "Mul",
    Trait.LINEAR_IN_FIRST: "Relu",
    Trait.LINEAR_IN_EACH: "Max",
    Trait.SCALES: "Elu",
    Trait.COPIES: "Neg",
    Trait.RESHAPES: "Transpose",
    Trait.MOVES: "ReduceSum",
    Trait.PICKS: "ReduceMean",
    Trait.AVERAGES: "ReduceSum",
}
CLAIMS = [(trait, op_type) for trait in CHECKS for op_type in sorted(operators_with(trait))]


def check_trait(trait: Trait, op_type: str) -> None:
    """Check a trait on all samples of an operator."""
    for sample in (sample for sample in SAMPLES if sample.op == op_type):
        CHECKS[trait](sample)


@pytest.mark.parametrize(("trait", "op_type"), CLAIMS, ids=[f"{op_type}-{trait.name}" for trait, op_type in CLAIMS])
def test_a_trait_holds_for_numbers(trait: Trait, op_type: str) -> None:
    check_trait(trait, op_type)


@pytest.mark.parametrize("trait", CHECKS, ids=lambda trait: trait.name)
def test_a_wrong_trait_is_found(trait: Trait) -> None:
    assert not traits(WRONG[trait]) & trait
    with pytest.raises(AssertionError):
        check_trait(trait, WRONG[trait])


SCHEMAS = {
    schema.name: schema
    for schema in sorted(onnx.defs.get_all_schemas_with_history(), key=lambda schema: schema.since_version)
    if schema.domain == "" and not schema.deprecated
}


def _types(op_type: str) -> set[str]:
    output = SCHEMAS[op_type].outputs[0]
    allowed = {entry.type_param_str: entry.allowed_type_strs for entry in SCHEMAS[op_type].type_constraints}
    return set(allowed.get(output.type_str, [output.type_str]))


@pytest.mark.parametrize(
    ("trait", "kind"),
    [
        (Trait.TRUTH, "tensor(bool)"),
        (Trait.SIZES | Trait.POSITIONS, "tensor(int64)"),
        (Trait.INTEGER_SUM, "tensor(int32)"),
    ],
    ids=["truth", "sizes and positions", "integer sums"],
)
def test_results_have_the_type_of_their_trait(trait: Trait, kind: str) -> None:
    assert {op_type for op_type in operators_with(trait) if _types(op_type) != {kind}} == set()
    assert _types("Relu") != {kind}


def test_what_runs_graphs_of_its_own_has_such_an_attribute() -> None:
    graphs = onnx.defs.OpSchema.AttrType.GRAPH
    with_graphs = {name for name, s in SCHEMAS.items() if any(a.type == graphs for a in s.attributes.values())}
    assert operators_with(Trait.BODIES) == with_graphs


def test_what_is_random_is_declared_so_where_it_has_no_gradient() -> None:
    declared = {name for (_, name), reason in zero_gradients().items() if reason == "its result is drawn by chance"}
    assert operators_with(Trait.RANDOM) == declared


def test_a_bias_is_the_third_input() -> None:
    third = {name for name, s in SCHEMAS.items() if len(s.inputs) > 2 and s.inputs[2].name in ("B", "C")}
    assert operators_with(Trait.TAKES_BIAS) <= third
