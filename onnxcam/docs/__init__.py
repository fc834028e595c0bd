"""The manual: every Markdown file of this folder is one page, named by its file; there is no second list.

A page begins with a comment that says where it stands in the list, its title, and a paragraph of one sentence:

    <!-- guide 10 -->
    # Choosing a method

    Which method to take for which question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from onnxcam.errors import NameNotFoundError, did_you_mean

# The parts of the manual in their order, by the word that pages use for them.
PARTS = {
    "guide": "Using onnxcam",
    "reference": "Reference",
    "measured": "What was measured",
    "extending": "Extending onnxcam",
}

_HEAD = re.compile(r"<!-- (\w+) (\d+) -->\n# ([^\n]+)\n\n([^\n]+)\n")
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One page of the manual.

    Attributes:
        name: its topic, as ``onnxcam docs`` takes it.
        part: a key of ``PARTS``.
        order: its position within the part.
        title: its heading.
        summary: one sentence on what it is about.
        source: the Markdown text, as it is in the file.
    """

    name: str
    part: str
    order: int
    title: str
    summary: str
    source: str

    @property
    def text(self) -> str:
        """The Markdown text without comments, which are for tools."""
        return _COMMENT.sub("", self.source)


def pages() -> dict[str, Page]:
    """Return every page by its topic, in the order of the manual.

    Raises:
        ValueError: a page does not begin as it must.
    """
    found = [_read(file) for file in files(__name__).iterdir() if file.name.endswith(".md")]
    parts = list(PARTS)
    found.sort(key=lambda page: (parts.index(page.part), page.order, page.name))
    return {page.name: page for page in found}


def page(topic: str) -> Page:
    """Return the page of a topic.

    Raises:
        NameNotFoundError: there is none; near names are suggested.
    """
    known = pages()
    if topic not in known:
        raise NameNotFoundError(
            f"the manual has no topic '{topic}'{did_you_mean(topic, known)} (onnxcam docs lists all topics)"
        )
    return known[topic]


def _read(file: Traversable) -> Page:
    source = file.read_text(encoding="utf-8")
    head = _HEAD.match(source)
    if head is None or head[1] not in PARTS:
        raise ValueError(f"{file.name} must begin with <!-- PART NUMBER -->, a title and a sentence; see onnxcam.docs")
    return Page(file.name.removesuffix(".md"), head[1], int(head[2]), head[3], head[4], source)
