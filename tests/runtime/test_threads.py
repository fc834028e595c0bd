"""Maps do not depend on the number of threads, and an interrupt leaves nothing broken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import onnxcam
from onnxcam.methods.base import Method
from onnxcam.methods.registry import method, methods
from tests.helpers.few import few
from tests.helpers.models import floats, model

# Of the map's largest value. Threads share out rows and channels; where they share out a sum, its terms are added in
# another order, which changes last bits (6e-8) that a few layers pass on. A race, or noise drawn in an order that
# depends on threads, would differ by far more.
TOLERANCE = 1e-5
# The small network has two layers.
LAYERS: dict[str, Any] = {"refine-cam": {"layers": (-1, -2)}}
SAMPLES = [few(name, **LAYERS.get(name, {})) for name, cls in methods().items() if cls().needs.reads != "attentions"]
SAMPLES += [method("ablation-cam", closed_form=False), method("fg-cam", base="score-cam")]


@cache
def shapes() -> tuple[str, npt.NDArray[np.float32]]:
    """Return the embedded model and its pictures."""
    data = Path(str(files("onnxcam") / "data"))
    path = str(data / "shapes.onnx")
    explainer = onnxcam.Explainer(path)
    return path, np.concatenate([explainer.read(picture).array for picture in sorted(data.glob("*.png"))])


@cache
def small() -> tuple[bytes, npt.NDArray[np.float32]]:
    """Return a network that every method of convolutions is for, large enough for threads to share the work."""
    text = """g (float[n, 3, 40, 40] x) => (float[n, 5] y) {
        c = Conv <pads = [1, 1, 1, 1], strides = [4, 4]> (x, w, b) a = Relu (c)
        d = Conv <pads = [1, 1, 1, 1]> (a, v) e = Relu (d)
        p = GlobalAveragePool (e) f = Flatten (p) y = Gemm (f, u)
    }"""
    weights: dict[str, Any] = {
        "w": floats(16, 3, 3, 3) / 4,
        "b": floats(16),
        "v": floats(24, 16, 3, 3) / 10,
        "u": floats(24, 5),
    }
    return model(text, weights).SerializeToString(), floats(2, 3, 40, 40)


def assert_threads_agree(file: str | bytes, x: npt.NDArray[np.float32], sample: Method) -> None:
    one, other = (onnxcam.Explainer(file, sample, providers=["cpu"], threads=count)(x).raw for count in (1, 2))
    assert np.abs(one).max() > 0
    np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE * np.abs(one).max())


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_small_file(sample: Method) -> None:
    assert_threads_agree(*small(), sample)


# One of each way to run a network; the others, with the default suite's small file, are enough for every day.
_EVERY_DAY = {"hires-cam", "ablation-cam", "rise", "lrp", "smooth-grad"}
EMBEDDED = [
    pytest.param(sample, marks=[] if sample.name in _EVERY_DAY else pytest.mark.slow, id=str(sample))
    for sample in SAMPLES
    if sample.needs.head == "any"
]


@pytest.mark.parametrize("sample", EMBEDDED)
def test_the_embedded_model(sample: Method) -> None:
    assert_threads_agree(*shapes(), sample)


def test_what_depends_on_chance_would_be_noticed() -> None:
    file, x = small()
    for name, options in (("rise", {"count": 32}), ("smooth-grad", {"n": 3})):
        one, other = (onnxcam.Explainer(file, method(name, seed=seed, **options))(x).raw for seed in (0, 1))
        assert np.abs(one - other).max() > 100 * TOLERANCE * np.abs(one).max()


class Interrupting:
    """Progress that is interrupted at the second step, once."""

    def __init__(self) -> None:
        self.left = 1
        self.seen: list[int] = []

    def __call__(self, steps: Iterable[int], total: int) -> Iterator[int]:
        """Count; calls after the interrupt pass."""
        for step in steps:
            self.seen.append(step)
            if step == 1 and self.left:
                self.left -= 1
                raise KeyboardInterrupt
            yield step


@pytest.mark.parametrize(
    "sample",
    [
        method("ablation-cam", closed_form=False),
        method("recipro-cam", closed_form=False),
        method("score-cam"),
        method("rise", count=32),
        method("fg-cam", base="score-cam"),
        method("smooth-grad", n=3),
        method("integrated-gradients", steps=3),
    ],
    ids=str,
)
def test_after_an_interrupt_the_explainer_goes_on(sample: Method) -> None:
    """The interrupt is passed on as it is, and the next call gives what a fresh explainer gives."""
    file, x = small()
    progress = Interrupting()
    explainer = onnxcam.Explainer(file, sample, providers=["cpu"], threads=1, progress=progress)
    with pytest.raises(KeyboardInterrupt):
        explainer(x)
    assert progress.seen == [0, 1]
    again = explainer(x)
    assert progress.seen[2:4] == [0, 1]
    fresh = onnxcam.Explainer(file, sample, providers=["cpu"], threads=1)(x)
    np.testing.assert_array_equal(again.raw, fresh.raw)
    np.testing.assert_array_equal(again.scores, fresh.scores)
