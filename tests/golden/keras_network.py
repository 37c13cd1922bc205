#!/usr/bin/env python3
"""Golden values of the network core, computed by Keras 3.

    python3 tests/golden/keras_network.py [NAME...]

writes tests/golden/network/NAME.txt for every case (or the named ones). The
lines that all golden files share are described in keras_common.py; here:

    json TEXT           model.to_json() of the float32 model, to the line's end
    node NAME CLASS INPUTS [key=value...]
                        one line per layer, in topological order, the same graph
                        as json. CLASS is Keras's class name, INPUTS the names of
                        the source nodes joined by commas, or - for the input.
                        Keys are Keras's; pairs as kernel_size=3,3; booleans 0/1.
    output NAME         the node whose output the loss sees
    loss NAME label_smoothing=A
                        binary_crossentropy or categorical_crossentropy, from
                        probabilities whose logits Keras still holds; findings is
                        binary_crossentropy of y[N,K,1] with Keras's mask

Tensors (NODE and WEIGHT are names; layouts are Keras's: images NHWC, Conv2D
kernels [KH,KW,IC,OC], DepthwiseConv2D [KH,KW,C,M], Dense [inputs,outputs]):

    weight/NODE/WEIGHT  initial weights, in the order of model.weights; batch
                        normalisation has gamma beta moving_mean moving_variance
    x, y                batch of inputs and labels; y is [N,1] of 0/1 or one-hot
                        [N,K], before smoothing; of findings [N,K] of 0/1, or 2
                        for unknown, which the mask takes out
    class_weight        [K], absent unless used; for the training loss only; of
                        findings that of y = 1
    negative_weight     [K], of findings: that of y = 0
    sample_weight       [N], absent unless used; when both are given Keras was
                        given their product (its fit takes only one of the two)
    forward             the model's output in inference mode
    val_loss            loss of that output: smoothing yes, class weights no,
                        sample weights yes
    out/NODE            output of every node in training mode, activation included;
                        a Flatten or Reshape node, being its source in another shape, has no
                        out and no dout
    loss                training loss: sum of weight * loss over the batch / N; of
                        findings over the known ones / their number
    accuracy            fraction of the batch right in training mode, unweighted; of
                        findings binary_accuracy with the same mask
    dout/NODE           gradient of loss by that node's output. For the output
                        node it is absent: see dlogits
    dlogits             gradient of loss by the output node's value before its
                        sigmoid or softmax
    dx                  gradient of loss by x
    dweight/NODE/WEIGHT gradient of loss by each trainable weight
    after/NODE/WEIGHT   moving statistics after this one training step

Where a maximum is reached twice in a pooling window the gradient goes to the
first in row-major order (this can happen only among zeros behind a relu).
Cases named inference_* hold the inference tensors only.
"""

import sys

import keras_common as common
import numpy as np

keras = common.use_float64()

import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402
from keras.src.trainers.data_adapters import data_adapter_utils  # noqa: E402

NODE_KEYS = {
    "Conv2D": ["filters", "kernel_size", "strides", "padding", "use_bias", "activation",
               "dilation_rate", "groups"],
    "DepthwiseConv2D": ["depth_multiplier", "kernel_size", "strides", "padding", "use_bias",
                        "activation", "dilation_rate"],
    "MaxPooling2D": ["pool_size", "strides", "padding"],
    "AveragePooling2D": ["pool_size", "strides", "padding"],
    "GlobalAveragePooling2D": ["keepdims"],
    "GlobalMaxPooling2D": ["keepdims"],
    "Flatten": [],
    "Dense": ["units", "use_bias", "activation"],
    "Dropout": ["rate"],
    "BatchNormalization": ["axis", "momentum", "epsilon", "center", "scale"],
    "Activation": ["activation"],
    "Add": [],
    "Concatenate": ["axis"],
    "Rescaling": ["scale", "offset"],
    "ReLU": ["negative_slope", "max_value"],
    "ELU": ["alpha"],
    "Reshape": ["target_shape"],
    "ZeroPadding2D": ["padding"],
    "Cropping2D": ["cropping"],
    "UpSampling2D": ["size", "interpolation"],
    "Multiply": [],
    "Average": [],
    "Maximum": [],
    "Minimum": [],
    "Subtract": [],
    "LayerNormalization": ["epsilon", "center", "scale"],
    "GroupNormalization": ["groups", "epsilon", "center", "scale"],
    "PReLU": ["shared_axes"],
}

