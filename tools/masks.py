"""Where rounding stops a gradient: every choice, against the float network, ``python -m tools.masks``.

For each network with QuantizeLinear that has a float twin: the mean cosine of the gradients at the input with the
twin's on all its photographs, for the derivative of QuantizeLinear where its number before rounding, in integer units,
is inside the range (closed, which is what the rule does; or open), where the rounded number is (reached: not at an end
of the range), the same at the lower end alone, and everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import numpy as np

import onnxcam
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.quantized_view import limits
from onnxcam.autodiff.registry import Cotangents, Rule, Table, gradient_table
from onnxcam.images import Preprocess
from tools.disturbed import gradients
from tools.twins import SHARED, cosine, pairs, photographs

# Distances from the lower and the upper end, in integer units, that count as inside.
MASKS: Mapping[str, tuple[float, float]] = {
    "closed": (-1e-3, -1e-3),
    "open": (1e-3, 1e-3),
    "reached": (0.5, 0.5),
    "lower end, closed": (-1e-3, -np.inf),
    "lower end, reached": (0.5, -np.inf),
    "none": (-np.inf, -np.inf),
}


def table(below: float, above: float) -> Table:
    """Return the rules with another one for QuantizeLinear of one scale and zero point."""

    def quantize_linear(op: Builder, node: NodeView, dq: Var) -> Cotangents:
        scale = node.input(1)
        number = node.x / scale + op.cast(node.raw(2), dq.dtype)
        low, high = limits(node.raw(2).dtype)
        inside = op.And(number > max(low + below, -1e30), number < min(high - above, 1e30))
        return op.Where(inside, dq / scale, 0), None, None

    rule = Rule(quantize_linear, "", "QuantizeLinear", 10)
    return MappingProxyType({**gradient_table(), ("", "QuantizeLinear"): (rule,)})


def measure(name: str, twin: str, shared: Path) -> dict[str, float]:
    """Return the mean cosine of each choice."""
    conventions = json.loads((shared / "models" / "models.json").read_text())
    paths = photographs(conventions[name]["task"], shared)

    def opened(which: str) -> tuple[onnxcam.Explainer, Any]:
        preprocess = Preprocess.from_json(json.dumps(conventions[which]))
        file = shared / "models" / f"{which}.onnx"
        explainer = onnxcam.Explainer(file, "gradient", preprocess=preprocess, providers=["cpu"])
        return explainer, np.concatenate([explainer.read(path).array for path in paths])

    explainer, images = opened(twin)
    classes = explainer.explain([explainer.read(path) for path in paths]).targets
    wanted = gradients(explainer)(images, classes)
    explainer, images = opened(name)
    found = {mask: gradients(explainer, table=table(*ends))(images, classes) for mask, ends in MASKS.items()}
    return {
        mask: float(np.mean([cosine(a.ravel(), b.ravel()) for a, b in zip(wanted, g, strict=True)]))
        for mask, g in found.items()
    }


@click.command(help=__doc__)
@click.option("--shared", type=click.Path(path_type=Path, exists=True), default=SHARED, help="models and images")
def main(shared: Path) -> None:
    """Print one row a network."""
    click.echo("| quantised network | " + " | ".join(MASKS) + " |")
    click.echo("|---" * (len(MASKS) + 1) + "|")
    for name, twin in pairs(shared / "models"):
        if not name.endswith("dynquant"):
            row = measure(name, twin, shared)
            click.echo(f"| {name} | " + " | ".join(f"{row[mask]:.3f}" for mask in MASKS) + " |")


if __name__ == "__main__":
    main()
