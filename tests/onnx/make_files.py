"""Writes the small ONNX files of this folder and what ONNX Runtime makes of them.

    python3 tests/onnx/make_files.py [NAME...]

Needs torch, onnx, onnxscript, onnxruntime; with tensorflow, keras and tf2onnx the name
"tf2onnx" makes another one.  Next to NAME.onnx stands NAME.txt: a line with height,
width and channels, "logits" or "probabilities"; a line of the input's values, height by
width by channels; a line of the output.  tests/unit/test_onnx.c reads both, sql/onnx.sql
some of the files.
"""
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

HERE = Path(__file__).parent


def finish(name, content, channels_last=False):
    """Writes a file and its golden output."""
    session = onnxruntime.InferenceSession(content)
    first = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in first.shape]
    shape = [1] + [d if d > 0 else 1 for d in shape[1:]]
    x = np.random.default_rng(7).normal(size=shape).astype(np.float32).round(3)
    y = session.run(None, {first.name: x})[0].reshape(-1)
    image = x[0] if channels_last else x[0].transpose(1, 2, 0)
    sums = abs(y.sum() - 1) < 1e-5 and (y >= 0).all()
    kind = "probabilities" if sums or "sigmoid" in name else "logits"
    (HERE / (name + ".onnx")).write_bytes(content)
    with open(HERE / (name + ".txt"), "w") as out:
        print(*image.shape, kind, file=out)
        print(*("%g" % v for v in image.reshape(-1)), file=out)
        print(*("%.9g" % v for v in y), file=out)


# ------------------------------------------------------------------- PyTorch

def torch_networks():
    import torch
    from torch import nn
    import torch.nn.functional as F

    class Residual(nn.Module):
        """Convolutions, a maximum with a border, a sum, batch normalisation, global mean."""
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 8, 3, 2, 1, bias=False)
            self.norm = nn.BatchNorm2d(8)
            self.a = nn.Conv2d(8, 8, 3, 1, 1)
            self.b = nn.Conv2d(8, 8, 3, 1, 1, groups=2)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.norm(self.stem(x))), 3, 2, 1)
            x = F.relu(x + self.b(F.relu(self.a(x))))
            return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))

    class Mobile(nn.Module):
        """Depthwise convolutions, squeeze and excitation, hard activations."""
        def __init__(self):
            super().__init__()
            self.expand = nn.Conv2d(3, 12, 1)
            self.depth = nn.Conv2d(12, 12, 5, 2, 2, groups=12)
            self.down = nn.Conv2d(12, 4, 1)
            self.up = nn.Conv2d(4, 12, 1)
            self.head = nn.Linear(12 * 4 * 3, 1)

        def forward(self, x):
            x = F.hardswish(self.depth(F.relu6(self.expand(x))))
            x = x * F.hardsigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
            return torch.sigmoid(self.head(torch.flatten(x, 1)))

    class Shuffled(nn.Module):
        """Channels that are divided, shuffled and joined."""
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 8, 3, padding="same")
            self.a = nn.Conv2d(4, 4, 1)
            self.b = nn.Conv2d(4, 4, 3, padding=1, groups=4)
            self.head = nn.Linear(8, 2)

        def shuffle(self, x):
            n, c, h, w = x.shape
            return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)

        def forward(self, x):
            x = F.leaky_relu(self.stem(x), 0.1)
            x1, x2 = x.chunk(2, 1)
            x = self.shuffle(torch.cat([x1, F.elu(self.a(x2))], 1))
            x1, x2 = x.chunk(2, 1)
            x = self.shuffle(torch.cat([x1, F.silu(self.b(x2))], 1))
            return torch.softmax(self.head(x.mean([2, 3])), 1)

    class Next(nn.Module):
        """Layer normalisation with the channels last, gelu, group normalisation, dilation."""
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 4, 4)
            self.depth = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
            self.norm = nn.LayerNorm(8, eps=1e-6)
            self.group = nn.GroupNorm(2, 8)
            nn.init.uniform_(self.group.weight)
            self.wide = nn.Linear(8, 16)
            self.narrow = nn.Linear(16, 8)
            self.scale = nn.Parameter(torch.rand(8, 1, 1))
            self.head = nn.Linear(8, 4)

        def forward(self, x):
            x = self.stem((x - 0.45) / 0.22)
            y = self.norm(self.depth(x).permute(0, 2, 3, 1))
            y = self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2)
            x = F.mish(self.group(x + self.scale * y))
            return self.head(F.adaptive_max_pool2d(x, 1).flatten(1))

    class Pools(nn.Module):
        """Poolings with borders and ceil_mode, negative values, crops, joins."""
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 6, (3, 2), padding=(1, 0))
            self.head = nn.Linear(18 * 4 * 4, 3)

        def forward(self, x):
            x = torch.tanh(self.stem(x))
            a = F.max_pool2d(x, 3, 2, 1)
            b = F.avg_pool2d(x, 3, 2, 1, count_include_pad=True)
            c = F.max_pool2d(x, 2, 2, ceil_mode=True)
            x = torch.cat([a[:, :, :4, :4], b[:, :, :4, :4], F.pad(c, (0, 1, 1, 0))[:, :, :4, :4]], 1)
            return self.head(x.reshape(x.shape[0], -1))

    inputs = {"residual": (Residual, (1, 1, 18, 17)), "mobile_sigmoid": (Mobile, (1, 3, 8, 6)),
              "shuffled": (Shuffled, (1, 1, 6, 5)), "next": (Next, (1, 3, 12, 16)), "pools": (Pools, (1, 1, 9, 8))}
    for name, (kind, shape) in inputs.items():
        for way in ("old", "new"):
            yield f"torch_{way}_{name}", kind, shape, way