# what a layer asks of each of its variables: written where it is not None
PENALTIES = ["kernel", "depthwise", "bias", "gamma", "beta", "alpha"]


def penalty_settings(layer):
    """The regularizers and constraints of a layer, as the tests write them."""
    settings = {}
    for name in PENALTIES:
        regularizer = getattr(layer, name + "_regularizer", None)
        if regularizer is not None:
            settings[name + "_regularizer"] = [float(getattr(regularizer, "l1", 0.0)),
                                               float(getattr(regularizer, "l2", 0.0))]
        constraint = getattr(layer, name + "_constraint", None)
        if constraint is not None:
            kind = ["", "MaxNorm", "NonNeg", "UnitNorm"].index(type(constraint).__name__)
            axes = np.atleast_1d(getattr(constraint, "axis", []))
            settings[name + "_constraint"] = [kind, float(getattr(constraint, "max_value", 0.0)),
                                              int(sum(1 << int(a) for a in axes))]
    return settings

CASES = {}


def case(shape, **options):
    """Register a function from the input tensor to the output tensor."""

    def register(function):
        CASES[function.__name__] = dict(shape=shape, build=function, **options)
        return function

    return register


def stack(name, shape, *makers, **options):
    """Register a Sequential case; makers return layers, a head is added."""

    def build(head=True):
        body = [make() for make in makers]
        if head:
            body += [layers.Flatten(name="flat"),
                     layers.Dense(1, activation="sigmoid", name="head")]
        return body

    CASES[name] = dict(shape=shape, sequential=build, **options)


# ---------------------------------------------------------------- convolutions

def conv(filters, size, **settings):
    settings.setdefault("activation", "relu")
    return lambda: layers.Conv2D(filters, size, name="conv", **settings)


stack("conv_3x3_same", (7, 6, 3), conv(4, 3, padding="same"))
stack("conv_3x3_same_one_channel", (8, 9, 1), conv(5, 3, padding="same"))
stack("conv_3x3_same_linear", (6, 7, 2), conv(3, 3, padding="same", activation=None))
stack("conv_3x3_valid_stride2", (9, 8, 2), conv(3, 3, strides=2))
stack("conv_5x5_same", (7, 8, 2), conv(3, 5, padding="same"))
stack("conv_5x5_valid", (8, 7, 2), conv(3, 5))
stack("conv_1x1", (5, 6, 4), conv(3, 1))
stack("conv_2x3_same", (6, 7, 2), conv(3, (2, 3), padding="same"))
stack("conv_2x3_valid", (6, 7, 2), conv(3, (2, 3)))
stack("conv_3x3_same_stride2_odd", (9, 7, 2), conv(3, 3, padding="same", strides=2))
stack("conv_3x3_same_stride2_even", (8, 10, 2), conv(3, 3, padding="same", strides=2))
stack("conv_5x5_same_stride3", (10, 8, 2), conv(3, 5, padding="same", strides=3))
stack("conv_4x4_same_stride2", (9, 8, 2), conv(3, 4, padding="same", strides=2))
stack("conv_stride_2_1", (8, 7, 2), conv(3, 3, padding="same", strides=(2, 1)))
stack("conv_1x1_stride2", (7, 6, 3), conv(4, 1, strides=2, padding="same"))
stack("conv_no_bias", (6, 5, 2), conv(4, 3, padding="same", use_bias=False))
stack("conv_kernel_larger_than_image", (3, 2, 2), conv(3, 5, padding="same"))
stack("conv_sigmoid", (5, 6, 2), conv(3, 3, padding="same", activation="sigmoid"))
stack("conv_tanh", (5, 6, 2), conv(3, 3, padding="same", activation="tanh"))
stack("conv_leaky_relu", (5, 6, 2), conv(3, 3, padding="same", activation="leaky_relu"))
stack("conv_softmax", (4, 5, 2), conv(3, 3, padding="same", activation="softmax"))
stack("conv_seventeen_channels", (4, 5, 17), conv(9, 3, padding="same"), batch=1)


