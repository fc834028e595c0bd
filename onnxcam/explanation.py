"""The result of explaining: maps, what they explain, and everything that is needed to repeat them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxcam.arrays import sigmoid, softmax
from onnxcam.errors import InputError
from onnxcam.images import Frame, label_of
from onnxcam.report.files import plain
from onnxcam.report.format import ImageReport
from onnxcam.report.names import file_stem, method_title
from onnxcam.report.picture import picture
from onnxcam.report.record import SCHEMA
from onnxcam.report.saving import Saved, Writer
from onnxcam.report.sheet import caption, grid

# A notebook shows at most so many images of a batch.
_SHEET = 16


class Prediction(NamedTuple):
    """One class and its probability or score.

    Attributes:
        class_index: the class.
        label: its name.
        value: a probability from 0 to 1 where the explanation knows the activation, else the bare score.
    """

    class_index: int
    label: str
    value: float


@dataclass(frozen=True)
class Recipe:
    """How an explanation was made.

    Attributes:
        layer: the name of the tensor whose activations the maps are made of.
        method: the method's name and fields.
        score: the name of the score tensor.
        provider: the execution provider that ran the model.
        labels: the names of the classes.
        activation: the function that turns scores into probabilities; None if it is not known.
        provenance: what else is needed to repeat this: the model file and its hash, preprocessing, versions.
    """

    layer: str
    method: Mapping[str, Any]
    score: str
    provider: str
    labels: tuple[str, ...] | None = None
    activation: Literal["softmax", "sigmoid"] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Images:
    """Where the images of an explanation came from; each field holds one entry per map, or none.

    Attributes:
        names: where each image came from.
        photos: the upright photographs.
        frames: where the input lies in each photograph.
        films: maps from coarse to fine in one strip, if films were asked for.
        samples: which of the inputs each map explains.
    """

    names: tuple[str, ...] = ()
    photos: tuple[Image.Image, ...] = ()
    frames: tuple[Frame, ...] = ()
    films: tuple[Image.Image, ...] = ()
    samples: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """The maps of ``N`` images with their scores, targets and origin; ``result[i]`` is the explanation of one image.

    The fields of ``recipe`` and ``images`` are attributes here too: ``result.layer``, ``result.names``.

    Attributes:
        maps: float32 ``[N, H, W]`` from 0 to 1, at the input's size.
        raw: float32 ``[N, h, w]``, signed, at the layer's size, in the method's own units.
        scores: float32 ``[N, classes]``, as the score tensor gives them.
        targets: int64 ``[N]``, the classes that are explained.
        warnings: for every image, what makes its map doubtful.
        recipe: how the maps were made.
        asked: the description of the target that was asked for, for each image.
        images: where the images came from.
    """

    maps: npt.NDArray[np.float32]
    raw: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    warnings: tuple[tuple[str, ...], ...]
    recipe: Recipe
    asked: tuple[str, ...] = ()
    images: Images = Images()

    def __post_init__(self) -> None:
        images = len(self.maps)
        counts = {name: len(part) for name, part in self._per_image().items()}
        if wrong := {name: count for name, count in counts.items() if count != images}:
            raise InputError(f"an explanation of {images} images has {wrong}; give one of each for every image")

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, index: int) -> Explanation:
        """Return the explanation of one image, still with a batch axis, of length 1."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no image {index} in an explanation of {len(self)} images")
        index %= len(self)
        parts: dict[str, Any] = {name: part[index : index + 1] for name, part in self._per_image().items()}
        images = {name: parts.pop(name) for name in vars(self.images) if name in parts}
        return replace(self, **parts, images=Images(**images))

    def __iter__(self) -> Iterator[Explanation]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        images = f"{len(self)} image{'s' * (len(self) != 1)}"
        shape = "x".join(str(side) for side in self.maps.shape[1:])
        doubtful = sum(bool(texts) for texts in self.warnings)
        warned = f", {doubtful} with warnings" if doubtful else ""
        return f"<Explanation of {images} by {method_title(self.method) or '?'} at {self.layer}, maps {shape}{warned}>"

    def _per_image(self) -> dict[str, Any]:
        """Return the fields of this class and of ``images`` that hold one entry per map, without empty ones."""
        always = {name: getattr(self, name) for name in ("maps", "raw", "scores", "targets", "warnings")}
        return always | {name: part for name, part in [("asked", self.asked), *vars(self.images).items()] if part}

    @property
    def layer(self) -> str:
        """The name of the tensor whose activations the maps are made of."""
        return self.recipe.layer

    @property
    def method(self) -> Mapping[str, Any]:
        """The method's name and fields."""
        return self.recipe.method

    @property
    def score(self) -> str:
        """The name of the score tensor."""
        return self.recipe.score

    @property
    def provider(self) -> str:
        """The execution provider that ran the model."""
        return self.recipe.provider

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes."""
        return self.recipe.labels

    @property
    def activation(self) -> Literal["softmax", "sigmoid"] | None:
        """The function that turns scores into probabilities; None if it is not known."""
        return self.recipe.activation

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What else is needed to repeat this: the model file and its hash, preprocessing, versions."""
        return self.recipe.provenance

    @property
    def names(self) -> tuple[str, ...]:
        """Where each image came from."""
        return self.images.names

    @property
    def photos(self) -> tuple[Image.Image, ...] | None:
        """The upright photographs; None if there are none."""
        return self.images.photos or None

    @property
    def frames(self) -> tuple[Frame, ...] | None:
        """Where the input lies in each photograph; None without photographs."""
        return self.images.frames or None

    @property
    def films(self) -> tuple[Image.Image, ...]:
        """For every image its maps from coarse to fine in one strip, if films were asked for."""
        return self.images.films

    @property
    def samples(self) -> tuple[int, ...]:
        """Which of the inputs each map explains."""
        return self.images.samples

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """``[N, classes]``: scores through the activation, or as they are where none is known."""
        scores = self.scores.astype(np.float64)
        # Scores that are not finite are reported in ``warnings`` already.
        with np.errstate(invalid="ignore", over="ignore"):
            if self.activation == "sigmoid":
                return sigmoid(scores)
            if self.activation == "softmax":
                return softmax(scores)
        return scores

    def top(self, k: int = 5) -> list[list[Prediction]]:
        """Return for every image its ``k`` strongest classes, strongest first; ties go to the lower index."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, : max(k, 0)]
        values = self.probabilities
        return [
            [self._prediction(row[index], index) for index in best] for row, best in zip(values, order, strict=True)
        ]

    @property
    def explained(self) -> list[Prediction]:
        """For every image the class that its map explains."""
        return [self._prediction(row[i], i) for row, i in zip(self.probabilities, self.targets, strict=True)]

    def _prediction(self, value: np.float64, index: np.integer) -> Prediction:
        return Prediction(int(index), label_of(int(index), self.labels), float(value))

    def overlay(self, index: int = 0, captioned: bool = True) -> Image.Image:
        """Return the map of one image over its photograph, dimmed where the model did not see it.

        Without a photograph the map stands alone in its colours.

        Args:
            index: which image.
            captioned: whether to write the explained class and its probability or score below.
        """
        one = self[index]
        photo = one.photos[0] if one.photos else None
        drawn = picture(one.maps[0], one.raw[0].size, photo, one.frames[0] if one.frames else None)
        if not captioned:
            return drawn
        target = one.explained[0]
        value = f"{target.value:.1%}" if self.activation else f"score {target.value:.3g}"
        return caption(drawn, target.label.split(",")[0], f"{method_title(self.method)}  {value}")

    def _repr_png_(self) -> bytes | None:
        """Return what notebooks show: the overlays of up to 16 images; None without photographs."""
        if not self.photos:
            return None
        shown = [self.overlay(index) for index in range(min(len(self), _SHEET))]
        file = io.BytesIO()
        (shown[0] if len(shown) == 1 else grid(shown)).save(file, "PNG")
        return file.getvalue()

    def record(self, index: int = 0, k: int = 5) -> dict[str, Any]:
        """Return what is needed to repeat the explanation of one image, in terms of JSON (NaN is None)."""
        one = self[index]
        found: dict[str, Any] = {
            "format": SCHEMA,
            "source": one.names[0] if one.names else None,
            "method": one.method,
            "layer": one.layer,
            "score": one.score,
            "activation": one.activation,
            "provider": one.provider,
            "target": one.explained[0]._asdict() | ({"asked": one.asked[0]} if one.asked else {}),
            "predictions": [prediction._asdict() for prediction in one.top(k)[0]],
            "warnings": one.warnings[0],
            "raw": {"shape": one.raw.shape[1:], "sum": one.raw.sum(dtype=np.float64)},
            "input": asdict(one.frames[0]) if one.frames else None,
            "provenance": one.provenance,
        }
        return dict(plain(found))

    def save(
        self, folder: str | Path, stem: str | None = None, formats: Sequence[str] | str | None = None
    ) -> list[Saved]:
        """Write files for every image: by default an overlay (PNG), the raw map (NPY), and the record (JSON).

        Names are made of the image's, the method's and the class's. The same explanation saved again replaces its
        files; another one of an equal name (two photographs ``a/cat.jpg`` and ``b/cat.jpg``, another layer) gets a
        number after it, and so does one whose name belongs to files that are not onnxcam's.

        Args:
            folder: where to; made if it is missing.
            stem: file name without suffix to use instead, numbered where there are several images. It replaces whatever
                explanation has that name.
            formats: names of the formats to write, such as ``["overlay", "raw"]``; the record is written in any case.
                Default: the default ones that apply, so the film too where there is one.

        Returns:
            The paths of every image, by format.

        Raises:
            NameNotFoundError: there is no such format.
            InputError: the folder cannot be made or written, or a format does not apply.
        """
        names = [formats] if isinstance(formats, str) else formats
        writer = Writer(folder, names, replace=stem is not None)
        return [writer.save(self._stem(index, stem), self._report(index)) for index in range(len(self))]

    def _report(self, index: int) -> ImageReport:
        """Return what formats may write of one image."""
        return ImageReport(
            map=self.maps[index],
            raw=self.raw[index],
            scores=self.scores[index],
            record=self.record(index),
            overlay=partial(self.overlay, index),
            photo=self.photos[index] if self.photos else None,
            film=self.films[index] if self.films else None,
        )

    def _stem(self, index: int, stem: str | None) -> str:
        if stem is not None:
            return stem if len(self) == 1 else f"{stem}-{index + 1}"
        target = self.explained[index]
        label = target.label.split(",")[0] if self.labels else str(target.class_index)
        return file_stem(self.names[index] if self.names else "", self.method, label, target.class_index)
