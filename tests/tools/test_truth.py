"""The numbers of ``python -m tools.truth``, by hand, and the table they end in."""

from __future__ import annotations

import numpy as np
import pytest

from onnxcam.images import Photograph
from onnxcam.images.frame import Frame
from onnxcam.methods.registry import method, methods
from tests.helpers.shared import shared_path
from tools.docs import README, page, placed, tables
from tools.docs.tables import truth_table
from tools.truth.__main__ import REDUCED, SLOW
from tools.truth.measure import Measured, Refused, centre, chance, error, judged, measure, no_better
from tools.truth.scores import Mask, boxes_mask, grown, hit, share_inside
from tools.truth.sets import Sample, TruthSet, drawings, photographs
from tools.truth.table import SetResult, table

MAP = np.array([[0.0, 0.5, 0.0], [0.0, 1.0, 0.25], [0.25, 0.0, 0.0]], np.float32)
TRUTH = np.array([[0, 0, 0], [0, 1, 1], [0, 1, 1]], np.bool_)


def sample(frame: Frame, truth: Mask, reach: int = 0) -> Sample:
    return Sample(Photograph("", None, np.zeros(1), frame), 0, truth, grown(truth, reach))  # type: ignore[arg-type]


def test_share_inside() -> None:
    assert share_inside(MAP, TRUTH) == pytest.approx(1.25 / 2)
    assert share_inside(MAP * 0, TRUTH) == 0.0
    assert share_inside(MAP, ~TRUTH) == pytest.approx(0.75 / 2)


def test_the_highest_position_hits_or_misses() -> None:
    assert hit(MAP, TRUTH) == 1.0
    assert hit(MAP, ~TRUTH) == 0.0
    assert hit(MAP * 0, np.ones_like(TRUTH)) == 0.0


def test_positions_that_are_equally_high_share_a_hit() -> None:
    assert hit(np.ones((3, 3), np.float32), TRUTH) == pytest.approx(4 / 9)


def test_tolerance_is_a_disc() -> None:
    """(2, 2) is 2.83 px from a truth at the corner: within three pixels, though not within two."""
    truth = np.zeros((7, 6), np.bool_)
    truth[0, 0] = True
    for reach in range(8):
        y, x = np.mgrid[:7, :6]
        np.testing.assert_array_equal(grown(truth, reach), y**2 + x**2 <= reach**2)
    truth[6, 4] = True
    y, x = np.mgrid[:7, :6]
    np.testing.assert_array_equal(grown(truth, 3), (y**2 + x**2 <= 9) | ((y - 6) ** 2 + (x - 4) ** 2 <= 9))


def test_boxes_hold_the_pixels_whose_centre_they_hold() -> None:
    found = boxes_mask([[1.0, 0.0, 3.0, 2.0], [2.6, 1.4, 4.0, 2.9]], (5, 3))
    wanted = [[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 0]]
    np.testing.assert_array_equal(found, np.array(wanted, np.bool_))


def test_a_box_is_met_where_the_photograph_was_squeezed() -> None:
    """A photograph of 40 x 20, squeezed to 4 x 4: the map's third column is the photograph's third quarter."""
    map = np.zeros((4, 4), np.float32)
    map[:, 2] = 1
    frame = Frame.whole((40, 20), (4, 4))
    truth = boxes_mask([[20.0, 0.0, 30.0, 20.0]], (40, 20))
    inside, hits = judged([map], [sample(frame, truth)])
    # Linear interpolation between columns puts a quarter of the mass into the two neighbours.
    assert inside == pytest.approx(0.75, abs=0.01)
    assert hits == 1.0
    inside, hits = judged([map[:, ::-1]], [sample(frame, truth)])
    assert inside == pytest.approx(0.125, abs=0.01)
    assert hits == 0.0


def test_a_near_miss_is_a_hit_within_the_tolerance() -> None:
    """The highest position is the photograph's column 44 or 45, the truth begins at column 60."""
    map = np.zeros((1, 10), np.float32)
    map[0, 4] = 1
    frame, truth = Frame.whole((100, 10), (10, 1)), boxes_mask([[60.0, 0.0, 70.0, 10.0]], (100, 10))
    hits = [float(judged([map], [sample(frame, truth, reach)])[1][0]) for reach in (14, 15, 16)]
    assert hits == [0.0, 0.5, 1.0]


