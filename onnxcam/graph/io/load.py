"""Read a model from a path, bytes or a protobuf, and refuse clearly what is none.

A model file is untrusted: its weights may lie in other files, and those are read only from inside the model's folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from onnxcam.errors import ModelError
from onnxcam.graph.analysis.subgraphs import return_own_results
from onnxcam.graph.io.postprocessing import cut_postprocessing

# ONNX's own operator set, and its version where a model uses none of it: the oldest that rules are made for.
_MAIN, _OPSET = ("", "ai.onnx"), 18
# External tensors of more numbers than this are weights.
_LARGEST_SIZE = 1024

ModelProto: TypeAlias = onnx.ModelProto
ModelSource: TypeAlias = str | Path | bytes | onnx.ModelProto


@dataclass(frozen=True)
class ModelFile:
    """A model as it was given, before any rewriting.

    Attributes:
        ir: the graph. Weights in external files stay on disk until they are needed.
        name: the file's name, or ``<bytes>``.
        path: where the file lies, if it is a file.
        opset: version of ONNX's main operator set that the file asks for.
        exporter: the producer that the file names, with its version.
        source: what it was loaded from.
        labels: class names that the graph itself looks up after the score.
    """

    ir: ir.Model
    name: str
    path: Path | None
    opset: int
    exporter: str
    source: ModelSource = field(repr=False)
    labels: tuple[str, ...] | None = None

    @cached_property
    def sha256(self) -> str:
        """Hash of the file's bytes (without external data); half a second for 100 MB, so only when it is asked for."""
        if isinstance(self.source, onnx.ModelProto):
            return hashlib.sha256(self.source.SerializeToString()).hexdigest()
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        with open(self.source, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def size(self) -> int:
        """Bytes of the file and of its external data."""
        if isinstance(self.source, onnx.ModelProto):
            return int(self.source.ByteSize())
        if isinstance(self.source, bytes):
            return len(self.source)
        weights = (value.const_value for value in self.ir.graph.initializers.values())
        outside = {Path(weight.path) for weight in weights if isinstance(weight, ir.ExternalTensor)}
        return sum(path.stat().st_size for path in {Path(self.source), *outside})

    @property
    def metadata(self) -> dict[str, str]:
        """The model's own key-value notes."""
        return dict(self.ir.metadata_props)


def load(source: ModelSource) -> ModelFile:
    """Read a model.

    Args:
        source: path of a ``.onnx`` file, its bytes, or an onnx ``ModelProto`` (which is not changed).

    Raises:
        ModelError: not found, not an ONNX model, truncated, or with external data that is missing or lies outside the
            model's folder.
    """
    path: Path | None = None
    if isinstance(source, onnx.ModelProto):
        name, proto = "<ModelProto>", onnx.ModelProto()
        # The graph shares its tensors with the protobuf it is read from, and may rename them.
        proto.CopyFrom(source)
    elif isinstance(source, bytes):
        name, proto = "<bytes>", _parse(source, "<bytes>")
    elif isinstance(source, (str, Path)):
        path = Path(source)
        name, proto = path.name, _parse(_read(path), str(path))
    else:
        raise ModelError(f"a model is a path, bytes or an onnx.ModelProto, not {type(source).__name__}")
    where = str(path or name)
    _check_structure(proto, where)
    opset = _main_opset(proto)
    _state_opset(proto)
    labels = cut_postprocessing(proto)
    return_own_results(proto.graph)
    _check_types(proto, where)
    _check_external_data(proto, path)
    try:
        model = ir.from_proto(proto)
        if not _is_ordered(model.graph):
            model.graph.sort()
    except Exception as error:
        raise ModelError(
            f"{where}: the graph cannot be read: {_root_cause(error)}; check the file with onnx.checker"
        ) from error
    if path is not None:
        ir.external_data.set_base_dir(model.graph, path.parent)
        _bring_in_sizes(model.graph)
    return ModelFile(
        ir=model,
        name=name,
        path=path,
        opset=opset,
        exporter=" ".join(filter(None, (proto.producer_name, proto.producer_version))) or "unknown",
        source=source,
        labels=labels,
    )


def _bring_in_sizes(graph: ir.Graph) -> None:
    """Read small external tensors: shapes and axes are needed on the way, where weights may stay on disk."""
    for value in graph.initializers.values():
        tensor = value.const_value
        if isinstance(tensor, ir.ExternalTensor) and tensor.size <= _LARGEST_SIZE:
            value.const_value = ir.tensor(tensor.numpy().copy(), name=value.name)


def _is_ordered(graph: ir.Graph) -> bool:
    """Whether every node stands behind those that it reads; onnxruntime orders the others itself."""
    made: set[ir.Node] = set()
    for node in graph:
        makers = (value.producer() for value in node.inputs if value is not None)
        if any(maker is not None and maker.graph is graph and maker not in made for maker in makers):
            return False
        made.add(node)
    return True


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; give the path of a .onnx file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); give the path of a .onnx file") from error


