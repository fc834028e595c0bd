"""``onnxcam cite``."""

from __future__ import annotations

import click

from onnxcam.cli.command import Command


@click.command(cls=Command, examples=("onnxcam cite hires-cam >> references.bib", "onnxcam cite grad-cam --plain"))
@click.argument("name", metavar="NAME")
@click.option("--plain", is_flag=True, help="One line of text instead of BibTeX.")
def command(name: str, plain: bool) -> None:
    """Print the paper of a method or metric, as BibTeX.

    NAME is a method or a wrapper, or the key of a paper, as onnxcam methods lists them, or a metric.
    """
    from onnxcam.methods.papers import bibtex, citation

    key = _key(name)
    click.echo(citation(key) if plain else bibtex(key))


def _key(name: str) -> str:
    from onnxcam.errors import NameNotFoundError, did_you_mean
    from onnxcam.methods.papers import papers
    from onnxcam.methods.registry import methods, wrappers
    from onnxcam.metrics.registry import metrics

    known = {name: cls.paper for registry in (methods(), wrappers(), metrics()) for name, cls in registry.items()}
    if name in known:
        return known[name]
    if name in papers():
        return name
    near = did_you_mean(name, [*known, *papers()])
    raise NameNotFoundError(f"no method, metric or paper is named '{name}'{near} (onnxcam methods lists all)")
