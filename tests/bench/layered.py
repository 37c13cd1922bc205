#!/usr/bin/env python3
"""Networks of many layers, each described once: for bench_nn, for Keras and for ONNX.

    python3 tests/bench/layered.py residual 192 > residual.net

writes a network as bench_nn --network reads it: a line "input H W C", then a line a layer,
"Class name input[,input] key=value ...".  The networks:

conv_bn     five times Conv2D 3x3, BatchNormalization, relu, MaxPooling; 16 to 128 channels
residual    a strided stem and seven residual blocks of 24 to 160 channels, 0.77 M weights
depthwise   a strided stem and five depthwise separable blocks, 16 to 128 channels
resnet18, mobilenet_v2   the known ones, of three input channels

All end in GlobalAveragePooling2D and Dense 1.
"""

import sys


class Layers:
    """A list of layers (class, name, inputs, settings), and the shorthand that fills it."""

    def __init__(self):
        self.list = []
        self.last = "input"

    def add(self, kind, inputs=None, **settings):
        name = "%s_%d" % (kind.lower(), len(self.list))
        self.list.append((kind, name, inputs or [self.last], settings))
        self.last = name
        return name

    def conv(self, filters, kernel=3, strides=1, relu="relu", source=None):
        self.add("Conv2D", [source] if source else None, filters=filters, kernel_size=kernel, strides=strides,
                 padding="same", use_bias=0)
        self.norm(relu)
        return self.last

    def depthwise(self, strides=1, relu="relu"):
        self.add("DepthwiseConv2D", kernel_size=3, strides=strides, padding="same", use_bias=0)
        self.norm(relu)

    def norm(self, relu):
        self.add("BatchNormalization")
        if relu:
            self.add("Activation", activation=relu)

    def basic_block(self, filters, strides, channels):
        start = self.last
        self.conv(filters, 3, strides)
        end = self.conv(filters, 3, 1, relu=None)
        if strides != 1 or channels != filters:
            start = self.conv(filters, 1, strides, relu=None, source=start)
        self.add("Add", [end, start])
        self.add("Activation", activation="relu")

    def inverted(self, filters, strides, channels, expand):
        start = self.last
        if expand != 1:
            self.conv(expand * channels, 1, 1, "relu6")
        self.depthwise(strides, "relu6")
        self.conv(filters, 1, 1, None)
        if strides == 1 and channels == filters:
            self.add("Add", [self.last, start])


def conv_bn(n):
    for filters in (16, 32, 64, 128, 128):
        n.conv(filters)
        n.add("MaxPooling2D", pool_size=2)
    return 1


def residual(n):
    n.conv(24, 3, 2)
    channels = 24
    for filters, blocks in ((24, 2), (48, 2), (96, 2), (160, 1)):
        for block in range(blocks):
            n.basic_block(filters, 2 if block == 0 and filters != 24 else 1, channels)
            channels = filters
    return 1


def depthwise(n):
    n.conv(16, 3, 2)
    for filters, strides in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        n.depthwise(strides)
        n.conv(filters, 1)
    return 1


def resnet18(n):
    n.conv(64, 7, 2)
    n.add("MaxPooling2D", pool_size=3, strides=2, padding="same")
    channels = 64
    for filters in (64, 128, 256, 512):
        for block in range(2):
            n.basic_block(filters, 2 if block == 0 and filters != 64 else 1, channels)
            channels = filters
    return 3


