#!/usr/bin/env python3
"""The scores of networks in Keras and in pneumo, with the same weights.

    python3 tests/keras/compare.py FOLDER [NAME...]

trains each network of FOLDER (to_json() in NAME.json.gz) for one step in the
database that psql's environment variables name, exports the model, gives its
weights to Keras, sets the moving statistics of BatchNormalization to those of
the images, so that scores differ, and imports the result. Prints the largest
difference of the probabilities over eight phantoms: one line a network, name
and difference or the error. Needs superuser rights (files on the server), and
Keras with any backend.
"""

import glob
import gzip
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile

import keras
import numpy as np

SETUP = """
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE IF NOT EXISTS keras_compare AS
    SELECT i, pneumo_phantom(i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END, 64) AS image,
           (ARRAY['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J'])[i % 10 + 1] AS label10,
           (ARRAY['A', 'B', 'C'])[i % 3 + 1] AS label3, (ARRAY['A', 'B'])[i % 2 + 1] AS label2
    FROM generate_series(1, 60) i;
"""


def psql(sql):
    done = subprocess.run([os.environ.get("PSQL", "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"],
                          input=sql, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().replace("\n", " ")[:300])
    return done.stdout


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Bytes:
    """The stored form of a model, as src/nn/model_bytes.c describes it."""

    def __init__(self, data):
        self.data, self.at = data, 64
        (self.n_nodes,) = struct.unpack_from("<I", data, 12)
        (offset, count) = struct.unpack_from("<QQ", data, 32)
        self.weights = np.frombuffer(data, "<f4", count, offset)
        self.nodes = [self.node() for _ in range(self.n_nodes - 1)]

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def text(self):
        return self.take(self.take(1)[0]).decode()

    def node(self):
        class_name, name = self.text(), self.text()
        self.take(2 * self.take(1)[0])
        for _ in range(self.take(1)[0]):
            self.text()
            self.take(32)
        return class_name, name


def layers_by_name(model, prefix=""):
    found = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found.update(layers_by_name(layer, prefix + layer.name + "/"))
        else:
            found[prefix + layer.name] = layer
    return found


def weights_of(model, stored):
    """Yields Keras's variables in the order of the stored weights."""
    layers = layers_by_name(model)
    at = 0
    for class_name, name in stored.nodes:
        layer, first, last = layers.get(name), 0, None
        if name.endswith("/depthwise") and name not in layers:
            layer, last = layers[name[:-10]], 1
        elif layer is not None and type(layer).__name__ == "SeparableConv2D":
            first = 1
        elif layer is not None and layer.__class__.__name__ == "Normalization":
            layer = None
        if name.endswith("/linear") and name not in layers:
            layer = layers[name[:-7]]
        elif class_name == "Activation":
            continue
        for variable in (layer.weights[first:last] if layer is not None else []):
            if "seed" in variable.name:
                continue
            yield variable, at
            at += int(np.prod(tuple(variable.shape)))
    assert at == len(stored.weights), (at, len(stored.weights))


def keras_scores(model, data, pixels):
    """Returns Keras's scores, and the bytes with the weights that gave them."""
    stored = Bytes(data)
    for variable, at in weights_of(model, stored):
        shape = tuple(variable.shape)
        variable.assign(stored.weights[at:at + int(np.prod(shape))].reshape(shape))
    norms = [l for l in layers_by_name(model).values() if isinstance(l, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        model(pixels, training=True)
    weights = stored.weights.copy()
    for variable, at in weights_of(model, stored):
        values = keras.ops.convert_to_numpy(variable).ravel()
        weights[at:at + len(values)] = values
    (offset,) = struct.unpack_from("<Q", data, 32)
    data = data[:offset] + weights.tobytes() + data[offset + weights.nbytes:-32]
    out = model.predict(pixels, verbose=0)
    return (np.array(list(out.values())[0] if isinstance(out, dict) else out),
            data + hashlib.sha256(data).digest())


def compare(text):
    model = keras.models.model_from_json(text)
    classes = max(2, model.output_shape[-1] if not isinstance(model.output_shape, dict) else 2)
    config = {"name": "keras compare", "epochs": 1, "steps_per_epoch": 1, "batch_size": 4, "verbose": 0,
              "early_stopping": None, "label_column": "label%d" % classes, "image_column": "image",
              "optimizer": "sgd", "learning_rate": 0.01, "deploy": True}
    if classes == 2:
        config["positive_class"] = "B"
    with tempfile.TemporaryDirectory(prefix="pneumo_compare") as folder:
        os.chmod(folder, 0o777)
        path = folder + "/model"
        psql(SETUP +
             "SELECT count(pneumo_drop_model(model)::text) FROM pneumo.models WHERE model LIKE 'keras compare%%';"
             "SELECT pneumo_train('keras_compare', %s::jsonb || jsonb_build_object('layers', %s::jsonb));\n"
             "COPY (SELECT pneumo_export('keras compare', max(version), false) FROM pneumo.versions WHERE model = 'keras compare') TO %s (FORMAT binary);\n"
             % (quoted(json.dumps(config)), quoted(text), quoted(path)))
        with open(path, "rb") as file:
            data = file.read()[25:-2]
        pixels = np.array(json.loads(psql(
            "SELECT jsonb_agg(pneumo_preprocess(image, 'keras compare') ORDER BY i) FROM keras_compare WHERE i <= 8")),
            np.float32)
        ours, data = keras_scores(model, data, pixels)
        path = folder + "/changed"
        with open(path, "wb") as file:
            file.write(data)
        theirs = np.array(json.loads(psql(
            "SELECT count(pneumo_import(pg_read_binary_file(%s), 'keras compare 2'));"
            "SELECT jsonb_agg((SELECT jsonb_agg(probability ORDER BY class) FROM "
            "pneumo_predict_proba(image, 'keras compare 2')) ORDER BY i) FROM keras_compare WHERE i <= 8"
            % quoted(path)).splitlines()[1]))
    if ours.shape[1] == 1:
        ours = np.concatenate([1 - ours, ours], 1)
    return np.abs(ours - theirs).max(), theirs[:, -1].std()


def main():
    names = sys.argv[2:] or sorted(os.path.basename(p)[:-8] for p in glob.glob(sys.argv[1] + "/*.json.gz"))
    for name in names:
        try:
            difference, spread = compare(gzip.open("%s/%s.json.gz" % (sys.argv[1], name), "rt").read())
            print("%s\t%.1e\tscores spread by %.1e" % (name, difference, spread), flush=True)
        except Exception as error:
            print("%s\t%s" % (name, str(error).replace("\n", " ")[:200]), flush=True)


if __name__ == "__main__":
    main()
