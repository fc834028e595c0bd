"""The verdicts and tables of ``python -m tools.resolution``, on numbers that were made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from onnxcam.attribution.resolution import Size
from tools.docs import page, placed
from tools.resolution.claims import CLAIMS, HARDLY, Part, beats_cams, beats_lrp, hardly_falls, statement, verdict
from tools.resolution.contenders import CAMS, CONTENDERS, DENOISED, FINE, LRPS, PIXELS
from tools.resolution.measure import Findings, Worth
from tools.resolution.table import differs, tables

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
        # The fall is in the middle: the last size alone does not show it.
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
