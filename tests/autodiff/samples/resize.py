"""Resizing in every mode."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Arg, Attribute, Sample, coin, const, pick, samples, sized, smooth, var

_SPATIAL = [2, 3]


def _modes(rng: np.random.Generator, mode: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {
        "mode": mode,
        "coordinate_transformation_mode": pick(
            rng, "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"
        ),
    }
    if mode == "nearest":
        attributes["nearest_mode"] = pick(rng, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    if mode == "cubic":
        attributes["cubic_coeff_a"] = float(rng.choice([-0.75, -0.5]))
        attributes["exclude_outside"] = coin(rng)
    return attributes


def _make(rng: np.random.Generator, mode: str, **more: Attribute) -> Sample:
    """Resize the two spatial axes, by scales or by sizes, over all axes or these, fixed or sized."""
    before = [int(n) for n in rng.integers(3, 6, 2)]
    attributes = {**_modes(rng, mode), **more}
    by_axes = coin(rng)
    wrap = sized if rng.random() < 0.3 else const
    if by_axes:
        attributes["axes"] = _SPATIAL
    scales: Arg | None = None
    sizes: Arg | None = None
    if coin(rng):
        chosen = rng.choice([0.5, 0.6, 1.0, 1.5, 2.0, 2.3], 2)
        scales = wrap(np.array([*chosen] if by_axes else [1, 1, *chosen], np.float32))
        note = f"scales{chosen}"
    else:
        after = [int(n) for n in rng.integers(2, 9, 2)]
        sizes = wrap(np.array(after if by_axes else [2, 2, *after], np.int64))
        note = f"sizes{after}"
    # The reference evaluator and onnxruntime differ in corners of the coordinate modes; the file runs on onnxruntime.
    return Sample(
        "Resize",
        (var(smooth(rng, 2, 2, *before)), None, *((scales,) if scales is not None else (None, sizes))),
        attributes,
        oracle="linear",
        opset=19,
        note=f"{note}{wrap.__name__}",
    )


@samples(16)
def nearest(rng: np.random.Generator) -> Sample:
    return _make(rng, "nearest")


@samples(12)
def linear(rng: np.random.Generator) -> Sample:
    return _make(rng, "linear")


@samples(12)
def cubic(rng: np.random.Generator) -> Sample:
    return _make(rng, "cubic")


@samples(8)
def antialias(rng: np.random.Generator) -> Sample:
    return _make(rng, pick(rng, "linear", "cubic"), antialias=1)
