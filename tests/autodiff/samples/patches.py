"""Patches of an image, and reading between its positions."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Sample, const, fed, listed, pick, samples, sized, smooth, var

_RNG = np.random.default_rng(23)
_BOXES = np.array([[0.3, 0.2, 4.1, 3.3], [1.1, 0.4, 3.2, 5.7], [-1.5, -0.5, 7.5, 9.0]], np.float32)
_BATCH = np.array([1, 0, 1], np.int64)


@samples(24)
def grid_sample(rng: np.random.Generator) -> Sample:
    volume = bool(rng.integers(4) == 0)
    shape = (2, 2, 3, 4, 3) if volume else (2, 3, 4, 5)
    points = (2, 2, 3, 2, 3) if volume else (2, 3, 2, 2)
    mode = pick(rng, "linear", "nearest") if volume else pick(rng, "linear", "nearest", "cubic")
    attributes = {
        "mode": mode,
        "padding_mode": pick(rng, "zeros", "border", "reflection"),
        "align_corners": int(rng.integers(2)),
    }
    grid = rng.uniform(-1.6, 1.6, points).astype(np.float32)
    return Sample("GridSample", (var(smooth(rng, *shape)), fed(grid)), attributes, opset=20, rtol=1e-4)


@samples(12)
def grid_of_points(rng: np.random.Generator) -> Sample:
    """The points too, each well between two positions."""
    shape, points = (1, 2, 4, 5), (1, 3, 2, 2)
    aligned = int(rng.integers(2))
    sizes = np.array(shape[:1:-1])
    position = rng.integers(-2, 6, points) + rng.uniform(0.25, 0.75, points)
    if not aligned:
        # Halfway between two positions lie the ends that reflection turns at.
        position = np.where(abs(position % 1 - 0.5) < 0.1, position + 0.17, position)
    grid = 2 * position / (sizes - 1) - 1 if aligned else (2 * position + 1) / sizes - 1
    attributes = {
        "mode": pick(rng, "linear", "cubic"),
        "padding_mode": pick(rng, "zeros", "border", "reflection"),
        "align_corners": aligned,
    }
    x = var(smooth(rng, *shape))
    return Sample("GridSample", (x, var(grid)), attributes, opset=20, rtol=1e-4, note="grid")


@samples(8)
def affine_grid(rng: np.random.Generator) -> Sample:
    rank, batch = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    size = np.array([batch, 2, *rng.integers(2, 5, rank)])
    wrap = const if rng.integers(2) else sized
    attributes = {"align_corners": int(rng.integers(2))}
    # The evaluator's own rounds to float32.
    return Sample(
        "AffineGrid", (var(smooth(rng, batch, rank, rank + 1)), wrap(size)), attributes, opset=20, oracle="linear"
    )


listed(
    __name__,
    *(
        Sample(
            "RoiAlign",
            (var(smooth(_RNG, 2, 3, 6, 7)), fed(_BOXES), const(_BATCH)),
            {
                "output_height": 3,
                "output_width": 2,
                "sampling_ratio": ratio,
                "spatial_scale": scale,
                "coordinate_transformation_mode": mode,
            },
            oracle="linear",
            rtol=1e-4,
        )
        for ratio, scale, mode in (
            (2, 1.0, "half_pixel"),
            (0, 0.8, "half_pixel"),
            (1, 0.7, "output_half_pixel"),
            (0, 1.3, "output_half_pixel"),
        )
    ),
    *(
        Sample(
            "Col2Im",
            (var(smooth(_RNG, *shape)), const(np.array(image)), const(np.array(block))),
            attributes,
            oracle="linear",
        )
        for shape, image, block, attributes in (
            ((2, 12, 12), (4, 5), (2, 2), {}),
            ((1, 8, 9), (5, 5), (2, 2), {"dilations": [2, 2]}),
            ((1, 18, 9), (5, 5), (3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        )
    ),
)
