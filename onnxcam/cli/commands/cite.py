"""``onnxcam cite``."""

from __future__ import annotations

import click

from onnxcam.cli.command import Command


@click.command(cls=Command, examples=("onnxcam cite hires-cam >> references.bib", "onnxcam cite grad-cam --plain"))
@click.argument("name", metavar="NAME")
@click.option("--plain", is_flag=True, help="One line of text instead of BibTeX.")
def command(name: str, plain: bool) -> None:
    """Print the paper behind a method, as BibTeX.

    NAME is a method or a wrapper, or the key of a paper, as onnxcam methods lists them.
    """
    from onnxcam.methods.papers import bibtex, citation

    key = _key(name)
    click.echo(citation(key) if plain else bibtex(key))


def _key(name: str) -> str:
    from onnxcam.errors import NameNotFoundError, did_you_mean
    from onnxcam.methods.papers import papers
    from onnxcam.methods.registry import methods, wrappers

    known = {**methods(), **wrappers()}
    if name in known:
        return known[name].paper
    if name in papers():
        return name
    near = did_you_mean(name, [*known, *papers()])
    raise NameNotFoundError(f"no method or paper is named '{name}'{near} (onnxcam methods lists all)")
