#!/usr/bin/env python3
"""Files that Keras writes, with the scores that it computes.

    python3 tests/keras/keras_files.py FOLDER

writes small networks with random weights in every form that this version of
Keras has (.keras, .weights.h5, the whole model as .h5), gzipped, as
FOLDER/VERSION-NETWORK.FORM.gz, and adds them to FOLDER/expected.json.gz: the
config of their import and the scores of the images of the folder, which it
makes if there are none. Run once for each version of Keras.
"""

import gzip
import json
import os
import struct
import sys
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np

SIDE = 16
layers = keras.layers


def png(pixels):
    """Returns 8-bit pixels (h, w, 1 or 3) as a PNG file."""
    height, width, channels = pixels.shape

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_images(folder):
    """Returns pixels of two grey and two coloured images, a dark and a bright one, as 0 to 255."""
    random = np.random.default_rng(1)
    images = {}
    for kind, channels in (("grey", 1), ("rgb", 3)):
        noise = random.uniform(0, 1, (2, SIDE, SIDE, channels))
        slope = np.linspace(0, 1, SIDE)[None, :, None, None] * np.array([1.0, 0.3, 0.6])[:channels]
        images[kind] = (np.stack([80 * noise[0] + 20, 60 * noise[1] + 190 * slope[0]])).astype(np.uint8)
        for i in range(2):
            path = "%s/%s%d.png" % (folder, kind, i)
            if not os.path.exists(path):
                with open(path, "wb") as file:
                    file.write(png(images[kind][i]))
    return images


def plain():
    return keras.Sequential([
        layers.Input(shape=(SIDE, SIDE, 1)), layers.Conv2D(3, 3, padding="same", use_bias=False),
        layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.3), layers.MaxPooling2D(2),
        layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(scale=False), layers.Flatten(),
        layers.Dense(1, activation="sigmoid")])


def branches():
    """Networks within the network, an adapted Normalization, branches, logits."""
    inside = keras.Sequential([layers.DepthwiseConv2D(3), layers.BatchNormalization(), layers.Activation("relu")], name="inside")
    stem = keras.Sequential([layers.SeparableConv2D(4, 3, padding="same"), layers.BatchNormalization(), inside,
                             layers.Conv2D(5, 1)], name="stem")
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(2).normal(100, 50, (4, SIDE, SIDE, 3)))
    x = image = keras.Input(shape=(SIDE, SIDE, 3))
    x = stem(normalization(x))
    y = layers.Conv2D(5, 3, padding="same", activation="elu")(x)
    z = layers.Conv2D(5, 1, name="short_cut")(x)
    x = layers.Concatenate()([layers.Add()([y, z]), layers.LayerNormalization()(x)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(3)(x))


def modes():
    x = image = keras.Input(shape=(SIDE, SIDE, 3))
    x = layers.Conv2D(3, 3, strides=2, activation="relu")(x)
    x = layers.GlobalMaxPooling2D()(x)
    return keras.Model(image, layers.Dense(2, activation="softmax")(x))


def randomize(model):
    """Gives all weights but those of Normalization values that make scores differ."""
    random = np.random.default_rng(3)
    for layer in model.layers:
        if hasattr(layer, "layers"):
            randomize(layer)
        elif not isinstance(layer, layers.Normalization):
            layer.set_weights([np.abs(random.normal(1, 0.2, w.shape)) if w.ndim == 1
                               else random.normal(0, 1 / np.sqrt(np.prod(w.shape[:-1])), w.shape)
                               for w in layer.get_weights()])


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def preprocess(pixels, mode):
    x = pixels.astype(np.float32)
    if mode == "":
        return x / 255
    if mode == "tf":
        return x / 127.5 - 1
    if mode == "torch":
        return (x / 255 - np.array([0.485, 0.456, 0.406], np.float32)) / np.array([0.229, 0.224, 0.225], np.float32)
    if mode == "caffe":
        return x[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    return x


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    images = make_images(folder)
    try:
        with gzip.open(folder + "/expected.json.gz", "rt") as file:
            expected = json.load(file)
    except FileNotFoundError:
        expected = {}
    version = keras.__version__
    networks = {"plain": (plain, "grey", {}, ("",)),
                "branches": (branches, "rgb", {"rescale": 1, "from_logits": True, "classes": ["A", "B", "C"]}, (None,)),
                "modes": (modes, "rgb", {}, ("tf", "torch", "caffe"))}
    for name, (make, kind, config, kinds) in networks.items():
        keras.utils.set_random_seed(1)
        model = make()
        randomize(model)
        head = model.layers[-1]
        head.set_weights([head.get_weights()[0] * (0.02 if name == "modes" else 1), head.get_weights()[1] * 0])
        model.compile(optimizer="adam", loss="mse")
        for form in ("keras", "weights.h5", "h5") if name != "modes" else ("keras",):
            path = "%s/%s-%s.%s" % (folder, version, name, form)
            try:
                model.save_weights(path) if form == "weights.h5" else model.save(path)
            except ValueError:  # Keras 3.0 cannot write networks within networks as .h5
                os.remove(path)
                continue
            with open(path, "rb") as file:
                data = file.read()
            os.remove(path)
            with open(path + ".gz", "wb") as file:
                file.write(gzip.compress(data, 9, mtime=0))
            for mode in kinds:
                this = dict(config, layers=json.loads(model.to_json())) if form == "weights.h5" else dict(config)
                if mode:
                    this["preprocessing"] = mode
                scores = np.asarray(model.predict(preprocess(images[kind], mode), verbose=0), np.float64)
                if config.get("from_logits"):
                    scores = softmax(scores)
                if scores.shape[1] == 1:
                    scores = np.concatenate([1 - scores, scores], 1)
                key = os.path.basename(path) + (" " + mode if mode else "")
                expected[key] = {"config": this, "images": kind, "scores": np.round(scores, 7).tolist()}
    with open(folder + "/expected.json.gz", "wb") as file:
        file.write(gzip.compress(json.dumps(expected, sort_keys=True).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
