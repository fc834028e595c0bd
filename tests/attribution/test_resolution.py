"""Maps of a wanted size, and films of all sizes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onnxcam
from onnxcam.attribution.strip import strip
from onnxcam.errors import InputError, NameNotFoundError, OnnxcamError, UnsupportedError
from onnxcam.methods.base import Method
from onnxcam.methods.registry import methods
from onnxcam.report.names import method_title
from tests.helpers.commands import run
from tests.helpers.models import classifier, floats

DATA = Path(str(files("onnxcam") / "data"))
SHAPES, PHOTO = DATA / "shapes.onnx", sorted(DATA.glob("*.png"))[0]
CLASSIFIER: Any = {"model": classifier()}


def _raw(method: str | Method, **options: Any) -> Any:
    return onnxcam.Explainer(method=method, **CLASSIFIER, **options)(floats(2, 3, 8, 8), 1).raw


@pytest.mark.parametrize("size", [8, (8, 8)])
def test_a_method_of_layers_explains_at_the_layer_of_that_size(size: Any) -> None:
    np.testing.assert_array_equal(_raw("grad-cam", resolution=size), _raw("grad-cam", layer="a1"))
    np.testing.assert_array_equal(_raw("grad-cam", resolution=4), _raw("grad-cam"))


@pytest.mark.parametrize("method", ["fg-cam", "lrp", "clrp", "sglrp"])
def test_a_method_that_propagates_ends_at_its_layer(method: str) -> None:
    for size, layer in ((4, "a2"), (8, "input")):
        found, wanted = _raw(method, resolution=size), _raw(onnxcam.method(method, to=layer))
        assert found.shape == (2, size, size)
        np.testing.assert_array_equal(found, wanted)


def test_fg_cam_at_its_own_size_is_its_base() -> None:
    for base in ("grad-cam", "score-cam"):
        found = _raw(onnxcam.method("fg-cam", base=base), resolution=4)
        wanted = _raw(base)
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_relevance_at_a_layer_sums_to_what_reaches_it() -> None:
    method = onnxcam.method("lrp", composite="z-plus", to="a2")
    scores = onnxcam.Explainer(method=method, **CLASSIFIER)(floats(2, 3, 8, 8), 1)
    np.testing.assert_allclose(scores.raw.sum(axis=(1, 2)), scores.scores[:, 1], rtol=1e-4)


def test_a_method_inside_another_is_given_its_end() -> None:
    wrapped = onnxcam.wrap("noise", onnxcam.method("fg-cam"), n=2)
    made = onnxcam.Explainer(method=wrapped, **CLASSIFIER, resolution=8)
    assert made.method.describe()["method"]["to"] == "input"
    assert made(floats(1, 3, 8, 8)).raw.shape == (1, 8, 8)


def test_the_layer_where_propagation_ends_is_only_named() -> None:
    """No gradient is propagated to a layer where only relevance is wanted."""
    made = onnxcam.Explainer(method=onnxcam.method("fg-cam", to="a1"), **CLASSIFIER)
    assert made.engine.names == ("a2",)
    assert onnxcam.Explainer(method=onnxcam.method("fg-cam", to="a1"), layer="a1", **CLASSIFIER).engine.names == ("a1",)


@pytest.mark.parametrize(
    ("method", "options", "error", "said"),
    [
        ("grad-cam", {"resolution": 5}, NameNotFoundError, "grad-cam makes no map of 5x5 .* there are 4x4, 8x8"),
        ("lrp", {"resolution": (4, 8)}, NameNotFoundError, "lrp makes no map of 4x8 .* there are 4x4, 8x8"),
        ("gradient", {"resolution": 8}, UnsupportedError, "gradient makes maps of the input's size only"),
        ("grad-cam", {"resolution": 8, "layer": -1}, InputError, "both choose the layer"),
        (onnxcam.method("fg-cam", to="a1"), {"resolution": 4}, InputError, "to=a1 and a resolution both choose"),
        ("fg-cam", {"resolution": 4, "layer": "a1"}, NameNotFoundError, "there are 8x8"),
        ("fg-cam", {"resolution": 8, "layer": "a3"}, NameNotFoundError, "did you mean"),
    ],
)
def test_refusals(method: Any, options: Any, error: type[OnnxcamError], said: str) -> None:
    with pytest.raises(error, match=said):
        onnxcam.Explainer(method=method, **CLASSIFIER, **options)


def test_sizes_that_the_file_leaves_open_are_no_choice() -> None:
    model = classifier()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "w"
    with pytest.raises(NameNotFoundError, match="leaves sizes open, so choose by layer"):
        onnxcam.Explainer(model, "grad-cam", resolution=8)


@pytest.mark.parametrize("method", ["fg-cam", "hires-cam"])
def test_a_film_has_a_frame_for_each_size(method: str, tmp_path: Path) -> None:
    made = onnxcam.Explainer(SHAPES, method)
    photo = made.read(PHOTO)
    plain, filmed = made.explain([photo, photo], [[0, 1]] * 2), made.explain([photo, photo], [[0, 1]] * 2, film=True)
    np.testing.assert_array_equal(plain.raw, filmed.raw)
    assert (len(plain.films), len(filmed.films)) == (0, 4)
    frame = onnxcam.Explainer(SHAPES, method).explain([photo]).overlay(captioned=False).width
    sizes = {one.explain([photo]).raw.shape[1:] for one in made._by_resolution}
    assert len(sizes) == len(made._by_resolution) >= 2
    assert filmed.films[0].width >= len(sizes) * min(frame, 256)
    # One target has its own strip.
    assert filmed.films[0].tobytes() != filmed.films[1].tobytes()
    saved = filmed[0].save(tmp_path)[0]
    assert saved.film is not None
    with Image.open(saved.film) as strip:
        assert strip.size == filmed.films[0].size
    assert saved.film.name == f"{saved.overlay.stem}-film.png"


def test_at_leaves_the_explainer_as_it_is() -> None:
    made = onnxcam.Explainer(method="grad-cam", **CLASSIFIER)
    before = made(floats(1, 3, 8, 8)).raw
    assert made.at(8)(floats(1, 3, 8, 8)).raw.shape == (1, 8, 8)
    np.testing.assert_array_equal(made(floats(1, 3, 8, 8)).raw, before)
    # Also where the first size is an end of its own.
    again = onnxcam.Explainer(method="fg-cam", **CLASSIFIER).at(4).at(8)
    assert again.method == onnxcam.method("fg-cam")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, photo, out = str(SHAPES), str(PHOTO), str(tmp_path / "out")
    ran = run(capsys, "explain", model, photo, "-m", "fg-cam", "--film", "--resolution", "24", "-o", out, "-q")
    assert ran.code == 0
    assert ran.out.rstrip().endswith("-film.png")
    assert np.load(next((tmp_path / "out").glob("*.npy"))).shape == (24, 24)
    ran = run(capsys, "explain", model, photo, "-m", "lrp", "--to", "-1", "-o", out, "-q")
    assert ran.code == 0
    for arguments, said in (
        (
            ["-m", "grad-cam", "--to", "0"],
            "--to is for methods that propagate to a chosen layer (clrp, fg-cam, lrp, sglrp), not for grad-cam",
        ),
        (["--resolution", "0"], "'0' is no size; write 56"),
        (["--film", "-m", "gradient"], "gradient makes maps of the input's size only"),
    ):
        ran = run(capsys, "explain", model, photo, *arguments, "-o", out)
        assert ran.code != 0
        assert said in ran.err


def test_methods_that_end_somewhere_say_so() -> None:
    ending = {name for name, method in methods().items() if "to" in method.__dataclass_fields__}
    assert ending == {"fg-cam", "lrp", "clrp", "sglrp"}


def test_a_film_names_the_wrapped_method_too(monkeypatch: pytest.MonkeyPatch) -> None:
    details: list[str] = []

    def caption(image: Image.Image, text: str, detail: str = "") -> Image.Image:
        details.append(detail)
        return image

    monkeypatch.setattr("onnxcam.attribution.strip.caption", caption)
    wrapped = onnxcam.wrap("noise", onnxcam.method("grad-cam"), n=2)
    made = onnxcam.Explainer(SHAPES, wrapped, providers=["cpu"])
    strip([made.explain([made.read(PHOTO)])])
    assert details[-1] == method_title(wrapped.describe()) == "grad-cam-noise"
