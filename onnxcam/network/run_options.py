"""How graphs run: where, on how many threads, how many samples at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxcam.errors import InputError
from onnxcam.runtime.providers import Provider


@dataclass(frozen=True)
class RunOptions:
    """How graphs are loaded and run.

    Attributes:
        providers: of onnxruntime, best first ("cuda", "cpu" or full names); None for CUDA where it works, else the CPU.
        threads: for one operator; None for all cores.
        batch_size: samples a run; None for as many as fit ``memory``.
        memory: bytes that the values of one run may take together, all of them counted though most are freed while it
            runs. The default, 1 GiB, makes runs large enough to be fast and fits any machine.
        share_weights: let the backward pass read the forward pass's weights; False copies them, for runtimes that
            compute wrong gradients from shared ones.

    Raises:
        InputError: a batch size, a number of threads or a memory below 1.
    """

    providers: Sequence[Provider] | None = None
    threads: int | None = None
    batch_size: int | None = None
    memory: int = 2**30
    share_weights: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers below 1."""
        for text, number in (
            ("batch size", self.batch_size),
            ("number of threads", self.threads),
            ("memory for a run, in bytes,", self.memory),
        ):
            if number is not None and number < 1:
                raise InputError(f"the {text} is at least 1, not {number}")
