"""The first principal component of a method's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.errors import InputError
from onnxcam.methods.base import WeightedMethod
from onnxcam.methods.nested import Wrapper
from onnxcam.methods.registry import methods
from onnxcam.methods.support.principal_component import first_component, judged_by_size
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class Principal(Wrapper):
    """First principal component of a method's weighted feature maps, in place of their sum.

    ``L = (P - mean_xy P)^T v`` where the method's map is ``sum_k P_k``, with ``v`` the unit vector over channels of the
    greatest variance.

    Source: ``eigen_smooth`` of pytorch-grad-cam, after Eigen-CAM.

    Differences: the sign, arbitrary there, is chosen so that the map agrees with the method's own. Around HiResCAM this
    is EigenGrad-CAM.

    Attributes:
        method: a method whose map is a sum over channels.
    """

    name: ClassVar[str] = "principal"
    paper: ClassVar[str] = "gildenblat2021"

    def __post_init__(self) -> None:
        """Refuse a method whose map is not a sum over channels."""
        super().__post_init__()
        if not isinstance(self.inner, WeightedMethod):
            able = ", ".join(name for name, cls in methods().items() if issubclass(cls, WeightedMethod))
            raise InputError(
                f"principal takes a method whose map is a sum over channels ({able}), not {self.inner.name}"
            )

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: it can, since its mean over positions is 0."""
        return True

    def judged(self, view: NetworkView) -> list[Array]:
        """Return what is decomposed."""
        assert isinstance(self.inner, WeightedMethod)
        return judged_by_size(self.inner.components(view.a, view.g))

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed, mean 0, in the method's units."""
        assert isinstance(self.inner, WeightedMethod)
        return first_component(self.inner.components(view.a, view.g))
