"""Where maps put their mass on images whose deciding pixels are known.

    python -m tools.shapes.truth --images 240

Prints, for every method, the mean share of the display map's mass that lies inside the true mask, its standard error,
and how often the map's highest place does. A map that knew nothing would have a share equal to the mask's area.
"""

from __future__ import annotations

import click
import numpy as np
import numpy.typing as npt

import onnxcam
from onnxcam.methods.registry import methods
from tools.shapes.draw import Drawing, draw
from tools.shapes.samples import MODEL

# Far from the seeds of training, validation and the samples.
_FIRST_SEED = 50_000_000
_DEFAULT = ("hires-cam", "grad-cam", "random-cam")


def share_inside(maps: npt.NDArray[np.float32], masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return for every image the share of its map's mass inside its mask; a blank map has a share of 0."""
    mass = maps.sum(axis=(1, 2), dtype=np.float64)
    inside = (maps * masks).sum(axis=(1, 2), dtype=np.float64)
    return np.asarray(inside / np.where(mass > 0, mass, 1))


def hits(maps: npt.NDArray[np.float32], masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return for every image whether the highest place of its map lies inside its mask."""
    rows = np.arange(len(maps))
    return np.asarray(masks.reshape(len(maps), -1)[rows, maps.reshape(len(maps), -1).argmax(axis=1)])


def explain(explainer: onnxcam.Explainer, drawings: list[Drawing]) -> onnxcam.Explanation:
    """Explain the true class of every drawing."""
    photographs = [explainer.read(drawing.image) for drawing in drawings]
    return explainer.explain(photographs, [drawing.label for drawing in drawings])


@click.command(help=__doc__)
@click.option("--images", default=240, show_default=True, help="how many images to draw")
@click.option("--all", "every", is_flag=True, help="all methods instead of the three of the README")
def main(images: int, every: bool) -> None:
    """Draw, explain and print."""
    drawings = [draw(_FIRST_SEED + index) for index in range(images)]
    masks = np.stack([drawing.mask for drawing in drawings])
    click.echo("| method | mass inside the true pixels | highest place inside |\n|---|---|---|")
    for name in methods() if every else _DEFAULT:
        try:
            explainer = onnxcam.Explainer(MODEL, name)
        except onnxcam.OnnxcamError as error:
            click.echo(f"{name}: {error}", err=True)
            continue
        result = explain(explainer, drawings)
        inside = share_inside(result.maps, masks)
        deviation = inside.std() / np.sqrt(images)
        click.echo(f"| `{name}` | {inside.mean():.3f} +- {deviation:.3f} | {hits(result.maps, masks).mean():.1%} |")
    click.echo(f"| (the mask's share of the image) | {masks.mean():.3f} | |")


if __name__ == "__main__":
    main()
