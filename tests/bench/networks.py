"""The two preset networks of pneumo in Keras, PyTorch and ONNX.

baseline: Conv2D 32, MaxPooling, Dense 64, Dense 32, Dense 1; RMSprop
deep:     Conv2D 32, 64, 128, 256, each with MaxPooling, Dense 128, Dense 64, Dense 1;
          Adam with amsgrad, rotation 10, brightness 0.8-1.2, shear 5, zoom 0.1

All convolutions are 3x3 same with relu, all poolings 2x2, hidden dense layers relu, the
last layer is a sigmoid trained with binary cross-entropy from its logits. Optimisers
have Keras's defaults.
"""

import os

import layered

PRESETS = {
    "baseline": {"conv": [32], "dense": [64, 32], "augmentation": None},
    "deep": {
        "conv": [32, 64, 128, 256],
        "dense": [128, 64],
        "augmentation": {"rotation_range": 10, "brightness_range": [0.8, 1.2],
                         "shear_range": 5, "zoom_range": 0.1},
    },
}

NAMES = list(PRESETS) + list(layered.NETWORKS)  # the networks of layered.py too, where a peer builds them


def channels_of(preset):
    return layered.layers_of(preset)[1] if preset in layered.NETWORKS else 1


def quiet_tensorflow(threads):
    """Set TensorFlow up for the CPU and a number of threads; returns the module."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(max(1, min(2, threads)))
    return tf


def keras_model(preset, size, jit="auto", **compile_settings):
    """The compiled Keras model for [N, size, size, channels] of values 0..1."""
    if preset in layered.NETWORKS:
        return layered.keras_model(preset, size)
    import keras
    from keras import layers

    spec = PRESETS[preset]
    body = [keras.Input((size, size, 1))]
    for filters in spec["conv"]:
        body.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        body.append(layers.MaxPooling2D(2))
    body.append(layers.Flatten())
    for units in spec["dense"]:
        body.append(layers.Dense(units, activation="relu"))
    body.append(layers.Dense(1, activation="sigmoid", dtype="float32"))
    model = keras.Sequential(body)
    optimizer = (keras.optimizers.RMSprop() if preset == "baseline"
                 else keras.optimizers.Adam(amsgrad=True))
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"],
                  jit_compile=jit, **compile_settings)
    return model


def torch_model(preset, size):
    """(module with logits as output, optimiser) in PyTorch, channels_last."""
    import torch
    from torch import nn

    spec = PRESETS[preset]
    body, channels = [], 1
    for filters in spec["conv"]:
        body += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, size = filters, size // 2
    body.append(nn.Flatten())
    inputs = channels * size * size
    for units in spec["dense"]:
        body += [nn.Linear(inputs, units), nn.ReLU()]
        inputs = units
    body.append(nn.Linear(inputs, 1))
    module = nn.Sequential(*body).to(memory_format=torch.channels_last)
    if preset == "baseline":
        optimizer = torch.optim.RMSprop(module.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)
    else:
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, eps=1e-7, amsgrad=True)
    return module, optimizer


def onnx_model(preset, size, weights=None):
    """Bytes of the network as ONNX: input image [N,1,H,W] of 0..1, output score [N,1].

    weights: Keras's get_weights() of the same preset and size, or None for random ones.
    """
    if preset in layered.NETWORKS:
        return layered.onnx_model(preset, size)
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    spec = PRESETS[preset]
    given = list(weights) if weights is not None else None
    nodes, constants = [], []
    value, channels = "image", 1

    def constant(name, array):
        array = np.ascontiguousarray(array, dtype=np.float32)
        constants.append(numpy_helper.from_array(array, name))
        return name

    def start(shape, fan_in):
        return random.normal(0, (2 / fan_in) ** 0.5, shape)

    for i, filters in enumerate(spec["conv"]):
        if given is not None:
            kernel, bias = given.pop(0).transpose(3, 2, 0, 1), given.pop(0)
        else:
            kernel, bias = start((filters, channels, 3, 3), 9 * channels), np.zeros(filters)
        names = [constant("kernel%d" % i, kernel), constant("bias%d" % i, bias)]
        nodes.append(helper.make_node("Conv", [value] + names, ["conv%d" % i],
                                      kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", ["conv%d" % i], ["relu%d" % i]))
        nodes.append(helper.make_node("MaxPool", ["relu%d" % i], ["pool%d" % i],
                                      kernel_shape=[2, 2], strides=[2, 2]))
        value, channels, size = "pool%d" % i, filters, size // 2
    nodes.append(helper.make_node("Flatten", [value], ["flat"]))
    value, inputs = "flat", channels * size * size
    for i, units in enumerate(spec["dense"] + [1]):
        if given is not None:
            kernel, bias = given.pop(0), given.pop(0)
            if i == 0:      # Keras flattens H, W, C; here the order is C, H, W
                kernel = kernel.reshape(size, size, channels, units).transpose(2, 0, 1, 3)
                kernel = kernel.reshape(inputs, units)
        else:
            kernel, bias = start((inputs, units), inputs), np.zeros(units)
        names = [constant("dense_kernel%d" % i, kernel), constant("dense_bias%d" % i, bias)]
        last = i == len(spec["dense"])
        nodes.append(helper.make_node("Gemm", [value] + names, ["dense%d" % i]))
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", ["dense%d" % i],
                                      ["score" if last else "act%d" % i]))
        value, inputs = "act%d" % i, units
    graph = helper.make_graph(
        nodes, preset,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT,
                                       ["N", 1] + [size << len(spec["conv"])] * 2)],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()
