"""A model file as a torch module: onnx2torch converts it, and each of its values can be differentiated.

torch and onnx2torch are imported when they are first needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.errors import InputError, ProviderError, UnsupportedError
from onnxcam.graph.io.model_file import ModelFile
from onnxcam.graph.io.serialize import to_proto
from onnxcam.graph.passes.infer_shapes import InferShapes
from onnxcam.graph.passes.lift_constants import LiftConstants
from onnxcam.graph.passes.read_copied_weights import ReadCopiedWeights
from onnxcam.graph.passes.size_normalized_axes import SizeNormalizedAxes

Tensor: TypeAlias = npt.NDArray[Any]

PROVIDER = "torch (onnx2torch)"


@dataclass(frozen=True, eq=False)
class TorchModule:
    """A model as torch runs it.

    Attributes:
        module: torch's ``GraphModule``.
        inputs: names of the model's inputs, in the order of the module's arguments.
        nodes: where the module computes each value: name of the node in its graph, and which of the node's results.
    """

    module: Any
    inputs: tuple[str, ...]
    nodes: dict[str, tuple[str, int | None]]

    @property
    def provider(self) -> str:
        """``torch (onnx2torch)``: torch runs the model, onnx2torch converts the file."""
        return PROVIDER

    def run(self, feeds: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Any]:
        """Run once and return tensors that autograd can differentiate.

        Raises:
            InputError: other inputs than the model's.
            UnsupportedError: the converted model has no value of that name, or fails while it runs.
        """
        import torch

        if missing := [name for name in names if name not in self.nodes]:
            raise UnsupportedError(
                f"the file converted for torch has no value '{missing[0]}', which onnxcam makes when it prepares "
                "the model; choose another layer, or engine='onnx'"
            )
        if set(feeds) != set(self.inputs):
            raise InputError(f"the model's inputs are {list(self.inputs)}, not {list(feeds)}")
        tensors = [torch.from_numpy(np.asarray(feeds[name], order="C")) for name in self.inputs]
        tensors = [t.requires_grad_() if t.is_floating_point() else t for t in tensors]
        wanted = {self.nodes[name][0] for name in names}
        try:
            kept = _keep(self.module, tensors, wanted)
        except Exception as error:  # converted modules raise what they like
            raise UnsupportedError(
                f"the file converted for torch does not run: {_line(error)}; use engine='onnx'"
            ) from error
        found = {}
        for name in names:
            node, index = self.nodes[name]
            found[name] = kept[node] if index is None else kept[node][index]
        return found


def gradients(found: Mapping[str, Any], score: str, values: Sequence[str], cotangent: Tensor) -> list[Tensor]:
    """Return the gradients of the weighted scores with respect to values of the same run.

    Raises:
        UnsupportedError: the scores do not depend on one of them, as torch sees it.
    """
    import torch

    weight = torch.from_numpy(cotangent).to(found[score].dtype)
    try:
        results = torch.autograd.grad(found[score], [found[name] for name in values], weight)
    except RuntimeError as error:
        raise UnsupportedError(
            f"torch finds no gradient of '{score}' with respect to {', '.join(values)}: {_line(error)}; "
            "use engine='onnx'"
        ) from error
    return [result.float().numpy() for result in results]


def convert(file: ModelFile) -> TorchModule:
    """Convert a file as it was given.

    Raises:
        ProviderError: torch or onnx2torch is not installed.
        UnsupportedError: onnx2torch does not convert one of its operators, or fails.
    """
    onnx2torch = _import()
    graph = file.ir.graph
    if missing := _without_converter(file, onnx2torch):
        raise UnsupportedError(
            f"onnx2torch does not convert {', '.join(missing)}; use engine='onnx', or another opset of the file"
        )
    try:
        model = file.ir.clone()
        for step in (LiftConstants(), ReadCopiedWeights(), InferShapes(), SizeNormalizedAxes()):
            model = step(model).model
        proto = to_proto(model)
        module = onnx2torch.convert(proto, attach_onnx_mapping=True).eval()
    except Exception as error:  # converters raise what they like
        raise UnsupportedError(f"onnx2torch does not convert the file: {_line(error)}; use engine='onnx'") from error
    inputs = tuple(str(value.name) for value in graph.inputs if value.name not in graph.initializers)
    return TorchModule(module, inputs, _nodes_of_values(module, inputs))


def _import() -> Any:
    try:
        import onnx2torch
    except ImportError as error:
        raise ProviderError(
            f"the torch engine is not installed ({error}); install it with pip install 'onnxcam[torch]'"
        ) from error
    except Exception as error:  # a torchvision that does not match torch fails in many ways
        raise ProviderError(
            f"onnx2torch cannot be imported: {_line(error)}; check that torch and torchvision match"
        ) from error
    return onnx2torch


def _without_converter(file: ModelFile, onnx2torch: Any) -> list[str]:
    missing = set()
    for node in file.ir.graph.all_nodes():
        version = file.ir.graph.opset_imports.get(node.domain, file.opset)
        try:
            onnx2torch.converter.get_converter(operation_type=node.op_type, version=version, domain=node.domain)
        except NotImplementedError:
            domain = f"{node.domain}:" if node.domain else ""
            missing.add(f"{domain}{node.op_type} (opset {version})")
    return sorted(missing)


def _nodes_of_values(module: Any, inputs: Sequence[str]) -> dict[str, tuple[str, int | None]]:
    """Return where each of the file's values is made in the module's graph."""
    nodes: dict[str, tuple[str, int | None]] = {}
    arguments = (node.name for node in module.graph.nodes if node.op == "placeholder")
    nodes.update({name: (argument, None) for name, argument in zip(inputs, arguments, strict=True)})
    for node in module.graph.nodes:
        if node.op == "call_module":
            outputs = module.get_submodule(node.target).onnx_mapping.outputs
            single = len(outputs) == 1
            nodes.update({name: (node.name, None if single else i) for i, name in enumerate(outputs)})
    return nodes


def _keep(module: Any, tensors: Sequence[Any], wanted: set[str]) -> dict[str, Any]:
    """Run a module and return the results of some of its nodes."""
    import torch

    kept: dict[str, Any] = {}

    class Keeper(torch.fx.Interpreter):  # type: ignore[misc]  # torch has no types here
        def run_node(self, n: Any) -> Any:
            result = super().run_node(n)
            if n.name in wanted:
                kept[n.name] = result
                # What follows may work in place, which must not reach the result that is kept.
                result = result.clone() if isinstance(result, torch.Tensor) else result
            return result

    Keeper(module).run(*tensors)
    return kept


def _line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
