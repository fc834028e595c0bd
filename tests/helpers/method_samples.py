"""What every test of formulas shares: the methods with their fields varied, arrays, and one way of comparing."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
from hypothesis import assume
from hypothesis import strategies as st

from onnxcam.methods.base import ActivationMethod, GradientMethod, Method
from onnxcam.methods.formulas.kpca_cam import KPCACAM
from onnxcam.methods.registry import method, wrap
from tests.oracles.registry import Floats, oracles, wrapper_oracles

# Methods as they are tested: with the fields that their oracles name, of which the first are the defaults or near them.
_ALL = {name: [method(name, **fields) for fields in found.fields] for name, found in oracles().items()}
# Formulas of arrays; and methods that use a view, each with the networks on which it is tested.
SAMPLES = tuple(sample for name, samples in _ALL.items() if not oracles()[name].networks for sample in samples)
VIEWED = tuple((sample, network) for name in _ALL for sample in _ALL[name] for network in oracles()[name].networks)
EVERY = tuple(sample for samples in _ALL.values() for sample in samples)
# Wrappers as they are tested, around a method of one line.
WRAPPED = tuple(
    wrap(name, method("hires-cam"), **fields) for name, found in wrapper_oracles().items() for fields in found.fields
)


def raw_map(sample: Method, a: Any, g: Any) -> Any:
    """Return the raw map, whichever arrays the method takes."""
    if isinstance(sample, ActivationMethod):
        return sample(a)
    assert isinstance(sample, GradientMethod)
    return sample(a, g)


def assert_agree(found: npt.ArrayLike, wanted: npt.ArrayLike, tolerance: float = 1e-10) -> None:
    """Compare arrays of one shape, with the tolerance relative to the largest wanted value."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    scale = np.abs(wanted).max(initial=0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)


def fixed_pair(seed: int = 0, shape: tuple[int, ...] = (2, 5, 4, 3)) -> tuple[Floats, Floats]:
    """Return activations of a ReLU (a third of them 0) and a signed gradient."""
    draw = np.random.default_rng(seed)
    return np.maximum(draw.normal(0.4, 1, shape), 0), draw.normal(0, 1, shape)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Activations and gradient of 1 to 3 spatial axes, in quarters: sums are exact, zeros and negatives frequent."""
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=5, max_side=3))
    quarters = st.integers(-8, 8).map(lambda value: value / 4)
    arrays = hnp.arrays(np.float64, shape, elements=quarters)
    return draw(arrays), draw(arrays)


def assume_one_component(sample: Method, a: Floats, g: Floats) -> None:
    """Pass over arrays whose first principal component, or its sign, is not determined."""
    values = {"eigen-cam": a, "eigen-grad-cam": a * g, "seg-eigen-cam": a * abs(g)}
    if isinstance(sample, KPCACAM):
        for image in a.reshape(*a.shape[:2], -1):
            _assume_one_eigenvector(sample, image - image.mean(axis=1, keepdims=True))
    if sample.name not in values:
        return
    x = values[sample.name]
    for image in x.reshape(*x.shape[:2], -1):
        direction, scale, _ = np.linalg.svd(image - image.mean(axis=1, keepdims=True), full_matrices=False)
        second = scale[1] if len(scale) > 1 else 0
        assume(scale[0] < 1e-12 or (scale[0] > 1.1 * second and abs(direction[:, 0].sum()) > 1e-3))


def _assume_one_eigenvector(sample: KPCACAM, positions: Floats) -> None:
    products, gamma = positions.T @ positions, sample.gamma or 1 / len(positions)
    squares = np.diag(products)[:, None] + np.diag(products) - 2 * products
    kernel = {"linear": products, "sigmoid": np.tanh(gamma * products + 1), "rbf": np.exp(-gamma * squares)}
    centred = kernel[sample.kernel] - kernel[sample.kernel].mean(axis=0)
    centred = centred - centred.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh((centred + centred.T) / 2)
    second = values[-2] if len(values) > 1 else 0
    assume(values[-1] > 1e-6 and values[-1] > 1.1 * second and abs(vectors[:, -1] @ positions.sum(axis=0)) > 1e-3)
