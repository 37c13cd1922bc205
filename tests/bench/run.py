#!/usr/bin/env python3
"""The bench: pneumo and its peers interleaved on one machine, as a ratio table.

    python3 tests/bench/run.py [--quick] [--dsn "dbname=..."] [--out tests/bench/results]

Each row of the table is one task; the contestants of a row run one after the other, as
processes of their own, --rounds times over, so that a change in the machine's mood hits
all of them; the smallest time of each counts. The ratio is the best peer of the same
precision divided by pneumo: above 1 pneumo is faster.

pneumo's side of training and forward is the program --bench-nn, built from the core with
no server: --task train|forward, then the same options as the peers' programs (--preset
--size --batch --threads --precision --seconds, --augment in training, --cold in forward),
one JSON line as measure.py describes. It predicts on one thread, as a server process does:
rows of several threads run as many of its processes. Where it does not exist its column stays empty. The end-to-end rows need --dsn,
a database with tables of X-rays (--tables) and, for pneumo, a deployed model of each preset
named as the preset, and with --reduced also one named PRESET_int16; forward is then also
measured on the weights of that model and one of its X-rays ("trained"). --add keeps the
measurements that lie in --out of rows that there still are. --sizes and
--thread-counts add a row for each size and number of threads, --images one for each number
of images (a table with the suffix _N), --connections measures so many sessions at once, and
a picture shows how the cost grows.

Writes results.json (every measurement), results.txt (the table) and, where matplotlib is
installed, results.png and growth.png.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

import layered
from pictures import draw, is_pneumo

HERE = pathlib.Path(__file__).resolve().parent


def peer(script, *words):
    return [sys.executable, str(HERE / script)] + [str(w) for w in words]


class Row:
    """One line of the table: a title and the commands of its contestants."""

    def __init__(self, title, growth=False, **key):
        self.title = title
        self.growth = growth        # only there to show how the cost grows
        self.key = key
        self.contestants = []

    def add(self, name, command, processes=1):
        self.contestants.append((name, command, processes))
        return self


def counted(threads):
    return "%d thread%s" % (threads, "" if threads == 1 else "s")


def common(arguments, preset, size, batch, threads, precision="float32"):
    return ["--preset", preset, "--size", size, "--batch", batch, "--threads", threads,
            "--precision", precision, "--seconds", arguments.seconds]


def pneumo(arguments, task, options, *more):
    return [arguments.bench_nn, "--task", task] + [str(w) for w in options + list(more)]


def train_row(arguments, preset, size, threads, growth=False):
    options = common(arguments, preset, size, arguments.batch, threads)
    row = Row("train %s, %d pixels, %s" % (preset, size, counted(threads)),
              growth=growth, task="train", preset=preset, size=size, threads=threads)
    row.add("pneumo", pneumo(arguments, "train", options))
    row.add("keras", peer("train_keras.py", *options))
    row.add("keras, no oneDNN", peer("train_keras.py", *options, "--onednn", "0"))
    if arguments.all_peers and not growth:
        row.add("keras, XLA", peer("train_keras.py", *options, "--jit"))
        row.add("torch", peer("train_torch.py", *options))
    return row


def augmented_row(arguments, preset, size, threads):
    options = common(arguments, preset, size, arguments.batch, threads)
    row = Row("train %s with augmentation, %d pixels, %s" % (preset, size, counted(threads)),
              task="train_augmented", preset=preset, size=size, threads=threads)
    row.add("pneumo", pneumo(arguments, "train", options, "--augment"))
    row.add("keras, tf.data", peer("train_keras.py", *options, "--variant", "tfdata"))
    row.add("keras, layers", peer("train_keras.py", *options, "--variant", "layers"))
    return row


def trained_files(arguments, preset):
    folder = pathlib.Path(arguments.bench_nn).parent / "trained"
    return folder / (preset + ".model"), folder / (preset + ".pixels")


def trained(arguments, preset, size):
    """Options of --bench-nn for the deployed model of a preset and an X-ray; none without --dsn."""
    if not arguments.dsn or size != arguments.size:
        return []
    model, pixels = trained_files(arguments, preset)
    return ["--model", model, "--pixels", pixels]


def export_trained(arguments):
    """Writes trained_files() of each preset."""
    import numpy
    import psycopg

    with psycopg.connect(arguments.dsn) as connection:
        for preset in arguments.presets:
            model, pixels = trained_files(arguments, preset)
            model.parent.mkdir(exist_ok=True)
            model.write_bytes(connection.execute("SELECT pneumo_export(%s)", (preset,)).fetchone()[0])
            sample = connection.execute("SELECT pneumo_preprocess(image, %%s) FROM %s ORDER BY id LIMIT 1"
                                        % arguments.tables[0], (preset,)).fetchone()[0]
            pixels.write_bytes(numpy.asarray(sample, numpy.float32).tobytes())


def forward_row(arguments, preset, size, batch, threads, cold=False, growth=False):
    options = common(arguments, preset, size, batch, threads) + (["--cold"] if cold else [])
    alone = common(arguments, preset, size, batch, 1) + (["--cold"] if cold else [])
    row = Row("forward %s, batch %d, %d pixels, %s%s" % (
        preset, batch, size, counted(threads), ", cold caches" if cold else ""),
        growth=growth, task="forward", preset=preset, size=size, threads=threads, batch=batch, cold=cold)
    row.add("pneumo", pneumo(arguments, "forward", alone), threads)
    row.add("pneumo, weights in DSM", pneumo(arguments, "forward", alone, "--dsm"), threads)
    if trained(arguments, preset, size):
        row.add("pneumo trained", pneumo(arguments, "forward", alone, *trained(arguments, preset, size)), threads)
    row.add("onnxruntime", peer("forward.py", "--engine", "onnxruntime", *options))
    if growth:
        return row
    row.add("keras", peer("forward.py", "--engine", "keras", *options))
    if arguments.all_peers:
        row.add("torch", peer("forward.py", "--engine", "torch", *options))
    return row


def reduced_row(arguments, preset, size, batch, threads):
    """Each with its own reduced precision, and beside them both in float32."""
    options = common(arguments, preset, size, batch, threads, "bfloat16")
    plain = common(arguments, preset, size, batch, threads)
    row = Row("forward %s, int16 against bfloat16, batch %d, %d pixels, %s" % (
        preset, batch, size, counted(threads)),
        task="forward_reduced", preset=preset, size=size, threads=threads, batch=batch)
    for precision in ("int16", "float32"):
        row.add("pneumo %s" % precision,
                pneumo(arguments, "forward", common(arguments, preset, size, batch, 1, precision)), threads)
    if trained(arguments, preset, size):
        row.add("pneumo int16 trained", pneumo(arguments, "forward", common(
            arguments, preset, size, batch, 1, "int16"), *trained(arguments, preset, size)), threads)
    row.add("keras bfloat16", peer("forward.py", "--engine", "keras", *options))
    row.add("keras float32", peer("forward.py", "--engine", "keras", *plain))
    if arguments.all_peers:
        row.add("torch bfloat16", peer("forward.py", "--engine", "torch", *options))
    return row


def processes_row(arguments, preset, size):
    """Two processes of one thread against two threads in one process."""
    one = common(arguments, preset, size, arguments.batch, 1)
    two = common(arguments, preset, size, arguments.batch, 2)
    single = common(arguments, preset, size, 1, 1)
    row = Row("forward %s, throughput of 2 cores, %d pixels" % (preset, size),
              task="throughput", preset=preset, size=size)
    row.add("pneumo, 2 processes", pneumo(arguments, "forward", one), 2)
    row.add("pneumo, 2 processes of batch 1", pneumo(arguments, "forward", single), 2)
    row.add("onnxruntime, 2 threads", peer("forward.py", "--engine", "onnxruntime", *two))
    row.add("onnxruntime, 2 processes", peer("forward.py", "--engine", "onnxruntime", *one), 2)
    row.add("keras, 2 threads", peer("forward.py", "--engine", "keras", *two))
    return row


def end_to_end_row(arguments, preset, size, table, **key):
    row = Row("end to end %s, table %s, %d pixels" % (preset, table, size),
              task="end_to_end", preset=preset, size=size, table=table, **key)
    own = ["--peer", "pneumo", "--workers", 2, "--model"]
    contestants = [("pneumo", own + [preset]), ("pneumo score_table", own + [preset, "--score-table"])]
    if arguments.reduced:
        contestants += [("pneumo int16", own + [preset + "_int16"]),
                        ("pneumo score_table int16", own + [preset + "_int16", "--score-table"])]
    contestants += [("client, forward 1 thread", ["--peer", "onnxruntime", "--threads", 1]),
                    ("client, forward 2 threads", ["--peer", "onnxruntime", "--threads", 2])]
    for name, words in contestants:
        row.add(name, peer("end_to_end.py", *words, "--preset", preset, "--size", size,
                           "--dsn", arguments.dsn, "--table", table, "--repetitions", 1))
    return row


def network_file(arguments, name, size):
    """The file of a network of layered.py for bench_nn, written beside that."""
    path = pathlib.Path(arguments.bench_nn).parent / ("%s_%d.net" % (name, size))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(layered.description(name, size))
    return path


def layered_rows(arguments, name):
    """Training and forward of a network of layered.py, on one thread and on arguments.threads."""
    size = 224 if name in ("resnet18", "mobilenet_v2") else 192
    given = ["--network", network_file(arguments, name, size)]
    rows = []
    for threads in sorted({1, arguments.threads}):
        options = common(arguments, name, size, arguments.batch, threads)
        train = Row("train %s, %d pixels, %s" % (name, size, counted(threads)), task="train", preset=name,
                    size=size, threads=threads)
        train.add("pneumo", pneumo(arguments, "train", options, *given))
        train.add("keras", peer("train_keras.py", *options))
        forward = Row("forward %s, batch %d, %d pixels, %s" % (name, arguments.batch, size, counted(threads)),
                      task="forward", preset=name, size=size, threads=threads, batch=arguments.batch, cold=False)
        alone = common(arguments, name, size, arguments.batch, 1)
        forward.add("pneumo", pneumo(arguments, "forward", alone, *given), threads)
        for engine in ("openvino", "onnxruntime", "keras"):
            forward.add(engine, peer("forward.py", "--engine", engine, *options))
        rows += [train, forward]
    return rows


def memory_row(arguments, preset, size, table):
    row = Row("memory of training %s on table %s, %d pixels" % (preset, table, size),
              task="train_memory", preset=preset, size=size, table=table)
    options = common(arguments, preset, size, arguments.batch, arguments.threads)
    for name in ("pneumo", "keras"):
        row.add(name, peer("train_memory.py", "--peer", name, *options, "--dsn", arguments.dsn, "--table", table))
    return row


def rows_of(arguments):
    rows = []
    size = arguments.size
    for preset in arguments.presets:
        rows.append(train_row(arguments, preset, size, arguments.threads))
        if preset == "deep":
            rows.append(augmented_row(arguments, preset, size, arguments.threads))
        rows.append(processes_row(arguments, preset, size))
        rows.append(forward_row(arguments, preset, size, arguments.batch, arguments.threads))
        rows.append(forward_row(arguments, preset, size, 1, 1))
        rows.append(forward_row(arguments, preset, size, 1, 1, cold=True))
        if arguments.reduced:
            rows.append(reduced_row(arguments, preset, size, arguments.batch, arguments.threads))
            rows.append(reduced_row(arguments, preset, size, 1, 1))
        for table in arguments.tables if arguments.dsn else []:
            rows.append(end_to_end_row(arguments, preset, size, table))
        for images in arguments.images if arguments.dsn else []:
            rows.append(end_to_end_row(arguments, preset, size, "%s_%d" % (arguments.tables[0], images),
                                       growth=True, images=images))
        if arguments.dsn:
            rows.append(memory_row(arguments, preset, size, arguments.tables[0]))
        for other in arguments.sizes:
            if other != size:
                rows.append(train_row(arguments, preset, other, arguments.threads, growth=True))
                rows.append(forward_row(arguments, preset, other, 1, 1, growth=True))
        for threads in arguments.thread_counts:
            if threads != arguments.threads:
                rows.append(train_row(arguments, preset, size, threads, growth=True))
    for name in arguments.networks:
        rows += layered_rows(arguments, name)
    return rows


def measure_once(command, processes, limit):
    """The JSON line of a command; for several processes at once, of all together."""
    command = [str(w) for w in command]
    if not pathlib.Path(command[0]).exists():
        return None
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, cwd=HERE) for _ in range(processes)]
    lines = []
    for process in running:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            print("  %s: no answer in %d s" % (command[1], limit), file=sys.stderr)
            continue
        found = [line for line in out.splitlines() if line.startswith("{")]
        if process.returncode or not found:
            reason = (err.strip().splitlines() or ["no output"])[-1]
            print("  %s: %s" % (" ".join(command[:3]), reason), file=sys.stderr)
            continue
        lines.append(json.loads(found[-1]))
    if len(lines) < processes:
        return None
    result = dict(lines[0])
    for key in ("ms_per_image", "ms_per_image_median"):
        result[key] = round(1.0 / sum(1.0 / line[key] for line in lines), 4)
    result["processes"] = processes
    result["command"] = " ".join(w if w != sys.executable else "python3" for w in command)
    result["command"] = re.sub(r"host=\S* ", "", result["command"]).replace(str(HERE) + os.sep, "")
    result["command"] = result["command"].replace(str(HERE.parents[1]) + os.sep, "")
    return result


def machine():
    """What the figures were taken on."""
    facts = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
             "load": os.getloadavg()}
    with open("/proc/cpuinfo") as stream:
        for line in stream:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                facts["processor"] = value.strip()
            if key.strip() == "flags":
                flags = value.split()
                facts["instructions"] = [f for f in ("avx2", "fma", "avx512f", "avx512_bf16",
                                                     "avx512_vnni", "amx_bf16") if f in flags]
                break
    with open("/proc/meminfo") as stream:
        facts["memory_gb"] = round(int(stream.readline().split()[1]) / 1024 ** 2)
    return facts


def is_beside(row, name):
    """Whether a form of pneumo stands beside the one that the row is about."""
    if row.key["task"] == "forward_reduced":
        return name.endswith(("float32", "trained"))
    return name.endswith(("trained", "int16")) or "score_table" in name


def table_text(rows, best, facts):
    lines = ["%(date)s, %(processor)s, %(cores)d cores, %(memory_gb)d GB" % facts
             + ", " + " ".join(facts["instructions"]),
             "milliseconds per image, smallest of all rounds; ratio: best peer / pneumo", ""]
    lines.append("%-66s %9s %7s  %s" % ("task", "pneumo", "ratio", "peers (best first)"))
    for row in rows:
        results = {n: best[row.title, n] for n, _, _ in row.contestants
                   if (row.title, n) in best}
        if not results:
            continue
        beside = [n for n in results if is_pneumo(n) and is_beside(row, n)]
        mine = sorted(r["ms_per_image"] for n, r in results.items() if is_pneumo(n) and n not in beside)
        peers = sorted((r["ms_per_image"], n) for n, r in results.items() if not is_pneumo(n))
        ratio = "%.2f" % (peers[0][0] / mine[0]) if mine and peers else "-"
        lines.append("%-66s %9s %7s  %s" % (
            row.title, "%.3f" % mine[0] if mine else "-", ratio,
            "; ".join(["%s %.3f" % (n, t) for t, n in peers]
                      + ["%s %.3f" % (n, results[n]["ms_per_image"]) for n in beside])))
        shares = ["%s: decode %.3f, forward %.3f" % (n, r["decode_ms"], r["forward_ms"])
                  for n, r in results.items() if "decode_ms" in r]
        field = "peak_pss_mb" if row.key["task"] == "train_memory" else "peak_rss_mb"
        memory = ["%s %.0f MB" % (n, r[field]) for n, r in results.items()
                  if row.key["task"].startswith("train") and r.get(field)]
        for label, words in (("shares", shares), ("memory", memory)):
            if words:
                lines.append("    %s: %s" % (label, "; ".join(words)))
    return "\n".join(lines) + "\n"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--presets", nargs="+", default=["baseline", "deep"])
    parser.add_argument("--networks", nargs="*", default=sorted(layered.NETWORKS), choices=sorted(layered.NETWORKS))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--thread-counts", type=int, nargs="*", default=[])
    parser.add_argument("--images", type=int, nargs="*", default=[])
    parser.add_argument("--connections", type=int, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a process may take")
    parser.add_argument("--bench-nn", default=str(HERE / "bench_nn"))
    parser.add_argument("--dsn", default="")
    parser.add_argument("--tables", nargs="+", default=["xrays", "originals"])
    parser.add_argument("--reduced", action="store_true", help="rows of reduced precision, too")
    parser.add_argument("--few-peers", dest="all_peers", action="store_false",
                        help="leave PyTorch and XLA out")
    parser.add_argument("--only", nargs="*", help="rows whose title holds one of these; $ is its end")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--add", action="store_true", help="to the measurements that are there")
    parser.add_argument("--out", default=str(HERE / "results"))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 1.0
    return arguments


def measure_connections(arguments):
    """One line of connections.py for each number of sessions."""
    if not arguments.connections or not arguments.dsn:
        return []
    command = peer("connections.py", "--dsn", arguments.dsn, "--table", arguments.tables[0], "--model",
                   arguments.presets[-1], "--seconds", arguments.seconds, "--connections", *arguments.connections)
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=HERE)
    return [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]


def connections_text(connections):
    line = "%(connections)4d sessions: %(images_per_second)7.1f images/s, median %(ms_median).1f ms, " \
           "95 %% below %(ms_p95).1f ms; PSS %(pss_mb)s MB, of it shared %(shared_mb)s; " \
           "%(threads_per_backend)s thread each\n"
    return "\nsingle rows by many sessions\n" + "".join(line % c for c in connections) if connections else ""


def save(rows, best, everything, connections, facts, folder):
    """After each row, so that a run that is broken off leaves what it has."""
    (folder / "results.json").write_text(json.dumps(
        {"machine": facts, "measurements": everything, "connections": connections}, indent=1) + "\n")
    (folder / "results.txt").write_text(table_text(rows, best, facts) + connections_text(connections))


def keep(best, everything, result):
    """A measurement; the smallest time of each contestant of a row is the one that counts."""
    everything.append(result)
    known = best.get((result["row"], result["contestant"]))
    if known is None or result["ms_per_image"] < known["ms_per_image"]:
        best[result["row"], result["contestant"]] = result


def main():
    arguments = parse()
    facts = machine()
    everywhere = rows_of(arguments)
    rows = [row for row in everywhere
            if not arguments.only or any(w in row.title + "$" for w in arguments.only)]
    best, everything, connections = {}, [], []
    folder = pathlib.Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.dsn:
        export_trained(arguments)
    if arguments.add:
        titles = {row.title for row in everywhere}
        before = json.loads((folder / "results.json").read_text())
        connections = before["connections"]
        for result in before["measurements"]:
            if result["row"] in titles:
                keep(best, everything, result)
    done = max([result["round"] for result in everything], default=0)
    for turn in range(arguments.rounds):
        for row in rows:
            print("round %d of %d: %s" % (turn + 1, arguments.rounds, row.title),
                  file=sys.stderr, flush=True)
            for name, command, processes in row.contestants:
                result = measure_once(command, processes, arguments.limit)
                if result is not None:
                    keep(best, everything, dict(result, row=row.title, contestant=name, round=done + turn + 1))
            save(everywhere, best, everything, connections, facts, folder)
    connections = measure_connections(arguments) or connections
    save(everywhere, best, everything, connections, facts, folder)
    draw(everywhere, best, connections, facts, folder)
    print((folder / "results.txt").read_text())


if __name__ == "__main__":
    main()
