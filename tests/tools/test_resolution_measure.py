"""What ``python -m tools.resolution`` measures: contenders, their maps, probabilities, a whole set."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from onnxcam.arrays import upsample
from tests.helpers.shared import shared_path
from tools.resolution import measure as measuring
from tools.resolution.contenders import CAMS, CONTENDERS, DENOISED, FINE, LRPS, PIXELS, maps, pairs, sizes
from tools.resolution.curves import Ends, areas
from tools.resolution.measure import measure, probability
from tools.shapes.samples import MODEL
from tools.truth.sets import drawings, photographs


def test_probabilities_of_a_batch_are_those_of_single_runs() -> None:
    drawn = drawings(6)
    run, images = probability(MODEL), np.concatenate([sample.photograph.array for sample in drawn.samples])
    powers = np.exp([drawn.plain(sample)[0].astype(np.float64) for sample in drawn.samples])
    for target in (0, 5):
        np.testing.assert_allclose(run(target, images), powers[:, target] / powers.sum(axis=1), rtol=1e-3, atol=1e-7)


def test_each_contender_has_the_sizes_that_it_has() -> None:
    drawn = drawings(2)
    wanted = [(12, 12), (24, 24), (48, 48), (96, 96)]
    assert sizes(drawn) == wanted
    found = pairs(drawn)
    assert [size for title, size in found if title == "`random-cam`"] == wanted[:-1]
    assert {title for title, size in found if size == (96, 96)} == {FINE, DENOISED, *LRPS, PIXELS}
    assert len(found) == len(set(found)) == 5 * 4 + 4 * 3 + 1
    assert found[-1] == (PIXELS, (96, 96))
    network = photographs(shared_path("images").parent, 1)
    assert sizes(network) == [(7, 7), (14, 14), (28, 28), (56, 56), (224, 224)]
    assert not {(title, (224, 224)) for title in CAMS} & {*pairs(network)}


@pytest.mark.parametrize("title", [DENOISED, "`hires-cam`"])
def test_maps_are_those_of_the_explainer(title: str) -> None:
    drawn = drawings(2)
    raw, shown = maps(drawn, title, (24, 24))
    explainer = drawn.explainer(CONTENDERS[title], resolution=24)
    found = explainer.explain([one.photograph for one in drawn.samples], [one.target for one in drawn.samples])
    assert found.raw.shape == (2, 24, 24)
    wanted = upsample(found.raw, (96, 96))
    np.testing.assert_allclose(raw, wanted, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(shown, found.maps, atol=1e-4)


def test_a_set_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [("`hires-cam`", (12, 12)), (PIXELS, (96, 96))]
    monkeypatch.setattr(measuring, "pairs", lambda truth: chosen)
    drawn = drawings(12)
    found = measure(drawn, 8)
    assert list(found.worth) == chosen
    assert found.caption.startswith("12 images, of which the network names 12 right; 8 steps; ")
    for metric in ("insertion", "deletion", "inside"):
        assert getattr(found.worth[chosen[0]], metric).shape == (12,)
        gain, error = found.gain(metric, *chosen)
        assert gain > error > 0, metric
    run, sample = probability(MODEL), drawn.samples[7]
    one, (raw, _) = partial(run, sample.target), maps(drawn, *chosen[0])
    alone = areas(Ends.of(sample.photograph.array[0], one), one, raw[7], 8)
    worth = found.worth[chosen[0]]
    assert alone == pytest.approx((worth.insertion[7], worth.deletion[7]), rel=1e-3)
