#!/usr/bin/env python3
"""The runs at full size as the table of docs/performance.md, and as one file.

    seed_table.py [--collect FILE ...]

Reads tests/bench/results/xrays_256.json, a list of what `xrays.py train` and keras_reference.py
print, and writes one line in Markdown for each network, split and program: the mean over the seeds,
with the least and the largest where there are several. With --collect it first puts that file
together from files of one such object each, without the points of the curves of the figures.
"""

import argparse
import json
import pathlib

FILE = pathlib.Path(__file__).resolve().parent / "results" / "xrays_256.json"
BULKY = ("figures", "classes", "left_out")
COLUMNS = (
    ("validation accuracy", lambda r: r["validation"]["accuracy"], "%.3f"),
    ("validation log loss", lambda r: r["validation"]["log_loss"], "%.3f"),
    ("test accuracy", lambda r: r["test"]["accuracy"], "%.3f"),
    ("test sensitivity", lambda r: r["test"]["sensitivity"], "%.3f"),
    ("test specificity", lambda r: r["test"]["specificity"], "%.3f"),
    ("test AUC", lambda r: r["test"]["auc"], "%.3f"),
    ("epochs", lambda r: r["epochs"], "%.0f"),
    ("minutes", lambda r: r["epochs"] * r["seconds_per_epoch_min"] / 60, "%.1f"),
)


def without_bulk(run):
    for side in ("validation", "test"):
        run[side] = {key: value for key, value in run[side].items() if key not in BULKY}
    return run


def summary(values, form):
    low, mean, high = (form % value for value in (min(values), sum(values) / len(values), max(values)))
    return mean if len(values) == 1 else "%s (%s–%s)" % (mean, low, high)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--collect", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.collect:
        runs = [without_bulk(json.loads(path.read_text())) for path in arguments.collect]
        FILE.write_text(json.dumps(runs, indent=1) + "\n")
    groups = {}
    for run in json.loads(FILE.read_text()):
        groups.setdefault((run["preset"], run["by"], run["peer"]), []).append(run)
    print("| network, split by | runs | " + " | ".join(name for name, _, _ in COLUMNS) + " |")
    print("|" + "---|" * (2 + len(COLUMNS)))
    for (preset, by, peer), runs in sorted(groups.items(), key=lambda g: (g[0][1] == "image", g[0][0], g[0][2] == "keras")):
        cells = [summary([value(run) for run in runs], form) for _, value, form in COLUMNS]
        print("| %s `%s`, %s | %d | %s |" % ({"keras": "Keras"}.get(peer, peer), preset, by, len(runs), " | ".join(cells)))


if __name__ == "__main__":
    main()