def depthwise(size, **settings):
    settings.setdefault("activation", "relu")
    return lambda: layers.DepthwiseConv2D(size, name="conv", **settings)


stack("depthwise_3x3_same", (7, 6, 3), depthwise(3, padding="same"))
stack("depthwise_3x3_valid", (7, 6, 3), depthwise(3))
stack("depthwise_multiplier2", (6, 7, 3), depthwise(3, padding="same", depth_multiplier=2))
stack("depthwise_stride2_odd", (9, 7, 3), depthwise(3, padding="same", strides=2))
stack("depthwise_stride2_even", (8, 6, 3),
      depthwise(3, padding="same", strides=2, depth_multiplier=2))
stack("depthwise_5x5_valid_no_bias", (7, 8, 2),
      depthwise(5, use_bias=False, activation=None))

# --------------------------------------------------------------------- pooling


def pool(kind, size, **settings):
    return lambda: getattr(layers, kind)(size, name="pool", **settings)


for kind, word in (("MaxPooling2D", "maxpool"), ("AveragePooling2D", "avgpool")):
    stack(word + "_2x2", (8, 6, 3), pool(kind, 2))
    stack(word + "_2x2_odd", (7, 9, 2), pool(kind, 2))
    stack(word + "_2x2_same_odd", (7, 9, 2), pool(kind, 2, padding="same"))
    stack(word + "_3x3_stride2_same", (8, 7, 2), pool(kind, 3, strides=2, padding="same"))
    stack(word + "_3x3_stride2_valid", (8, 7, 2), pool(kind, 3, strides=2))
    stack(word + "_3x3_stride1_same", (5, 6, 2), pool(kind, 3, strides=1, padding="same"))
    stack(word + "_2x3", (7, 8, 2), pool(kind, (2, 3), strides=(2, 1)))

stack("global_average", (5, 6, 4), conv(5, 3, padding="same"),
      lambda: layers.GlobalAveragePooling2D(name="pool"))
stack("global_max", (5, 6, 4), conv(5, 3, padding="same", activation=None),
      lambda: layers.GlobalMaxPooling2D(name="pool"))
stack("conv_maxpool", (9, 8, 2), conv(5, 3, padding="same"),
      lambda: layers.MaxPooling2D(2, name="pool"))

# ----------------------------------------------------- dense, activations, misc

for activation in ("linear", "relu", "leaky_relu", "sigmoid", "tanh", "softmax"):
    stack("dense_" + activation, (11,),
          lambda a=activation: layers.Dense(6, activation=a, name="dense"), batch=5)
    stack("activation_" + activation, (3, 4, 5),
          lambda a=activation: layers.Activation(a, name="activation"))
stack("dense_no_bias", (11,),
      lambda: layers.Dense(6, use_bias=False, activation="relu", name="dense"), batch=5)
stack("rescaling", (4, 5, 2),
      lambda: layers.Rescaling(1 / 127.5, offset=-1, name="rescaling"), pixels=True)
stack("batch_norm_images", (4, 5, 3), lambda: layers.BatchNormalization(name="bn"), batch=4)
stack("batch_norm_vectors", (7,), lambda: layers.BatchNormalization(name="bn"), batch=5)
stack("batch_norm_settings", (4, 3, 2),
      lambda: layers.BatchNormalization(momentum=0.9, epsilon=1e-2, name="bn"), batch=4)
stack("batch_norm_no_scale_no_center", (4, 3, 2),
      lambda: layers.BatchNormalization(scale=False, center=False, name="bn"), batch=4)
stack("batch_norm_one_sample", (4, 3, 2), lambda: layers.BatchNormalization(name="bn"), batch=1)
stack("conv_batch_norm_relu_pool", (6, 7, 2),
      lambda: layers.Conv2D(3, 3, padding="same", use_bias=False, name="conv"),
      lambda: layers.BatchNormalization(name="bn"),
      lambda: layers.Activation("relu", name="relu"),
      lambda: layers.MaxPooling2D(2, name="pool"))
stack("inference_dropout", (5,),
      lambda: layers.Dense(6, activation="relu", name="dense"),
      lambda: layers.Dropout(0.5, name="dropout"), inference=True)


