"""What every method says of a handful of models, kept so that a change of the code can be held against it.

python -m tools.record FOLDER            write the record into a folder
python -m tools.record FOLDER --check    compute everything again and fail where one bit differs

One thread, on the CPU. Two machines round differently: write and check on the same one. Needs the folder of real files
that the tests use too (``../shared``, or ``$ONNXCAM_SHARED``).
"""

from __future__ import annotations

import os

# Before NumPy is imported: its library splits sums between threads.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import json
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np
import numpy.typing as npt

import onnxcam
from onnxcam.methods.registry import methods, wrappers

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("ONNXCAM_SHARED", ROOT.parent / "shared")) / "models"
Entry: TypeAlias = dict[str, Any]

# Fields that make methods of many runs affordable here.
FEWER: dict[str, dict[str, Any]] = {
    "rise": {"count": 24},
    "gscore-cam": {"count": 8},
    "ss-cam": {"count": 2},
    "is-cam": {"count": 2},
    "smooth-grad": {"n": 3},
    "smooth-grad-cam++": {"n": 3},
    "integrated-gradients": {"steps": 3},
    "integrated-grad-cam": {"steps": 3},
}
# Explained channel by channel of a wide layer, these take minutes.
SLOW = ("score-cam", "ss-cam", "is-cam", "group-cam")
MODELS: dict[str, Path] = {
    "shapes": ROOT / "onnxcam" / "data" / "shapes.onnx",
    "int8-shapes": ROOT / "models" / "exporters" / "int8_shapes.onnx",
    "keras-small": ROOT / "models" / "exporters" / "keras_small.onnx",
    **{
        name: SHARED / f"{name}.onnx"
        for name in (
            "person_keras_fp32",
            "resnet8_cifar10_keras_fp32",
            "resnet8_cifar10_tflite_int8",
            "vit_cifar10_fp32",
            "mobilenet_v2_torch_dynamo_fp32",
            "yolox_nano_detection",
            "deeplabv3_tf_segmentation",
        )
    },
}
LARGE = ("mobilenet_v2_torch_dynamo_fp32", "yolox_nano_detection", "deeplabv3_tf_segmentation")


