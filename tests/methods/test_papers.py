"""Citations: every key resolves, every entry is used, and every entry is read whole."""

from __future__ import annotations

import re

import pytest

from onnxcam.errors import NameNotFoundError
from onnxcam.methods.papers import bibtex, citation, papers
from onnxcam.methods.registry import methods, wrappers
from onnxcam.metrics.registry import metrics

every_paper = pytest.mark.parametrize("key", papers())


def test_every_paper_is_cited_by_a_method_a_wrapper_or_a_metric() -> None:
    cited = {cls.paper for registry in (methods(), wrappers(), metrics()) for cls in registry.values()}
    assert cited == set(papers())


@every_paper
def test_an_entry_is_read_whole(key: str) -> None:
    first, *body, last = bibtex(key).splitlines()
    assert re.fullmatch(rf"@(article|inproceedings|misc)\{{{key},", first)
    assert last == "}"
    names = []
    for line in body:
        field = re.fullmatch(r"  (\w+) = \{(.+)\},", line)
        assert field, line
        assert line.count("{") == line.count("}")
        names.append(field[1])
    assert names[:2] == ["title", "author"]
    assert "year" in names
    assert len(names) == len(set(names))
    assert {"doi", "eprint", "howpublished"} & set(names)


@every_paper
def test_a_citation_is_one_line_with_a_link(key: str) -> None:
    line = citation(key)
    assert "\n" not in line
    assert not set(line) & set("{}")
    assert re.search(r"\(\d{4}\)\. .+ https://\S+$", line)
    assert key[-4:] in line


def test_one_two_or_more_authors_are_abbreviated() -> None:
    assert citation("draelos2021").startswith("Draelos & Carin (2021). Use HiResCAM instead of Grad-CAM")
    assert citation("zhou2016").startswith("Zhou et al. (2016). ")
    assert citation("gildenblat2021").startswith("Gildenblat et al. (2021). ")


def test_an_unknown_key_suggests_near_ones() -> None:
    with pytest.raises(NameNotFoundError, match="did you mean zhou2016"):
        bibtex("zhou2015")
