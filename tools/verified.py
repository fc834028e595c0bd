"""The manual's table of real files that were verified, by ``onnxcam verify`` on random inputs.

python -m tools.verified           verify every file of ../shared/models and write the table
python -m tools.verified --check   fail if files or verdicts are not those of the table; figures depend on the machine

This needs the files and takes minutes, so that it is no part of ``python -m tools.docs``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import click

from onnxcam.cli import main as onnxcam
from tools.docs import page, placed, write
from tools.twins import SHARED

_HEAD = "| file | checks | worst relative error | of what is allowed | verdict |\n|---|---|---|---|---|"


def rows(shared: Path) -> Iterator[str]:
    """Verify one file after the other and yield its row."""
    for name in sorted(json.loads((shared / "models" / "models.json").read_text())):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = onnxcam(["verify", str(shared / "models" / f"{name}.onnx"), "--json"])
        if not out.getvalue():
            raise click.ClickException(f"{name}: onnxcam verify ends with {code}: {err.getvalue().strip()}")
        yield row(name, json.loads(out.getvalue()))


def row(name: str, found: dict[str, Any]) -> str:
    """Return the row of one file."""
    checks = [check for check in found["checks"] if check["verdict"] != "skipped"]
    skipped = [check for check in found["checks"] if check["verdict"] == "skipped"]
    # JSON knows no infinity: an error that is not there was not finite.
    errors = [(float("inf") if check["error"] is None else check["error"], check["tolerance"]) for check in checks]
    worst = max((error for error, _ in errors), default=0.0)
    share = max((error / tolerance for error, tolerance in errors), default=0.0)
    verdict = "agrees" if found["agrees"] else "differs"
    if skipped:
        # The note says why, then which operators.
        why = skipped[0]["note"].partition(" (")[0].rpartition(": ")[2]
        verdict += f"; finite differences skipped at {len(skipped)} values: {why}"
    return f"| {name} | {len(checks)} | {worst:.0e} | {share:.0%} | {verdict} |"


def verdicts(text: str) -> dict[str, str]:
    """Return the verdict of each file in a table."""
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()[2:] if line.startswith("|")]
    return {line[1]: line[-2] for line in cells}


@click.command(help=__doc__)
@click.option("--shared", type=click.Path(path_type=Path, exists=True), default=SHARED, help="models and images")
@click.option("--check", is_flag=True, help="write nothing")
def main(shared: Path, check: bool) -> None:
    """Write or check the table."""
    text = page("verified-files").read_text()
    table = "\n".join([_HEAD, *rows(shared)])
    click.echo(table)
    if not check:
        write("verified-files", "verified", table)
        return
    if verdicts(placed(text, "verified")) != verdicts(table):
        raise click.ClickException("onnxcam/docs/verified-files.md is not up to date: run python -m tools.verified")


if __name__ == "__main__":
    main()
