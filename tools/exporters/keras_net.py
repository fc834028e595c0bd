"""Keras networks through tf2onnx.

In a virtual environment of its own, from the root:

    python -m venv keras-venv
    keras-venv/bin/pip install tensorflow-cpu==2.21.0 keras==3.15.1 tf2onnx==1.17.0 onnxruntime pillow
    keras-venv/bin/python -m tools.exporters.keras_net
"""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from keras import layers

from tools.exporters import shared


def shapes() -> keras.Model:
    """Return the shapes classifier, channels last."""
    weights = shared.shapes()
    parts = [layers.Input((96, 96, 3))]
    for one in weights.convolutions:
        # Keras's "same" pads a strided convolution more on the far side, torch the same on both.
        parts.append(layers.ZeroPadding2D(one.pad))
        parts.append(layers.Conv2D(len(one.bias), one.kernel.shape[2:], one.stride, activation="relu"))
        if one.pool:
            parts.append(layers.MaxPooling2D(2))
    model = keras.Sequential([*parts, layers.Flatten(), layers.Dense(len(weights.bias))])
    arrays = [array for one in weights.convolutions for array in (one.kernel_last, one.bias)]
    model.set_weights([*arrays, weights.kernel_last, weights.bias])
    return model


def small() -> keras.Model:
    """Return an EfficientNet in small; odd sizes, so that "same" pads the two sides otherwise."""
    x = entry = layers.Input((33, 30, 3))
    x = _normalized(layers.Conv2D(12, 3, 2, padding="same", use_bias=False)(x))
    x = _normalized(layers.DepthwiseConv2D(5, 2, padding="same", use_bias=False)(x))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="swish")(gate)
    x = layers.multiply([x, layers.Conv2D(12, 1, activation="sigmoid")(gate)])
    x = layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x))
    x = layers.add([x, _normalized(layers.SeparableConv2D(16, 3, padding="same")(x))])
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Conv2D(20, 3, padding="same", activation="relu")(x)
    x = layers.Dense(5)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(entry, layers.Softmax()(x))
    rng = np.random.default_rng(0)
    model.set_weights([_drawn(weight, rng) for weight in model.weights])
    return model


def _normalized(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Activation("swish")(layers.BatchNormalization()(x))


def _drawn(weight: keras.Variable, rng: np.random.Generator) -> shared.Array:
    if weight.name in ("moving_variance", "gamma"):
        return np.asarray(rng.uniform(0.5, 1.5, weight.shape))
    fan_in = max(int(np.prod(weight.shape[:-1])), 4)
    return np.asarray(rng.standard_normal(weight.shape) / np.sqrt(fan_in))


def export(name: str, model: keras.Model) -> None:
    """Write the model as tf2onnx converts it, with a dynamic batch."""
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image")]
    function = tf.function(lambda image: model(image, training=False), input_signature=signature)
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=18)
    made_by = f"keras {keras.__version__}, tensorflow {tf.__version__}, tf2onnx {tf2onnx.__version__}"
    shared.store(f"keras_{name}", proto, made_by)


def differentiate(model: keras.Model, x: shared.Array) -> tuple[shared.Array, shared.Array]:
    """Return logits and gradient, in float64."""
    ends_in_softmax = isinstance(model.layers[-1], layers.Softmax)
    logits = keras.Model(model.inputs, model.layers[-2].output) if ends_in_softmax else model
    entry = tf.constant(x, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(entry)
        y = logits(entry, training=False)
        score = tf.reduce_sum(y * shared.one_hot(y))
    return y.numpy(), tape.gradient(score, entry).numpy()


def main() -> None:
    """Write both networks and their gradients."""
    export("shapes", shapes())
    export("small", small())
    keras.config.set_dtype_policy("float64")
    x = shared.shapes_input().transpose(0, 2, 3, 1)
    shared.store_gradient("keras_shapes", *differentiate(shapes(), x))
    x = shared.random_input(2, 33, 30, 3)
    shared.store_gradient("keras_small", *differentiate(small(), x), x)


if __name__ == "__main__":
    main()
