"""Resizing of maps equals torch's interpolation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from onnxcam.arrays import upsample
from onnxcam.errors import InputError
from tests.helpers.method_samples import assert_agree

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def maps(*shape: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((2, 7), (50,)),
        ((2, 7, 7), (224, 224)),
        ((1, 1, 1), (5, 4)),
        ((3, 4, 1), (9, 6)),
        ((2, 13, 9), (100, 10)),
        ((2, 5, 6), (5, 6)),
        ((1, 3, 4, 2), (7, 9, 5)),
    ],
)
def test_enlarges_as_torch_does(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    raw = maps(*shape)
    mode = MODES[len(size)]
    wanted = torch.nn.functional.interpolate(torch.tensor(raw)[:, None], size=size, mode=mode, align_corners=False)
    assert_agree(upsample(raw, size), wanted[:, 0].numpy(), tolerance=1e-12)


@pytest.mark.parametrize("size", [(3, 3), (10, 4), (1, 1), (5, 40), (19, 16)])
def test_shrinks_without_aliasing_as_torch_does(size: tuple[int, int]) -> None:
    raw = maps(2, 20, 17)
    tensor = torch.tensor(raw)[:, None]
    wanted = torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", align_corners=False, antialias=True)
    assert_agree(upsample(raw, size), wanted[:, 0].numpy(), tolerance=1e-6)


def test_resizing_keeps_the_type_and_a_constant() -> None:
    flat = upsample(np.full((1, 6, 5), 3, np.float32), (11, 2))
    assert flat.dtype == np.float32
    np.testing.assert_allclose(flat, 3, rtol=1e-6)


@pytest.mark.parametrize("size", [(4,), (4, 4, 4), (0, 4), ()])
def test_a_size_that_does_not_fit_is_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="cannot be resized"):
        upsample(maps(1, 3, 3), size)
