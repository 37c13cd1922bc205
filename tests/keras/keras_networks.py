#!/usr/bin/env python3
"""Networks as a version of Keras writes them, for tests/t/020_keras.pl.

    python3 tests/keras/keras_networks.py

writes tests/keras/networks/keras-VERSION.json.gz, an object of name and
to_json(), with the Keras that it finds. The test reads all files there; what
pneumo makes of each network is in tests/keras/networks/expected.txt. Names
that begin with app_ are keras.applications.
"""

import gzip
import json
import pathlib

import keras
import numpy as np
from keras import layers

FOLDER = pathlib.Path(__file__).resolve().parent / "networks"
KERAS2 = keras.__version__.startswith("2")
NETWORKS = {}

# of versions between, which write much the same
BETWEEN = {"conv_defaults", "batch_norm", "layer_norm", "group_norm", "separable", "initializers", "normalization",
           "act_relu_object", "nested_sequential", "operators", "training_false", "two_problems"}


def network(function):
    NETWORKS[function.__name__] = function
    return function


def seq(name, *makers, shape=(32, 32, 1)):
    """A Sequential network with a head of one unit."""

    def build():
        body = [make() for make in makers]
        return keras.Sequential([keras.Input(shape)] + body + [
            layers.GlobalAveragePooling2D(), layers.Dense(1, activation="sigmoid")])

    NETWORKS[name] = build


def conv(**settings):
    return lambda: layers.Conv2D(4, 3, **settings)


seq("conv_defaults", conv())
for activation in ("relu6", "elu", "selu", "silu", "gelu", "hard_sigmoid", "softplus", "mish", "softsign",
                   "leaky_relu", "tanh"):
    if hasattr(keras.activations, activation):
        seq("act_" + activation, conv(activation=activation))
seq("act_relu_object", conv(activation=layers.ReLU()) if not KERAS2 else conv(activation="relu"))
seq("relu6_layer", conv(), lambda: layers.ReLU(6.0))
seq("leaky_relu_layer", conv(), lambda: layers.LeakyReLU())
seq("prelu", conv(), lambda: layers.PReLU(shared_axes=[1, 2]))
seq("batch_norm", conv(), lambda: layers.BatchNormalization())
seq("batch_norm_frozen", conv(), lambda: layers.BatchNormalization(trainable=False))
seq("layer_norm", conv(), lambda: layers.LayerNormalization())
seq("layer_norm_all_axes", conv(), lambda: layers.LayerNormalization(axis=[1, 2, 3]))
seq("group_norm", conv(), lambda: layers.GroupNormalization(2))
seq("dilated", conv(dilation_rate=2))
seq("groups", conv(), lambda: layers.Conv2D(4, 3, groups=2))
seq("separable", conv(), lambda: layers.SeparableConv2D(6, 3, activation="gelu"))
seq("depthwise", conv(), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2))
seq("padding_cropping", lambda: layers.ZeroPadding2D(((0, 1), (2, 3))), conv(),
    lambda: layers.Cropping2D(((1, 0), (0, 1))))
seq("up_sampling", conv(), lambda: layers.UpSampling2D(interpolation="bilinear"))
seq("reshape", conv(), lambda: layers.Reshape((15, 30, 8)))
seq("dense_on_maps", conv(), lambda: layers.Dense(5, activation="relu"))
seq("spatial_dropout", conv(), lambda: layers.SpatialDropout2D(0.2))
seq("dropout_sample", conv(), lambda: layers.Dropout(0.2, noise_shape=(None, 1, 1, 1)))
seq("dropout_odd_noise", conv(), lambda: layers.Dropout(0.2, noise_shape=(None, 30, 1, 1)))
seq("dropout_seed", conv(), lambda: layers.Dropout(0.2, seed=7))
seq("rescaling", lambda: layers.Rescaling(1 / 255), conv())
seq("rescaling_unit", lambda: layers.Rescaling(2.0, offset=-1.0), conv())
seq("normalization", lambda: layers.Normalization(mean=122.0, variance=3500.0), conv())
seq("normalization_channels",
    lambda: layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.052, 0.05, 0.051]), conv(),
    shape=(32, 32, 3))
seq("augmentation", lambda: layers.RandomFlip("horizontal"), lambda: layers.RandomRotation(0.1), conv())
seq("resizing", lambda: layers.Resizing(24, 24), conv())
seq("gaussian_noise", lambda: layers.GaussianNoise(0.1), conv())
seq("l2", conv(kernel_regularizer="l2"))
seq("l2_zero", conv(kernel_regularizer=keras.regularizers.L2(0.0)))
seq("max_norm", conv(kernel_constraint=keras.constraints.MaxNorm(3)))
seq("activity_regularizer", conv(activity_regularizer="l1"))
seq("mixed_precision", conv(dtype="mixed_float16"))
seq("initializers", conv(kernel_initializer=keras.initializers.HeNormal(seed=3),
                         bias_initializer=keras.initializers.Constant(0.1)))
