#!/usr/bin/env python3
"""Where the time of a training step and of a prediction goes, and how near each part is to its limit.

    python3 tests/bench/kernel_profile.py --bench-nn build/bench/bench_nn --bench-kernels build/bench/bench_kernels

Runs bench_nn under `perf record` (a clock, so that it works in a virtual machine), sorts the
samples by the names of the kernels' functions and writes tests/bench/results/profile.txt: for
each part its share, its milliseconds of one core for an image, and the arithmetic that it does in
that time as a share of the peak of the multiply-add units that bench_kernels measures; for dense
layers also the weights and the optimiser's numbers that all cores read and write, as a share of
what one thread reads from memory. The parts without arithmetic to count move data in caches.
Allocation, start-up and the system are left out. What bench_kernels prints, kernel by kernel and
layer by layer, follows.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from run import machine

HERE = pathlib.Path(__file__).resolve().parent

DENSE = "dense layers with their update"
BATCH = 32
SLOTS = {"baseline": 1, "deep": 3}  # RMSprop; Adam with amsgrad

# Kernel functions by the beginning of their names (src/nn/kernels), in the order of the network.
PARTS = (
    ("first layer", ("dc_forward", "dc_rows")),
    ("first layer, weight gradient", ("conv3_dweight", "dc_")),
    ("products of the transformed layers", ("wg_product",)),
    ("their transforms", ("wg_",)),
    (DENSE, ("dn_", "dense_", "update_run")),
    ("copies", ("__memmove", "__memset", "memcpy")),
)


def work(preset, size, task):
    """Millions of operations an image in each part that computes (a multiply-add is two), and
    megabytes of dense weights and slots: forward and data gradient read, the update reads and writes."""
    conv, dense = [], []
    side, channels = size, 1
    for out in (32, 64, 128, 256) if preset == "deep" else (32,):
        conv.append((side, channels, out))
        side, channels = side // 2, out
    units = side * side * channels
    for out in (128, 64, 1) if preset == "deep" else (64, 32, 1):
        dense.append(units * out)
        units = out
    passes = 3 if task == "train" else 1
    first = 2e-6 * 9 * conv[0][0] ** 2 * conv[0][1] * conv[0][2]
    products = sum(2e-6 * 36 * ic * oc * (-(-side // 4)) ** 2 for side, ic, oc in conv[1:])
    result = {"first layer": first, DENSE: 2e-6 * passes * sum(dense)}
    if products:
        result["products of the transformed layers"] = passes * products
    times = 2 + 2 * (1 + SLOTS[preset]) if task == "train" else 1
    return result, 4e-6 * times * sum(dense) / BATCH


def part_of(symbol):
    for name, beginnings in PARTS:
        if symbol.startswith(beginnings):
            return name
    return None


def profile(bench_nn, words):
    """The JSON line of bench_nn and the samples of each part."""
    with tempfile.TemporaryDirectory() as folder:
        data = folder + "/perf.data"
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-o", data, "--", bench_nn] + words
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        report = subprocess.run(["perf", "report", "-i", data, "--stdio", "--sort", "symbol", "-n"],
                                check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    samples = {}
    for match in re.finditer(r"^\s*[\d.]+%\s+(\d+)\s+\[\.\]\s+(\S+)", report, re.MULTILINE):
        part = part_of(match.group(2))
        if part:
            samples[part] = samples.get(part, 0) + int(match.group(1))
    line = [text for text in answer.stdout.splitlines() if text.startswith("{")][-1]
    return json.loads(line), samples


def table(arguments, preset, task, threads, peak, bandwidth):
    words = ["--batch", str(BATCH), "--threads", str(threads)]
    result, samples = profile(arguments.bench_nn, ["--task", task, "--preset", preset, "--size", str(arguments.size),
                                                   "--seconds", str(arguments.seconds)] + words)
    total = sum(samples.values())
    core_ms = result["cpu_ms_per_image"]
    known, megabytes = work(preset, arguments.size, task)
    lines = ["%s, %s %s: %.2f ms an image (median), %.2f ms of a core, in %g s" % (
        preset, task, " ".join(words), result["ms_per_image_median"], core_ms, arguments.seconds)]
    for name, _ in PARTS:
        if name not in samples:
            continue
        share = samples[name] / total
        line = "  %-36s %5.1f %%  %7.3f ms" % (name, 100 * share, share * core_ms)
        if name in known:
            rate = known[name] / (share * core_ms)
            line += "  %6.1f GFLOP/s  %3.0f %% of the peak" % (rate, 100 * rate / peak)
        if name == DENSE:
            rate = megabytes / (share * core_ms / threads)
            line += "  %5.1f GB/s  %3.0f %% of memory" % (rate, 100 * rate / bandwidth)
        lines.append(line)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bench-nn", required=True)
    parser.add_argument("--bench-kernels", required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--out", default=str(HERE / "results" / "profile.txt"))
    arguments = parser.parse_args()
    kernels = subprocess.run([arguments.bench_kernels], check=True, stdout=subprocess.PIPE, text=True).stdout
    peak = float(re.search(r"peak ([\d.]+) GFLOP/s", kernels).group(1))
    bandwidth = float(re.search(r"memory ([\d.]+) GB/s", kernels).group(1))
    facts = machine()
    text = "%(date)s, %(processor)s, %(cores)d cores, " % facts + " ".join(facts["instructions"]) + "\n\n"
    for preset in ("deep", "baseline"):
        text += table(arguments, preset, "train", 2, peak, bandwidth) + "\n"
        text += table(arguments, preset, "forward", 1, peak, bandwidth) + "\n"
    text += "kernel by kernel, one thread, the least of several\n\n" + kernels
    pathlib.Path(arguments.out).write_text(text)
    print(text)


if __name__ == "__main__":
    sys.exit(main())
