#!/usr/bin/env python3
"""Real X-rays through pneumo: load, train presets, evaluate, export for Keras.

    xrays.py --dsn "dbname=..." --images FOLDER load
    xrays.py --dsn "dbname=..." --size 128 --preset deep --seed 0 train
    xrays.py --dsn "dbname=..." --size 128 --model NAME --out PREFIX export
    xrays.py --dsn "dbname=..." --size 128 --model NAME --keras PREFIX.keras agree

FOLDER has NORMAL/ and PNEUMONIA/ and a manifest.csv with the columns file, label and
patient (without it every file is a patient). `load` makes table xrays (id, file, label,
patient, image), --table another one, with --sample of about so many rows: a part of them, or
each several times, since parallel workers share a table by its pages. `train` prints one
JSON object with curves and the figures of validation and test; --by image leaves the
patient out of the split, as a split by image does. `export` writes PREFIX.npy (the 8-bit
pixels of pneumo_preprocess) and PREFIX.csv (label, split) for keras_reference.py: the same
pixels, the same rows, the same split. `agree` compares the raw probabilities of a pneumo
version with those of the same weights in Keras (written by agree itself through
pneumo_export) on the exported pixels.
"""

import argparse
import csv
import json
import pathlib
import time

import numpy as np
import psycopg


def manifest(folder):
    """The rows of manifest.csv, or one for each file of NORMAL/ and PNEUMONIA/."""
    if (folder / "manifest.csv").exists():
        with open(folder / "manifest.csv", newline="") as stream:
            return list(csv.DictReader(stream))
    return [{"file": path.name, "label": path.parent.name, "patient": path.name}
            for path in sorted(folder.glob("[NP]*/*")) if path.parent.name in ("NORMAL", "PNEUMONIA")]