@case((5, 4, 3))
def add(x):
    a = layers.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
    b = layers.Conv2D(4, 1, padding="same", activation="tanh", name="b")(x)
    c = layers.Conv2D(4, 3, padding="same", name="c")(x)
    return head(layers.Add(name="add")([a, b, c]))


@case((5, 4, 3))
def concatenate(x):
    a = layers.Conv2D(2, 3, padding="same", activation="relu", name="a")(x)
    b = layers.Conv2D(5, 1, padding="same", activation="sigmoid", name="b")(x)
    return head(layers.Concatenate(name="concatenate")([a, x, b]))


@case((9,), batch=5)
def concatenate_vectors(x):
    a = layers.Dense(4, activation="relu", name="a")(x)
    b = layers.Dense(3, activation="tanh", name="b")(x)
    return layers.Dense(1, activation="sigmoid", name="head")(
        layers.Concatenate(name="concatenate")([b, a]))


@case((5, 4, 2), batch=2)
def residual(x):
    """A small residual network: identity and projected shortcuts, one node used twice."""
    y = layers.Conv2D(3, 3, padding="same", use_bias=False, name="stem")(x)
    y = layers.BatchNormalization(name="stem_bn")(y)
    y = layers.Activation("relu", name="stem_relu")(y)
    z = layers.Conv2D(3, 3, padding="same", activation="relu", name="block1_a")(y)
    z = layers.Conv2D(3, 3, padding="same", name="block1_b")(z)
    y = layers.Add(name="block1_add")([y, z])
    y = layers.Activation("relu", name="block1_relu")(y)
    z = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="block2_a")(y)
    z = layers.Conv2D(4, 3, padding="same", name="block2_b")(z)
    s = layers.Conv2D(4, 1, strides=2, padding="same", name="block2_shortcut")(y)
    y = layers.Add(name="block2_add")([s, z])
    y = layers.Activation("relu", name="block2_relu")(y)
    y = layers.GlobalAveragePooling2D(name="pool")(y)
    return layers.Dense(1, activation="sigmoid", name="head")(y)


# ------------------------------------------------------ layers that came later

stack("conv_dilated_same", (6, 7, 2), conv(2, 3, padding="same", dilation_rate=(2, 3)))
stack("conv_dilated_valid", (6, 7, 2), conv(2, (3, 2), dilation_rate=2), batch=2)
stack("conv_groups", (4, 3, 6), conv(6, 3, padding="same", groups=3), batch=2)
stack("conv_relu6", (4, 3, 2), conv(3, 3, padding="same", activation="relu6"))
stack("depthwise_dilated", (5, 6, 3), depthwise(3, padding="same", dilation_rate=2), batch=2)
for activation in ("relu6", "elu", "selu", "hard_sigmoid", "softplus", "silu", "hard_silu", "gelu",
                   "mish"):
    stack("activation_" + activation, (2, 3, 3),
          lambda a=activation: layers.Rescaling(4.0, offset=-2.0, name="wide"),
          lambda a=activation: layers.Activation(a, name="activation"))
stack("relu_max_value", (2, 3, 3), lambda: layers.ReLU(max_value=0.7, name="relu"))
stack("elu_alpha", (2, 3, 3), lambda: layers.Rescaling(4.0, offset=-2.0, name="wide"),
      lambda: layers.ELU(alpha=0.7, name="elu"))
stack("reshape", (4, 3, 4), lambda: layers.Reshape((2, -1, 3), name="reshape"),
      conv(2, 2))
stack("zero_padding", (4, 5, 2), lambda: layers.ZeroPadding2D(((1, 2), (0, 3)), name="padding"),
      conv(3, 2))
stack("cropping", (5, 6, 2), lambda: layers.Cropping2D(((1, 0), (2, 1)), name="cropping"), conv(3, 2))
stack("up_sampling", (3, 2, 2), lambda: layers.UpSampling2D((2, 3), name="up"), conv(2, 2))
stack("up_sampling_bilinear", (3, 4, 2),
      lambda: layers.UpSampling2D((3, 2), interpolation="bilinear", name="up"), conv(2, 2))