def test_chance_is_the_area_and_the_middle_a_pixel() -> None:
    frame, truth = Frame.whole((10, 4), (5, 4)), boxes_mask([[0.0, 0.0, 4.0, 4.0]], (10, 4))
    one = TruthSet("x", README, None, [sample(frame, truth, 1)])
    assert chance(one).inside == pytest.approx(0.4)
    assert chance(one).hits == pytest.approx(0.5)
    assert (centre(one).inside.tolist(), centre(one).hits.tolist()) == ([0.0], [0.0])


def test_standard_error() -> None:
    assert error(np.array([1.0, 2.0, 3.0, 6.0])) == pytest.approx((14 / 3) ** 0.5 / 2)
    assert np.isnan(error(np.ones(1)))


def test_no_better_compares_the_same_images() -> None:
    """Gains of 0.1 in each image are no chance, however much the images differ; half as many losses make them one."""
    control = Measured(np.array([0.1, 0.5, 0.9, 0.3]), np.zeros(4))
    assert not no_better(Measured(control.inside[:3] + np.array([0.1, 0.11, 0.09]), np.zeros(3)), control)
    assert no_better(Measured(control.inside + np.array([0.1, -0.1, 0.1, -0.05]), np.zeros(4)), control)
    assert no_better(control, control)


def test_maps_of_the_embedded_model_lie_on_the_shapes() -> None:
    drawn = drawings(18)
    found = {name: measure(method(name), drawn) for name in ("hires-cam", "random-cam", "cam")}
    best, control, refused = found.values()
    assert isinstance(best, Measured)
    assert isinstance(control, Measured)
    assert isinstance(refused, Refused)
    assert "global average pooling" in refused.reason
    assert len(best.inside) == 18
    assert best.inside.mean() > 0.35 > 0.2 > control.inside.mean()
    assert best.ratio is not None
    assert best.ratio > 0.5


def test_boxes_lie_where_the_photographs_do() -> None:
    found = photographs(shared_path("images").parent, 2)
    assert found.samples[0].truth.shape == (346, 500)
    assert found.samples[0].truth.sum() == 369 * 238
    assert found.samples[0].near.sum() > found.samples[0].truth.sum()
    assert [one.target for one in found.samples] == [86, 261]


def test_a_table_by_hand() -> None:
    good = Measured(np.array([0.5, 0.7]), np.array([1.0, 0.0]), 1.26)
    control = Measured(np.array([0.1, 0.2, 0.3]), np.ones(3), 12.4)
    results: dict[str, Measured | Refused] = {
        "random-cam": control,
        "rise": good,
        "cam": Refused("no pooling; use another"),
    }
    found = SetResult("set", "three images", 3, results, {"chance": Measured(np.array([0.1, 0.1]), np.zeros(2))})
    made = {name: method(name, **{"count": 5} if name == "rise" else {}) for name in results}
    new = table([found], made)
    assert new.splitlines() == [
        "- set: three images",
        "",
        "| method | set: mass inside | set: hits | set: time |",
        "|---|---|---|---|",
        "| `cam` | -[^cam] | - | - |",
        "| `random-cam` | 0.200 +- 0.058 | 100% +- 0% | 12 |",
        "| `rise` (count 5, not 4000) | 0.600 +- 0.100 (of 2) | 50% +- 50% | 1.3 |",
        "| (chance) | 0.100 +- 0.000 | 0% +- 0% |  |",
        "",
        "\\* not above `random-cam` on the same images by two standard errors of the difference",
        "",
        "[^cam]: no pooling (set)",
    ]
    assert table([found], {"rise": made["rise"]}, new) == new
    assert "gone" not in table([found], made, new.replace("`cam`", "`gone`").replace("[^cam]", "[^gone]"))


def test_the_manual_has_a_row_for_every_method() -> None:
    """One that was not measured yet is a gap."""
    rows = [line.split("`")[1] for line in truth_table().splitlines() if line.startswith("| `")]
    assert rows == list(methods())
    assert "| `grad-cam` | 0." in placed(page("known-truth").read_text(), "truth")
    assert set(REDUCED) <= SLOW <= set(methods())


def test_a_method_that_nobody_measured_yet_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "methods", lambda: {**methods(), "novel": methods()["cam"]})
    rows = {line.split("`")[1]: line for line in truth_table().splitlines() if line.startswith("| `")}
    assert set(rows) == {*methods(), "novel"}
    assert "not measured yet" in rows["novel"]
    assert rows["novel"].count("|") == rows["grad-cam"].count("|")
