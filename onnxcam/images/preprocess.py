"""How pixels become numbers: the convention a model was trained with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from onnxcam.errors import InputError, NameNotFoundError, did_you_mean
from onnxcam.images.fit import Resize
from onnxcam.images.text_file import read_text

Channels: TypeAlias = Literal["RGB", "BGR", "L"]

# Keys that describe a model rather than its preprocessing: an entry of a model list can be used as it is.
_DESCRIPTIVE = frozenset(
    {"task", "classes", "class_offset", "layout", "size", "dtype", "inputs", "name", "description"}
    | {"licence", "license", "source", "quantized_from"}
)
_REQUIRED = ("channels", "mean", "std", "scale")
_JSON_LIMIT = 1 << 20


@dataclass(frozen=True)
class Preprocess:
    """``x = (pixels * scale - mean) / std``, with pixels from 0 to 255.

    Attributes:
        channels: the order of the channels, or ``L`` for grey.
        scale: what pixels are multiplied by before anything else.
        mean: what is subtracted, one value or one for each channel in that order, in units of scaled pixels.
        std: what is divided by, likewise.
        resize: how a photograph is brought to the model's size; see ``fit``.
        fill: the pixel value from 0 to 255 that ``letterbox`` pads with.

    Raises:
        InputError: a field has the wrong type, length or range.
    """

    channels: Channels = "RGB"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: Resize = "stretch"
    fill: int = 114

    def __post_init__(self) -> None:
        _one_of("channels", self.channels, get_args(Channels))
        _one_of("resize", self.resize, get_args(Resize))
        object.__setattr__(self, "scale", _number("scale", self.scale))
        for field in ("mean", "std"):
            object.__setattr__(self, field, _numbers(field, getattr(self, field), len(self.channels)))
        if 0 in self.std:
            raise InputError(f"preprocessing divides by std, which must not hold 0: {list(self.std)}")
        if isinstance(self.fill, bool) or not isinstance(self.fill, int) or not 0 <= self.fill <= 255:
            raise InputError(f"preprocessing fill must be a whole number from 0 to 255, not {self.fill!r}")

    @classmethod
    def named(cls, name: str) -> Preprocess:
        """Return the preset of that name; an unknown one raises NameNotFoundError with near names."""
        if name not in PRESETS:
            raise NameNotFoundError(
                f"no preprocessing is named '{name}'{did_you_mean(name, PRESETS)} (there are {', '.join(PRESETS)})"
            )
        return PRESETS[name]

    @classmethod
    def parse(cls, text: str | Path) -> Preprocess:
        """Return what a user means: the name of a preset, JSON text, or the path of a JSON file."""
        if isinstance(text, Path) or text.lstrip().startswith("{") or text.lower().endswith(".json"):
            return cls.from_json(text)
        return cls.named(text)

    @classmethod
    def from_json(cls, source: str | Path) -> Preprocess:
        """Return the preprocessing that a JSON object describes.

        Keys are ``channels``, ``mean``, ``std`` and ``scale``, all required because a forgotten one is a wrong input
        that nothing else notices, and optionally ``resize`` and ``fill``, or ``letterbox`` with the fill value.

        Args:
            source: text that begins with ``{``, or the path of a file that holds it.

        Raises:
            InputError: unreadable or not JSON, a key that is unknown or missing, or a value of the wrong type.
        """
        inline = isinstance(source, str) and source.lstrip().startswith("{")
        where = "preprocessing JSON" if inline else f"preprocessing file {source}"
        text = str(source) if inline else read_text(Path(source), "preprocessing file", _JSON_LIMIT)
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{where} is not valid JSON ({error}); give an object with the keys {', '.join(_REQUIRED)}"
            ) from None
        if not isinstance(found, dict):
            raise InputError(f"{where} must hold one object with the keys {', '.join(_REQUIRED)}")
        return cls._from_mapping(found, where)

    @classmethod
    def _from_mapping(cls, found: Mapping[str, Any], where: str) -> Preprocess:
        known = (*_REQUIRED, "resize", "fill", "letterbox")
        if unknown := sorted(set(found) - set(known) - _DESCRIPTIVE):
            near = did_you_mean(unknown[0], known)
            raise InputError(f"{where} has unknown keys {', '.join(unknown)}{near} (known are {', '.join(known)})")
        if missing := [key for key in _REQUIRED if key not in found]:
            raise InputError(f"{where} lacks {', '.join(missing)}; x = (pixels * scale - mean) / std needs all of them")
        fields = {key: found[key] for key in known[:-1] if key in found}
        letterbox = found.get("letterbox", False)
        if letterbox is not False:
            if fields.setdefault("resize", "letterbox") != "letterbox":
                raise InputError(f"{where} asks for letterbox and for resize {fields['resize']!r}; keep one of them")
            if letterbox is not True:
                fields.setdefault("fill", letterbox)
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values, which ``from_json`` reads back."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}


def _one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"preprocessing {field} must be one of {', '.join(allowed)}, not {value!r}")


def _number(field: str, value: object) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"preprocessing {field} must be finite numbers, not {value!r}")
    return number


def _numbers(field: str, values: Any, channels: int) -> tuple[float, ...]:
    items = (values,) if hasattr(values, "__float__") and not getattr(values, "shape", ()) else values
    if isinstance(items, (str, bytes, Mapping)) or not hasattr(items, "__iter__"):
        raise InputError(f"preprocessing {field} must be numbers, not {values!r}")
    numbers = tuple(_number(field, value) for value in items)
    if len(numbers) not in {1, channels}:
        raise InputError(
            f"preprocessing {field} has {len(numbers)} values for {channels} channels; give 1 or {channels}"
        )
    return numbers


# Last in the file, because making one runs the checks above.
PRESETS: Mapping[str, Preprocess] = MappingProxyType(
    {
        "imagenet": Preprocess("RGB", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "unit": Preprocess("RGB", 1 / 255),
        "minus-one-to-one": Preprocess("RGB", 1.0, (127.5,), (127.5,)),
        "caffe-bgr": Preprocess("BGR", 1.0, (103.939, 116.779, 123.68)),
        "none": Preprocess("RGB"),
    }
)
