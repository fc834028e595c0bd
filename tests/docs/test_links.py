"""Links of README and manual have targets that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.markdown import FILES, anchors, links
from tools.docs import ROOT

_MORE = [ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "models/README.md", "onnxcam/README.md")]
_MORE += [ROOT / "models" / "exporters" / "README.md", ROOT / "onnxcam" / "autodiff" / "README.md"]


@pytest.mark.parametrize("file", [*FILES, *_MORE], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_links_lead_somewhere(file: Path) -> None:
    for link in links(file):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), f"{file.name} links to {link}, which is not there"
        assert target.is_relative_to(ROOT), f"{file.name} links to {link}, outside the repository"
        if anchor:
            assert anchor in anchors(target), f"{file.name} links to {link}: no such heading"


def test_every_page_is_linked() -> None:
    """A page that no other one names would be found by its topic alone."""
    linked = {(file.parent / link.partition("#")[0]).resolve() for file in FILES for link in links(file)}
    assert [file.name for file in FILES[1:] if file not in linked] == []
