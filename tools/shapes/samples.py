"""The sample images with their truth masks, and the copies that the wheel carries.

Run from the root as ``python -m tools.shapes.samples`` after the drawing changed but the model did not.
"""

import shutil
from pathlib import Path
from typing import Final

import click
from PIL import Image

from .draw import Drawing, draw

ROOT: Final = Path(__file__).resolve().parents[2]
MODEL: Final = ROOT / "models" / "shapes" / "shapes.onnx"
SAMPLES: Final = MODEL.parent / "samples"
WHEEL: Final = ROOT / "onnxcam" / "data"

SEEDS: Final = range(12)
"""Two drawings of each class, in the order of the classes."""
DEMO: Final = (3, 10)
"""The samples that the wheel carries."""


def file_name(seed: int, drawing: Drawing) -> str:
    """A sample's file name without its ending, such as ``3_star``."""
    return f"{seed}_{drawing.name}"


def refresh() -> None:
    """Write all samples and masks, and copy the model and the demo's samples into the package."""
    SAMPLES.mkdir(parents=True, exist_ok=True)
    WHEEL.mkdir(parents=True, exist_ok=True)
    for stale in (*SAMPLES.glob("*.png"), *WHEEL.glob("[0-9]*_*.png")):
        stale.unlink()
    for seed in SEEDS:
        drawing = draw(seed)
        name = file_name(seed, drawing)
        Image.fromarray(drawing.image).save(SAMPLES / f"{name}.png")
        Image.fromarray(drawing.mask).save(SAMPLES / f"{name}.mask.png")
        if seed in DEMO:
            shutil.copyfile(SAMPLES / f"{name}.png", WHEEL / f"{name}.png")
    shutil.copyfile(MODEL, WHEEL / MODEL.name)
    click.echo(f"{len(SEEDS)} samples in {SAMPLES.relative_to(ROOT)}, copies in {WHEEL.relative_to(ROOT)}")


if __name__ == "__main__":
    refresh()
