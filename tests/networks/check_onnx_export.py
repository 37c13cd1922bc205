"""pneumo_export_onnx() against ONNX Runtime: every kind of layer, every preset, every option.

Trains small networks for an epoch, exports them, checks the files with
onnx.checker, runs them in ONNX Runtime on the pixels of pneumo_preprocess(),
and imports them again.  Prints a line for each network; fails beyond 1e-4.
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime

from networks_database import get, quote, sql

LIMIT = 1e-4
IMAGES = 4

HEAD = [["Flatten", {}], ["Dense", {"units": 1, "activation": "sigmoid"}]]
POOLED = [["GlobalAveragePooling2D", {}], ["Dense", {"units": 1, "activation": "sigmoid"}]]
CONV = ["Conv2D", {"filters": 6, "kernel_size": 3, "padding": "same"}]

NETWORKS = {
    "conv": [["Conv2D", {"filters": 4, "kernel_size": [3, 2], "strides": 2, "activation": "relu"}]] + HEAD,
    "conv same strides": [["Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}]] + HEAD,
    "conv even kernel": [["Conv2D", {"filters": 4, "kernel_size": 4, "padding": "same", "use_bias": False}]] + HEAD,
    "dilation": [["Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}]] + POOLED,
    "groups": [CONV, ["Conv2D", {"filters": 9, "kernel_size": 3, "groups": 3}]] + POOLED,
    "depthwise": [CONV, ["DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}]] + POOLED,
    "separable": [["SeparableConv2D", {"filters": 5, "kernel_size": 3}]] + POOLED,
    "prelu of channels": [CONV, ["PReLU", {"shared_axes": [1, 2], "alpha_initializer": "glorot_uniform"}]] + HEAD,
    "prelu of all": [CONV, ["PReLU", {"shared_axes": [1, 2, 3]}]] + POOLED,
    "prelu of rows": [["Flatten", {}], ["Dense", {"units": 6}], ["PReLU", {"alpha_initializer": "ones"}],
                      ["Dense", {"units": 1, "activation": "sigmoid"}]],
    "max pooling": [CONV, ["MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}]] + HEAD,
    "average pooling": [CONV, ["AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}]] + HEAD,
    "global maximum": [CONV, ["GlobalMaxPooling2D", {}], ["Dense", {"units": 1, "activation": "sigmoid"}]],
    "batch normalization": [CONV, ["BatchNormalization", {}], ["ReLU", {}]] + POOLED,
    "batch normalization of rows": [["Flatten", {}], ["Dense", {"units": 6}],
                                    ["BatchNormalization", {"scale": False}],
                                    ["Dense", {"units": 1, "activation": "sigmoid"}]],
    "layer normalization": [CONV, ["LayerNormalization", {}]] + POOLED,
    "layer normalization of rows": [["Flatten", {}], ["Dense", {"units": 6}], ["LayerNormalization", {"center": False}],
                                    ["Dense", {"units": 1, "activation": "sigmoid"}]],
    "group normalization": [CONV, ["GroupNormalization", {"groups": 3}]] + POOLED,
    "instance normalization": [CONV, ["GroupNormalization", {"groups": -1, "scale": False}]] + POOLED,
    "borders": [["ZeroPadding2D", {"padding": [[1, 2], [3, 0]]}], CONV, ["Cropping2D", {"cropping": [[2, 1], [0, 1]]}]] + HEAD,
    "up sampling": [CONV, ["UpSampling2D", {"size": [2, 3]}]] + HEAD,
    "up sampling bilinear": [CONV, ["UpSampling2D", {"size": 2, "interpolation": "bilinear"}]] + HEAD,
    "reshape": [CONV, ["Reshape", {"target_shape": [8, 32, 9]}],
                ["Conv2D", {"filters": 3, "kernel_size": 3}]] + HEAD,
    "dropout": [CONV, ["SpatialDropout2D", {"rate": 0.3}], ["Dropout", {"rate": 0.3}]] + HEAD,
    "rescaling": [["Rescaling", {"scale": 2.5, "offset": -1}], CONV] + HEAD,
    "rescaling by channel": [["Conv2D", {"filters": 3, "kernel_size": 1}],
                             ["Rescaling", {"scale": [1, 2, 3], "offset": [0.5, 0, -1]}]] + HEAD,
    "channels in another order": [CONV, ["SelectChannels", {"start": 1, "outer": 2, "outer_stride": 1, "inner": 2,
                                                            "inner_stride": 3}]] + HEAD,
    "relu6 layer": [CONV, ["ReLU", {"max_value": 0.5}]] + HEAD,
    "relu with slope": [CONV, ["ReLU", {"negative_slope": 0.2}]] + HEAD,
    "leaky relu layer": [CONV, ["LeakyReLU", {}]] + HEAD,
    "elu layer": [CONV, ["ELU", {"alpha": 0.7}]] + HEAD,
    "softmax layer": [CONV, ["Softmax", {}]] + HEAD,
}
for name in ("relu", "leaky_relu", "relu6", "elu", "selu", "sigmoid", "hard_sigmoid", "tanh", "softmax", "softplus", "silu",
             "hard_silu", "gelu", "mish"):
    NETWORKS["activation " + name] = [["Conv2D", {"filters": 4, "kernel_size": 3, "activation": name}]] + HEAD


def merged(kind, n, squeezed):
    """Returns a functional network that joins n maps, or a map and a row."""
    def layer(class_name, name, config, *inputs):
        return {"class_name": class_name, "name": name, "config": {"name": name, **config},
                "inbound_nodes": [[[i, 0, 0, {}] for i in inputs]] if inputs else []}

    layers = [layer("InputLayer", "input", {"batch_input_shape": [None, 16, 24, 1]})]
    for i in range(n):
        layers.append(layer("Conv2D", f"conv{i}", {"filters": 4, "kernel_size": 3, "padding": "same"}, "input"))
    names = [f"conv{i}" for i in range(n)]
    if squeezed:
        layers.append(layer("GlobalAveragePooling2D", "pool", {}, names[-1]))
        names[-1] = "pool"
    layers.append(layer(kind, "merge", {}, *names))
    layers.append(layer("Flatten", "flatten", {}, "merge"))
    layers.append(layer("Dense", "dense", {"units": 1, "activation": "sigmoid"}, "flatten"))
    return {"class_name": "Functional", "config": {"name": "m", "layers": layers, "input_layers": [["input", 0, 0]],
                                                   "output_layers": [["dense", 0, 0]]}}


for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
    NETWORKS[kind.lower()] = merged(kind, 2 if kind == "Subtract" else 3, False)
    if kind != "Concatenate":
        NETWORKS[kind.lower() + " with a row"] = merged(kind, 2, True)


def config_of(network):
    if isinstance(network, dict) and "class_name" not in network:
        return network
    if isinstance(network, list):
        network = [{"class_name": c, "config": k} for c, k in network]
    return {"layers": network, "image_size": [16, 24]}


def compare(name, network, table, options, more=None):
    """Trains, exports, runs and imports again; returns the largest differences."""
    config = {"epochs": 1, "verbose": 0, "name": "export check", "early_stopping": None, "seed": 5, "split_seed": 3, "deploy": True,
              **(more or {}), **config_of(network)}
    sql("SET client_min_messages = error; SELECT count(pneumo_drop_model('export check')) FROM pneumo.models "
        "WHERE model = 'export check';")
    sql(f"SET client_min_messages = error; SELECT pneumo_train('{table}', {quote(json.dumps(config))}::jsonb)")
    content = get(f"SELECT pneumo_export_onnx('export check', NULL, {quote(json.dumps(options))})")
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = onnxruntime.InferenceSession(content)
    properties = session.get_modelmeta().custom_metadata_map
    classes = json.loads(properties["pneumo.classes"])
    scale = float(properties["pneumo.rescale"])
    shape = session.get_inputs()[0].shape
    height, width, channels = shape[2], shape[3], shape[1]
    rows = sql(f"SELECT array_to_json(pneumo_preprocess(image, 'export check')), (SELECT json_object_agg(class, probability) "
               f"FROM pneumo_predict_proba(image, 'export check')) FROM {table} ORDER BY id LIMIT {IMAGES}")
    largest = 0
    for pixels, probabilities in rows:
        x = np.asarray(json.loads(pixels), np.float32).reshape(1, height, width, channels).transpose(0, 3, 1, 2)
        if options.get("preprocessing"):
            x = np.float32(x / 0.00392156862745098).round() if scale == 1 else x
        y = session.run(None, {"image": np.ascontiguousarray(x)})[0][0].astype(float)
        wanted = [json.loads(probabilities)[c] for c in classes]
        if len(y) == 1:
            wanted = wanted[1:]
        largest = max(largest, np.abs(y - wanted).max())
    if options:
        return largest, 0.0
    back = sql(f"""SELECT pneumo_import_onnx(pneumo_export_onnx('export check'), 'import check');
        SELECT 'back', max(abs(p.probability - q.probability))
        FROM (SELECT image FROM {table} ORDER BY id LIMIT {IMAGES}) s, pneumo_predict_proba(image, 'export check') p
             JOIN LATERAL pneumo_predict_proba(image, 'import check') q USING (class);
        SELECT pneumo_drop_model('import check');""")
    return largest, float(next(row[1] for row in back if row[0] == "back"))


def main():
    failed = 0
    sql("""SET client_min_messages = error;
        CREATE EXTENSION IF NOT EXISTS pneumo;
        DROP TABLE IF EXISTS two, three;
        CREATE TABLE two AS
            SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label
            FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 60) i) s;
        CREATE TABLE three AS
            SELECT id, image, CASE WHEN id % 3 = 0 THEN 'other' ELSE label END AS label FROM two;""")
    small = {"image_size": [32, 32]}
    cases = [(name, network, "two", {}, None) for name, network in NETWORKS.items()]
    for preset in [row[0] for row in sql("SELECT unnest(ARRAY['deep', 'baseline'])")]:
        cases.append(("preset " + preset, {"model": preset, **small}, "two", {}, None))
    cases += [
        ("three classes", {"model": "baseline", **small}, "three", {}, None),
        ("rgb", {"model": "baseline", "color_mode": "rgb", **small}, "two", {}, None),
        ("preprocessing", {"model": "baseline", **small}, "two", {"preprocessing": True}, None),
        ("platt", {"model": "baseline", **small}, "two", {"calibration": True}, {"calibration": "platt"}),
        ("temperature", {"model": "baseline", **small}, "three", {"calibration": True}, {"calibration": "temperature"}),
    ]
    wanted = sys.argv[1:]
    print("%-30s %12s %12s" % ("network", "exported", "and back"))
    for name, network, table, options, more in cases:
        if wanted and name not in wanted:
            continue
        try:
            out, back = compare(name, network, table, options, more)
            good = out <= LIMIT and back <= LIMIT
            print("%-30s %12.3g %12.3g%s" % (name, out, back, "" if good else "  TOO LARGE"), flush=True)
        except Exception as error:  # a network that fails must not hide the others
            good = False
            print("%-30s %s" % (name, str(error)[:1000]), flush=True)
        failed += not good
    print("exported networks: %d failed" % failed)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