stack("layer_norm_images", (3, 4, 5), lambda: layers.LayerNormalization(name="norm"))
stack("layer_norm_vectors", (7,), lambda: layers.LayerNormalization(epsilon=1e-2, name="norm"), batch=5)
stack("group_norm", (4, 3, 6), lambda: layers.GroupNormalization(groups=3, name="norm"))


stack("prelu_channels", (3, 4, 3), lambda: layers.Rescaling(4.0, offset=-2.0, name="wide"),
      lambda: layers.PReLU(shared_axes=[1, 2], alpha_initializer="glorot_uniform", name="prelu"))
stack("prelu_places", (3, 2, 2), lambda: layers.Rescaling(4.0, offset=-2.0, name="wide"),
      lambda: layers.PReLU(shared_axes=[3], name="prelu"), conv(2, 2))
stack("prelu_vectors", (7,), lambda: layers.Rescaling(4.0, offset=-2.0, name="wide"),
      lambda: layers.PReLU(name="prelu"), batch=5)
stack("regularized", (5, 4, 2),
      conv(3, 3, padding="same", kernel_regularizer=keras.regularizers.L1L2(0.02, 0.03),
           bias_regularizer="l2"),
      lambda: layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise",
                                     depthwise_regularizer="l1"),
      lambda: layers.BatchNormalization(name="norm", gamma_regularizer="l2", beta_regularizer="l1"),
      lambda: layers.PReLU(shared_axes=[1, 2], name="prelu", alpha_regularizer="l2"),
      lambda: layers.Flatten(name="rows"),
      lambda: layers.Dense(4, name="dense", kernel_regularizer=keras.regularizers.L2(0.1),
                           activation="relu"), batch=4)
stack("constrained", (5, 4, 2),
      conv(3, 3, padding="same", kernel_constraint=keras.constraints.MaxNorm(0.7, axis=[0, 1, 2]),
           bias_constraint="non_neg"),
      lambda: layers.DepthwiseConv2D(3, name="depthwise",
                                     depthwise_constraint=keras.constraints.MaxNorm(0.5)),
      lambda: layers.Flatten(name="rows"),
      lambda: layers.Dense(4, name="dense", kernel_constraint="unit_norm", activation="relu"))


@case((4, 3, 3), batch=2)
def squeeze_excite(x):
    a = layers.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
    s = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(a)
    s = layers.Conv2D(4, 1, activation="sigmoid", name="excite")(s)
    return head(layers.Multiply(name="multiply")([a, s]))


def merged(kind):
    def build(x):
        a = layers.Conv2D(4, 3, padding="same", activation="tanh", name="a")(x)
        b = layers.Conv2D(4, 1, padding="same", name="b")(x)
        c = [] if kind == "Subtract" else [layers.Conv2D(4, 3, padding="same", name="c")(x)]
        return head(getattr(layers, kind)(name="merge")([a, b] + c))

    return build


for kind in ("Subtract", "Average", "Maximum", "Minimum", "Multiply"):
    CASES["merge_" + kind.lower()] = dict(shape=(3, 2, 3), build=merged(kind), batch=2)


# ---------------------------------------------------------------------- losses

def classifier(units):
    return lambda: layers.Dense(units, name="head",
                                activation="sigmoid" if units == 1 else "softmax")


def loss_case(name, units, **options):
    stack(name, (7,), lambda: layers.Dense(5, activation="tanh", name="dense"),
          classifier(units), batch=5, head=False, **options)


SAMPLES = [0.5, 2.0, 0.0, 1.25, 3.0]
for units, word, classes in ((1, "binary", [0.625, 1.75]), (3, "categorical", [0.5, 1.75, 2.5])):
    loss_case(word + "_plain", units)
    loss_case(word + "_smoothing", units, smoothing=0.1)
    loss_case(word + "_class_weight", units, class_weight=classes)
    loss_case(word + "_class_weight_smoothing", units, class_weight=classes, smoothing=0.2)
    loss_case(word + "_sample_weight", units, sample_weight=SAMPLES)
    loss_case(word + "_all", units, class_weight=classes, sample_weight=SAMPLES, smoothing=0.15)
    loss_case(word + "_extreme", units, gain=120.0)


def findings_case(name, units, **options):
    stack(name, (7,), lambda: layers.Dense(5, activation="tanh", name="dense"),
          lambda: layers.Dense(units, name="head", activation="sigmoid"), batch=5, head=False,
          findings=True, **options)