def inputs(explainer: onnxcam.Explainer, count: int) -> npt.NDArray[Any]:
    """Return smooth random images as the model takes them, the same every time."""
    entry = explainer.image
    rng = np.random.default_rng(5)
    shape = [count, *(size or 64 for size in entry.shape[1:])]
    coarse = rng.standard_normal([1 if size < 8 else 1 + size // 8 for size in shape[1:]])
    fine = coarse
    for axis, size in enumerate(shape[1:]):
        if fine.shape[axis] > 1 or size >= 8:
            fine = np.repeat(fine, 8, axis=axis).take(range(size), axis=axis)
        else:
            fine = np.repeat(fine, size, axis=axis)
    batch = np.stack([np.roll(fine, 3 * sample, axis=1) for sample in range(count)])
    batch = batch + 0.2 * rng.standard_normal(batch.shape)
    if entry.dtype.kind in "iu":
        span = np.iinfo(entry.dtype)
        middle, half = (span.max + span.min) / 2, (span.max - span.min) / 6
        batch = np.clip(np.rint(middle + half * batch), span.min, span.max)
    return batch.astype(entry.dtype)


def explain(path: Path, method: Any, count: int = 1, targets: Any = None, **options: Any) -> Entry:
    """Return what one explanation says, or the kind of error that it ends in."""
    try:
        explainer = onnxcam.Explainer(path, method, providers=["cpu"], threads=1, **options)
        found = explainer(inputs(explainer, count), targets)
    except onnxcam.OnnxcamError as error:
        return {"error": type(error).__name__}
    return {
        "raw": found.raw,
        "maps": found.maps,
        "scores": found.scores,
        "targets": found.targets,
        "asked": list(found.asked),
        "layer": found.layer,
        "warnings": [list(texts) for texts in found.warnings],
    }


def cases() -> Iterator[tuple[str, Callable[[], Entry]]]:
    """Yield everything that is recorded, by name."""
    for model, path in MODELS.items():
        for name in methods():
            if model in LARGE and name in SLOW:
                continue
            made = onnxcam.method(name, **FEWER.get(name, {}))
            yield f"{model}/{name}", partial(explain, path, made)
    small = MODELS["shapes"]
    for name in methods():
        made = onnxcam.method(name, **FEWER.get(name, {}))
        yield f"shapes/{name}/batch", partial(explain, small, made, count=2)
        yield f"shapes/{name}/targets", partial(explain, small, made, targets=[[0, 3]])
    for name in wrappers():
        for inner in ("hires-cam", "grad-cam", "lrp"):
            yield f"shapes/{inner}/{name}", partial(wrapped, name, inner)
    for name in ("hires-cam", "fg-cam", "lrp"):
        for size in (12, 24, 48, 96):
            yield f"shapes/{name}/{size}", partial(explain, small, name, resolution=size)
    for layer in (-2, -3):
        for name in ("hires-cam", "xgrad-cam", "lift-cam", "score-cam", "relevance-cam"):
            yield f"shapes/{name}/layer{layer}", partial(explain, small, name, layer=layer)


def wrapped(name: str, inner: str) -> Entry:
    """Return a wrapped method's explanation."""
    known: dict[str, dict[str, Any]] = {"fuse": {"layers": (-1, -2)}, "noise": {"n": 3}}
    try:
        made = onnxcam.wrap(name, onnxcam.method(inner), **known.get(name, {}))
    except onnxcam.OnnxcamError as error:
        return {"error": type(error).__name__}
    return explain(MODELS["shapes"], made)


def save(folder: Path, name: str, entry: Entry) -> None:
    """Write one entry: its arrays as npz, everything else as JSON."""
    stem = folder / name.replace("/", "__")
    arrays: dict[str, Any] = {key: value for key, value in entry.items() if isinstance(value, np.ndarray)}
    if arrays:
        np.savez(stem.with_name(stem.name + ".npz"), **arrays)
    rest = {key: value for key, value in entry.items() if key not in arrays}
    stem.with_name(stem.name + ".json").write_text(json.dumps(rest, indent=1, sort_keys=True))


def differences(folder: Path, name: str, entry: Entry) -> list[str]:
    """Return in what an entry differs from the one that was written, in words; nothing if it is the same."""
    stem = name.replace("/", "__")
    text = folder / f"{stem}.json"
    if not text.exists():
        return ["is not in the record"]
    wanted: Entry = json.loads(text.read_text())
    if (arrays := folder / f"{stem}.npz").exists():
        wanted |= dict(np.load(arrays))
    found = [f"has {sorted(entry)}, not {sorted(wanted)}"] if set(entry) != set(wanted) else []
    for key in sorted(set(entry) & set(wanted)):
        mine, theirs = entry[key], wanted[key]
        if isinstance(mine, np.ndarray):
            if mine.dtype != theirs.dtype or mine.shape != theirs.shape:
                found.append(f"{key}: {mine.dtype} {mine.shape}, not {theirs.dtype} {theirs.shape}")
            elif mine.tobytes() != theirs.tobytes():
                gap = np.abs(mine.astype(np.float64) - theirs.astype(np.float64)).max()
                found.append(f"{key}: differs by up to {gap:.3g} of {np.abs(theirs).max():.3g}")
        elif mine != theirs:
            found.append(f"{key}: {mine!r}, not {theirs!r}")
    return found


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="compare instead of writing")
@click.option("--only", default="", help="cases whose name begins with this")
def main(folder: Path, check: bool, only: str) -> None:
    """Write or check the record."""
    folder.mkdir(parents=True, exist_ok=True)
    wrong, count = 0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, compute in cases():
            if not name.startswith(only):
                continue
            entry, count = compute(), count + 1
            if not check:
                save(folder, name, entry)
                continue
            for difference in differences(folder, name, entry):
                wrong += 1
                click.echo(f"{name}: {difference}")
    if wrong:
        raise click.ClickException(f"{wrong} differences in {count} entries")
    click.echo(f"{count} entries {'are the same' if check else 'written'}")


if __name__ == "__main__":
    main()
