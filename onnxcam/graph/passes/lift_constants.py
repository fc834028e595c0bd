"""Turn Constant nodes into initializers."""

from __future__ import annotations

from onnx_ir.passes.common import LiftConstantsToInitializersPass


class LiftConstants(LiftConstantsToInitializersPass):
    """Turn every Constant node into an initializer, of whatever size and type."""

    def __init__(self) -> None:
        """Set onnx_ir's pass to leave out none."""
        super().__init__(lift_all_constants=True, size_limit=0)
