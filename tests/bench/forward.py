#!/usr/bin/env python3
"""Forward pass of a network in Keras, PyTorch, ONNX Runtime or OpenVINO, per image.

Batches are ready in memory as float32 0..1. --cold writes 64 MB of other memory
between repetitions, as in a server that has other work between two calls.
"""

import argparse
import os

import measure
import networks
import numpy as np


def keras_step(arguments, images):
    if arguments.onednn is not None:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = arguments.onednn
    tf = networks.quiet_tensorflow(arguments.threads)
    import keras

    if arguments.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = networks.keras_model(arguments.preset, arguments.size)
    batch = tf.constant(images)
    function = tf.function(lambda x: model(x, training=False), jit_compile=arguments.jit)
    return lambda: function(batch).numpy(), {"keras": keras.__version__,
                                             "tensorflow": tf.__version__}


def torch_step(arguments, images):
    import torch

    torch.set_num_threads(arguments.threads)
    module, _ = networks.torch_model(arguments.preset, arguments.size)
    module.eval()
    batch = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    batch = batch.to(memory_format=torch.channels_last)
    reduced = arguments.precision == "bfloat16"

    def step():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            return torch.sigmoid(module(batch).float()).numpy()

    return step, {"torch": torch.__version__}


def onnx_session(arguments):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(
        networks.onnx_model(arguments.preset, arguments.size), options,
        providers=["CPUExecutionProvider"])


def onnxruntime_step(arguments, images):
    if arguments.precision != "float32":
        raise SystemExit("onnxruntime: float32 only")
    import onnxruntime

    session = onnx_session(arguments)
    batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return (lambda: session.run(["score"], {"image": batch})[0],
            {"onnxruntime": onnxruntime.__version__})


def openvino_step(arguments, images):
    import openvino

    core = openvino.Core()
    model = core.read_model(networks.onnx_model(arguments.preset, arguments.size))
    model.reshape([arguments.batch] + list(images.transpose(0, 3, 1, 2).shape[1:]))
    settings = {"INFERENCE_NUM_THREADS": arguments.threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    batch = openvino.Tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return lambda: request.infer([batch]), {"openvino": openvino.__version__}


ENGINES = {"keras": keras_step, "torch": torch_step, "onnxruntime": onnxruntime_step, "openvino": openvino_step}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    measure.common_arguments(parser, networks.NAMES)
    parser.add_argument("--engine", choices=sorted(ENGINES), required=True)
    parser.add_argument("--cold", action="store_true", help="evict the caches between calls")
    parser.add_argument("--jit", action="store_true", help="Keras: compile with XLA")
    parser.add_argument("--onednn", choices=("0", "1"), help="Keras: TensorFlow's oneDNN")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    shape = (arguments.batch, arguments.size, arguments.size, networks.channels_of(arguments.preset))
    images = random.random(shape, np.float32)
    step, versions = ENGINES[arguments.engine](arguments, images)
    if arguments.cold:
        timing = time_cold(step, arguments)
    else:
        timing = measure.time_repetitions(step, arguments.batch, arguments.seconds)
    measure.report(arguments, arguments.engine, "forward", "cold" if arguments.cold else "warm",
                   timing, jit=arguments.jit, **versions)


def time_cold(step, arguments):
    """Like time_repetitions with the caches emptied before each call."""
    import statistics
    import time

    other = np.ones(64 << 20, np.uint8)
    step()
    times = []
    until = time.perf_counter() + arguments.seconds
    while len(times) < 5 or time.perf_counter() < until:
        other += 1
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    scale = 1000.0 / arguments.batch
    return min(times) * scale, statistics.median(times) * scale, len(times)


if __name__ == "__main__":
    main()
