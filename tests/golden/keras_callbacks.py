#!/usr/bin/env python3
"""Golden decisions of Keras 3's EarlyStopping and ReduceLROnPlateau.

    python3 tests/golden/keras_callbacks.py

writes tests/golden/callbacks/NAME.txt. Lines that all golden files share are
described in keras_common.py; epochs count from 0. Here:

    callback CLASS key=value...     every setting, defaults included
    epochs N                        how many epochs fit was asked for
    tensor values [N]               the monitored value at the end of each epoch
                                    (as many as were asked for, may hold nan, inf);
                                    none lies at the edge of min_delta by less than
                                    1e-6, save where exact in binary

EarlyStopping:
    stopped E                       the last epoch that ran; N-1 when it did not stop
    stop_training 0|1               whether the callback ended the training
    best_epoch E                    the epoch the callback calls best
    weights E                       the epoch whose weights the model has when
                                    training has ended

ReduceLROnPlateau:
    tensor learning_rate [N]        the optimiser's rate while epoch e runs, N values,
    tensor learning_rate_end        and the rate after the last epoch
"""

import keras_common as common
import numpy as np

keras = common.use_float64()

from keras.callbacks import EarlyStopping, ReduceLROnPlateau  # noqa: E402

NAN, INF = float("nan"), float("inf")
FALLING = [0.9, 0.7, 0.6, 0.55, 0.53, 0.52, 0.515, 0.51]
VALLEY = [0.9, 0.7, 0.5, 0.6, 0.55, 0.65, 0.51, 0.7, 0.8, 0.9, 0.4, 0.3]

STOPPING = {
    "stop_falling": (FALLING, dict(patience=2, restore_best_weights=True)),
    "stop_valley": (VALLEY, dict(patience=3, restore_best_weights=True)),
    "stop_valley_keep_last": (VALLEY, dict(patience=3)),
    "stop_patience_0": (VALLEY, dict(patience=0, restore_best_weights=True)),
    "stop_patience_0_rising_at_once": ([0.5, 0.6, 0.4], dict(patience=0,
                                                             restore_best_weights=True)),
    "stop_patience_1": ([0.5, 0.5, 0.5], dict(patience=1, restore_best_weights=True)),
    "stop_equal_values": ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], dict(patience=3,
                                                               restore_best_weights=True)),
    "stop_min_delta": (FALLING, dict(patience=2, min_delta=0.06, restore_best_weights=True)),
    "stop_min_delta_exact": ([0.75, 0.5, 0.25, 0.0], dict(patience=1, min_delta=0.25,
                                                         restore_best_weights=True)),
    "stop_min_delta_negative": (VALLEY, dict(patience=2, min_delta=-0.06,
                                             restore_best_weights=True)),
    "stop_start_from_epoch": ([0.3, 0.2, 0.9, 0.8, 0.85, 0.95, 0.7],
                              dict(patience=2, start_from_epoch=2, restore_best_weights=True)),
    "stop_start_never_reached": ([0.3, 0.2, 0.9], dict(patience=2, start_from_epoch=5,
                                                       restore_best_weights=True)),
    "stop_start_from_last": ([0.3, 0.2, 0.9], dict(patience=2, start_from_epoch=2,
                                                   restore_best_weights=True)),
    "stop_max_auto": ([0.5, 0.7, 0.8, 0.75, 0.79, 0.8, 0.9],
                      dict(monitor="val_accuracy", patience=3, restore_best_weights=True)),
    "stop_max_auc": ([0.5, 0.7, 0.8, 0.75, 0.79, 0.805, 0.9],
                     dict(monitor="val_auc", mode="max", patience=2, min_delta=0.01,
                          restore_best_weights=True)),
    "stop_mode_min_of_accuracy": ([0.5, 0.7, 0.8, 0.4, 0.9, 0.95],
                                  dict(monitor="val_accuracy", mode="min", patience=2,
                                       restore_best_weights=True)),
    "stop_nan": ([0.5, NAN, NAN, 0.6, 0.4], dict(patience=3, restore_best_weights=True)),
    "stop_nan_first": ([NAN, 0.5, 0.6, 0.7, 0.8], dict(patience=2, restore_best_weights=True)),
    "stop_all_nan": ([NAN, NAN, NAN, NAN], dict(patience=2, restore_best_weights=True)),
    "stop_infinite": ([INF, INF, 0.5, INF, INF], dict(patience=2, restore_best_weights=True)),
}