seq("two_problems", conv(kernel_regularizer="l2"), lambda: layers.PReLU(), lambda: layers.GaussianNoise(0.1))


@network
def nested_sequential():
    stem = keras.Sequential([layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D()], name="stem")
    return keras.Sequential([keras.Input((32, 32, 1)), stem, layers.Flatten(),
                             layers.Dense(1, activation="sigmoid")])


def functional(build):
    """A functional network with a head of one unit around build(x)."""

    def network():
        x = keras.Input((32, 32, 1))
        y = layers.GlobalAveragePooling2D()(build(x))
        return keras.Model(x, layers.Dense(1, activation="sigmoid")(y))

    NETWORKS[build.__name__] = network
    return build


@functional
def residual(x):
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    z = layers.Dropout(0.1)(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(y)))
    return layers.ReLU()(layers.Add()([y, z]))


@functional
def squeeze_excite(x):
    y = layers.Conv2D(4, 3, activation="silu")(x)
    s = layers.GlobalAveragePooling2D(keepdims=True)(y)
    s = layers.Conv2D(4, 1, activation="hard_sigmoid")(layers.Conv2D(2, 1, activation="relu")(s))
    return layers.Multiply()([y, s])


@functional
def squeeze_excite_rows(x):
    y = layers.Conv2D(4, 3)(x)
    s = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(y))
    return layers.Multiply()([y, layers.Reshape((1, 1, 4))(s)])


@functional
def merges(x):
    a, b = layers.Conv2D(4, 3)(x), layers.Conv2D(4, 3)(x)
    return layers.Concatenate()([kind()([a, b]) for kind in (
        layers.Average, layers.Maximum, layers.Minimum, layers.Subtract, layers.Multiply)] + [a] * 6)


@functional
def operators(x):
    y = layers.Conv2D(4, 3)(x / 255.0 - 0.5)
    return y * layers.Activation("sigmoid")(2.0 * (1.0 - y) + 3.0)


@functional
def training_false(x):
    y = layers.BatchNormalization()(layers.Conv2D(4, 3)(x), training=False)
    return layers.Dropout(0.5)(y, training=False)


@functional
def training_true(x):
    return layers.Dropout(0.5)(layers.Conv2D(4, 3)(x), training=True)


@functional
def shared_layer(x):
    c = layers.Conv2D(1, 3)
    return c(c(x))


@functional
def lambda_layer(x):
    return layers.Conv2D(4, 3)(layers.Lambda(lambda t: t * 2)(x))


@functional
def attention(x):
    y = layers.Reshape((64, 16))(x)
    return layers.Reshape((8, 8, 16))(layers.MultiHeadAttention(2, 8)(y, y))


@network
def input_dict():
    x = keras.Input((32, 32, 1), name="image")
    y = layers.Dense(1, activation="sigmoid")(layers.Flatten()(x))
    return keras.Model({"image": x}, {"score": y})


@network
def input_uint8():
    x = keras.Input((32, 32, 1), dtype="uint8")
    y = layers.Flatten()(layers.Rescaling(1 / 255)(x))
    return keras.Model(x, layers.Dense(1, activation="sigmoid")(y))


@network
def two_inputs():
    a, b = keras.Input((32, 32, 1)), keras.Input((3,))
    y = layers.Concatenate()([layers.Flatten()(a), b])
    return keras.Model([a, b], layers.Dense(1, activation="sigmoid")(y))


@network
def channels_first():
    return keras.Sequential([keras.Input((1, 32, 32)), layers.Conv2D(4, 3, data_format="channels_first",
                                                                     padding="same"),
                             layers.GlobalAveragePooling2D(data_format="channels_first"),
                             layers.Dense(1, activation="sigmoid")])


@network
def compiled():
    model = keras.Sequential([keras.Input((32, 32, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


@network
def transfer():
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    base.trainable = False
    x = keras.Input((32, 32, 1))
    y = base(layers.Concatenate()([x, x, x]), training=False)
    return keras.Model(x, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(y)))


def application(name):
    def build():
        return getattr(keras.applications, name)(weights=None, classes=1, input_shape=(96, 96, 3),
                                                 classifier_activation="sigmoid")

    NETWORKS["app_" + name] = build


for application_name in ("DenseNet121", "EfficientNetB0", "MobileNet", "MobileNetV2", "MobileNetV3Small", "ResNet50V2"):
    application(application_name)


def main():
    FOLDER.mkdir(exist_ok=True)
    written = {}
    for name, build in NETWORKS.items():
        if keras.__version__ in ("3.0.5", "3.8.0") and name not in BETWEEN:
            continue
        keras.backend.clear_session()
        try:
            written[name] = build().to_json()
        except Exception as error:
            print("%s: %s" % (name, str(error).splitlines()[0]))
    path = FOLDER / ("keras-%s.json.gz" % keras.__version__)
    with open(path, "wb") as file:
        file.write(gzip.compress(json.dumps(written).encode(), 9, mtime=0))
    print("%s: %d networks, %d bytes" % (path.name, len(written), path.stat().st_size))


if __name__ == "__main__":
    main()
