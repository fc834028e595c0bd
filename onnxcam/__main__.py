"""``python -m onnxcam`` is ``onnxcam``."""

from __future__ import annotations

import sys

from onnxcam.cli import main

if __name__ == "__main__":
    sys.exit(main())