STALLED = [1.0, 0.8, 0.79995, 0.79992, 0.79985, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
PLATEAU = {
    "plateau_default": (STALLED, dict()),
    "plateau_patience": (STALLED, dict(factor=0.5, patience=2)),
    "plateau_patience_1": (STALLED, dict(factor=0.5, patience=1)),
    "plateau_patience_0": (STALLED, dict(factor=0.5, patience=0)),
    "plateau_cooldown": (STALLED, dict(factor=0.5, patience=2, cooldown=3)),
    "plateau_cooldown_patience_1": (STALLED, dict(factor=0.5, patience=1, cooldown=1)),
    "plateau_min_delta_0": (STALLED, dict(factor=0.5, patience=2, min_delta=0.0)),
    "plateau_min_delta": (FALLING + VALLEY, dict(factor=0.5, patience=2, min_delta=0.04)),
    "plateau_min_lr": (STALLED, dict(factor=0.5, patience=1, min_lr=0.003)),
    "plateau_improves_in_cooldown": ([1.0, 1.0, 1.0, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4],
                                     dict(factor=0.25, patience=2, cooldown=2)),
    "plateau_max": ([0.5, 0.6, 0.6, 0.6, 0.7, 0.65, 0.69, 0.7, 0.71],
                    dict(monitor="val_accuracy", factor=0.1, patience=2)),
    "plateau_nan": ([0.5, NAN, NAN, NAN, 0.4], dict(factor=0.5, patience=2)),
}


class EpochAsWeight(keras.layers.Layer):
    """One weight that holds the number of the epoch, so that restoring shows."""

    def build(self, shape):
        self.epoch = self.add_weight(shape=(), initializer="zeros", name="epoch")

    def call(self, x):
        return x + self.epoch


def small_model():
    model = keras.Sequential([keras.Input((1,)), EpochAsWeight()])
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse",
                  metrics=[keras.metrics.BinaryAccuracy(name="accuracy"),
                           keras.metrics.AUC(name="auc")])
    model.fit(np.zeros((1, 1)), np.zeros((1, 1)), verbose=0)
    return model


def settings_of(callback, keys):
    return {k: getattr(callback, k) for k in keys}


def early_stopping(name, values, settings):
    settings = dict(dict(monitor="val_loss"), **settings)
    mode = settings.get("mode", "auto")
    callback = EarlyStopping(**settings)
    model = small_model()
    callback.set_model(model)
    golden = common.Golden("callbacks", name)
    shown = dict(dict(min_delta=0, patience=0, start_from_epoch=0, restore_best_weights=False),
                 **settings)
    shown["mode"] = mode
    golden.fact("callback", "EarlyStopping", **shown)
    golden.fact("epochs", len(values))
    golden.tensor("values", values, given=not any(v != v or v == INF for v in values))
    model.stop_training = False
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.layers[-1].epoch.assign(epoch)
        callback.on_epoch_end(epoch, {settings["monitor"]: value})
        if model.stop_training:
            break
    callback.on_train_end()
    golden.fact("stopped", epoch)
    golden.fact("stop_training", bool(model.stop_training))
    golden.fact("best_epoch", callback.best_epoch)
    golden.fact("weights", int(model.layers[-1].epoch.numpy()))
    return golden.write()


def plateau(name, values, settings):
    settings = dict(dict(monitor="val_loss"), **settings)
    callback = ReduceLROnPlateau(**settings)
    model = small_model()
    callback.set_model(model)
    golden = common.Golden("callbacks", name)
    shown = dict(settings_of(callback, ["factor", "patience", "cooldown", "min_lr"]),
                 monitor=settings["monitor"], min_delta=settings.get("min_delta", 1e-4),
                 mode=settings.get("mode", "auto"), initial_learning_rate=0.01)
    golden.fact("callback", "ReduceLROnPlateau", **shown)
    golden.fact("epochs", len(values))
    golden.tensor("values", values, given=not any(v != v for v in values))
    rates = []
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        rates.append(float(model.optimizer.learning_rate))
        callback.on_epoch_end(epoch, {settings["monitor"]: value})
    golden.tensor("learning_rate", rates)
    golden.tensor("learning_rate_end", float(model.optimizer.learning_rate))
    return golden.write()


def main():
    total = 0
    for name, (values, settings) in STOPPING.items():
        total += early_stopping(name, values, settings)
    for name, (values, settings) in PLATEAU.items():
        total += plateau(name, values, settings)
    print("%d cases, %d bytes" % (len(STOPPING) + len(PLATEAU), total))


if __name__ == "__main__":
    main()
