"""README and manual as tests see them: their text, code blocks, links and anchors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from onnxcam.docs import pages
from tools.docs import MANUAL, README

# What people read as one: the README and every page of the manual.
FILES = (README, *(MANUAL / f"{name}.md" for name in pages()))

_BLOCK = re.compile(r"(?:<!-- not run: ([^>]+?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\\)\[[^\]\n]+\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        file: where it stands.
        number: which of the file's blocks it is, from 0.
        language: the word after the fence.
        code: its lines.
        reason: why tests do not run it; empty where they do.
    """

    file: Path
    number: int
    language: str
    code: str
    reason: str


def blocks(file: Path) -> list[Block]:
    """Return the fenced blocks of a file in their order."""
    found = _BLOCK.findall(file.read_text())
    return [Block(file, number, language, code, reason) for number, (reason, language, code) in enumerate(found)]


def prose(file: Path) -> str:
    """Return the text of a file without fenced blocks and comments."""
    return re.sub(r"<!--.*?-->", "", _BLOCK.sub("", file.read_text()), flags=re.DOTALL)


def links(file: Path) -> list[str]:
    """Return the targets of a file's links."""
    return _LINK.findall(prose(file))


def inline(file: Path) -> list[str]:
    """Return what stands between single backticks."""
    return _INLINE.findall(prose(file))


def anchors(file: Path) -> set[str]:
    """Return the anchors that GitHub gives to a file's headings: a number follows one that comes again."""
    seen: dict[str, int] = {}
    found = set()
    for heading in _HEADING.findall(_BLOCK.sub("", file.read_text())):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.add(slug if slug not in seen else f"{slug}-{seen[slug]}")
        seen[slug] = seen.get(slug, 0) + 1
    return found
