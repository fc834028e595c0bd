"""Make everything in models/shapes/ and its copies in onnxcam/data/: draw, train, export, draw the samples.

Run from the root as ``python -m tools.shapes.train``.
"""

from pathlib import Path
from typing import Final

import click
import torch

from .data import drawings
from .export import check, export
from .learning import accuracy, fit
from .outlines import CLASSES
from .samples import MODEL, refresh

TRAINING: Final = 1_000_000
"""First seed of the training drawings; the samples' seeds start at 0, far below."""
VALIDATION: Final = 2_000_000
"""First seed of the validation drawings."""


@click.command()
@click.option("--seed", default=0, show_default=True, help="Of the weights and of the order of training.")
@click.option("--epochs", default=16, show_default=True, help="Times to go through the training drawings.")
@click.option("--train-count", default=12_000, show_default=True, help="Training drawings.")
@click.option("--validation-count", default=3_000, show_default=True, help="Validation drawings.")
@click.option("--threads", default=2, show_default=True, help="Processor threads to train on.")
@click.option("--out", default=MODEL, show_default=True, type=click.Path(path_type=Path), help="The model file.")
def main(seed: int, epochs: int, train_count: int, validation_count: int, threads: int, out: Path) -> None:
    """Train the shapes classifier and refresh every file made from it."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    model = fit(drawings(range(TRAINING, TRAINING + train_count), "drawing for training"), epochs)
    validation = drawings(range(VALIDATION, VALIDATION + validation_count), "drawing for validation")
    shares = accuracy(model, validation)
    for name, share in zip(CLASSES, shares, strict=True):
        click.echo(f"{name:10} {share:.4f}")
    click.echo(f"validation accuracy {sum(shares) / len(shares):.4f} on {validation_count} drawings")
    export(model, out)
    check(model, out, validation)
    if out == MODEL:
        refresh()


if __name__ == "__main__":
    main()
