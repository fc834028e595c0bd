"""SmoothGrad."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.formulas.gradient import Gradient
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.support.noise import noisy_mean
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class SmoothGrad(Method):
    """Gradient with respect to the input, averaged over noisy copies of the image.

    ``L = max_k abs(mean g_k)`` over the input's channels, or ``sum_k mean g_k``.

    Source: Smilkov et al. 2017, sec. 3. The noise is a fraction of the range of the image's own values, as there.

    Differences: the authors' code squares the gradients unless told otherwise (``magnitude``); here they keep their
    sign in the average. The average is taken before the absolute value: the wrapper ``noise`` around ``gradient``
    averages after it. Every image gets the same noise.

    Attributes:
        n: number of noisy copies, one gradient each; more than 50 change little.
        sigma: standard deviation of the noise as a fraction of the image's range; the paper finds 0.1 to 0.2 best.
        seed: of the noise.
        reduce: how channels become one map: ``max-abs`` is never negative, ``sum`` is signed.
    """

    name: ClassVar[str] = "smooth-grad"
    paper: ClassVar[str] = "smilkov2017"
    needs: ClassVar[Needs] = Needs(at="input", gradient=True)
    n: int = 50
    sigma: float = 0.15
    seed: int = 0
    reduce: Literal["max-abs", "sum"] = "max-abs"

    def __post_init__(self) -> None:
        """Refuse fewer than one copy."""
        super().__post_init__()
        check_counts(self, "n")

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: the sum over channels can, the largest absolute value cannot."""
        return self.reduce == "sum"

    def judged(self, view: NetworkView) -> list[Array]:
        """Return the map of one image of those that it looks at."""
        return [replace(self, n=1).explain(view)]

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, in units of the score per unit of input; negative only for ``sum``."""
        g = noisy_mean(lambda one: one.g, view, self.n, self.sigma, self.seed)
        return Gradient(self.reduce)(view.x, g)
