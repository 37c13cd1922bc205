"""Pictures of the bench: a bar for each contestant, and how the cost grows."""

import sys


def is_pneumo(name):
    return name.startswith("pneumo")


def draw(rows, best, connections, facts, folder):
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        print("no matplotlib, no pictures", file=sys.stderr)
        return
    draw_bars(plt, rows, best, facts, folder)
    draw_growth(plt, rows, best, connections, folder)


def draw_bars(plt, rows, best, facts, folder):
    """A column for each preset (not for other networks), the same tasks side by side; growth.png has the rows about growth."""
    columns = {}
    for row in rows:
        if row.key["preset"] not in ("baseline", "deep"):
            continue
        if row.key["task"] != "train_memory" and not row.growth and any((row.title, n) in best for n, _, _ in row.contestants):
            columns.setdefault(row.key["preset"], {})[row.title.replace(row.key["preset"], "")] = row
    tasks = list(dict.fromkeys(task for column in columns.values() for task in column))
    figure, axes = plt.subplots(len(tasks), len(columns), squeeze=False, layout="constrained",
                                figsize=(7.0 * len(columns), 0.6 + 1.25 * len(tasks)))
    for task, beside in zip(tasks, axes):
        for axis, column in zip(beside, columns.values()):
            if task in column:
                draw_row(axis, column[task], best)
            else:
                axis.set_visible(False)
    figure.suptitle("milliseconds per image (smaller is better): %(processor)s, %(cores)d cores, %(date)s" % facts,
                    fontsize=9)
    figure.savefig(folder / "results.png", dpi=110)
    plt.close(figure)


def draw_row(axis, row, best):
    named = [(n, best[row.title, n]["ms_per_image"]) for n, _, _ in row.contestants
             if (row.title, n) in best]
    named.sort(key=lambda item: -item[1])
    bars = axis.barh([n for n, _ in named], [t for _, t in named],
                     color=["#1f5f99" if is_pneumo(n) else "#b8b8b8" for n, _ in named])
    axis.bar_label(bars, ["%.2f" % t for _, t in named], padding=3, fontsize=7)
    axis.set_title(row.title, fontsize=8, loc="left")
    axis.tick_params(labelsize=7)
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)


PANELS = (
    # task, what grows, the label of its axis
    ("train", "size", "image size, pixels"),
    ("forward", "size", "image size, pixels"),
    ("train", "threads", "threads"),
    ("end_to_end", "images", "images in the table"),
)


def comparable(key, task, preset):
    """Whether a row may stand in a picture of growth, but for what grows."""
    return (key["task"] == task and key["preset"] == preset and not key.get("cold")
            and (task != "forward" or key.get("batch") == 1))


def growth_panels(rows, best):
    """(title, label, unit, {contestant: [(x, y)]}) of all that was measured at several x."""
    panels = []
    for task, grows, label in PANELS:
        for preset in ("baseline", "deep"):
            lines, fixed = {}, None
            for row in rows:
                if not comparable(row.key, task, preset) or grows not in row.key:
                    continue
                rest = {k: v for k, v in row.key.items() if k not in (grows, "table")}
                fixed = rest if fixed is None else fixed
                if rest != fixed:
                    continue
                for name, _, _ in row.contestants:
                    if (row.title, name) in best:
                        time = best[row.title, name]["ms_per_image"]
                        x = row.key[grows]
                        lines.setdefault(name, []).append((x, time * x / 1000 if grows == "images" else time))
            if any(len(points) > 1 for points in lines.values()):
                unit = "seconds for all" if grows == "images" else "ms per image"
                panels.append(("%s %s" % (task.replace("_", " "), preset), label, unit, lines))
    return panels


def draw_growth(plt, rows, best, connections, folder):
    panels = growth_panels(rows, best)
    if connections:
        x = [c["connections"] for c in connections]
        panels.append(("predictions of single rows, deep", "connections", "images per second",
                       {"pneumo": list(zip(x, [c["images_per_second"] for c in connections]))}))
        panels.append(("memory of the sessions (PSS), deep", "connections", "MB",
                       {"pneumo, all": list(zip(x, [c["pss_mb"] or 0 for c in connections])),
                        "pneumo, shared": list(zip(x, [c["shared_mb"] or 0 for c in connections]))}))
    if not panels:
        return
    columns = min(4, len(panels))
    lines_of_panels = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines_of_panels, columns, squeeze=False,
                                figsize=(4.2 * columns, 3.6 * lines_of_panels))
    for axis in axes.flat[len(panels):]:
        axis.set_visible(False)
    for axis, (title, label, unit, lines) in zip(axes.flat, panels):
        for name, points in lines.items():
            points = sorted(points)
            axis.plot([p[0] for p in points], [p[1] for p in points], marker="o", label=name,
                      linewidth=2.4 if is_pneumo(name) else 1.2)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(label, fontsize=8)
        axis.set_ylabel(unit, fontsize=8)
        axis.set_ylim(bottom=0)
        axis.set_xticks(sorted({p[0] for points in lines.values() for p in points}))
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "growth.png", dpi=120)
