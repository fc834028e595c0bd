"""How faithful maps of each size are: FG-CAM, LRP and CAMs, from the last layer down to the pixels.

    python -m tools.resolution            print tables and what they say of the paper's claims: ten minutes
    python -m tools.resolution --write    and write them into the manual

On the images of ``python -m tools.truth``, for the true class: areas under the curves of insertion and deletion, and
the share of the display map's mass inside the truth. Pixels come in the order of the raw map, enlarged to the input.
"""

from __future__ import annotations

from pathlib import Path

import click

from tools.docs import write as write_table
from tools.resolution.claims import statement
from tools.resolution.measure import measure
from tools.resolution.table import tables
from tools.truth.sets import drawings, photographs
from tools.twins import SHARED


@click.command(help=__doc__)
@click.option("--images", type=click.IntRange(1), help="photographs  [default: all]")
@click.option("--drawings", "drawn", default=60, show_default=True, type=click.IntRange(1), help="images to draw")
@click.option("--steps", default=14, show_default=True, type=click.IntRange(1), help="of a curve")
@click.option("--shared", type=click.Path(path_type=Path), default=SHARED, help="models and photographs")
@click.option("--write", is_flag=True, help="write the tables into the manual")
def main(images: int | None, drawn: int, steps: int, shared: Path, write: bool) -> None:
    """Measure, print and write."""
    if write and not shared.exists():
        raise click.UsageError(f"--write needs the photographs, and {shared} is not here: give --shared")
    found = [measure(photographs(shared, images), steps)] if shared.exists() else []
    if not found:
        click.echo(f"{shared} is not here: no photographs", err=True)
    found.append(measure(drawings(drawn), steps))
    text = f"{tables(found)}\n\n{statement(found)}"
    click.echo(text)
    if write:
        write_table("resolution", "resolution", text)


if __name__ == "__main__":
    main()
