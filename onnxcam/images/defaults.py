"""The preprocessing of a model for which the user gives none."""

from __future__ import annotations

from collections.abc import Mapping

from onnxcam.errors import InputError, OnnxcamError
from onnxcam.images.preprocess import PRESETS, Preprocess
from onnxcam.images.spec import ImageInput

METADATA_KEY = "onnxcam.preprocess"


def default_for(spec: ImageInput, metadata: Mapping[str, str]) -> tuple[Preprocess, str]:
    """Return the preprocessing of a model, and a note that says where it comes from.

    The model's own metadata decides. Without it, an integer input has taken the normalisation into its quantisation:
    pixels enter as they are, or shifted by 128 where the type is int8. For anything else the file says nothing, and
    what is returned is an assumption; its note begins with "assumed".

    Raises:
        InputError: the metadata entry cannot be understood.
    """
    if METADATA_KEY in metadata:
        return _from_metadata(metadata[METADATA_KEY]), f"from the model's metadata ({METADATA_KEY})"
    grey = spec.channels == 1
    if spec.dtype.kind in "iu":
        shift = 128.0 if spec.dtype == "int8" else 0.0
        note = f"{spec.dtype} input: pixels {'minus 128' if shift else 'as they are'}"
        return Preprocess("L" if grey else "RGB", 1.0, (shift,)), note
    chosen = Preprocess("L", 1 / 255) if grey else PRESETS["imagenet"]
    note = (
        f"assumed {'grey pixels from 0 to 1' if grey else 'imagenet'}, as the model file does not say; "
        f"choose with --preprocess ({', '.join(PRESETS)}, or a JSON file)"
    )
    return chosen, note


def _from_metadata(text: str) -> Preprocess:
    """Return the preprocessing of a metadata entry: JSON or a preset's name. Never a path: the file is untrusted."""
    try:
        return Preprocess.from_json(text) if text.lstrip().startswith("{") else Preprocess.named(text.strip())
    except OnnxcamError as error:
        raise InputError(f"metadata entry {METADATA_KEY} of the model: {error}; choose with --preprocess") from None
