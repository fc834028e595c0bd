"""Maps as pictures and files: colours, overlays, sheets, and the formats of output."""

from onnxcam.report.colormap import colourise
from onnxcam.report.overlay import display_size, for_display, overlay
from onnxcam.report.picture import picture
from onnxcam.report.sheet import caption, grid

__all__ = ["caption", "colourise", "display_size", "for_display", "grid", "overlay", "picture"]
