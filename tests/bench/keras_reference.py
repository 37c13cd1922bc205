#!/usr/bin/env python3
"""Train a preset with Keras 3 as the reference for pneumo's training.

Pixels come either as pneumo exported them

    keras_reference.py --preset deep --size 128 --pixels p.npy --index p.csv

(p.npy, or p.raw without a header: uint8 [N, size, size] in the order of the rows of
p.csv, which has the columns label (1 or PNEUMONIA is positive) and split: train,
validation or test), or from a folder of X-rays with a manifest.csv of the columns
file, label, patient

    keras_reference.py --preset deep --size 128 --images DIRECTORY

decoded and reduced by Pillow (box filter) and split by patient as pneumo_split does:
u = first 53 bits of SHA-256(seed ':' patient) / 2^53; test below 0.15, validation below
0.30. Of identical files only the copy on the most held-out side counts, identical files
with different labels are left out.

Batch 32, early stopping on val_loss with patience 5 and restore_best_weights; preset
deep with Keras's own ImageDataGenerator. Prints one JSON object: epochs, seconds per
epoch, history, and figures of the best weights on validation and test (threshold 0.5).
With --state FOLDER each epoch is kept there, and a run that was broken off goes on.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import sys
import time

import networks
import numpy as np

SIDES = ("train", "validation", "test")


def pneumo_split(key, seed, validation, test):
    digest = hashlib.sha256(("%d:%s" % (seed, key)).encode()).digest()
    u = (int.from_bytes(digest[:8], "big") >> 11) / 2.0 ** 53
    return "test" if u < test else "validation" if u < test + validation else "train"


def load_folder(folder, size, seed, limit):
    from PIL import Image

    folder = pathlib.Path(folder)
    with open(folder / "manifest.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if limit:
        rows = rows[::max(1, len(rows) // limit)]
    best = {}
    for row in rows:
        path = folder / row["label"] / row["file"]
        if not path.exists():
            path = folder / row["file"]
        data = path.read_bytes()
        side = SIDES.index(pneumo_split(row["patient"], seed, 0.15, 0.15))
        digest = hashlib.sha256(data).digest()
        best.setdefault(digest, []).append((side, row["label"], path))
    pixels, labels, sides = [], [], []
    for copies in best.values():
        if len({label for _, label, _ in copies}) > 1:
            continue
        side, label, path = max(copies, key=lambda c: c[0])
        with Image.open(path) as image:
            small = image.convert("L").resize((size, size), Image.Resampling.BOX)
        pixels.append(np.asarray(small))
        labels.append(label == "PNEUMONIA")
        sides.append(SIDES[side])
    print("%d files, %d kept" % (len(rows), len(pixels)), file=sys.stderr)
    return np.stack(pixels), np.array(labels), np.array(sides)


def load_pixels(pixels, index, size):
    with open(index, newline="") as stream:
        rows = list(csv.DictReader(stream))
    if str(pixels).endswith(".npy"):
        data = np.load(pixels)
    else:
        data = np.fromfile(pixels, np.uint8)
    data = data.reshape(len(rows), size, size)
    labels = np.array([r["label"] in ("1", "t", "true", "PNEUMONIA") for r in rows])
    sides = np.array([{"val": "validation"}.get(r["split"], r["split"]) for r in rows])
    return data, labels, sides


def figures(labels, scores):
    """Figures at threshold 0.5; ties count one half in the AUC."""
    from scipy.stats import rankdata

    labels = labels.astype(bool)
    positive, negative = scores[labels], scores[~labels]
    said = scores >= 0.5
    ranks = rankdata(scores)
    p = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    return {
        "n": int(len(labels)),
        "positive": int(labels.sum()),
        "accuracy": float(np.mean(said == labels)),
        "sensitivity": float(np.mean(positive >= 0.5)),
        "specificity": float(np.mean(negative < 0.5)),
        "auc": float((ranks[labels].sum() - len(positive) * (len(positive) + 1) / 2)
                     / (len(positive) * len(negative))),
        "log_loss": float(-np.mean(np.where(labels, np.log(p), np.log(1 - p)))),
    }


class Progress:
    """What a run that was broken off needs to go on: weights with the optimiser's state, the curves."""

    KNOWN = ("best", "best_epoch", "wait")      # of EarlyStopping

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) if folder else None
        self.facts = {"seconds": [], "history": {}}
        if self.folder and (self.folder / "facts.json").exists():
            self.facts = json.loads((self.folder / "facts.json").read_text())

    def epochs(self):
        return len(self.facts["seconds"])

    def weights(self, epoch):
        return self.folder / ("epoch_%d.weights.h5" % epoch)

    def restore(self, model, stopping):
        """When training has begun: EarlyStopping then forgets what it knew."""
        if not self.epochs():
            return
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self.weights(self.facts["best_epoch"] + 1))
        stopping.best_weights = model.get_weights()
        model.load_weights(self.weights(self.epochs()))
        for name in self.KNOWN:
            setattr(stopping, name, self.facts[name])

    def keep(self, model, stopping, logs, seconds):
        """After an epoch. What facts.json does not speak of yet does not count, what it no longer does goes."""
        self.facts["seconds"].append(seconds)
        for name, value in logs.items():
            self.facts["history"].setdefault(name, []).append(round(float(value), 5))
        self.facts.update({name: getattr(stopping, name) for name in self.KNOWN})
        if not self.folder:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        needed = {self.weights(self.epochs()), self.weights(self.facts["best_epoch"] + 1)}
        model.save_weights(self.weights(self.epochs()))
        (self.folder / "facts.new").write_text(json.dumps(self.facts))
        (self.folder / "facts.new").replace(self.folder / "facts.json")
        for path in set(self.folder.glob("epoch_*")) - needed:
            path.unlink()


