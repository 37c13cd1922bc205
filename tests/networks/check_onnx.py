"""Networks of torchvision, imported from ONNX through SQL, against ONNX Runtime.

    python3 tests/networks/check_onnx.py [NAME...]

The weights are random, and so are the statistics of BatchNormalization; nothing
is downloaded.  A network gets what torchvision does to its images in "preprocessing":
"torch".  A line for each: whether it was taken, the largest difference of a probability,
and milliseconds an image of pneumo_predict_proba() and of ONNX Runtime, each on one
thread and of the same images, both without decoding.  Fails beyond 1e-4.
"""
import json
import sys
import time
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from networks_database import IMAGES, put, quote, sql

LIMIT = 1e-4
NETWORKS = ["resnet18", "resnet50", "densenet121", "mobilenet_v2", "efficientnet_b0", "squeezenet1_1",
            "shufflenet_v2_x1_0"]
MORE = ["mobilenet_v3_small", "mnasnet0_5", "vgg11_bn", "alexnet", "googlenet", "inception_v3", "convnext_tiny",
        "regnet_y_400mf", "resnext50_32x4d", "efficientnet_v2_s"]
CLASSES = ["NORMAL", "PNEUMONIA"]


def torchvision():
    try:
        import torchvision.models as models
    except RuntimeError:
        # a torchvision for another build of torch lacks its operators, which no classifier needs
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + "(Tensor a, Tensor b, float c) -> Tensor")
        for module in [m for m in sys.modules if m.startswith("torchvision")]:
            del sys.modules[module]
        import torchvision.models as models
        torchvision.library = library
    return models


def make(models, name, size, path):
    """Exports a network of random weights with a softmax over two classes in front of its logits."""
    torch.manual_seed(1)
    more = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = getattr(models, name)(weights=None, num_classes=len(CLASSES), **more).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-.3, .3)
            module.running_var.uniform_(.5, 1.5)
            torch.nn.init.uniform_(module.weight, .5, 1.5)
            torch.nn.init.uniform_(module.bias, -.3, .3)
    x = torch.zeros(1, 3, size, size)
    torch.onnx.export(model, (x,), path, dynamo=False, opset_version=17, input_names=["x"], dynamic_axes={"x": {0: "N"}})


def check(models, name, folder):
    size = 299 if name == "inception_v3" else 224
    path = folder / (name + ".onnx")
    make(models, name, size, path)
    content = path.read_bytes()
    config = {"preprocessing": "torch", "from_logits": True, "classes": CLASSES}
    begin = time.perf_counter()
    sql(f"SELECT pneumo_import_onnx(pg_read_binary_file({put('network.onnx', content)}), 'onnx check', "
        f"{quote(json.dumps(config))})")
    taken = time.perf_counter() - begin
    rows = sql("""SELECT array_to_json(pneumo_preprocess(image, 'onnx check')),
        (SELECT json_object_agg(class, probability) FROM pneumo_predict_proba(image, 'onnx check'))
        FROM onnx_images ORDER BY i""")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    inputs = []
    largest = 0
    for pixels, probabilities in rows:
        image = (np.asarray(json.loads(pixels), np.float32) - mean) / std
        x = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
        inputs.append(x)
        y = session.run(None, {"x": x})[0][0].astype(np.float64)
        y = np.exp(y - y.max())
        wanted = json.loads(probabilities)
        largest = max(largest, np.abs(y / y.sum() - [wanted[c] for c in CLASSES]).max())
    begin = time.perf_counter()
    for x in inputs:
        session.run(None, {"x": x})
    theirs = (time.perf_counter() - begin) / len(inputs)
    # the time of the server, with that of one image less, which loads and decodes
    ours = sql("""DO $$
        DECLARE
            begun timestamptz;
            once interval;
        BEGIN
            PERFORM pneumo_predict(image, 'onnx check', 'PNEUMONIA') FROM onnx_images;
            begun := clock_timestamp();
            PERFORM pneumo_preprocess(image, 'onnx check') FROM onnx_images;
            once := clock_timestamp() - begun;
            begun := clock_timestamp();
            PERFORM pneumo_predict(image, 'onnx check', 'PNEUMONIA') FROM onnx_images;
            PERFORM set_config('onnx.seconds', extract(epoch FROM clock_timestamp() - begun - once)::text, false);
        END $$;
        SELECT current_setting('onnx.seconds');
        SELECT pneumo_drop_model('onnx check');""")
    seconds = next(float(row[0]) for row in ours if row and row[0])
    good = largest <= LIMIT
    print("%-20s %-8s %12.3g %10.1f %10.1f %10.1f%s" % (name, "yes", largest, 1000 * seconds / len(rows), 1000 * theirs,
                                                       taken, "" if good else "  TOO LARGE"), flush=True)
    return good


def main():
    names = sys.argv[1:] or NETWORKS
    failed = 0
    models = torchvision()
    sql(f"""SET client_min_messages = error;
        CREATE EXTENSION IF NOT EXISTS pneumo;
        DROP TABLE IF EXISTS onnx_images;
        CREATE TABLE onnx_images AS {IMAGES};
        SELECT count(pneumo_drop_model(model)) FROM pneumo.models WHERE model = 'onnx check';""")
    print("%-20s %-8s %12s %10s %10s %10s" % ("network", "taken", "difference", "ms", "ms there", "s import"), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in MORE if names == ["more"] else names:
            try:
                failed += not check(models, name, Path(folder))
            except RuntimeError as error:
                failed += 1
                print("%-20s no: %s" % (name, str(error)[:2000]), flush=True)
    print("ONNX: %d failed" % failed)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
