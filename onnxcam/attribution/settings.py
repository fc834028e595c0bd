"""The keywords of an explainer that do not choose its model, method or layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict

from onnxcam.errors import InputError, did_you_mean
from onnxcam.images import Preprocess, Resize
from onnxcam.network.run_options import RunOptions
from onnxcam.runtime.providers import Provider

Progress: TypeAlias = Callable[[Iterable[int], int], Iterable[int]]

_ENGINES = ("onnx", "torch")


class ExplainerOptions(TypedDict, total=False):
    """Keywords of ``Explainer`` and ``explain``.

    Attributes:
        options: how graphs run, as a whole; instead of ``providers`` and the next three.
        batch_size: samples a run. Default: as many as fit about 1 GiB of values.
        threads: of onnxruntime, for one operator. Default: all cores.
        share_weights: let the backward pass read the forward pass's weights; False for runtimes that confuse them.
        engine: ``onnx`` runs the gradient graph on onnxruntime; ``torch`` converts the file and differentiates it with
            torch, a second opinion on files that onnx2torch can convert.
        preprocess: for photographs: a preset's name, a JSON file or text, or ``Preprocess``. Default: what the model's
            metadata says, or an assumption that warns.
        resize: how a photograph is brought to the model's size. Default: as ``preprocess`` says.
        labels: class names. Default: those that the model file carries, if any.
        grid: rows and columns of a transformer's tokens. Default: what the graph says, else a square.
        progress: wraps the steps of methods that take many runs, as ``progress(steps, total)``, for a progress bar.
        resolution: size of the raw map, instead of a layer: 56, or (56, 56). Methods of layers explain at the last
            layer of that size; those that propagate to an earlier layer (fg-cam, lrp, ...) start at ``layer`` and end
            at that size.
    """

    options: RunOptions
    batch_size: int | None
    threads: int | None
    share_weights: bool
    engine: Literal["onnx", "torch"]
    preprocess: Preprocess | str | Path | None
    resize: Resize | None
    labels: Sequence[str] | None
    grid: tuple[int, int] | None
    progress: Progress | None
    resolution: int | tuple[int, ...] | None


@dataclass(frozen=True)
class Settings:
    """The keywords of an explainer, checked; ``ExplainerOptions`` describes them."""

    options: RunOptions
    engine: Literal["onnx", "torch"] = "onnx"
    preprocess: Preprocess | str | Path | None = None
    resize: Resize | None = None
    labels: Sequence[str] | None = None
    grid: tuple[int, int] | None = None
    progress: Progress | None = None

    @classmethod
    def of(cls, providers: Sequence[Provider] | None, keywords: ExplainerOptions) -> Settings:
        """Return the settings of these keywords; ``resolution``, which chooses a layer, is none of them.

        Raises:
            InputError: an unknown engine, labels that are no list, a batch size below 1, or ``options`` together with a
                keyword that it holds.
            TypeError: an unknown keyword.
        """
        given: dict[str, Any] = dict(keywords)
        given.pop("resolution", None)
        known = ExplainerOptions.__annotations__
        for name in given:
            if name not in known:
                raise TypeError(f"Explainer has no keyword '{name}'{did_you_mean(name, known)}")
        running: dict[str, Any] = {
            name: given.pop(name) for name in ("batch_size", "threads", "share_weights") if name in given
        }
        if providers is not None:
            running["providers"] = providers
        options = given.pop("options", None)
        if options is not None and running:
            raise InputError(f"options holds {', '.join(running)} already; give one or the other")
        if given.get("engine", "onnx") not in _ENGINES:
            raise InputError(f"the engine is 'onnx' or 'torch', not '{given['engine']}'")
        if isinstance(given.get("labels"), (str, Path)):
            raise InputError(
                f"labels are names, one a class, not '{given['labels']}'; "
                "read a file of names with onnxcam.images.load_labels"
            )
        return cls(options=options or RunOptions(**running), **given)
