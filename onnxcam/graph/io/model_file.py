"""A model file as it was given, and the types that models come in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import onnx
import onnx_ir as ir

# Named here for folders that do not import onnx themselves.
Model: TypeAlias = ir.Model
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
