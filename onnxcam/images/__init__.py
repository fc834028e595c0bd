"""Read photographs, preprocess them into arrays, map coordinates back to them, and name classes."""

from onnxcam.images.defaults import METADATA_KEY, default_for
from onnxcam.images.fit import Resize
from onnxcam.images.frame import Frame
from onnxcam.images.labels import check_labels, find_label, label_of, load_labels
from onnxcam.images.photograph import Photograph, list_sources, read_photograph
from onnxcam.images.prepare import Prepared, prepare
from onnxcam.images.preprocess import PRESETS, Preprocess
from onnxcam.images.read import ImageSource, expand, read_image
from onnxcam.images.spec import ImageInput

__all__ = [
    "METADATA_KEY",
    "PRESETS",
    "Frame",
    "ImageInput",
    "ImageSource",
    "Photograph",
    "Prepared",
    "Preprocess",
    "Resize",
    "check_labels",
    "default_for",
    "expand",
    "find_label",
    "label_of",
    "list_sources",
    "load_labels",
    "prepare",
    "read_image",
    "read_photograph",
]
