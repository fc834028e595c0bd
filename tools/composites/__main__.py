"""What LRP's composites are worth, from which its default is chosen.

    python -m tools.composites            print the tables: half an hour
    python -m tools.composites --write    and write them into the manual

For the true class of photographs, drawings and CIFAR-10 images, on networks of several families: areas under the
curves of deletion and insertion (as ``python -m tools.resolution`` has them), and the share of the score that arrives.
"""

from __future__ import annotations

from pathlib import Path

import click

from tools.composites.contenders import CONTENDERS
from tools.composites.measure import measure
from tools.composites.sets import sets
from tools.composites.table import tables
from tools.docs import write as write_table
from tools.twins import SHARED


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--images", default=24, show_default=True, type=click.IntRange(2), help="photographs")
@click.option("--drawings", "drawn", default=60, show_default=True, type=click.IntRange(2), help="images to draw")
@click.option("--steps", default=14, show_default=True, type=click.IntRange(1), help="of a curve")
@click.option("--shared", type=click.Path(path_type=Path), default=SHARED, help="models and photographs")
@click.option("--write", is_flag=True, help="write the tables into the manual")
def main(names: tuple[str, ...], images: int, drawn: int, steps: int, shared: Path, write: bool) -> None:
    """Measure, print and write; NAMES are sets, all of them if none is given."""
    if write and names:
        raise click.UsageError("--write measures all sets; leave the names out")
    found = [measure(one(), CONTENDERS, steps) for one in sets(shared, images, drawn, names)]
    text = tables(found)
    click.echo(text)
    if write:
        write_table("composites", "composites", text)


if __name__ == "__main__":
    main()
