"""The curves of ``python -m tools.resolution`` in loops, and its verdicts on numbers that were made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from onnxcam.arrays import upsample
from onnxcam.attribution.resolution import Size
from tests.helpers.shared import shared_path
from tools.docs import page, placed
from tools.resolution import measure as measuring
from tools.resolution.claims import CLAIMS, HARDLY, Part, beats_cams, beats_lrp, hardly_falls, statement, verdict
from tools.resolution.contenders import CAMS, CONTENDERS, DENOISED, FINE, LRPS, PIXELS, maps, pairs, sizes
from tools.resolution.curves import KERNEL, SIGMA, Ends, Images, Numbers, areas, between, counts, ranked
from tools.resolution.measure import Findings, Worth, measure, probability
from tools.resolution.table import differs, tables
from tools.shapes.samples import MODEL
from tools.truth.sets import drawings, photographs

RANDOM = np.random.default_rng(3)
IMAGE = RANDOM.uniform(0.2, 1.0, (2, 3, 5))
WEIGHTS = RANDOM.uniform(-1.0, 2.0, (2, 3, 5))


def network(images: Images) -> Numbers:
    """A probability that no sum of pixels is."""
    return np.asarray(1 / (1 + np.exp(-((images * WEIGHTS).sum(axis=(1, 2, 3)) ** 3) / 20)))


def loop_curve(start: Images, stop: Images, map: Images, steps: int) -> float:
    """Return the area under a curve, pixel by pixel; no two places of the map are equal."""
    height, width = map.shape
    order = sorted(((y, x) for y in range(height) for x in range(width)), key=lambda place: map[place], reverse=True)
    points = []
    for step in range(steps + 1):
        changed = round(step * height * width / steps)
        image = start.copy()
        for y, x in order[:changed]:
            for channel in range(len(image)):
                image[channel, y, x] = stop[channel, y, x]
        points.append((changed / (height * width), float(network(image[None])[0])))
    return float(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points)))


@pytest.mark.parametrize("steps", [1, 2, 4, 7, 15])
def test_areas_are_those_of_loops(steps: int) -> None:
    ends, map = Ends.of(IMAGE, network), RANDOM.normal(size=(3, 5))
    blurred, whole, plain = ends.images
    wanted = loop_curve(blurred, whole, map, steps), loop_curve(whole, plain, map, steps)
    assert areas(ends, network, map, steps) == pytest.approx(wanted, rel=1e-12)
    assert wanted[0] != pytest.approx(wanted[1], rel=1e-3)


def test_only_the_order_of_a_map_counts() -> None:
    ends, map = Ends.of(IMAGE, network), RANDOM.normal(size=(3, 5))
    assert areas(ends, network, np.exp(3 * map), 5) == areas(ends, network, map, 5)


def test_ends_are_blurred_whole_and_plain() -> None:
    image = RANDOM.normal(size=(2, 13, 17))
    ends = Ends.of(image, lambda images: images.sum(axis=(1, 2, 3)))
    reach = KERNEL // 2
    offsets = range(-reach, reach + 1)
    bell = {(y, x): np.exp(-(y * y + x * x) / (2 * SIGMA**2)) for y in offsets for x in offsets}

    def mirrored(at: int, length: int) -> int:
        return -at if at < 0 else 2 * (length - 1) - at if at >= length else at

    for y, x in ((0, 0), (6, 8), (12, 3)):
        near = {(v, u): image[1, mirrored(y + v, 13), mirrored(x + u, 17)] for v, u in bell}
        wanted = sum(bell[at] * near[at] for at in bell) / sum(bell.values())
        assert ends.images[0, 1, y, x] == pytest.approx(wanted)
    np.testing.assert_array_equal(ends.images[1], image)
    assert not ends.images[2].any()
    np.testing.assert_allclose(ends.values, [ends.images[0].sum(), image.sum(), 0])


def test_a_perfect_map_beats_a_reversed_one() -> None:
    """The probability is the share of the deciding pixels that are as they were."""
    truth = np.zeros((6, 6), np.bool_)
    truth[1:3, 2:5] = True
    image = np.ones((1, 6, 6))

    def seen(images: Images) -> Numbers:
        return np.asarray(images[:, 0, truth].mean(axis=1))

    # A blurred image of ones is one of ones: the curve of insertion begins at a plain one here.
    ends = Ends(np.stack([image * 0, image, image * 0]), np.array([0.0, 1.0, 0.0]))
    good, bad = (areas(ends, seen, sign * truth.astype(np.float64), 36) for sign in (1, -1))
    # Six of 36 pixels decide: the probability rises, or falls, on the first or the last sixth.
    assert good == pytest.approx((11 / 12, 1 / 12))
    assert bad == pytest.approx((1 / 12, 11 / 12))


def test_equal_places_come_in_one_drawn_order() -> None:
    flat = ranked(np.zeros((8, 8)))
    assert sorted(flat) == list(range(64))
    assert list(flat) != sorted(flat)
    # The first half of a flat map is no half of the image.
    assert 8 < (flat[:32] < 32).sum() < 24
    np.testing.assert_array_equal(flat, ranked(np.full((8, 8), 7.0)))
    steps = (np.arange(64) % 3).reshape(8, 8).astype(np.float32)
    order = ranked(steps)
    assert list(steps.ravel()[order]) == sorted(steps.ravel(), reverse=True)
    for value in range(3):
        equal = order[steps.ravel()[order] == value]
        assert list(equal) == [place for place in flat if steps.ravel()[place] == value]


def test_steps_are_equal_parts() -> None:
    assert list(counts(15, 4)) == [0, 4, 8, 11, 15]
    assert list(counts(2, 4)) == [0, 0, 1, 2, 2]
    start, stop = np.zeros((1, 2, 2)), np.ones((1, 2, 2))
    way = between(start, stop, np.array([2, 0, 3, 1]), 4)
    np.testing.assert_array_equal(way[:, 0].reshape(3, 4), [[0, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 1]])


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


SIZES: list[Size] = [(2, 2), (4, 4), (8, 8)]
COARSE, MIDDLE, INPUT = SIZES
# Images differ much; contenders differ by the same on each of them, but for a little that is nothing on the whole.
IMAGES = np.array([0.3, 0.5, 0.7, 0.4])


def made(value: Callable[[str, Size], float]) -> Findings:
    """Return findings where a contender is as much better than the least as a function says, by both metrics."""
    titles = [(title, size) for title in CONTENDERS for size in SIZES if size != INPUT or title in (FINE, *LRPS)]
    titles += [(DENOISED, INPUT), (PIXELS, INPUT)]
    worth, random = {}, np.random.default_rng(0)
    for title, size in titles:
        noise = 0.001 * random.normal(size=len(IMAGES))
        good = value(title, size) + noise - noise.mean()
        worth[title, size] = Worth(IMAGES + good, IMAGES - good, IMAGES)
    return Findings("made up", "four images", SIZES, worth)


def best(title: str, size: Size) -> float:
    """FG-CAM beats everything, and everything beats the control."""
    if title == PIXELS:
        return -0.1
    return 0.2 if title in (FINE, DENOISED) else 0.0


def verdicts(judge: Any, found: Findings) -> list[str]:
    return [judge(found, metric, FINE).verdict for metric in ("insertion", "deletion")]


def test_gains_are_gains_by_every_metric() -> None:
    found = made(best)
    for metric in ("insertion", "deletion"):
        gain, error = found.gain(metric, (FINE, COARSE), (CAMS[0], COARSE))
        assert gain == pytest.approx(0.2, abs=0.001)
        assert 0 < error < 0.002
        assert found.gain(metric, (CAMS[0], COARSE), (FINE, COARSE))[0] == pytest.approx(-gain)
        assert differs(found, metric, CAMS[0], COARSE)
        assert not differs(found, metric, DENOISED, COARSE)


def test_faithfulness_that_stays_or_falls() -> None:
    assert verdicts(hardly_falls, made(best)) == ["shown", "shown"]

    def falling(title: str, size: Size) -> float:
        # The fall is in the middle: the last size alone does not tell.
        return best(title, size) - (HARDLY + 0.03 if size == MIDDLE else 0)

    assert verdicts(hardly_falls, made(falling)) == ["against", "against"]
    part = hardly_falls(made(falling), "insertion", FINE)
    assert part.figures.startswith("0.675 at 2x2, 0.675 at 8x8; at its worst, 4x4, 0.08")

    def rising(title: str, size: Size) -> float:
        return best(title, size) + size[0] / 20

    assert verdicts(hardly_falls, made(rising)) == ["shown", "shown"]
    assert "no worse, 0.1" in hardly_falls(made(rising), "deletion", FINE).figures


def test_a_fall_about_as_large_as_allowed_is_left_open() -> None:
    def falling(title: str, size: Size) -> float:
        return best(title, size) - (HARDLY if size == INPUT else 0.0)

    assert verdicts(hardly_falls, made(falling)) == ["open", "open"]


def test_what_random_pixels_do_as_well_is_not_faithful() -> None:
    def easy(title: str, size: Size) -> float:
        return 0.2 if title == PIXELS else best(title, size)

    assert verdicts(hardly_falls, made(easy)) == ["open", "open"]
    assert "at the input +0.300 +- " in hardly_falls(made(best), "deletion", FINE).figures


def test_rivals_that_are_beaten_or_win() -> None:
    assert verdicts(beats_cams, made(best)) == ["shown", "shown"]
    assert verdicts(beats_lrp, made(best)) == ["shown", "shown"]
    beaten = "; ".join(f"{title} at 4x4" for title in CAMS)
    assert beats_cams(made(best), "insertion", FINE).figures.startswith(
        f"better than 3 ({beaten}), worse than 0, of 3; from +0."
    )

    def one_cam(title: str, size: Size) -> float:
        return 0.3 if (title, size) == (CAMS[1], MIDDLE) else best(title, size)

    assert verdicts(beats_cams, made(one_cam)) == ["open", "open"]
    figures = beats_cams(made(one_cam), "deletion", FINE).figures
    beaten = f"better than 2 ({CAMS[0]} at 4x4; {CAMS[2]} at 4x4)"
    assert figures.startswith(f"{beaten}, worse than 1 ({CAMS[1]} at 4x4), of 3; from -0.1")
    assert f"over {CAMS[1]} at 4x4 to +0.2" in figures
    assert verdicts(beats_lrp, made(one_cam)) == ["shown", "shown"]

    def coarse_cams(title: str, size: Size) -> float:
        # Who wins at the last layer is not asked.
        return 0.3 if size == COARSE and title in CAMS else best(title, size)

    assert verdicts(beats_cams, made(coarse_cams)) == ["shown", "shown"]

    def all_lrp(title: str, size: Size) -> float:
        return 0.3 if title in LRPS else best(title, size)

    assert verdicts(beats_lrp, made(all_lrp)) == ["against", "against"]
    assert verdicts(beats_lrp, made(lambda title, size: 0.0)) == ["open", "open"]


def test_one_image_shows_nothing() -> None:
    found = made(best)
    cut: Mapping[tuple[str, Size], Worth] = {
        pair: Worth(one.insertion[:1], one.deletion[:1], one.inside[:1]) for pair, one in found.worth.items()
    }
    single = Findings("one", "one image", SIZES, cut)
    for judge in CLAIMS.values():
        assert verdicts(judge, single) == ["open", "open"]
    assert not differs(single, "insertion", CAMS[0], COARSE)


def test_verdicts_in_words() -> None:
    shown, against, left = (Part(f"{each} (x)", each, "") for each in ("shown", "against", "open"))
    assert verdict([shown, shown]) == "our numbers show it"
    assert verdict([left, left]) == "our numbers do not show it"
    assert verdict([shown, left, shown]) == "our numbers show it only for shown (x) and shown (x)"
    assert verdict([against, left]) == "our numbers do not show it; they speak against it for against (x)"
    assert verdict([shown, against]) == "our numbers show it only for shown (x); they speak against it for against (x)"


def test_a_statement_follows_the_numbers() -> None:
    lines = statement([made(best)]).splitlines()
    assert [line for line in lines if line.endswith("our numbers show it.")] == [
        f"   - {title}: our numbers show it." for title in (FINE, DENOISED) * 3
    ][:6]
    worse = statement([made(lambda title, size: -best(title, size))])
    assert worse.count("our numbers do not show it; they speak against it for insertion (made up)") == 4


def test_a_table_by_hand() -> None:
    text = tables([made(best)])
    first = text.split("\n\n")[1].splitlines()
    assert first[0] == "| insertion AUC, high is good | made up 2x2 | made up 4x4 | made up 8x8 |"
    rows = {line.split(" | ")[0]: line for line in first}
    assert rows[f"| {FINE}"] == f"| {FINE} | 0.675 | 0.675 | 0.675 |"
    assert rows[f"| {DENOISED}"] == f"| {DENOISED} | 0.675 \\* | 0.675 \\* | 0.675 \\* |"
    assert rows[f"| {CAMS[0]}"].endswith(" | - |")
    assert "\\*" not in rows[f"| {CAMS[0]}"]
    assert rows[f"| {PIXELS}"] == f"| {PIXELS} | - | - | 0.375 |"


def test_the_readme_has_every_contender() -> None:
    text = placed(page("resolution").read_text(), "resolution")
    for title in (*CONTENDERS, PIXELS):
        assert text.count(f"\n| {title} | ") == 3, "python -m tools.resolution --write measures what is new"
    assert all(f"{number}. {claim}" in text for number, claim in enumerate(CLAIMS, start=1))
