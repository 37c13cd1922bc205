#!/usr/bin/env python3
"""Scores of all images of a table, from JPEG bytes in PostgreSQL to numbers.

--peer onnxruntime   a client in Python as a careful team would write it: psycopg reads
                     the rows in binary through a server-side cursor, Pillow decodes on
                     --decode-threads threads (draft mode: the decoder's own reduction,
                     at least 1.5 times the network's size, grey; then a box filter), and
                     ONNX Runtime scores batches at the same time on --threads threads
--peer pneumo        SELECT sum(pneumo_predict(image, MODEL)) with --workers parallel
                     workers; the decode share is pneumo_preprocess over the same rows;
                     with --score-table instead CALL pneumo_score_table in as many
                     sessions at once, which score rows in groups and write the scores

The shares are the CPU or wall seconds spent in one part by all threads, in ms an image;
parts overlap, so they add up to more than the total. Each repetition reads the whole
table (or --limit rows); the first one, which warms the caches, is not counted.
"""

import argparse
import io
import queue
import statistics
import threading
import time

import measure
import networks
import numpy as np


class Pipeline:
    """Fetch, decode and score, each in threads of its own, joined by bounded queues."""

    def __init__(self, arguments, session):
        self.arguments = arguments
        self.session = session
        self.share = {"fetch": 0.0, "decode": 0.0, "forward": 0.0}
        self.lock = threading.Lock()
        self.error = None

    def add(self, part, seconds):
        with self.lock:
            self.share[part] += seconds

    def guard(self, function, *given):
        try:
            function(*given)
        except Exception as error:
            self.error = self.error or error

    def fetch(self, raw):
        import psycopg

        arguments = self.arguments
        query = "SELECT %s FROM %s" % (arguments.column, arguments.table)
        if arguments.limit:
            query += " LIMIT %d" % arguments.limit
        try:
            with psycopg.connect(arguments.dsn) as connection:
                with connection.cursor("images", binary=True) as cursor:
                    cursor.itersize = 64
                    start = time.thread_time()
                    for (data,) in cursor.execute(query):
                        raw.put(data)
                    self.add("fetch", time.thread_time() - start)
        finally:
            for _ in range(arguments.decode_threads):
                raw.put(None)

    def decode(self, raw, pixels):
        from PIL import Image

        size = self.arguments.size
        wanted = (size * 3 // 2, size * 3 // 2)
        try:
            while (data := raw.get()) is not None:
                if self.error:
                    continue
                start = time.thread_time()
                image = Image.open(io.BytesIO(data))
                image.draft("L", wanted)
                if image.mode != "L":
                    image = image.convert("L")
                image = image.resize((size, size), Image.Resampling.BOX)
                pixels.put(np.asarray(image))
                self.add("decode", time.thread_time() - start)
        finally:
            pixels.put(None)

    def score(self, pixels):
        size, batch = self.arguments.size, self.arguments.batch
        images = np.empty((batch, 1, size, size), np.float32)
        filled, open_threads, total, count = 0, self.arguments.decode_threads, 0.0, 0
        while open_threads or filled:
            item = pixels.get() if open_threads else None
            if item is None:
                open_threads -= 1 if open_threads else 0
            else:
                np.multiply(item, np.float32(1 / 255), out=images[filled, 0])
                filled += 1
            if filled == batch or (not open_threads and filled):
                start = time.perf_counter()
                scores = self.session.run(["score"], {"image": images[:filled]})[0]
                self.add("forward", time.perf_counter() - start)
                total, count, filled = total + float(scores.sum()), count + filled, 0
        return total, count

    def run(self):
        raw, pixels = queue.Queue(128), queue.Queue(128)
        workers = [threading.Thread(target=self.guard, args=(self.fetch, raw))]
        workers += [threading.Thread(target=self.guard, args=(self.decode, raw, pixels))
                    for _ in range(self.arguments.decode_threads)]
        for worker in workers:
            worker.start()
        result = self.score(pixels)
        for worker in workers:
            worker.join()
        if self.error:
            raise self.error
        return result


def run_onnxruntime(arguments):
    import onnxruntime
    import PIL
    import psycopg
    from forward import onnx_session

    session = onnx_session(arguments)
    times, shares = [], None
    for repetition in range(arguments.repetitions + 1):
        pipeline = Pipeline(arguments, session)
        start = time.perf_counter()
        total, count = pipeline.run()
        seconds = time.perf_counter() - start
        if repetition and (not times or seconds < min(times)):
            shares = pipeline.share
        if repetition:
            times.append(seconds)
    scale = 1000.0 / count
    measure.report(arguments, "onnxruntime", "end_to_end",
                   "decode %d, forward %d threads" % (arguments.decode_threads,
                                                      arguments.threads),
                   (min(times) * scale, statistics.median(times) * scale, len(times)),
                   images=count, mean_score=round(total / count, 6),
                   decode_threads=arguments.decode_threads,
                   fetch_ms=round(shares["fetch"] * scale, 4),
                   decode_ms=round(shares["decode"] * scale, 4),
                   forward_ms=round(shares["forward"] * scale, 4),
                   psycopg=psycopg.__version__, pillow=PIL.__version__,
                   onnxruntime=onnxruntime.__version__)


def score_table(arguments):
    """Sessions that share the rows of a table: seconds, number of scores and their sum."""
    import psycopg

    call = "CALL pneumo_score_table(%s::regclass, %s, batch_size => 64)"
    sessions = [psycopg.connect(arguments.dsn, autocommit=True) for _ in range(arguments.workers)]
    first = sessions[0]
    first.execute("UPDATE %s SET sha256 = NULL, score = NULL" % arguments.table)
    threads = [threading.Thread(target=s.execute, args=(call, (arguments.table, arguments.model)))
               for s in sessions]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    count, total, left = first.execute("SELECT count(score), sum(score), count(*) - count(score) FROM %s"
                                       % arguments.table).fetchone()
    for session in sessions:
        session.close()
    if left:
        raise SystemExit("%d rows were not scored" % left)
    return seconds, count, total


def run_score_table(arguments):
    import psycopg

    with psycopg.connect(arguments.dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE %s ADD COLUMN IF NOT EXISTS score float8,"
                           " ADD COLUMN IF NOT EXISTS sha256 bytea" % arguments.table)
        version = connection.execute("SELECT pneumo_version()::text").fetchone()[0]
    times = []
    for repetition in range(arguments.repetitions + 1):
        seconds, count, total = score_table(arguments)
        if repetition:
            times.append(seconds)
    scale = 1000.0 / count
    measure.report(arguments, "pneumo", "end_to_end", "score_table, %d sessions" % arguments.workers,
                   (min(times) * scale, statistics.median(times) * scale, arguments.repetitions),
                   images=count, mean_score=round(total / count, 6), pneumo=version)


def run_pneumo(arguments):
    import psycopg

    if arguments.limit:
        raise SystemExit("--limit would make the scan serial; make a smaller table instead")
    if arguments.score_table:
        run_score_table(arguments)
        return
    over = (arguments.column, arguments.table)
    predict = "SELECT count(*), sum(pneumo_predict(%s, %%s)) FROM %s" % over
    prepare = "SELECT count(pneumo_preprocess(%s, %%s)) FROM %s" % over
    with psycopg.connect(arguments.dsn, autocommit=True) as connection:
        connection.execute("SET max_parallel_workers_per_gather = %d" % arguments.workers)
        for setting in ("parallel_setup_cost", "parallel_tuple_cost",
                        "min_parallel_table_scan_size"):
            connection.execute("SET %s = 0" % setting)
        connection.execute("SET parallel_leader_participation = off")
        times = {predict: [], prepare: []}
        for repetition in range(arguments.repetitions + 1):
            for query in times:
                start = time.perf_counter()
                row = connection.execute(query, (arguments.model,)).fetchone()
                if repetition:
                    times[query].append(time.perf_counter() - start)
                if query is predict:
                    count, total = row
        plan = connection.execute("EXPLAIN " + predict, (arguments.model,)).fetchall()
        version = connection.execute("SELECT pneumo_version()::text").fetchone()[0]
    planned = [line.split(":")[1].strip() for (line,) in plan if "Workers Planned" in line]
    scale = 1000.0 / count
    decode = min(times[prepare]) * scale
    best = min(times[predict]) * scale
    measure.report(arguments, "pneumo", "end_to_end", "%d workers" % arguments.workers,
                   (best, statistics.median(times[predict]) * scale, arguments.repetitions),
                   images=count, mean_score=round(total / count, 6),
                   workers_planned=int(planned[0]) if planned else 0,
                   decode_ms=round(decode, 4), forward_ms=round(best - decode, 4),
                   pneumo=version)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    measure.common_arguments(parser, networks.PRESETS)
    parser.add_argument("--peer", choices=("onnxruntime", "pneumo"), required=True)
    parser.add_argument("--dsn", default="", help="connection string")
    parser.add_argument("--table", default="xrays")
    parser.add_argument("--column", default="image")
    parser.add_argument("--limit", type=int, default=0, help="rows, 0 is all (onnxruntime only)")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--decode-threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="pneumo: parallel workers")
    parser.add_argument("--model", default="default", help="pneumo: name of the model")
    parser.add_argument("--score-table", action="store_true", help="pneumo: CALL pneumo_score_table")
    arguments = parser.parse_args()
    if arguments.peer == "pneumo":
        run_pneumo(arguments)
    else:
        run_onnxruntime(arguments)


if __name__ == "__main__":
    main()
