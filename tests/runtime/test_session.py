from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from onnxcam.errors import InputError, ModelError, ProviderError
from onnxcam.graph.io.load import load
from onnxcam.graph.io.serialize import serialize
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.runtime.providers import CUDA, full_name, preferred, require_loaded
from onnxcam.runtime.session import Session
from tests.helpers.models import classifier, floats, model


def _session(**options: object) -> Session:
    return Session(classifier().SerializeToString(), ["cpu"], **options)  # type: ignore[arg-type]


def test_inputs_and_outputs_are_reported() -> None:
    session = _session(threads=1)
    assert session.provider == "CPUExecutionProvider"
    assert session.inputs["x"].shape == (None, 3, 8, 8)
    assert session.inputs["x"].dtype == np.float32
    assert session.outputs == ["y"]


def test_weights_in_memory_give_the_same_numbers() -> None:
    wide = classifier(classes=64)
    parts = serialize(canonicalize(load(wide).ir))
    assert parts.weights, "the model has no weight large enough to be shared"
    x = floats(2, 3, 8, 8)
    shared = Session(parts.data, ["cpu"], weights=parts.weights).run({"x": x})["y"]
    np.testing.assert_array_equal(shared, Session(wide.SerializeToString(), ["cpu"]).run({"x": x})["y"])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_pieces_join_to_the_whole(size: int) -> None:
    session, x = _session(), floats(5, 3, 8, 8)
    whole = session.run({"x": x})["y"]
    np.testing.assert_allclose(session.run_batched({"x": x}, size=size)["y"], whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(session.run_batched({"x": x}, size=size, fixed=True)["y"], whole, rtol=1e-5, atol=1e-6)


def test_one_number_for_all_samples_comes_from_one_run_only() -> None:
    text = "g (float[n, 3] x) => (float y, float[n, 3] z) { y = ReduceMean <keepdims = 0> (x)  z = Neg(x) }"
    session, x = Session(model(text).SerializeToString(), ["cpu"]), floats(4, 3)
    assert session.run_batched({"x": x}, size=4)["y"] == pytest.approx(x.mean(), abs=1e-6)
    assert session.run_batched({"x": x}, ["z"], size=2)["z"].shape == (4, 3)
    # The third one repeats a sample, which the mean over a run counts twice.
    for rows, size in ((4, 1), (4, 2), (1, 2)):
        with pytest.raises(InputError, match=f"'y' is one number for all samples of a run.*give {size} at a time"):
            session.run_batched({"x": x[:rows]}, size=size, fixed=True)


def test_types_are_brought_into_line() -> None:
    session, x = _session(), np.ones((1, 3, 8, 8))
    expected = session.run({"x": x.astype(np.float32)})["y"]
    for dtype in (np.float64, np.float16, np.int64, np.uint8, np.bool_):
        np.testing.assert_array_equal(session.run({"x": x.astype(dtype)})["y"], expected)


def test_integer_inputs_take_whole_numbers_in_range() -> None:
    session = Session(model("g (uint8[n] x) => (uint8[n] y) { y = Identity(x) }").SerializeToString(), ["cpu"])
    np.testing.assert_array_equal(session.run({"x": np.array([0.0, 255.0])})["y"], [0, 255])
    for bad in ([0.5], [256.0], [-1], [np.nan]):
        with pytest.raises(InputError, match="preprocessing"):
            session.run({"x": np.array(bad)})


def test_float16_inputs_are_converted() -> None:
    session = Session(model("g (float16[n] x) => (float16[n] y) { y = Add(x, x) }").SerializeToString(), ["cpu"])
    assert session.run({"x": np.ones(3, np.float32)})["y"].dtype == np.float16


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "needs the input"),
        ({"x": floats(1, 3, 8, 8), "z": floats(1)}, "has no input"),
        ({"x": floats(1, 3, 8, 9)}, r"takes shape \?x3x8x8, not 1x3x8x9"),
        ({"x": floats(3, 8, 8)}, "takes shape"),
        ({"x": np.array([["a"]])}, "takes shape"),
        ({"x": np.full((1, 3, 8, 8), "a")}, "takes numbers"),
    ],
)
def test_wrong_feeds_are_refused(feeds: dict[str, npt.NDArray[Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _session().run(feeds)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="no samples"):
        _session().run_batched({"x": floats(0, 3, 8, 8)}, size=2)


def test_a_broken_model_is_refused_in_one_line() -> None:
    with pytest.raises(ModelError, match="onnxruntime rejects") as caught:
        Session(b"not a model", ["cpu"])
    assert "\n" not in str(caught.value)


def test_provider_names() -> None:
    assert full_name("cpu") == full_name("CPUExecutionProvider") == "CPUExecutionProvider"
    assert preferred(["cpu"]) == ["CPUExecutionProvider"]
    with pytest.raises(ProviderError, match="not in this build"):
        full_name("abacus")


def test_a_fallback_is_an_error() -> None:
    require_loaded(["CPUExecutionProvider"], ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match="does not load"):
        require_loaded([CUDA, "CPUExecutionProvider"], ["CPUExecutionProvider"])


def test_the_device_path_gives_the_same_numbers() -> None:
    # What a GPU runs, on the CPU: bound inputs and outputs.
    session, x = _session(), floats(2, 3, 8, 8)
    bound = session._run_bound(["y"], {"x": x})
    np.testing.assert_array_equal(bound[0], session.run({"x": x})["y"])