POSITIVE, NEGATIVE = [2.5, 0.75, 1.5], [0.5, 1.25, 1.0]
findings_case("findings_plain", 3)
findings_case("findings_smoothing", 3, smoothing=0.1)
findings_case("findings_unknown", 3, unknown=0.4)
findings_case("findings_one", 1, unknown=0.3)
findings_case("findings_class_weight", 3, class_weight=POSITIVE, negative_weight=NEGATIVE)
findings_case("findings_sample_weight", 3, unknown=0.3, sample_weight=SAMPLES)
findings_case("findings_all", 3, unknown=0.3, class_weight=POSITIVE, negative_weight=NEGATIVE,
              sample_weight=SAMPLES, smoothing=0.15)
findings_case("findings_extreme", 3, unknown=0.2, gain=120.0)
stack("categorical_conv", (6, 7, 2), conv(4, 3, padding="same"),
      lambda: layers.MaxPooling2D(2, name="pool"), lambda: layers.Flatten(name="flat"),
      lambda: layers.Dense(6, activation="relu", name="dense"), classifier(4),
      batch=5, head=False)

# --------------------------------------------------------------------- presets

stack("preset_baseline", (16, 16, 1), conv(2, 3, padding="same"),
      lambda: layers.MaxPooling2D(2, name="pool"), lambda: layers.Flatten(name="flat"),
      lambda: layers.Dense(4, activation="relu", name="dense1"),
      lambda: layers.Dense(3, activation="relu", name="dense2"), classifier(1), head=False, batch=2)
stack("preset_deep", (16, 16, 1), *[
    maker for i, filters in enumerate((2, 3, 4, 5)) for maker in (
        lambda i=i, f=filters: layers.Conv2D(f, 3, padding="same", activation="relu",
                                             name="conv%d" % (i + 1)),
        lambda i=i: layers.MaxPooling2D(2, name="pool%d" % (i + 1)))],
    lambda: layers.Flatten(name="flat"),
    lambda: layers.Dense(6, activation="relu", name="dense1"),
    lambda: layers.Dense(4, activation="relu", name="dense2"), classifier(1), head=False, batch=2)


# ------------------------------------------------------------------ the machine

def head(x):
    return layers.Dense(1, activation="sigmoid", name="head")(layers.Flatten(name="flat")(x))


def build(spec):
    if "sequential" in spec:
        body = spec["sequential"](head=spec.get("head", True))
        return keras.Sequential([keras.Input(spec["shape"], name="input")] + body, name="model")
    x = keras.Input(spec["shape"], name="input")
    return keras.Model(x, spec["build"](x), name="model")


def nodes_of(model):
    """[(layer, names of its sources)] in topological order, the input first."""
    graph = model._functional if isinstance(model, keras.Sequential) else model
    result = []
    for layer in graph.layers:
        tensors = layer._inbound_nodes[0].input_tensors
        result.append((layer, [t._keras_history.operation.name for t in tensors]))
    seen = set()
    for layer, sources in result:
        assert all(s in seen for s in sources), layer.name
        seen.add(layer.name)
    return result


