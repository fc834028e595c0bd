"""Tables of the READMEs, written from the registries.

python -m tools.docs           write them
python -m tools.docs --check   fail if they are not what the registries say
python -m tools.docs --blocks  print the shell blocks of "Quick start", separated by a line of dashes
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path

import click

from onnxcam.autodiff.catalogue import operators
from onnxcam.methods.papers import citation
from onnxcam.methods.registry import methods, wrappers

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def methods_table() -> str:
    """Return the table of methods."""
    rows = ["| method | what it shows | where | source |", "|---|---|---|---|"]
    for name, method in methods().items():
        needs = method().needs
        where = {"layer": needs.at, "biases": "input and biases", "attentions": "attention"}[needs.reads]
        where = "layer before GAP + linear" if needs.head != "any" else "layers" if needs.layers else where
        rows.append(f"| `{name}` | {method.summary().rstrip('.')} | {where} | {_source(method.paper)} |")
    return "\n".join(rows)


def wrappers_table() -> str:
    """Return the table of wrappers, with how the command line writes their defaults."""
    rows = ["| wrapper | what it shows | fields | source |", "|---|---|---|---|"]
    for name, wrapper in wrappers().items():
        own = [(field.name, field.default) for field in fields(wrapper) if field.default is not MISSING]
        texts = [f"{field}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for field, value in own]
        summary = wrapper.summary().rstrip(".")
        rows.append(
            f"| `{name}` | {summary} | `{':'.join([name, ','.join(texts)]).rstrip(':')}` | {_source(wrapper.paper)} |"
        )
    return "\n".join(rows)


def _source(paper: str) -> str:
    """Return authors and year, linked to the paper."""
    found = re.match(r"(.*?) \((\d{4})\)\..*?(https?://\S+)$", citation(paper))
    return citation(paper) if found is None else f"[{found[1]} {found[2]}]({found[3]})"


def operators_table() -> str:
    """Return the table of operators."""
    rows = ["| operator | opset | gradient | checked against |", "|---|---|---|---|"]
    for row in operators():
        name = f"{row.domain}:{row.name}" if row.domain else row.name
        said = row.note if row.how == "rule" else f"{row.how}: {row.note}"
        since = "" if row.since is None else f"{row.since}+"
        rows.append(f"| `{name}` | {since} | {said.replace('|', chr(92) + '|')} | {row.checked} |")
    return "\n".join(rows)


# File by file, what is written into it.
TABLES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"methods": methods_table, "wrappers": wrappers_table},
    ROOT / "onnxcam" / "autodiff" / "README.md": {"operators": operators_table},
}


def put(text: str, name: str, table: str, path: Path = README) -> str:
    """Return the text of a file with one generated table in its place."""
    pattern = re.compile(rf"(<!-- {name}: .*?-->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise click.ClickException(f"{path.relative_to(ROOT)} has no place for the table '{name}'")
    return pattern.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)


def placed(text: str, name: str) -> str:
    """Return the table that stands there, empty if there is no place for it."""
    found = re.search(rf"<!-- {name}: .*?-->\n(.*?)\n?<!-- end -->", text, re.DOTALL)
    return found[1] if found else ""


def fill(text: str, path: Path = README) -> str:
    """Return the text of a file with every table renewed that is written from the registries."""
    for name, table in TABLES[path].items():
        text = put(text, name, table(), path)
    return text


def quick_start(text: str) -> list[str]:
    """Return the fenced shell blocks of the section "Quick start"."""
    section = re.split(r"^## ", text.partition("## Quick start\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="write nothing, fail if something would change")
@click.option("--blocks", is_flag=True, help="print the shell blocks of the quick start")
def main(check: bool, blocks: bool) -> None:
    """Write or check the tables."""
    if blocks:
        click.echo("---\n".join(quick_start(README.read_text())), nl=False)
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