def mobilenet_v2(n):
    n.conv(32, 3, 2, "relu6")
    channels = 32
    for expand, filters, blocks, strides in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                             (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(blocks):
            n.inverted(filters, strides if block == 0 else 1, channels, expand)
            channels = filters
    n.conv(1280, 1, 1, "relu6")
    return 3


NETWORKS = {f.__name__: f for f in (conv_bn, residual, depthwise, resnet18, mobilenet_v2)}


def layers_of(name):
    """The layers of a network and its input's channels."""
    n = Layers()
    channels = NETWORKS[name](n)
    n.add("GlobalAveragePooling2D")
    n.add("Dense", units=1, activation="sigmoid")
    return n.list, channels


def description(name, size):
    layers, channels = layers_of(name)
    lines = ["input %d %d %d" % (size, size, channels)]
    for kind, own, inputs, settings in layers:
        lines.append(" ".join([kind, own, ",".join(inputs)] + ["%s=%s" % pair for pair in settings.items()]))
    return "\n".join(lines) + "\n"


def keras_model(name, size):
    """The compiled Keras model, trained by RMSprop as bench_nn does."""
    import keras

    layers, channels = layers_of(name)
    values = {"input": keras.Input((size, size, channels))}
    first = values["input"]
    for kind, own, inputs, settings in layers:
        given = dict(settings)
        if "use_bias" in given:
            given["use_bias"] = False
        if given.get("activation") == "relu6":
            given["activation"] = keras.activations.relu6
        sources = [values[i] for i in inputs]
        values[own] = getattr(keras.layers, kind)(name=own, **given)(sources if len(sources) > 1 else sources[0])
    model = keras.Model(first, values[layers[-1][1]])
    model.compile(optimizer=keras.optimizers.RMSprop(1e-5), loss="binary_crossentropy", jit_compile=False)
    return model


def onnx_model(name, size):
    """Bytes of the network as ONNX with random weights: image [N,C,H,W], output score."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    layers, channels = layers_of(name)
    nodes, constants = [], []
    value = {"input": ("image", channels, size)}

    def constant(label, array):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), label))
        return label

    def pads(side, kernel, stride):
        out = -(-side // stride)
        total = max(0, (out - 1) * stride + kernel - side)
        return [total // 2] * 2 + [total - total // 2] * 2, out

    for kind, own, inputs, settings in layers:
        source, c, side = value[inputs[0]]
        if kind in ("Conv2D", "DepthwiseConv2D"):
            k, s = settings["kernel_size"], settings["strides"]
            border, side = pads(side, k, s)
            deep = kind == "DepthwiseConv2D"
            filters = c if deep else settings["filters"]
            weight = random.normal(0, (2 / (k * k * (1 if deep else c))) ** 0.5, (filters, 1 if deep else c, k, k))
            nodes.append(helper.make_node("Conv", [source, constant(own + "_w", weight)], [own], kernel_shape=[k, k],
                                          strides=[s, s], pads=border, group=c if deep else 1))
            c = filters
        elif kind == "BatchNormalization":
            statistics = [constant("%s_%d" % (own, i), v)
                          for i, v in enumerate((np.ones(c), np.zeros(c), np.zeros(c), np.ones(c)))]
            nodes.append(helper.make_node("BatchNormalization", [source] + statistics, [own], epsilon=1e-3))
        elif kind == "Activation" and settings["activation"] == "relu6":
            limits = [constant(own + "_low", np.array(0)), constant(own + "_high", np.array(6))]
            nodes.append(helper.make_node("Clip", [source] + limits, [own]))
        elif kind == "Activation":
            nodes.append(helper.make_node("Relu", [source], [own]))
        elif kind == "Add":
            nodes.append(helper.make_node("Add", [source, value[inputs[1]][0]], [own]))
        elif kind == "MaxPooling2D":
            k, s = settings["pool_size"], settings.get("strides", settings["pool_size"])
            border, out = pads(side, k, s)
            if settings.get("padding") != "same":
                border, out = [0] * 4, (side - k) // s + 1
            nodes.append(helper.make_node("MaxPool", [source], [own], kernel_shape=[k, k], strides=[s, s], pads=border))
            side = out
        elif kind == "GlobalAveragePooling2D":
            nodes.append(helper.make_node("GlobalAveragePool", [source], [own + "_map"]))
            nodes.append(helper.make_node("Flatten", [own + "_map"], [own]))
        elif kind == "Dense":
            names = [constant(own + "_w", random.normal(0, 0.1, (c, 1))), constant(own + "_b", np.zeros(1))]
            nodes.append(helper.make_node("Gemm", [source] + names, [own + "_logit"]))
            nodes.append(helper.make_node("Sigmoid", [own + "_logit"], ["score"]))
        value[own] = (own, c, side)
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, size, size])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


if __name__ == "__main__":
    sys.stdout.write(description(sys.argv[1], int(sys.argv[2])))