def make_torch(name, kind, shape, way):
    import torch

    torch.manual_seed(3)
    model = kind().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-.3, .3)
            module.running_var.uniform_(.5, 1.5)
    path = HERE / (name + ".onnx")
    x = torch.zeros(shape)
    if way == "old":
        # in training mode batch normalisation stays a node of its own
        torch.onnx.export(model, (x,), path, dynamo=False, opset_version=17, input_names=["x"],
                          dynamic_axes={"x": {0: "N"}}, training=torch.onnx.TrainingMode.PRESERVE,
                          do_constant_folding=False)
    else:
        torch.onnx.export(model, (x,), path, dynamo=True, external_data=False, verbose=False)
    model = onnx.load(path)
    for node in model.graph.node:       # paths of this machine, and much text
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    model.graph.ClearField("metadata_props")
    finish(name, model.SerializeToString())


# --------------------------------------------------------------------- Keras

def make_keras(name):
    import keras
    import tensorflow as tf
    import tf2onnx
    from keras import layers

    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((11, 9, 1))
    x = layers.Rescaling(0.5, -0.1)(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    y = layers.SeparableConv2D(6, 3, padding="same", activation="silu")(x)
    x = layers.Add()([x, y])
    x = layers.AveragePooling2D(2, padding="same")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(5, activation="gelu")(x)
    x = layers.Dense(3, activation="softmax")(x)
    model = keras.Model(inputs, x)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([np.random.default_rng(1).uniform(.5, 1, w.shape) for w in layer.get_weights()])
    function = tf.function(lambda t: model(t, training=False))
    proto, _ = tf2onnx.convert.from_function(function, [tf.TensorSpec((None, 11, 9, 1), tf.float32, name="x")], opset=13)
    finish(name, proto.SerializeToString(), channels_last=True)


# ------------------------------------------------------------------- by hand

def make_hand(name):
    """Operators that exporters seldom write."""
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(5)
    weights = {"w": rng.normal(size=(4, 1, 3, 3)), "b": rng.normal(size=4), "m": rng.normal(size=(4, 3)),
               "k": rng.normal(size=3), "scale": rng.uniform(.5, 1, (4, 1, 1)), "s": np.ones(4), "z": np.zeros(4)}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], auto_pad="SAME_LOWER", strides=[2, 2], kernel_shape=[3, 3]),
        helper.make_node("Mul", ["c", "scale"], ["d"]),
        helper.make_node("InstanceNormalization", ["d", "s", "z"], ["i"]),
        helper.make_node("HardSigmoid", ["i"], ["h"], alpha=0.25),
        helper.make_node("Clip", ["i"], ["l"], min=-0.5, max=1.5),
        helper.make_node("Selu", ["l"], ["e"]),
        helper.make_node("Sum", ["h", "e", "i"], ["t"]),
        helper.make_node("Softplus", ["t"], ["p"]),
        helper.make_node("GlobalMaxPool", ["p"], ["g"]),
        helper.make_node("Shape", ["g"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n"], ["n1"], axes=[0]),
        helper.make_node("Concat", ["n1", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["g", "to"], ["r"]),
        helper.make_node("MatMul", ["r", "m"], ["y0"]),
        helper.make_node("Add", ["y0", "k"], ["y1"]),
        helper.make_node("Dropout", ["y1"], ["y2"], ratio=0.5),
        helper.make_node("Softmax", ["y2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("x", 1, ["N", 1, 7, 8])],
        [helper.make_tensor_value_info("y", 1, ["N", 3])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()] +
        [helper.make_tensor("zero", 7, [], [0]), helper.make_tensor("rest", 7, [1], [-1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    onnx.checker.check_model(model)
    finish(name, model.SerializeToString())


def make_channels_last(name):
    """What tf2onnx makes of a Keras network: channels last, and Transposes around each operator that has them first."""
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(9)
    weights = {"w": rng.normal(size=(6, 1, 3, 3)), "scale": rng.uniform(.5, 1, 6), "shift": rng.normal(size=6),
               "p": rng.normal(size=(6, 5)), "pb": rng.normal(size=5), "m": rng.normal(size=(100, 4)) / 5,
               "k": rng.normal(size=4), "half": np.float32(0.5)}
    first, last = [0, 3, 1, 2], [0, 2, 3, 1]
    nodes = [
        helper.make_node("Mul", ["x", "half"], ["x1"]),
        helper.make_node("Transpose", ["x1"], ["a"], perm=first),
        helper.make_node("Conv", ["a", "w"], ["b"], auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
        helper.make_node("Transpose", ["b"], ["c"], perm=last),
        helper.make_node("Mul", ["c", "scale"], ["d"]),
        helper.make_node("Add", ["d", "shift"], ["e"]),
        helper.make_node("Sigmoid", ["e"], ["e1"]),
        helper.make_node("Mul", ["e", "e1"], ["f"]),
        helper.make_node("MatMul", ["f", "p"], ["g"]),
        helper.make_node("Add", ["g", "pb"], ["h"]),
        helper.make_node("Tanh", ["h"], ["i"]),
        helper.make_node("Transpose", ["i"], ["j"], perm=first),
        helper.make_node("AveragePool", ["j"], ["l"], auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[1, 1]),
        helper.make_node("Transpose", ["l"], ["o"], perm=last),
        helper.make_node("ReduceMean", ["i"], ["r"], axes=[1, 2], keepdims=1),
        helper.make_node("Mul", ["o", "r"], ["s"]),
        helper.make_node("Reshape", ["s", "flat"], ["t"]),
        helper.make_node("MatMul", ["t", "m"], ["u"]),
        helper.make_node("Add", ["u", "k"], ["v"]),
        helper.make_node("Softmax", ["v"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("x", 1, ["N", 9, 8, 1])],
        [helper.make_tensor_value_info("y", 1, ["N", 4])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in weights.items()] +
        [helper.make_tensor("flat", 7, [2], [-1, 100])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    finish(name, model.SerializeToString(), channels_last=True)


def main():
    wanted = sys.argv[1:]
    makers = {"hand_opset9": lambda: make_hand("hand_opset9"),
              "hand_channels_last": lambda: make_channels_last("hand_channels_last")}
    if "tf2onnx" in wanted:
        makers["tf2onnx"] = lambda: make_keras("tf2onnx")
    for name, kind, shape, way in torch_networks():
        makers[name] = lambda n=name, k=kind, s=shape, w=way: make_torch(n, k, s, w)
    for name, make in makers.items():
        if not wanted or name in wanted:
            make()
            print(name, (HERE / (name + ".onnx")).stat().st_size)


if __name__ == "__main__":
    main()
