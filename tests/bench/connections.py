#!/usr/bin/env python3
"""Many sessions that predict at once: throughput, latency, memory and threads.

    python3 tests/bench/connections.py --dsn "dbname=..." --connections 1 2 10 50

For each number of connections every session scores single rows of --table for --seconds
seconds, one statement a row, without parallel workers. Prints one JSON line for each number:

    images_per_second, ms_median, ms_p95    of all sessions together
    pss_mb              proportional memory of all backends, so that what they share is
                        counted once; shared_mb its part in shared memory
    pss_mb_per_session  private and shared part divided by the sessions
    threads_per_backend highest number of threads of a backend (1 is right)

Memory and threads are read from /proc of the backends and need the server on the same
machine and the right to read it (root or the server's user); otherwise they are null.
"""

import argparse
import json
import statistics
import threading
import time


def backend_facts(pids):
    """(PSS of all backends in MB, its shared-memory part, most threads of one)."""
    pss = shared = threads = 0
    try:
        for pid in pids:
            with open("/proc/%d/smaps_rollup" % pid) as stream:
                for line in stream:
                    name, _, rest = line.partition(":")
                    if name == "Pss":
                        pss += int(rest.split()[0])
                    elif name == "Pss_Shmem":
                        shared += int(rest.split()[0])
            with open("/proc/%d/status" % pid) as stream:
                for line in stream:
                    if line.startswith("Threads:"):
                        threads = max(threads, int(line.split()[1]))
    except OSError:
        return None, None, None
    return round(pss / 1024, 1), round(shared / 1024, 1), threads


class Session(threading.Thread):
    """One connection that scores row after row until told to stop."""

    def __init__(self, arguments, keys, first, go, stop):
        super().__init__()
        self.arguments, self.keys, self.next = arguments, keys, first
        self.go, self.stop = go, stop
        self.times, self.error, self.pid = [], None, None

    def run(self):
        import psycopg

        query = "SELECT pneumo_predict(%s, %%s) FROM %s WHERE %s = %%s" % (
            self.arguments.column, self.arguments.table, self.arguments.key)
        waiting = True
        try:
            with psycopg.connect(self.arguments.dsn, autocommit=True) as connection:
                self.pid = connection.info.backend_pid
                connection.execute("SET max_parallel_workers_per_gather = 0")
                connection.execute(query, (self.arguments.model, self.keys[0])).fetchone()
                waiting = False
                self.go.wait()
                while not self.stop.is_set():
                    key = self.keys[self.next % len(self.keys)]
                    self.next += 1
                    start = time.perf_counter()
                    connection.execute(query, (self.arguments.model, key)).fetchone()
                    self.times.append(time.perf_counter() - start)
                self.stop.hold.wait()
        except Exception as error:
            self.error = error
            if waiting:
                self.go.abort()


def measure(arguments, count, keys):
    go, stop = threading.Barrier(count + 1), threading.Event()
    stop.hold = threading.Event()
    step = max(1, len(keys) // count)
    sessions = [Session(arguments, keys, i * step, go, stop) for i in range(count)]
    for session in sessions:
        session.start()
    try:
        go.wait()
        start = time.perf_counter()
        time.sleep(arguments.seconds)
        stop.set()
        seconds = time.perf_counter() - start
        pss, shared, threads = backend_facts([s.pid for s in sessions])
    except threading.BrokenBarrierError:
        pass
    stop.set()
    stop.hold.set()
    for session in sessions:
        session.join()
    errors = [s.error for s in sessions
              if s.error and not isinstance(s.error, threading.BrokenBarrierError)]
    if errors:
        raise SystemExit("%d of %d sessions failed: %s" % (len(errors), count, errors[0]))
    times = sorted(t for s in sessions for t in s.times)
    print(json.dumps({
        "peer": "pneumo", "task": "connections", "connections": count,
        "images_per_second": round(len(times) / seconds, 1),
        "ms_median": round(1000 * statistics.median(times), 3),
        "ms_p95": round(1000 * times[int(0.95 * (len(times) - 1))], 3),
        "pss_mb": pss, "shared_mb": shared,
        "pss_mb_per_session": None if pss is None else round(pss / count, 2),
        "threads_per_backend": threads,
    }), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dsn", default="")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 2, 10, 50])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--table", default="xrays")
    parser.add_argument("--column", default="image")
    parser.add_argument("--key", default="id", help="primary key column")
    parser.add_argument("--rows", type=int, default=500, help="rows to score, at most")
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    import psycopg

    with psycopg.connect(arguments.dsn) as connection:
        keys = [k for (k,) in connection.execute("SELECT %s FROM %s ORDER BY 1 LIMIT %d" % (
            arguments.key, arguments.table, arguments.rows))]
    if not keys:
        raise SystemExit("table %s has no rows" % arguments.table)
    for count in arguments.connections:
        measure(arguments, count, keys)


if __name__ == "__main__":
    main()