def load(connection, arguments):
    folder = pathlib.Path(arguments.images)
    rows = manifest(folder)
    if arguments.sample:
        rows = rows[::max(1, len(rows) // arguments.sample)] * max(1, arguments.sample // len(rows))
    table = arguments.table
    connection.execute("CREATE EXTENSION IF NOT EXISTS pneumo")
    connection.execute("DROP TABLE IF EXISTS %s" % table)
    connection.execute("CREATE TABLE %s (id integer PRIMARY KEY, file text NOT NULL, label text NOT NULL,"
                       " patient text NOT NULL, image bytea NOT NULL)" % table)
    connection.execute("ALTER TABLE %s ALTER image SET STORAGE EXTERNAL" % table)
    with connection.cursor().copy("COPY %s FROM STDIN (FORMAT binary)" % table) as copy:
        copy.set_types(["int4", "text", "text", "text", "bytea"])
        for i, row in enumerate(rows):
            path = folder / row["file"]
            if not path.exists():
                path = folder / row["label"] / row["file"]
            copy.write_row((i + 1, row["file"], row["label"], row["patient"], path.read_bytes()))
    connection.execute("SELECT pneumo_prepare_table(%s::regclass)", (table,))
    connection.commit()
    print(json.dumps({"images": len(rows)}))


def config(arguments):
    keys = {"image_size": [arguments.size, arguments.size]}
    if arguments.by == "patient":
        keys["group_column"] = "patient"
    return keys


def train(connection, arguments):
    name = arguments.model or "%s_%d_%s_%d" % (arguments.preset, arguments.size, arguments.by, arguments.seed)
    keys = dict(config(arguments), name=name, model=arguments.preset, seed=arguments.seed,
                epochs=arguments.epochs, **json.loads(arguments.config))
    connection.autocommit = True
    connection.add_notice_handler(lambda notice: print(notice.message_primary, flush=True)
                                  if arguments.verbose else None)
    start = time.perf_counter()
    if arguments.resume:
        run = connection.execute("SELECT pneumo_resume(%s)", (arguments.resume,)).fetchone()[0]
    else:
        run = connection.execute("SELECT pneumo_train('xrays', %s::jsonb)", (json.dumps(keys),)).fetchone()[0]
    seconds = time.perf_counter() - start
    history = connection.execute("SELECT row_to_json(h) FROM pneumo.history h WHERE run = %s ORDER BY epoch",
                                 (run,)).fetchall()
    history = [row[0] for row in history]
    result = {"peer": "pneumo", "task": "xrays", "preset": arguments.preset, "size": arguments.size,
              "by": arguments.by, "seed": arguments.seed, "model": name, "run": run,
              "seconds": round(seconds, 1), "epochs": len(history),
              "seconds_per_epoch_min": round(min(h["seconds"] for h in history), 2),
              "seconds_per_epoch_mean": round(sum(h["seconds"] for h in history) / len(history), 2),
              "history": {key: [round(h[key], 5) for h in history]
                          for key in ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc", "seconds")}}
    result["best_epoch"], result["version"] = connection.execute(
        "SELECT best_epoch, version FROM pneumo.runs WHERE run = %s", (run,)).fetchone()
    for split in ("validation", "test"):
        result[split] = connection.execute(
            "SELECT row_to_json(e) FROM pneumo_evaluate('xrays', %s, %s::jsonb) e",
            (name, json.dumps({"split": split}))).fetchone()[0]
    print(json.dumps(result), flush=True)


# The rows that training keeps: of identical images one on the most held-out side,
# none if they have different labels. array_send: numbers as bytes, not one by one.
KEPT = """
WITH sided AS (
	SELECT id, label, sha256(image) AS hash, image,
		   CASE WHEN %(by)s THEN pneumo_split(patient, 0, 0.15, 0.15)
				ELSE pneumo_split(sha256(image), 0, 0.15, 0.15) END AS split
	FROM xrays),
ranked AS (
	SELECT *, row_number() OVER (PARTITION BY hash ORDER BY array_position(ARRAY['test', 'validation', 'train'], split), id),
		   min(label) OVER (PARTITION BY hash) <> max(label) OVER (PARTITION BY hash) AS contradictory
	FROM sided)
SELECT label, split, array_send(pneumo_preprocess(image, %(model)s)), {score}
FROM ranked WHERE row_number = 1 AND NOT contradictory ORDER BY id
"""


def network_input(sent, size):
    """The array that array_send wrote: a header, then each number behind its length."""
    return np.frombuffer(sent, [("bytes", ">i4"), ("value", ">f4")], size * size,
                         len(sent) - 8 * size * size)["value"].astype(np.float32).reshape(size, size)


def export(connection, arguments):
    pixels, rows = [], []
    with connection.cursor(name="kept", binary=True) as cursor:
        cursor.itersize = 100
        cursor.execute(KEPT.format(score="NULL"), {"by": arguments.by == "patient", "model": arguments.model})
        for label, split, sent, _ in cursor:
            pixels.append(np.rint(network_input(sent, arguments.size) * 255).astype(np.uint8))
            rows.append((label, split))
    np.save(arguments.out + ".npy", np.stack(pixels))
    with open(arguments.out + ".csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("label", "split"))
        writer.writerows(rows)
    print(json.dumps({"images": len(rows)}))


def agree(connection, arguments):
    """The same architecture and weights in Keras, fed the pixels of pneumo_preprocess."""
    import networks
    networks.quiet_tensorflow(2)
    model = networks.keras_model(arguments.preset, arguments.size)
    blob = connection.execute("SELECT pneumo_export(%s)", (arguments.model,)).fetchone()[0]
    count = model.count_params()
    weights = weights_of(blob, count)
    arrays, at = [], 0
    for array in model.get_weights():
        arrays.append(weights[at:at + array.size].reshape(array.shape))
        at += array.size
    model.set_weights(arrays)
    x, scores = [], []
    with connection.cursor(name="kept", binary=True) as cursor:
        cursor.itersize = 100
        cursor.execute(KEPT.format(score="pneumo_predict_raw(image, %(model)s)") + " LIMIT %d" % arguments.limit,
                       {"by": True, "model": arguments.model})
        for _, _, sent, score in cursor:
            x.append(network_input(sent, arguments.size)[..., None])
            scores.append(score)
    keras = model.predict(np.stack(x), batch_size=32, verbose=0)[:, 0]
    print(json.dumps({"images": len(x), "largest_difference": float(np.abs(keras - np.array(scores)).max())}))


def weights_of(blob, count):
    """The weights of exported model bytes; their offset stands at byte 32 (src/nn/model_bytes.c)."""
    return np.frombuffer(blob, "<f4", count, int.from_bytes(blob[32:40], "little"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=("load", "train", "export", "agree"))
    parser.add_argument("--dsn", default="")
    parser.add_argument("--images")
    parser.add_argument("--table", default="xrays", help="of load")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--preset", choices=("baseline", "deep"), default="deep")
    parser.add_argument("--by", choices=("patient", "image"), default="patient")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--config", default="{}", help="further keys of the training's config")
    parser.add_argument("--resume", type=int, help="go on with this interrupted run")
    parser.add_argument("--model")
    parser.add_argument("--out")
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    with psycopg.connect(arguments.dsn) as connection:
        globals()[arguments.task](connection, arguments)


if __name__ == "__main__":
    main()
