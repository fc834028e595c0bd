"""Read a model from a path, bytes or a protobuf, and refuse clearly what is none."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from onnxcam.errors import ModelError
from onnxcam.graph.analysis.subgraphs import return_own_results
from onnxcam.graph.io.check import check_structure, check_types, main_opset, set_opset
from onnxcam.graph.io.external_data import check_external_data, read_small_tensors
from onnxcam.graph.io.model_file import ModelFile, ModelSource
from onnxcam.graph.io.postprocessing import cut_postprocessing


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
    check_structure(proto, where)
    opset = main_opset(proto)
    set_opset(proto)
    labels = cut_postprocessing(proto)
    return_own_results(proto.graph)
    check_types(proto, where)
    check_external_data(proto, path)
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
        read_small_tensors(model.graph)
    return ModelFile(
        ir=model,
        name=name,
        path=path,
        opset=opset,
        exporter=" ".join(filter(None, (proto.producer_name, proto.producer_version))) or "unknown",
        source=source,
        labels=labels,
    )


def _is_ordered(graph: ir.Graph) -> bool:
    """Whether every node comes after those that it reads; onnxruntime itself sorts files where that is not so."""
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
