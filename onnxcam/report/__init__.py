"""Maps as pictures: colours, overlays and sheets."""

from onnxcam.report.colormap import colourise
from onnxcam.report.overlay import display_size, for_display, overlay
from onnxcam.report.sheet import caption, grid

__all__ = ["caption", "colourise", "display_size", "for_display", "grid", "overlay"]
