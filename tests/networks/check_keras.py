#!/usr/bin/env python3
"""Networks of keras.applications through SQL, against Keras.

    python3 tests/networks/check_keras.py [NAME...]

makes each network with random weights, and BatchNormalization statistics of the
images, saves it as .keras, imports it with pneumo_import_keras() into the
database that psql's environment variables name, and compares the scores of
images with Keras's. What rounding does to a network of random weights shows in
the column export, too, where Keras computes both. Then the round trip: pneumo_export_keras(), Keras loads and
saves that, and the import of the result has to score to the bit as before.

Prints a line a network: whether it was accepted, the largest difference of the
probabilities, that after the round trip in Keras, and milliseconds an image in
pneumo and in Keras (batches of the same images, all cores). Needs superuser
rights and, as the server reads files, a folder that it can read
(PNEUMO_SHARED_FOLDER, the temporary folder by default). IMAGES is a query that
returns columns i (from 1) and image; phantoms by default.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

LIMIT = 1e-4
IMAGES = os.environ.get("IMAGES", "SELECT i, pneumo_phantom(i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END, 256)"
                        " AS image FROM generate_series(1, 8) i")

# Name: side of the images, and how they are prepared.
NETWORKS = {
    "MobileNet": (128, "tf"),
    "MobileNetV2": (128, "tf"),
    "MobileNetV3Small": (128, None),
    "ResNet50": (128, "caffe"),
    "ResNet50V2": (128, "tf"),
    "DenseNet121": (128, "torch"),
    "VGG16": (96, "caffe"),
    "Xception": (128, "tf"),
    "InceptionV3": (128, "tf"),
    "EfficientNetB0": (128, None),
    "EfficientNetV2B0": (128, None),
    "NASNetMobile": (128, "tf"),
    "ConvNeXtTiny": (128, None),
}


def psql(sql):
    done = subprocess.run([os.environ.get("PSQL", "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"],
                          input=sql, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().replace("\n", " ")[:300])
    return done.stdout


def make(name, side, pixels):
    """Returns a network of three classes whose scores differ between images."""
    arguments = {"weights": None, "classes": 3, "input_shape": (side, side, 3)}
    if name.startswith("MobileNetV3"):
        arguments["dropout_rate"] = 0.2
    model = getattr(keras.applications, name)(**arguments)
    norms = [l for l in model.layers if isinstance(l, keras.layers.BatchNormalization)]
    momenta = [l.momentum for l in norms]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        model(pixels, training=True)
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum
    return model


def prepare(pixels, mode):
    if mode is None:
        return pixels
    from keras.src.applications.imagenet_utils import preprocess_input
    return np.asarray(preprocess_input(pixels.copy(), data_format="channels_last", mode=mode), np.float32)


def imported(path, model, config):
    psql("SELECT count(pneumo_drop_model(model)::text) FROM pneumo.models WHERE model = '%s';"
         "SELECT pneumo_import_keras(pg_read_binary_file('%s'), '%s', '%s')" % (model, path, model, json.dumps(config)))


def scores(model):
    out = psql("SELECT jsonb_agg((SELECT jsonb_agg(probability ORDER BY class) FROM "
               "pneumo_predict_proba(image, '%s')) ORDER BY i) FROM network_images" % model)
    return np.array(json.loads(out))


def milliseconds(model):
    """Returns the time of an image in pneumo: the best of three queries over all of them."""
    out = psql("""SET client_min_messages = error;
        SELECT pneumo_cache_load('%s');
        DO $$ DECLARE t timestamptz; best float := 1e9; n int; BEGIN
            FOR k IN 1..3 LOOP
                t := clock_timestamp();
                PERFORM sum((pneumo_embed(image, '%s'))[1]) FROM network_images;
                best := least(best, extract(epoch FROM clock_timestamp() - t));
            END LOOP;
            SELECT count(*) INTO n FROM network_images;
            PERFORM set_config('networks.ms', (best * 1000 / n)::text, false);
        END $$;
        SELECT current_setting('networks.ms')""" % (model, model))
    return float(out.splitlines()[-1])


def keras_milliseconds(model, inputs):
    best = 1e9
    model.predict_on_batch(inputs)
    for _ in range(3):
        start = time.time()
        model.predict_on_batch(inputs)
        best = min(best, time.time() - start)
    return best * 1000 / len(inputs)


def check(name, folder):
    side, mode = NETWORKS[name]
    config = {"image_size": [side, side], "color_mode": "rgb", "rescale": 1}
    # any version of that input gives the pixels
    pixels_model = keras.Sequential([keras.layers.Input((side, side, 3)), keras.layers.GlobalAveragePooling2D(),
                                     keras.layers.Dense(1, activation="sigmoid")])
    path = folder + "/pixels.keras"
    pixels_model.save(path)
    imported(path, "networks pixels", {"rescale": 1})
    pixels = np.array(json.loads(psql("SELECT jsonb_agg(pneumo_preprocess(image, 'networks pixels') ORDER BY i) "
                                      "FROM network_images")), np.float32)
    inputs = prepare(pixels, mode)
    model = make(name, side, inputs)
    path = folder + "/network.keras"
    model.save(path)
    want = model.predict_on_batch(inputs)
    config = {"preprocessing": mode} if mode is not None else {"rescale": 1}
    imported(path, "networks", dict(config, classes=["A", "B", "C"]))
    got = scores("networks")
    difference = np.abs(got - want).max()

    # Keras loads what pneumo exports; the exported network has the preprocessing in it
    path = folder + "/export.keras"
    with open(path, "wb") as file:
        file.write(bytes.fromhex(psql("SELECT encode(pneumo_export_keras('networks'), 'hex')").strip()))
    back = keras.models.load_model(path)
    exported = np.abs(back.predict_on_batch(pixels if mode != "torch" else pixels / np.float32(255)) - want).max()
    path = folder + "/again.keras"
    back.save(path)
    imported(path, "networks again", {"rescale": 1 if mode != "torch" else 0.00392156862745098})
    same = (scores("networks again") == got).all()
    print("%-18s yes  %8.1e  %8.1e  %-4s %8.1f %8.1f   scores spread by %.1e"
          % (name, difference, exported, "same" if same else "OTHER", milliseconds("networks"),
             keras_milliseconds(model, inputs), want.std(0).max()), flush=True)
    return difference <= LIMIT and exported <= LIMIT and same


def main():
    names = sys.argv[1:] or list(NETWORKS)
    failed = []
    psql("SET client_min_messages = error; CREATE EXTENSION IF NOT EXISTS pneumo; DROP TABLE IF EXISTS network_images;"
         "CREATE TABLE network_images AS " + IMAGES)
    keras.utils.set_random_seed(1)
    print("%-18s %-4s %-9s %-9s %-5s %8s %8s" % ("network", "ok", "import", "export", "again", "pneumo", "Keras"))
    with tempfile.TemporaryDirectory(prefix="pneumo_networks", dir=os.environ.get("PNEUMO_SHARED_FOLDER")) as folder:
        os.chmod(folder, 0o755)
        for name in names:
            try:
                if not check(name, folder):
                    failed.append(name)
            except Exception as error:
                failed.append(name)
                print("%-18s no   %s" % (name, str(error).replace("\n", " ")[:400]), flush=True)
    psql("DROP TABLE network_images; SELECT count(pneumo_drop_model(model)::text) FROM pneumo.models "
         "WHERE model LIKE 'networks%'")
    print("networks: %d passed, %d failed %s" % (len(names) - len(failed), len(failed), " ".join(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
