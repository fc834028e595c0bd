"""Inspect a model file: its inputs, score, layers and problems, without explaining anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnxcam.autodiff.coverage import Coverage
from onnxcam.autodiff.differentiate import Seed, add_gradients
from onnxcam.errors import OnnxcamError, UnsupportedError
from onnxcam.graph.analysis.batch import batch_size
from onnxcam.graph.analysis.inputs import model_inputs
from onnxcam.graph.analysis.layers import Layer, candidates
from onnxcam.graph.analysis.scale_invariance import sums_to_zero
from onnxcam.graph.analysis.score import Score
from onnxcam.graph.io.load import load
from onnxcam.graph.io.model_file import ModelFile, ModelSource
from onnxcam.graph.io.signature import DeclaredValue, declared_inputs, declared_outputs
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.network.network import Network
from onnxcam.network.open_session import open_session
from onnxcam.network.read import prepare_network
from onnxcam.runtime.providers import CPU


@dataclass(frozen=True)
class ListedLayer:
    """A layer that a map can be read from.

    Attributes:
        index: what ``layer`` and ``--layer`` take: -1 is the last one, the default.
        layer: the value.
        gradient: whether methods that need a gradient work there.
        zero_sum: whether gradient times value sums to 0 over the positions, because the network normalises after it has
            pooled them: such a map is relative evidence, and no share of the score.
    """

    index: int
    layer: Layer
    gradient: bool
    zero_sum: bool


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of a model file.

    Attributes:
        inputs: as the file declares them.
        axes: one letter an axis of each input that is an image or a signal, by name.
        outputs: as the file declares them.
        batch: how many samples the file takes at once, None for any number.
        opened: the file takes one sample, but two in one run give the same scores as one by one.
    """

    inputs: tuple[DeclaredValue, ...]
    axes: dict[str, str]
    outputs: tuple[DeclaredValue, ...]
    batch: int | None
    opened: bool


@dataclass(frozen=True)
class Inspection:
    """What inspecting a model file has found.

    Attributes:
        file: as it was given.
        size: of the file and its external data, in bytes.
        interface: inputs, outputs and batch size.
        score: the tensor that is explained; None if there is none.
        layers: those that maps can be made of, earliest first.
        missing: operators between inputs and score without a gradient rule: names of nodes by operator.
        problems: why an explanation would fail, one line each.
    """

    file: ModelFile
    size: int
    interface: Interface
    score: Score | None
    layers: tuple[ListedLayer, ...]
    missing: dict[str, list[str]]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        file, interface, score = self.file, self.interface, self.score
        return {
            "format": "onnxcam-inspection-1",
            "model": file.name,
            "bytes": self.size,
            "sha256": file.sha256,
            "exporter": file.exporter,
            "opset": file.opset,
            "inputs": [value.to_dict() | {"axes": interface.axes.get(value.name, "")} for value in interface.inputs],
            "outputs": [value.to_dict() for value in interface.outputs],
            "batch": {"size": interface.batch, "opened": interface.opened},
            "score": score
            and {
                "name": score.name,
                "shape": list(score.shape),
                "activation": score.activation,
                "passed": list(score.passed),
                "kind": score.kind,
                "box_axis": score.box_axis if score.kind == "boxes" else None,
                "coordinates": score.coordinates if score.kind == "boxes" else None,
            },
            "layers": [
                {
                    "index": listed.index,
                    "name": listed.layer.name,
                    "node": listed.layer.node,
                    "operator": listed.layer.op_type,
                    "shape": list(listed.layer.shape),
                    "axes": listed.layer.axes,
                    "gradient": listed.gradient,
                    "zero_sum": listed.zero_sum,
                    "default": listed.index == -1,
                }
                for listed in self.layers
            ],
            "operators_without_rule": self.missing,
            "metadata": file.metadata,
            "problems": list(self.problems),
        }


def inspect(source: ModelSource, score: str | None = None) -> Inspection:
    """Find the inputs, score, layers and problems of a model.

    Args:
        source: path, bytes or onnx ``ModelProto``.
        score: name of the tensor to explain, as for ``Explainer``.

    Raises:
        ModelError: no ONNX model.
        NameNotFoundError: no value has the score's name.
    """
    file = load(source)
    network: Network | None = None
    problems: list[str] = []
    try:
        network = prepare_network(file, score)
    except UnsupportedError as error:
        problems.append(str(error))
    batch = batch_size(file.ir.graph) if network is None or network.batch is None else network.batch
    graph = canonicalize(file.ir).graph if network is None else network.model.graph
    layers: tuple[ListedLayer, ...] = ()
    missing: dict[str, list[str]] = {}
    if network is not None:
        coverage = Coverage(network.model, network.score.name)
        layers, missing = _layers(network, coverage), coverage.missing()
        problems += _problems(network, layers)
    return Inspection(
        file=file,
        size=file.size,
        interface=Interface(
            inputs=declared_inputs(file.ir.graph),
            axes={entry.name: entry.axes for entry in model_inputs(graph)},
            outputs=declared_outputs(file.ir.graph),
            batch=batch,
            opened=network is not None and network.batch is None and batch is not None,
        ),
        score=None if network is None else network.score,
        layers=layers,
        missing=missing,
        problems=tuple(problems),
    )


def _layers(network: Network, coverage: Coverage) -> tuple[ListedLayer, ...]:
    graph, score = network.model.graph, network.score.name
    found = candidates(graph, score)
    return tuple(
        ListedLayer(
            index - len(found), layer, coverage.has_gradient(layer.name), sums_to_zero(graph, layer.name, score)
        )
        for index, layer in enumerate(found)
    )


def _problems(network: Network, layers: tuple[ListedLayer, ...]) -> list[str]:
    """Return what fails when the model is run, and when its gradient at the default layer is written."""
    found = []
    try:
        open_session(network.model, [CPU], folder=network.folder)
    except OnnxcamError as error:
        found.append(str(error))
    if not layers:
        found.append("the score depends on no layer with spatial extent: only methods at the input apply")
        return found
    seed: Seed = "class" if network.score.kind == "classes" else "cotangent"
    try:
        add_gradients(network.model, network.score.name, [layers[-1].layer.name], seed)
    except OnnxcamError as error:
        found.append(str(error))
    return found
