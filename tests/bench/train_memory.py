#!/usr/bin/env python3
"""Peak memory of one epoch of training on a table of X-rays, as PSS.

--peer pneumo    pneumo_train on the table; the memory is that of its background worker,
                 which holds the sample store, the network and the optimiser
--peer keras     the same rows streamed to Keras: psycopg reads them through a server-side
                 cursor, Pillow decodes (draft mode, box filter), tf.data batches them

PSS (proportional set size) is read from /proc ten times a second; the server must run on
the same machine and its processes be readable. Prints one JSON line.
"""

import argparse
import io
import threading
import time

import measure
import networks
import numpy as np


def pss_mb(pid):
    """(whole, in shared memory) of a process, None if it is gone."""
    whole = shared = 0.0
    try:
        with open("/proc/%s/smaps_rollup" % pid) as stream:
            for line in stream:
                name, _, rest = line.partition(":")
                if name == "Pss":
                    whole = int(rest.split()[0]) / 1024
                elif name == "Pss_Shmem":
                    shared = int(rest.split()[0]) / 1024
    except OSError:
        return None
    return whole, shared


class Peak(threading.Thread):
    """The highest PSS of a process that find() names, until stopped."""

    def __init__(self, find):
        super().__init__(daemon=True)
        self.find, self.done = find, threading.Event()
        self.whole = self.shared = 0.0

    def run(self):
        pid = None
        while not self.done.wait(0.1):
            pid = pid or self.find()
            now = pss_mb(pid) if pid else None
            if now and now[0] > self.whole:
                self.whole, self.shared = now

    def stop(self):
        self.done.set()
        self.join()


def report(arguments, peak, images, seconds, **more):
    ms = 1000.0 * seconds / images
    measure.report(arguments, arguments.peer, "train_memory", "one epoch", (ms, ms, 1), images=images,
                   peak_pss_mb=round(peak.whole, 1), peak_pss_shared_mb=round(peak.shared, 1), **more)


def run_pneumo(arguments):
    import psycopg

    import json

    def worker():
        with psycopg.connect(arguments.dsn, autocommit=True) as connection:
            row = connection.execute("SELECT pid FROM pg_stat_activity"
                                     " WHERE backend_type LIKE 'pneumo%'").fetchone()
        return row and row[0]

    config = {"name": "memory_" + arguments.preset, "model": arguments.preset, "epochs": 1,
              "image_size": [arguments.size, arguments.size], "batch_size": arguments.batch,
              "threads": arguments.threads,
              "image_column": "image"}                   # score_table may have added a bytea column
    peak = Peak(worker)
    with psycopg.connect(arguments.dsn, autocommit=True) as connection:
        peak.start()
        start = time.perf_counter()
        run = connection.execute("SELECT pneumo_train(%s::regclass, %s::jsonb)",
                                 (arguments.table, json.dumps(config))).fetchone()[0]
        seconds = time.perf_counter() - start
        images = connection.execute("SELECT count(*) FROM " + arguments.table).fetchone()[0]
        connection.execute("SELECT pneumo_drop_model(%s)", (config["name"],))
        connection.execute("SELECT pneumo_forget(%s)", (run,))
    peak.stop()
    report(arguments, peak, images, seconds)


def rows(arguments):
    from PIL import Image
    import psycopg

    size = arguments.size
    with psycopg.connect(arguments.dsn) as connection:
        with connection.cursor("images", binary=True) as cursor:
            cursor.itersize = 64
            for label, data in cursor.execute("SELECT label = 'PNEUMONIA', image FROM " + arguments.table):
                image = Image.open(io.BytesIO(data))
                image.draft("L", (size * 3 // 2, size * 3 // 2))
                image = image.convert("L").resize((size, size), Image.Resampling.BOX)
                yield np.asarray(image)[:, :, None].astype(np.float32) / 255, np.float32([label])


def run_keras(arguments):
    tf = networks.quiet_tensorflow(arguments.threads)
    import keras

    model = networks.keras_model(arguments.preset, arguments.size)
    shape = (arguments.size, arguments.size, 1)
    data = tf.data.Dataset.from_generator(
        lambda: rows(arguments), output_signature=(tf.TensorSpec(shape, tf.float32), tf.TensorSpec((1,), tf.float32)))
    seen = 0

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            nonlocal seen
            seen += arguments.batch

    peak = Peak(lambda: "self")
    peak.start()
    start = time.perf_counter()
    model.fit(data.batch(arguments.batch).prefetch(2), epochs=1, verbose=0, callbacks=[Count()])
    seconds = time.perf_counter() - start
    peak.stop()
    report(arguments, peak, seen, seconds, keras=keras.__version__, tensorflow=tf.__version__)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    measure.common_arguments(parser, networks.PRESETS)
    parser.add_argument("--peer", choices=("pneumo", "keras"), required=True)
    parser.add_argument("--dsn", default="")
    parser.add_argument("--table", default="xrays")
    arguments = parser.parse_args()
    {"pneumo": run_pneumo, "keras": run_keras}[arguments.peer](arguments)


if __name__ == "__main__":
    main()