def train(arguments, pixels, labels, sides):
    tf = networks.quiet_tensorflow(arguments.threads)
    import keras
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    keras.utils.set_random_seed(arguments.seed)
    model = networks.keras_model(arguments.preset, arguments.size)
    x = pixels[..., None].astype(np.float32)
    y = labels.astype(np.float32)[:, None]
    part = {side: sides == side for side in SIDES}
    settings = networks.PRESETS[arguments.preset]["augmentation"]
    generator = ImageDataGenerator(rescale=1 / 255, data_format="channels_last",
                                   **(settings or {}))
    held = {side: x[part[side]] * np.float32(1 / 255) for side in SIDES[1:]}
    progress = Progress(arguments.state)
    clock = {}
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5,
                                             restore_best_weights=True)

    class Epochs(keras.callbacks.Callback):
        """Seconds of the training part of each epoch (validation left out), and the state."""

        def on_train_begin(self, logs=None):
            progress.restore(self.model, stopping)

        def on_epoch_begin(self, epoch, logs=None):
            clock["start"] = time.perf_counter()

        def on_test_begin(self, logs=None):
            clock["seconds"] = time.perf_counter() - clock["start"]

        def on_epoch_end(self, epoch, logs=None):
            progress.keep(self.model, stopping, logs, clock["seconds"])
            print("epoch %d: %s, %.1f s" % (
                epoch + 1, ", ".join("%s %.4f" % (k, v) for k, v in logs.items()),
                clock["seconds"]), file=sys.stderr, flush=True)

    if settings:
        data = generator.flow(x[part["train"]], y[part["train"]], batch_size=32,
                              seed=arguments.seed)
        data.total_batches_seen = progress.epochs() * len(data)     # decides its random numbers
        fit = {"x": data}
    else:
        fit = {"x": x[part["train"]] * np.float32(1 / 255), "y": y[part["train"]],
               "batch_size": 32}
    model.fit(**fit, epochs=arguments.epochs, initial_epoch=progress.epochs(), verbose=0,
              validation_data=(held["validation"], y[part["validation"]]),
              validation_batch_size=32, callbacks=[stopping, Epochs()])
    seconds = progress.facts["seconds"]
    result = {
        "peer": "keras", "task": "reference", "preset": arguments.preset,
        "size": arguments.size, "by": arguments.by, "seed": arguments.seed,
        "threads": arguments.threads,
        "keras": keras.__version__, "tensorflow": tf.__version__,
        "parameters": int(model.count_params()),
        "rows": {side: int(part[side].sum()) for side in SIDES},
        "epochs": len(seconds), "best_epoch": stopping.best_epoch + 1,
        "seconds_per_epoch_min": round(min(seconds), 2),
        "seconds_per_epoch_mean": round(float(np.mean(seconds)), 2),
        "history": progress.facts["history"],
    }
    for side in SIDES[1:]:
        scores = model.predict(held[side], batch_size=32, verbose=0)[:, 0]
        result[side] = figures(labels[part[side]], scores)
    if arguments.save:
        model.save(arguments.save)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=sorted(networks.PRESETS), required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--images", help="folder with manifest.csv")
    parser.add_argument("--pixels", help=".npy or raw file of 8-bit pixels")
    parser.add_argument("--index", help="CSV of label and split, one row per image")
    parser.add_argument("--by", choices=("patient", "image"), default="patient",
                        help="what the split was made by, for the record")
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help="about so many files only")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--state", help="folder that keeps each epoch: a run broken off goes on")
    parser.add_argument("--save", help="write the trained model to this .keras file")
    arguments = parser.parse_args()
    if arguments.images:
        data = load_folder(arguments.images, arguments.size, arguments.split_seed,
                           arguments.limit)
    elif arguments.pixels and arguments.index:
        data = load_pixels(arguments.pixels, arguments.index, arguments.size)
    else:
        parser.error("give --images, or --pixels and --index")
    print(json.dumps(train(arguments, *data)), flush=True)


if __name__ == "__main__":
    main()