def _parse(data: bytes, where: str) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"{where}: not an ONNX model, or a truncated one; export or download it again") from None
    return proto


def _main_opset(proto: onnx.ModelProto) -> int:
    return next((entry.version for entry in proto.opset_import if entry.domain in _MAIN), 0)


def _check_structure(proto: onnx.ModelProto, where: str) -> None:
    """Refuse what parses as protobuf by chance: an empty file does."""
    if not proto.graph.node or not proto.graph.output:
        raise ModelError(f"{where}: not an ONNX model (it has no operators or no outputs); export it again")
    if _main_opset(proto) > 0:
        return
    node = next((node for node in _nodes(proto) if node.domain in _MAIN), None)
    if node is not None:
        raise ModelError(
            f"{where}: the model does not say which version of ONNX's operators it uses (opset_import), and "
            f"{node.op_type} '{node.name or node.output[0]}' is one of them; export it again, or add the version that "
            "it was exported with (onnx.helper.make_opsetid)"
        )


def _state_opset(proto: onnx.ModelProto) -> None:
    """Let a model that uses none of ONNX's own operators have them as they are here: what it is rewritten with."""
    if _main_opset(proto) > 0:
        return
    others = [entry for entry in proto.opset_import if entry.domain not in _MAIN]
    del proto.opset_import[:]
    proto.opset_import.extend([*others, onnx.helper.make_opsetid("", _OPSET)])


def _nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of the graph, of its branches and of the functions."""
    waiting = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            waiting.extend(attribute.g.node)


def _check_types(proto: onnx.ModelProto, where: str) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise ModelError(
                f"{where}: '{value.name}' is a {str(kind).removesuffix('_type').replace('_', ' ')}, not a tensor; "
                "export the model again with tensors alone"
            )


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: object) -> Iterator[onnx.TensorProto]:
    for node in nodes:  # type: ignore[attr-defined]  # a repeated protobuf field
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _graph_tensors(attribute.g)
            for graph in attribute.graphs:
                yield from _graph_tensors(graph)


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:
        yield from _node_tensors(function.node)


def _check_external_data(proto: onnx.ModelProto, path: Path | None) -> None:
    folder = path.parent.resolve() if path is not None else None
    for tensor in _tensors(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if folder is None or path is None:
            raise ModelError(
                f"weight '{tensor.name}' lies in the external file '{location}', which bytes in memory cannot reach; "
                "give the path of the model instead"
            )
        file = (folder / location).resolve()
        if not location or not file.is_relative_to(folder):
            raise ModelError(
                f"{path}: weight '{tensor.name}' points to '{location}', outside the model's folder; "
                "this is refused because a model file is untrusted: move the data beside the model and save it again"
            )
        if not file.is_file():
            raise ModelError(
                f"{path}: weight '{tensor.name}' needs the external file '{location}', which is missing; "
                "copy it into the model's folder"
            )
        _check_extent(entries, file, f"{path}: weight '{tensor.name}'")


def _check_extent(entries: dict[str, str], file: Path, where: str) -> None:
    try:
        end = int(entries.get("offset") or 0) + int(entries.get("length") or 0)
    except ValueError:
        raise ModelError(f"{where} has an offset or a length that is no number; save the model again") from None
    if end > file.stat().st_size:
        raise ModelError(f"{where} reaches past the end of '{file.name}'; the file is truncated: copy it again")
