"""Options that commands share: decorators that add them, and the objects that commands receive."""

from onnxcam.cli.options.common import as_json, images, model, score
from onnxcam.cli.options.grouping import group
from onnxcam.cli.options.method import MethodOptions, method
from onnxcam.cli.options.output import OutputOptions, output
from onnxcam.cli.options.photographs import RESIZE, PhotographOptions, photographs, preparation
from onnxcam.cli.options.running import ENGINES, RunningOptions, running, sessions

__all__ = [
    "ENGINES",
    "RESIZE",
    "MethodOptions",
    "OutputOptions",
    "PhotographOptions",
    "RunningOptions",
    "as_json",
    "group",
    "images",
    "method",
    "model",
    "output",
    "photographs",
    "preparation",
    "running",
    "score",
    "sessions",
]
