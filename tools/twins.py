"""How alike quantised networks and the float networks that they were made from explain: ``python -m tools.twins``.

For each pair and each photograph, both for the class that the float network predicts: Spearman's rank correlation of
the HiResCAM maps at the default layer, and the cosine of the gradients at the input, in real numbers. A quantised
network is a staircase: at one point its gradient is that of one stair. So the float network's gradient, at the
photograph itself, is compared both with the quantised one's there and with its mean over copies with noise of half a
grey level, less than anyone sees; that one is to reach a cosine of 0.85.

Scores are compared by their correlation: it bounds what can be expected of the rest. So do two cosines of the float
network's gradient with itself: each pixel moved by up to one grey level, and what each convolution reads rounded to 8
bits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np
import numpy.typing as npt

import onnxcam
from onnxcam.images import Photograph, Preprocess
from tools.disturbed import gradients, moved, rounded, steadied

SHARED = Path(os.environ.get("ONNXCAM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
Array: TypeAlias = npt.NDArray[Any]
# The cosine of input gradients that is asked for, as a mean over the photographs.
LEAST_COSINE = 0.85
# Noise as a share of the range of the image's values: half a grey level; and the noisy copies.
SIGMA, COPIES = 0.002, 16


@dataclass(frozen=True)
class Likeness:
    """How alike two networks explain one set of photographs: one number a photograph.

    Attributes:
        name: of the quantised network.
        scores: correlation of the scores.
        agree: whether both predict the same class.
        maps: rank correlation of HiResCAM's maps.
        gradients: cosine of the gradients at the input, both at the photograph itself.
        steadied: the same, the quantised network's averaged over noisy copies.
        moved: the float network's with itself, its input moved by up to one grey level.
        rounded: the float network's with itself, what its convolutions read rounded to 8 bits.
    """

    name: str
    scores: Array
    agree: Array
    maps: Array
    gradients: Array
    steadied: Array
    moved: Array
    rounded: Array


def pairs(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each quantised network with the float network it was made from."""
    for name, entry in json.loads((folder / "models.json").read_text()).items():
        if "quantized_from" in entry:
            yield name, entry["quantized_from"]


def photographs(task: str, shared: Path) -> list[Path]:
    """Return photographs that a network of this task is for."""
    images = shared / "images"
    if task == "cifar10":
        return sorted((images / "cifar10").glob("*.png"))
    return sorted([*(images / "imagenet").glob("*.JPEG"), *(images / "voc").glob("*.jpg")])


def compare(name: str, twin: str, shared: Path, count: int | None = None) -> Likeness:
    """Explain photographs by both networks of a pair.

    Args:
        name: of the quantised network.
        twin: of the float network.
        shared: folder of models and images.
        count: how many photographs; all if not given.
    """
    conventions = json.loads((shared / "models" / "models.json").read_text())
    paths = photographs(conventions[name]["task"], shared)[:count]
    made = {each: _explained(each, conventions[each], shared, paths) for each in (twin, name)}
    classes = made[twin][1].explain(made[twin][2]).targets
    results = []
    for maps, gradient, photos in made.values():
        explained = maps.explain(photos, list(map(int, classes)))
        images = np.concatenate([photo.array for photo in photos])
        results.append((explained.scores, explained.raw, gradients(gradient), images))
    (scores, raw, float_gradient, images), (scores_q, raw_q, quantised_gradient, images_q) = results
    g, own = float_gradient(images, classes), made[twin][1]
    g_rounded = gradients(own, model=rounded(own.network.model))(images, classes)
    level = conventions[twin]["scale"] / np.mean(conventions[twin]["std"])
    return Likeness(
        name=name,
        scores=_each(correlation, scores, scores_q),
        agree=scores.argmax(axis=1) == scores_q.argmax(axis=1),
        maps=_each(lambda a, b: correlation(ranks(a), ranks(b)), raw, raw_q),
        gradients=_each(cosine, g, quantised_gradient(images_q, classes)),
        steadied=_each(cosine, g, steadied(made[name][1], images_q, classes, COPIES, SIGMA)),
        moved=_each(cosine, g, float_gradient(moved(images, level), classes)),
        rounded=_each(cosine, g, g_rounded),
    )


def _explained(
    name: str, convention: dict[str, Any], shared: Path, paths: list[Path]
) -> tuple[onnxcam.Explainer, onnxcam.Explainer, list[Photograph]]:
    """Return explainers of maps and of gradients, and the photographs as the network takes them."""
    preprocess = Preprocess.from_json(json.dumps(convention))
    file = shared / "models" / f"{name}.onnx"
    maps, gradient = (
        onnxcam.Explainer(file, method, preprocess=preprocess, providers=["cpu"])
        for method in ("hires-cam", "gradient")
    )
    return maps, gradient, [maps.read(path) for path in paths]


def _each(measure: Any, first: Array, second: Array) -> Array:
    return np.array([measure(a.ravel(), b.ravel()) for a, b in zip(first, second, strict=True)])


def ranks(values: Array) -> Array:
    """Return the rank of each number, the mean rank for equal ones."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    result: Array = (last - (counts - 1) / 2)[inverse]
    return result


def correlation(a: Array, b: Array) -> float:
    """Return Pearson's correlation."""
    return cosine(a - a.mean(), b - b.mean())


def cosine(a: Array, b: Array) -> float:
    """Return the cosine between two vectors, 0 where one is 0."""
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.vdot(a, b)) / size if size else 0.0


@click.command(help=__doc__)
@click.option("--shared", type=click.Path(path_type=Path, exists=True), default=SHARED, help="models and images")
@click.option("--count", type=int, help="photographs a pair  [default: all]")
def main(shared: Path, count: int | None) -> None:
    """Print one row a pair and fail where the gradients are less alike than asked for."""
    click.echo(
        "| quantised network | photographs | same class | scores | HiResCAM ranks | input gradient cosine | worst "
        "| over noisy copies | worst | float, pixels moved | float, rounded |"
    )
    click.echo("|---" * 11 + "|")
    failed = []
    for name, twin in pairs(shared / "models"):
        like = compare(name, twin, shared, count)
        mean = like.steadied.mean()
        click.echo(
            f"| {name} | {len(like.maps)} | {like.agree.mean():.0%} | {like.scores.mean():.4f} | "
            f"{like.maps.mean():.3f} | {like.gradients.mean():.3f} | {like.gradients.min():.3f} | "
            f"{mean:.3f} | {like.steadied.min():.3f} | "
            f"{like.moved.mean():.3f} | {like.rounded.mean():.3f} |"
        )
        if mean < LEAST_COSINE:
            failed.append(name)
    if failed:
        raise SystemExit(f"less than {LEAST_COSINE}: {', '.join(failed)}")


if __name__ == "__main__":
    main()
