"""Tables and reference pages of README and manual, written from the registries and from what was measured."""

from __future__ import annotations

import re
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
MANUAL = ROOT / "onnxcam" / "docs"


def page(topic: str) -> Path:
    """Return the file of a page of the manual."""
    return MANUAL / f"{topic}.md"


def put(text: str, name: str, table: str, path: Path = README) -> str:
    """Return the text of a file with one generated table between its markers."""
    pattern = re.compile(rf"(<!-- {name}: .*?-->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise click.ClickException(
            f"{path.relative_to(ROOT)} has no markers for the table '{name}'; add <!-- {name}: --> and <!-- end -->"
        )
    return pattern.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)


def placed(text: str, name: str) -> str:
    """Return the table that stands in a text under that name, empty if its markers are missing."""
    found = re.search(rf"<!-- {name}: .*?-->\n(.*?)\n?<!-- end -->", text, re.DOTALL)
    return found[1] if found else ""


def write(topic: str, name: str, table: str) -> None:
    """Write one table into a page of the manual."""
    path = page(topic)
    path.write_text(put(path.read_text(), name, table, path))


def shell_blocks(text: str) -> list[str]:
    """Return the fenced shell blocks of the section "Quick start"."""
    section = re.split(r"^## ", text.partition("## Quick start\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)