def distinct(random, shape):
    """Distinct values about zero, three decimals, so that no maximum is tied."""
    count = int(np.prod(shape))
    values = (random.permutation(count) - count // 2) / max(count // 2, 1)
    return np.round(values, 3).astype(np.float32).reshape(shape)


def start_weights(random, weight, gain):
    shape = tuple(weight.shape)
    if weight.name in ("gamma", "moving_variance"):
        values = random.uniform(0.5, 1.5, shape)
    elif weight.name in ("beta", "bias", "moving_mean"):
        values = random.uniform(-0.3, 0.3, shape)
    else:
        fan_in = int(np.prod(shape[:-1])) if len(shape) != 4 else shape[0] * shape[1] * shape[2]
        values = random.uniform(-1, 1, shape) * np.sqrt(3 / fan_in) * gain
    return np.round(values, 3).astype(np.float32)


def labels(random, count, units):
    classes = np.arange(count) % max(units, 2)
    random.shuffle(classes)
    if units == 1:
        return classes.reshape(count, 1).astype(np.float32)
    return np.eye(units, dtype=np.float32)[classes]


def targets(random, spec, count, units):
    """Any findings of each sample; 2 where unknown, but not everywhere."""
    y = random.integers(0, 2, (count, units)).astype(np.float32)
    y[random.random((count, units)) < spec.get("unknown", 0.0)] = 2
    y[0, 0] = 1
    return y


def masked_loss(loss_function, y, p, logits, weights):
    """Keras's loss of y[N,K,1] with Keras's own mask of what is known."""
    known = y < 2
    output = tf.expand_dims(p, -1)
    output._keras_logits = tf.expand_dims(logits, -1)
    output._keras_mask = tf.constant(known)
    return loss_function(tf.constant(np.where(known, y, 0).astype(np.float64)[..., None]), output, weights)


def findings_weights(spec, y, sample_weight):
    """Weights of the known and of the training loss, [N,K] each, or None."""
    weights = None if sample_weight is None else np.repeat(sample_weight[:, None], y.shape[1], 1)
    by_class = weights
    if "class_weight" in spec:
        by_class = np.where(y == 1, spec["class_weight"], spec["negative_weight"])
        by_class = by_class if weights is None else by_class * weights
    return weights, by_class


def run(nodes, x, training):
    """Outputs of all nodes by name."""
    out = {}
    for layer, sources in nodes:
        if not sources:
            out[layer.name] = x
            continue
        inputs = [out[s] for s in sources]
        inputs = inputs if len(inputs) > 1 else inputs[0]
        try:
            out[layer.name] = layer(inputs, training=training)
        except TypeError:
            out[layer.name] = layer(inputs)
    return out


def make(name, spec):
    random = np.random.default_rng(abs(hash_of(name)))
    keras.config.set_floatx("float32")
    keras.backend.clear_session()
    json_text = build(spec).to_json()
    keras.config.set_floatx("float64")
    keras.backend.clear_session()
    model = build(spec)
    nodes = nodes_of(model)
    output = nodes[-1][0].name
    units = model.output_shape[-1]
    count = spec.get("batch", 3)

    for weight in model.weights:
        gain = spec.get("gain", 1.0) if "head/" in weight.path else 1.0
        weight.assign(start_weights(random, weight, gain))
    if spec.get("pixels"):
        x = random.integers(0, 256, (count,) + spec["shape"]).astype(np.float32)
    else:
        x = distinct(random, (count,) + spec["shape"])
    findings = spec.get("findings", False)
    y = targets(random, spec, count, units) if findings else labels(random, count, units)

    smoothing = spec.get("smoothing", 0.0)
    kind = ("findings" if findings else "binary_crossentropy" if units == 1
            else "categorical_crossentropy")
    loss_class = (keras.losses.BinaryCrossentropy if units == 1 or findings
                  else keras.losses.CategoricalCrossentropy)
    loss_function = loss_class(label_smoothing=smoothing)
    sample_weight = spec.get("sample_weight")
    sample_weight = None if sample_weight is None else np.array(sample_weight, np.float64)
    weights = sample_weight
    if findings:
        known_weights, weights = findings_weights(spec, y, sample_weight)
    elif "class_weight" in spec:
        by_class = data_adapter_utils.class_weight_to_sample_weights(
            y, dict(enumerate(spec["class_weight"])))
        weights = by_class if weights is None else weights * by_class

    golden = common.Golden("network", name)
    golden.fact("json", json_text)
    for layer, sources in nodes:
        if not sources:
            golden.fact("node", layer.name, "InputLayer", "-", shape=spec["shape"])
            continue
        class_name = type(layer).__name__
        config = layer.get_config()
        settings = {k: config[k] for k in NODE_KEYS[class_name]}
        settings.update(penalty_settings(layer))
        golden.fact("node", layer.name, class_name, ",".join(sources), **settings)
    golden.fact("output", output)
    golden.fact("loss", kind, label_smoothing=float(smoothing))
    for weight in model.weights:
        golden.tensor("weight/" + weight.path.removeprefix("model/"), weight.numpy(), given=True)
    golden.tensor("x", x, given=True)
    golden.tensor("y", y, given=True)
    if "class_weight" in spec:
        golden.tensor("class_weight", spec["class_weight"], given=True)
    if "negative_weight" in spec:
        golden.tensor("negative_weight", spec["negative_weight"], given=True)
    if sample_weight is not None:
        golden.tensor("sample_weight", sample_weight, given=True)

    x64 = tf.constant(x.astype(np.float64))
    forward = run(nodes, x64, False)[output]
    golden.tensor("forward", forward)
    if findings:
        golden.tensor("val_loss", masked_loss(loss_function, y, forward, forward._keras_logits,
                                              known_weights))
    else:
        golden.tensor("val_loss", loss_function(y, forward, sample_weight))
    if spec.get("inference"):
        return golden.write()

    moving = [w for w in model.non_trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(x64)
        out = run(nodes, x64, True)
        logits = out[output]._keras_logits
        loss = (masked_loss(loss_function, y, out[output], logits, weights) if findings
                else loss_function(y, out[output], weights))
        for weight in model.trainable_weights:
            if weight.regularizer is not None:
                loss += tf.cast(weight.regularizer(weight.value), loss.dtype)
    inner = [n for n, _ in nodes[1:] if n.name != output]
    gradients = tape.gradient(
        loss, [[out[n.name] for n in inner], logits, x64,
               [w.value for w in model.trainable_weights]])
    for layer, _ in nodes[1:]:
        if isinstance(layer, (layers.Flatten, layers.Reshape)):
            continue
        golden.tensor("out/" + layer.name, out[layer.name])
    golden.tensor("loss", loss)
    golden.tensor("accuracy", findings_accuracy(y, out[output].numpy()) if findings
                  else accuracy(y, out[output].numpy()))
    for layer, gradient in zip(inner, gradients[0]):
        if isinstance(layer, (layers.Flatten, layers.Reshape)):
            continue
        golden.tensor("dout/" + layer.name, gradient)
    golden.tensor("dlogits", gradients[1])
    golden.tensor("dx", gradients[2])
    for weight, gradient in zip(model.trainable_weights, gradients[3]):
        golden.tensor("dweight/" + weight.path.removeprefix("model/"), gradient)
    for weight in model.trainable_weights:
        if weight.constraint is not None:
            golden.tensor("after/" + weight.path.removeprefix("model/"),
                          weight.constraint(weight.value).numpy())
    for weight in moving:
        golden.tensor("after/" + weight.path.removeprefix("model/"), weight.numpy())
    if not (findings and (weights is not None or (y == 2).any())):  # fit has no mask of targets
        check_against_fit(model, golden, x, y, weights, loss_class(label_smoothing=smoothing), loss)
    return golden.write()


def accuracy(y, p):
    if y.shape[1] == 1:
        return np.mean((p > 0.5) == (y > 0.5))
    return np.mean(p.argmax(1) == y.argmax(1))


def findings_accuracy(y, p):
    metric = keras.metrics.BinaryAccuracy()
    metric.update_state(np.where(y < 2, y, 0)[..., None], p[..., None], sample_weight=y < 2)
    return float(metric.result())


def check_against_fit(model, golden, x, y, weights, loss_function, loss):
    """What train_on_batch reports from the same start must be the stored loss."""
    tensors = {}
    for line in golden.lines:
        words = line.split()
        if words[0] == "tensor" and words[1].startswith("weight/"):
            rank = int(words[2])
            tensors[words[1]] = np.array(words[3 + rank:], np.float32).reshape(
                [int(d) for d in words[3:3 + rank]])
    for weight in model.weights:
        weight.assign(tensors["weight/" + weight.path.removeprefix("model/")])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss_function, run_eagerly=True)
    reported = model.train_on_batch(x, y, sample_weight=weights)
    assert abs(float(reported) - float(loss)) < 1e-6 * max(1, abs(float(loss))), (
        golden.path, reported, loss)


def hash_of(name):
    value = 0
    for byte in name.encode():
        value = (value * 131 + byte) % (1 << 31)
    return value


def main():
    names = sys.argv[1:] or list(CASES)
    total = 0
    for name in names:
        size = make(name, CASES[name])
        total += size
        if size > 60000:
            print("%s has %d bytes" % (name, size))
    print("%d cases, %d bytes" % (len(names), total))


if __name__ == "__main__":
    main()
