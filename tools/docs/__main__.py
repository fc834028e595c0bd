"""Tables of README and manual, written from the registries and from what was measured.

python -m tools.docs           write them
python -m tools.docs --check   fail if they are not what the registries say
python -m tools.docs --blocks  print the shell blocks of "Quick start", separated by a line of dashes
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from tools.docs import README, ROOT, page, put, reference, shell_blocks, tables
from tools.docs.benchmarks import benchmark_tables, ratios
from tools.docs.code import folders_table

# File by file, what is written into it.
TABLES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"methods": tables.ten_methods, "ratios": ratios},
    page("methods"): {
        "methods": tables.methods_table,
        "wrappers": tables.wrappers_table,
        "method-sections": reference.method_sections,
        "wrapper-sections": reference.wrapper_sections,
    },
    page("metrics"): {"metrics": tables.metrics_table, "metric-sections": reference.metric_sections},
    page("targets"): {"targets": tables.targets_table},
    page("formats"): {"formats": tables.formats_table},
    ROOT / "onnxcam" / "README.md": {"folders": folders_table},
    page("operators"): {"operators": tables.operators_table},
    page("command-line"): {"commands": reference.commands},
    page("benchmarks"): {"benchmarks": benchmark_tables},
    page("known-truth"): {"truth": tables.truth_table},
}


def fill(text: str, path: Path = README) -> str:
    """Return the text of a file with every table renewed that is written from the registries."""
    for name, table in TABLES[path].items():
        text = put(text, name, table(), path)
    return text


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="write nothing, fail if something would change")
@click.option("--blocks", is_flag=True, help="print the shell blocks of the quick start")
def main(check: bool, blocks: bool) -> None:
    """Write or check the tables."""
    if blocks:
        click.echo("---\n".join(shell_blocks(README.read_text())), nl=False)
        return
    for path in TABLES:
        text = path.read_text()
        filled = fill(text, path)
        if check and filled != text:
            raise click.ClickException(f"{path.relative_to(ROOT)} is not up to date: run python -m tools.docs")
        if not check:
            path.write_text(filled)


if __name__ == "__main__":
    main()
