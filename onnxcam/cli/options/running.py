"""Options that say what runs the model, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from onnxcam.cli.options.grouping import group

if TYPE_CHECKING:
    from onnxcam.network.run_options import RunOptions

ENGINES = ("onnx", "torch")


@dataclass(frozen=True)
class RunningOptions:
    """Values of these options.

    Attributes:
        provider: of onnxruntime; None for CUDA where it works, else the CPU.
        threads: CPU threads of one operator.
        share_weights: whether the backward pass reads the forward pass's weights.
        batch: images per run; None for what fits the memory bound.
        engine: what differentiates.
    """

    provider: str | None
    threads: int | None
    share_weights: bool
    batch: int | None = None
    engine: Literal["onnx", "torch"] = "onnx"

    def build(self) -> RunOptions:
        """Return how graphs are run."""
        from onnxcam.network.run_options import RunOptions

        return RunOptions(
            providers=None if self.provider is None else [self.provider],
            threads=self.threads,
            batch_size=self.batch,
            share_weights=self.share_weights,
        )


_PROVIDER = click.option("--provider", metavar="NAME", help="cuda, cpu, ...  [default: cuda where it works, else cpu]")
_BATCH = click.option("--batch", type=click.IntRange(min=1), help="Images per run.  [default: what fits 1 GiB]")
_THREADS = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads of one operator.  [default: all cores]"
)
_ENGINE = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="onnx",
    show_default=True,
    help="torch converts the file and differentiates it with torch (needs onnxcam[torch]).",
)
_SHARE_WEIGHTS = click.option(
    "--share-weights/--copy-weights",
    default=True,
    help="Let forward and backward pass share weights, or copy them for runtimes that mix them up.  [default: share]",
)

sessions = group("running", RunningOptions, _PROVIDER, _THREADS, _SHARE_WEIGHTS)
running = group("running", RunningOptions, _PROVIDER, _BATCH, _THREADS, _ENGINE, _SHARE_WEIGHTS)
