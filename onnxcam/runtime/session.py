"""Run a graph on onnxruntime: arrays converted to the types it takes, large batches in pieces, errors in one line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from onnxcam.errors import InputError, ModelError, OutOfMemoryError, ProviderError
from onnxcam.runtime.messages import reason, wants_memory
from onnxcam.runtime.providers import CPU, FATAL, Provider, name_of, preferred, quiet, require_loaded

Tensor = npt.NDArray[Any]

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class Input:
    """What a graph takes under one name.

    Attributes:
        name: of the input.
        dtype: NumPy type.
        shape: numbers, or None where any size goes.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


class Session:
    """A graph, ready to run.

    Attributes:
        provider: the execution provider that runs it, by onnxruntime's name.
        inputs: what it takes, by name.
        outputs: names of its outputs, in order.
    """

    def __init__(
        self,
        model: bytes | Path,
        providers: Sequence[Provider] | None = None,
        *,
        threads: int | None = None,
        folder: Path | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Load a graph.

        Args:
            model: serialised graph, or its file.
            providers: execution providers, best first; None for CUDA where it works, else the CPU. If the first of them
                does not load, that is an error.
            threads: for one operator; None for all cores.
            folder: the folder of external weights.
            weights: arrays for weights that the graph declares as external, used where they are, without a copy.

        Raises:
            ModelError: onnxruntime rejects the graph.
            ProviderError: a requested provider is not there or does not load.
        """
        asked = preferred(providers)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL
        if threads is not None:
            options.intra_op_num_threads = threads
        if folder is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        # onnxruntime reads the arrays as long as the session lives, and does not keep them alive itself.
        self._weights = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in (weights or {}).values()]
        if weights:
            options.add_external_initializers(list(weights), self._weights)
        self._session = _open(model, options, asked)
        loaded = self._session.get_providers()
        if providers is not None:
            require_loaded(asked, loaded)
        self.provider: str = loaded[0]
        self.inputs = {entry.name: _input(entry) for entry in self._session.get_inputs()}
        self.outputs = [entry.name for entry in self._session.get_outputs()]

    @staticmethod
    def version() -> str:
        """Version of onnxruntime."""
        return str(onnxruntime.__version__)

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run once.

        Args:
            feeds: an array for each input; it is converted to the type that the graph takes where no number is lost.
            outputs: names to return; all if not given.

        Raises:
            InputError: a name, type or shape that the graph does not take.
            ProviderError: the provider fails while running, for instance because of too little memory.
        """
        names = list(outputs or self.outputs)
        arrays = self._check(feeds)
        try:
            values = self._session.run(names, arrays) if self.provider == CPU else self._run_bound(names, arrays)
        except Exception as error:  # onnxruntime's errors share no public base class
            raise self._failure(error, arrays) from error
        return dict(zip(names, values, strict=True))

    def _failure(self, error: Exception, arrays: Mapping[str, Tensor]) -> ProviderError:
        """Return the error for a run that failed; what to do depends on whether it could have had fewer rows."""
        elsewhere = "" if self.provider == CPU else " or --provider cpu"
        if not wants_memory(error):
            return ProviderError(
                f"{self.provider} failed while running the model: {reason(error)}; try a smaller --batch{elsewhere}, "
                "and check that the model runs by itself"
            )
        several = any(len(array) > 1 for name, array in arrays.items() if self.inputs[name].shape[:1] == (None,))
        remedy = (
            "use a smaller --batch (batch_size), which also bounds what methods of many runs do at once"
            if several
            else "it cannot have fewer rows: use a smaller image, a smaller model or a machine with more memory"
        )
        return OutOfMemoryError(
            f"{self.provider} has too little memory for this run ({reason(error)}); {remedy}{elsewhere}"
        )

    def _run_bound(self, names: Sequence[str], arrays: Mapping[str, Tensor]) -> list[Tensor]:
        """Run on a device: all inputs go there in one go and only what is asked for comes back."""
        binding = self._session.io_binding()
        for name, array in arrays.items():
            binding.bind_cpu_input(name, array)
        for name in names:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    def run_batched(
        self,
        feeds: Mapping[str, Tensor],
        outputs: Sequence[str] | None = None,
        *,
        size: int,
        fixed: bool = False,
        shared: Collection[str] = (),
    ) -> dict[str, Tensor]:
        """Run in pieces along the first axis and join the results.

        Args:
            feeds: arrays whose first axis counts samples, all equally many, and those that all samples share.
            outputs: names to return; all if not given. Their first axis counts samples too.
            size: samples a run.
            fixed: the graph takes exactly ``size`` samples: a last piece is filled up by repeating its last sample.
            shared: names of inputs and outputs that are the same for all samples.

        Raises:
            InputError: no samples, or an output is a single number and there is more than one run; else as of ``run``.
            ProviderError: as of ``run``.
        """
        count = next((len(array) for name, array in feeds.items() if name not in shared), size)
        if count == 0:
            raise InputError("there are no samples: the first axis of the input is empty")
        if count == size or (count < size and not fixed):
            return self.run(feeds, outputs)
        pieces = []
        for start in range(0, count, size):
            rows = np.minimum(np.arange(start, start + size), count - 1) if fixed else slice(start, start + size)
            some = {name: array if name in shared else array[rows] for name, array in feeds.items()}
            pieces.append(self.run(some, outputs))
        first = pieces[0]
        if single := [name for name, array in first.items() if not array.ndim and name not in shared]:
            raise InputError(
                f"'{single[0]}' is one number for all samples of a run, not one for each: give {size} at a time, "
                "and not several targets of one sample"
            )
        return {
            name: array if name in shared else np.concatenate([piece[name] for piece in pieces])[:count]
            for name, array in first.items()
        }

    def _check(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        unknown, missing = feeds.keys() - self.inputs.keys(), self.inputs.keys() - feeds.keys()
        if unknown or missing:
            problem = f"has no input {sorted(unknown)}" if unknown else f"needs the input {sorted(missing)}"
            raise InputError(f"the model {problem}; its inputs are {sorted(self.inputs)}")
        return {name: _fit(np.asarray(array), self.inputs[name]) for name, array in feeds.items()}


def _open(model: bytes | Path, options: Any, providers: Sequence[Provider]) -> Any:
    try:
        return _load(model, options, providers)
    except Exception as error:  # onnxruntime's errors share no public base class
        first = name_of(providers[0])
        if wants_memory(error):
            elsewhere = "" if first == CPU else ", or ask for --provider cpu"
            raise OutOfMemoryError(
                f"{first} has too little memory to load the model ({reason(error)}); "
                f"free some, or use a machine with more{elsewhere}"
            ) from error
        if first != CPU and _loads_on_cpu(model, options):
            raise ProviderError(
                f"{first} does not load on this machine: {reason(error)}; "
                "check its driver and libraries, or ask for --provider cpu"
            ) from error
        raise ModelError(f"onnxruntime rejects the model: {reason(error)}; check that it runs by itself") from error


def _load(model: bytes | Path, options: Any, providers: Sequence[Provider]) -> Any:
    with quiet():
        # Its fallback would print to stdout and go on with another provider.
        return onnxruntime.InferenceSession(
            str(model) if isinstance(model, Path) else model, options, providers=list(providers), enable_fallback=0
        )


def _loads_on_cpu(model: bytes | Path, options: Any) -> bool:
    try:
        _load(model, options, [CPU])
    except Exception:  # as above
        return False
    return True


def _input(entry: Any) -> Input:
    if entry.type not in _TYPES:
        raise ModelError(f"input '{entry.name}' is of type {entry.type}, which cannot be fed; explain another model")
    shape = tuple(size if isinstance(size, int) else None for size in entry.shape)
    return Input(entry.name, np.dtype(_TYPES[entry.type]), shape)


def _shape_text(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape) or "a single number"


def _fit(array: Tensor, expected: Input) -> Tensor:
    """Return the array in the type that is expected.

    Floats of another width are converted; so are integers where floats are wanted. Floats for an integer input must be
    whole numbers in its range: anything else is a forgotten or a wrong preprocessing.
    """
    if array.ndim != len(expected.shape) or any(
        size is not None and size != have for size, have in zip(expected.shape, array.shape, strict=True)
    ):
        wanted = f"shape {_shape_text(expected.shape)}" if expected.shape else _shape_text(())
        raise InputError(f"input '{expected.name}' takes {wanted}, not {_shape_text(array.shape)}")
    if array.dtype == expected.dtype:
        return np.asarray(array, order="C")
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise InputError(f"input '{expected.name}' takes numbers of type {expected.dtype}, not {array.dtype}")
    # Not ascontiguousarray, which turns a single number into an array of one axis.
    with np.errstate(invalid="ignore"):  # NaN has no integer; it is refused below
        converted = np.asarray(array, dtype=expected.dtype, order="C")
    if expected.dtype.kind in "iu" and not np.array_equal(converted, array):
        raise InputError(
            f"input '{expected.name}' takes {expected.dtype}: the given numbers are not whole or not in its range; "
            "check the preprocessing"
        )
    return converted
