#!/usr/bin/env python3
"""One training step of Keras 3 on TensorFlow, per image.

--variant step      the step alone, on a batch that is ready in memory
--variant tfdata    with the preset's augmentation drawn for each image in a tf.data
                    pipeline that works beside the step (rotation, shear and zoom as one
                    projective transform of the whole batch, brightness as a factor)
--variant layers    with Keras's layers RandomRotation, RandomShear, RandomZoom and
                    RandomBrightness mapped over the batches of a tf.data pipeline

Pixels are 8-bit in memory, as a user has them after decoding; augmenting variants cast
and rescale in the pipeline, too. --jit compiles the step with XLA, --onednn 0 turns
oneDNN off, so that a driver can take the fastest.
"""

import argparse
import math
import os

import measure
import networks
import numpy as np


def augment_batch(tf, size, settings):
    """tf.data function: uint8 batch to augmented float batch 0..1, one matrix an image."""
    turn = math.radians(settings["rotation_range"])
    shear = math.radians(settings["shear_range"])
    zoom = settings["zoom_range"]
    low, high = settings["brightness_range"]
    centre = (size - 1) / 2.0

    def function(images, labels):
        n = tf.shape(images)[0]
        theta = tf.random.uniform([n], -turn, turn)
        slant = tf.random.uniform([n], -shear, shear)
        zx = tf.random.uniform([n], 1 - zoom, 1 + zoom)
        zy = tf.random.uniform([n], 1 - zoom, 1 + zoom)
        cos, sin = tf.cos(theta), tf.sin(theta)
        a, b = cos * zx, (-cos * tf.sin(slant) - sin * tf.cos(slant)) * zy
        c, d = sin * zx, (-sin * tf.sin(slant) + cos * tf.cos(slant)) * zy
        zero = tf.zeros_like(a)
        matrix = tf.stack([a, b, centre - centre * (a + b), c, d, centre - centre * (c + d),
                           zero, zero], axis=1)
        pixels = tf.raw_ops.ImageProjectiveTransformV3(
            images=images, transforms=matrix, output_shape=[size, size], fill_value=0.0,
            interpolation="BILINEAR", fill_mode="NEAREST")
        factor = tf.random.uniform([n, 1, 1, 1], low / 255, high / 255)
        return tf.minimum(tf.cast(pixels, tf.float32) * factor, 1.0), labels

    return function


def augment_layers(tf, settings):
    """The same with Keras's layers."""
    from keras import layers

    zoom = settings["zoom_range"]
    low, high = settings["brightness_range"]
    chain = [
        layers.Rescaling(1 / 255),
        layers.RandomRotation(settings["rotation_range"] / 360, fill_mode="nearest"),
        layers.RandomShear(x_factor=math.tan(math.radians(settings["shear_range"])),
                           y_factor=0.0, fill_mode="nearest"),
        layers.RandomZoom((-zoom, zoom), (-zoom, zoom), fill_mode="nearest"),
        layers.RandomBrightness((low - 1, high - 1), value_range=(0, 1)),
    ]

    def function(images, labels):
        images = tf.cast(images, tf.float32)
        for layer in chain:
            images = layer(images, training=True) if layer is not chain[0] else layer(images)
        return images, labels

    return function


def batches(tf, arguments):
    random = np.random.default_rng(0)
    count = arguments.batch * (1 if arguments.variant == "step" else 8)
    channels = networks.channels_of(arguments.preset)
    images = random.integers(0, 256, (count, arguments.size, arguments.size, channels), np.uint8)
    labels = (np.arange(count) % 2).astype(np.float32)[:, None]
    if arguments.variant == "step":
        ready = (tf.constant(images.astype(np.float32) / 255), tf.constant(labels))
        return tf.data.Dataset.from_tensors(ready).repeat()
    settings = networks.PRESETS["deep"]["augmentation"]
    augment = (augment_batch(tf, arguments.size, settings) if arguments.variant == "tfdata"
               else augment_layers(tf, settings))
    data = tf.data.Dataset.from_tensor_slices((images, labels)).repeat()
    data = data.batch(arguments.batch, drop_remainder=True)
    data = data.map(augment, num_parallel_calls=arguments.threads)
    options = tf.data.Options()
    options.threading.private_threadpool_size = arguments.threads
    return data.prefetch(2).with_options(options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    measure.common_arguments(parser, networks.NAMES)
    parser.add_argument("--variant", choices=("step", "tfdata", "layers"), default="step")
    parser.add_argument("--jit", action="store_true", help="compile the step with XLA")
    parser.add_argument("--onednn", choices=("0", "1"), help="default: TensorFlow's choice")
    arguments = parser.parse_args()
    if arguments.onednn is not None:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = arguments.onednn
    tf = networks.quiet_tensorflow(arguments.threads)
    import keras

    keras.utils.set_random_seed(0)
    if arguments.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = networks.keras_model(arguments.preset, arguments.size, jit=arguments.jit)
    iterator = iter(batches(tf, arguments))
    train = model.make_train_function() or model.train_function

    def step():
        logs = train(iterator)
        logs["loss"].numpy() if hasattr(logs["loss"], "numpy") else float(logs["loss"])

    timing = measure.time_repetitions(step, arguments.batch, arguments.seconds)
    measure.report(arguments, "keras", "train", arguments.variant, timing,
                   jit=arguments.jit, onednn=arguments.onednn or "default",
                   keras=keras.__version__, tensorflow=tf.__version__)


if __name__ == "__main__":
    main()
