"""How well each method finds what is known to be there, and what it costs.

    python -m tools.truth                        print the table: all methods, a quarter of an hour
    python -m tools.truth --write                and write it into the manual
    python -m tools.truth rise --write           some methods, beside the control

On freshly drawn images whose deciding pixels are known, and on ImageNet photographs with boxes of ../shared: the share
of the display map's mass inside the truth, how often its highest position is there, and the time of one explanation
over one plain run of the same file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

import onnxcam
from onnxcam.methods.base import Method
from onnxcam.methods.registry import methods
from tools.docs import page, placed
from tools.docs import write as write_table
from tools.truth.measure import Measured, Refused, centre, chance, measure
from tools.truth.sets import TruthSet, drawings, photographs
from tools.truth.table import CONTROL, SetResult, table
from tools.twins import SHARED

# Fields away from their defaults, with which these would take hours.
REDUCED: Mapping[str, Mapping[str, int]] = {"is-cam": {"count": 2}, "rise": {"count": 500}, "ss-cam": {"count": 2}}
# Hundreds or thousands of runs an image: these explain some of the photographs only.
SLOW = {"gscore-cam", "integrated-gradients", "is-cam", "rise", "score-cam", "smooth-grad", "ss-cam"}


def chosen_methods(names: tuple[str, ...]) -> dict[str, Method]:
    """Return methods with the fields they are measured with: those of these names, and the control; or all."""
    wanted = sorted({*names, CONTROL}) if names else list(methods())
    return {name: onnxcam.method(name, **REDUCED.get(name, {})) for name in wanted}


def found_on(truth: TruthSet, caption: str, chosen: Mapping[str, Method], slow: int | None) -> SetResult:
    """Measure methods on a set, the slow ones on its first so many images."""
    results: dict[str, Measured | Refused] = {}
    with click.progressbar(chosen.items(), label=truth.name, file=sys.stderr, item_show_func=_shown) as bar:
        for name, made in bar:
            results[name] = measure(made, truth, slow if name in SLOW else None)
    fixed = {"any position alike: the truth's area, chance": chance(truth), "middle of the image": centre(truth)}
    images = len(truth.samples)
    caption = f"{images} {caption}; the network names {truth.right} right"
    return SetResult(truth.name, caption, images, results, fixed)


def _shown(item: tuple[str, Method] | None) -> str:
    return item[0] if item else ""


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--drawings", "drawn", default=120, show_default=True, help="how many images to draw")
@click.option("--images", type=int, help="photographs  [default: all]")
@click.option("--slow", default=6, show_default=True, help="photographs for methods of hundreds of runs an image")
@click.option("--shared", type=click.Path(path_type=Path), default=SHARED, help="models and photographs")
@click.option("--write", is_flag=True, help="write the table into the manual")
def main(names: tuple[str, ...], drawn: int, images: int | None, slow: int, shared: Path, write: bool) -> None:
    """Measure, print and write."""
    if write and not shared.exists():
        raise click.UsageError(f"--write needs the photographs, and {shared} is not here: give --shared")
    chosen = chosen_methods(names)
    sets = [found_on(drawings(drawn), "fresh drawings, true pixels known", chosen, None)]
    if shared.exists():
        caption = "ImageNet photographs with boxes, seen by MobileNetV2; a hit may lie 15 px beside"
        sets.append(found_on(photographs(shared, images), caption, chosen, slow))
    else:
        click.echo(f"{shared} is not here: no photographs", err=True)
    click.echo(table(sets, chosen))
    if write:
        old = placed(page("known-truth").read_text(), "truth")
        # The control is measured again to compare with; its own row changes where it is asked for.
        written = {name: made for name, made in chosen.items() if not names or name in names}
        write_table("known-truth", "truth", table(sets, written, old if names else ""))


if __name__ == "__main__":
    main()
