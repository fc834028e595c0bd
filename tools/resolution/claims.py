"""What FG-CAM's paper claims, and whether the numbers say so too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from onnxcam.attribution.resolution import Size, size_text
from tools.resolution.contenders import CAMS, DENOISED, FINE, LRPS, PIXELS
from tools.resolution.measure import Findings

# What may be lost of an area from 0 to 1 to be hardly anything.
HARDLY = 0.05
FAITHFUL = ("insertion", "deletion")
Verdict: TypeAlias = Literal["shown", "against", "open"]


@dataclass(frozen=True)
class Part:
    """What one metric says on one set.

    Attributes:
        where: metric and set.
        verdict: whether the claim is shown, or the contrary, or neither.
        figures: why, in words.
    """

    where: str
    verdict: Verdict
    figures: str


Judge: TypeAlias = Callable[[Findings, str, str], Part]


def hardly_falls(found: Findings, metric: str, subject: str) -> Part:
    """Compare the coarsest map with all finer ones.

    Shown where no loss exceeds ``HARDLY`` even with two standard errors more, against where one does even with two
    standard errors less. What is no better than the control at the input is not shown to be faithful there: deleting
    pixels here and there misleads a network, whichever they are.
    """
    coarse, *finer = found.sizes
    losses = {size: found.gain(metric, (subject, coarse), (subject, size)) for size in finer}
    ahead, spread = found.gain(metric, (subject, finer[-1]), (PIXELS, finer[-1]))
    shown = all(loss + 2 * error <= HARDLY for loss, error in losses.values()) and ahead > 2 * spread
    against = any(loss - 2 * error > HARDLY for loss, error in losses.values())
    worst = max(finer, key=lambda size: losses[size][0])
    ends = [f"{_mean(found, metric, subject, size)} at {size_text(size)}" for size in (coarse, found.sizes[-1])]
    loss, error = losses[worst]
    change = f"{loss:.3f} +- {error:.3f} worse" if loss > 0 else f"no worse, {-loss:.3f} +- {error:.3f} better"
    text = (
        f"{', '.join(ends)}; at its worst, {size_text(worst)}, {change}; "
        f"at the input {ahead:+.3f} +- {spread:.3f} over pixels in random order"
    )
    return Part(f"{metric} ({found.name})", "shown" if shown else "against" if against else "open", text)


def beats_cams(found: Findings, metric: str, subject: str) -> Part:
    """Compare with each CAM at each layer before the last."""
    return _beats(found, metric, subject, [(title, size) for size in found.sizes[1:] for title in CAMS])


def beats_lrp(found: Findings, metric: str, subject: str) -> Part:
    """Compare with each composite at the input."""
    return _beats(found, metric, subject, [(title, found.sizes[-1]) for title in LRPS])


def _beats(found: Findings, metric: str, subject: str, rivals: Sequence[tuple[str, Size]]) -> Part:
    """Compare with rivals at their size.

    Shown where all are beaten by two standard errors, against where at least half of them win by as much.
    """
    gains = {rival: found.gain(metric, (subject, rival[1]), rival) for rival in rivals if rival in found.worth}
    won = [rival for rival, (gain, error) in gains.items() if gain > 2 * error]
    lost = [rival for rival, (gain, error) in gains.items() if gain < -2 * error]
    ends = [
        f"{gains[rival][0]:+.3f} +- {gains[rival][1]:.3f} over {rival[0]} at {size_text(rival[1])}"
        for rival in (choose(gains, key=lambda rival: gains[rival][0]) for choose in (min, max))
    ]
    verdict: Verdict = "shown" if len(won) == len(gains) else "against" if 2 * len(lost) >= len(gains) else "open"
    text = f"better than {_rivals(won)}, worse than {_rivals(lost)}, of {len(gains)}; from {' to '.join(ends)}"
    return Part(f"{metric} ({found.name})", verdict, text)


def _rivals(pairs: Sequence[tuple[str, Size]]) -> str:
    """Return how many there are, and which at which sizes."""
    sizes: dict[str, list[str]] = {}
    for title, size in pairs:
        sizes.setdefault(title, []).append(size_text(size))
    return f"{len(pairs)} ({'; '.join(f'{title} at {_listed(sizes[title])}' for title in sizes)})" if pairs else "0"


CLAIMS: Mapping[str, Judge] = {
    "FG-CAM's faithfulness hardly falls with resolution (no finer map is worse than the coarsest by more than "
    f"{HARDLY}, two standard errors included, and the finest beats pixels in random order)": hardly_falls,
    "FG-CAM beats CAMs at shallow layers (each of three, at every size but the coarsest, by more than two standard "
    "errors)": beats_cams,
    "FG-CAM beats LRP at the input (each of three composites, by more than two standard errors)": beats_lrp,
}


def statement(sets: Sequence[Findings]) -> str:
    """Return what the numbers say of each claim, for FG-CAM without denoising and with."""
    lines = [
        "What the paper claims, and what these numbers say of it; gains and losses are +- one standard error, and what "
        "is neither shown nor against is open:",
        "",
    ]
    for number, (claim, judge) in enumerate(CLAIMS.items(), start=1):
        lines.append(f"{number}. {claim}")
        for subject in (FINE, DENOISED):
            parts = [judge(found, metric, subject) for found in sets for metric in FAITHFUL]
            lines.append(f"   - {subject}: {verdict(parts)}.")
            lines += [f"      - {part.where}, {part.verdict}: {part.figures}" for part in parts]
    return "\n".join(lines)


def verdict(parts: Sequence[Part]) -> str:
    """Return in a sentence where a claim is shown, and where the contrary is."""
    shown, against = ([part.where for part in parts if part.verdict == each] for each in ("shown", "against"))
    if len(shown) == len(parts):
        return "our numbers show it"
    said = f"our numbers show it only for {_listed(shown)}" if shown else "our numbers do not show it"
    return f"{said}; they speak against it for {_listed(against)}" if against else said


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _mean(found: Findings, metric: str, title: str, size: Size) -> str:
    return f"{getattr(found.worth[title, size], metric).mean():.3f}"
