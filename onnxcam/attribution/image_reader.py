"""Read photographs and prepare them for a network, as its image input and its preprocessing require."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from onnxcam.errors import InputError, UnsupportedError
from onnxcam.graph.analysis.inputs import ModelInput, image_input
from onnxcam.images import ImageInput, ImageSource, Photograph, Preprocess, Resize, default_for, read_photograph
from onnxcam.network.network import Network


class ImageReader:
    """Reads photographs and makes of them the arrays that one network takes.

    Attributes:
        network: the model.
    """

    def __init__(
        self, network: Network, preprocess: Preprocess | str | Path | None = None, resize: Resize | None = None
    ) -> None:
        """Remember how to read.

        Args:
            network: the model.
            preprocess: a preset's name, a JSON file or text, or ``Preprocess``. Default: what the model's metadata
                says, or an assumption.
            resize: how a photograph is brought to the model's size. Default: as ``preprocess`` says.

        Raises:
            NameNotFoundError: there is no such preset.
            InputError: the JSON describes no preprocessing, or ``preprocess`` is none of these.
        """
        self.network = network
        self._preprocess = Preprocess.parse(preprocess) if isinstance(preprocess, (str, Path)) else preprocess
        if not isinstance(self._preprocess, Preprocess | None):
            raise InputError(
                f"preprocess is {preprocess!r}; give a preset's name, a JSON file or text, or a Preprocess"
            )
        self._resize = resize

    @cached_property
    def image(self) -> ModelInput:
        """The input that holds the image."""
        return image_input(self.network.model.graph)

    @cached_property
    def spec(self) -> ImageInput:
        """The size, channels, layout and type of the image input.

        Raises:
            UnsupportedError: the input is no two-dimensional image.
        """
        entry = self.image
        if sorted(entry.axes) != sorted("NCHW"):
            raise UnsupportedError(
                f"input '{entry.name}' of shape {entry.shape} takes no photograph; pass arrays instead"
            )
        height, width = entry.extent
        layout: Literal["NCHW", "NHWC"] = "NHWC" if entry.axes.endswith("C") else "NCHW"
        return ImageInput(entry.name, height, width, entry.channels, layout, entry.dtype)

    @cached_property
    def preprocessing(self) -> tuple[Preprocess, str]:
        """How photographs become inputs, and a note on the source of that, which begins with "assumed" for a guess."""
        if self._preprocess is not None:
            found, note = self._preprocess, "as asked for"
        else:
            found, note = default_for(self.spec, self.network.file.metadata)
        return found if self._resize is None else replace(found, resize=self._resize), note

    def read(self, source: ImageSource) -> Photograph:
        """Read one photograph and prepare it for the model.

        Raises:
            ImageError: it cannot be read, or the model takes no such image.
        """
        return read_photograph(source, self.spec, self.preprocessing[0])
