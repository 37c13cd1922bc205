"""What the programs of the bench share: timing, memory, and the JSON line they print.

Every program prints one JSON object on one line with at least

    peer        keras, torch, onnxruntime or pneumo
    task        train, forward or end_to_end
    variant     what exactly ran, where there is a choice (step, tfdata, layers, ...)
    preset, size, batch, threads, precision
    ms_per_image            smallest time of a repetition / images in it
    ms_per_image_median     the median one
    cpu_ms_per_image        processor time of all threads / images: what a busy machine changes least
    repetitions             how many there were
    peak_rss_mb             highest resident memory of the process
"""

import json
import statistics
import time


def time_repetitions(step, images, seconds, least=5, warm_up=2):
    """Run step() until the seconds are over; returns (min, median, n, processor time) in ms an image."""
    for _ in range(warm_up):
        step()
    times = []
    cpu = time.process_time()
    until = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < until:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    scale = 1000.0 / images
    cpu = (time.process_time() - cpu) * scale / len(times)
    return min(times) * scale, statistics.median(times) * scale, len(times), cpu


def memory_mb(field="VmHWM"):
    """A field of /proc/self/status in MB (VmHWM: the peak of resident memory)."""
    with open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith(field + ":"):
                return round(int(line.split()[1]) / 1024.0, 1)
    return None


def report(arguments, peer, task, variant, timing, **more):
    least, median, count = timing[:3]
    line = {
        "peer": peer, "task": task, "variant": variant, "preset": arguments.preset,
        "size": arguments.size, "batch": arguments.batch, "threads": arguments.threads,
        "precision": arguments.precision, "ms_per_image": round(least, 4),
        "ms_per_image_median": round(median, 4), "repetitions": count,
        "peak_rss_mb": memory_mb(),
    }
    if len(timing) > 3:
        line["cpu_ms_per_image"] = round(timing[3], 4)
    line.update(more)
    print(json.dumps(line), flush=True)


def common_arguments(parser, presets):
    parser.add_argument("--preset", choices=sorted(presets), default="deep")
    parser.add_argument("--size", type=int, default=256, help="height and width in pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="time to measure for")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
