"""Files that are no part of the repository: real models and photographs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "shared"

# Files that onnxruntime runs, by name without suffix.
REAL_MODELS = [
    "deeplabv3_tf_segmentation",
    "geometric_shapes",
    "mnist_burn",
    "mobilenet_v1_tf_qdq_uint8",
    "mobilenet_v2_torch_dynamo_dynquant",
    "mobilenet_v2_torch_dynamo_fp32",
    "person_keras_fp32",
    "person_tflite_int8",
    "ppocr_cls_paddle",
    "resnet8_cifar10_keras_fp32",
    "resnet8_cifar10_tflite_int8",
    "shufflenet_v2_qlinear_int8",
    "squeezenet_caffe2_fp16",
    "ultraface_slim_face",
    "vit_cifar10_fp32",
    "vittracker_two_inputs",
    "yolox_nano_detection",
]


def shared_path(*parts: str) -> Path:
    """Return a path below ``$ONNXCAM_SHARED`` or ``../shared``; skip the test where it is not there."""
    path = Path(os.environ.get("ONNXCAM_SHARED", _BESIDE)).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here; set ONNXCAM_SHARED to the folder that holds {parts[0] if parts else 'it'}")
    return path
