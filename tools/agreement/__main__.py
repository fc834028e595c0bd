"""What every method was held against, and the largest difference: the tables in the manual's page of methods.

python -m tools.agreement           compute all maps and print the differences
python -m tools.agreement --write   keep them, then python -m tools.docs writes the page
python -m tools.agreement --check   fail if other comparisons are kept than there are; computes nothing

This needs captum, pytorch-grad-cam, torch-cam and zennit, which the tests need too, and takes a minute or two.
"""

from __future__ import annotations

import datetime
import json
import warnings

import click

from tests.oracles.agreement import Comparison, comparisons, loops, reasons
from tools.agreement import MEASURED, Measured, Row, key, measured


def row(one: Comparison, difference: float) -> Row:
    """Return the row of one comparison, its difference with one digit."""
    code = one.code
    return {
        "method": one.method,
        "code": code.name,
        "revision": code.revision,
        "whose": code.whose,
        "about": one.about,
        "difference": float(f"{difference:.0e}"),
    }


def missing(kept: Measured) -> list[str]:
    """Return what differs between the comparisons that are kept and those that there are, in words."""
    there = {key(row(one, 0.0)) for one in (*comparisons(), *loops())}
    here = {key(one) for one in kept["rows"]}
    found = [f"not measured: {' '.join(name)}" for name in sorted(there - here)]
    found += [f"no longer there: {' '.join(name)}" for name in sorted(here - there)]
    return found + (["reasons for no comparison are others"] if kept["alone"] != reasons() else [])


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="keep the differences")
@click.option("--check", is_flag=True, help="compute nothing, fail if comparisons are missing")
def main(write: bool, check: bool) -> None:
    """Measure, or check what is kept."""
    if check:
        if found := missing(measured()):
            raise click.ClickException("; ".join([*found, "run python -m tools.agreement --write"]))
        return
    rows = []
    for one in sorted((*comparisons(), *loops()), key=lambda one: (one.method, one.code.whose, one.key)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peers warn of hooks that they set
            rows.append(row(one, one.difference()))
        click.echo(f"{rows[-1]['difference']:.0e}  {' '.join(filter(None, one.key))}")
    if write:
        kept: Measured = {"date": str(datetime.date.today()), "rows": rows, "alone": reasons()}
        MEASURED.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
