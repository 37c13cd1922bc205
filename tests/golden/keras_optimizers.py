#!/usr/bin/env python3
"""Golden values of the optimisers and learning-rate schedules of Keras 3.

    python3 tests/golden/keras_optimizers.py [NAME...]

writes tests/golden/optimizers/NAME.txt: ten steps on a small set of variables
with given gradients. Lines that all golden files share are described in
keras_common.py; here:

    optimizer CLASS key=value...    every setting that Keras's get_config() holds,
                                    defaults included; learning_rate=schedule when
                                    the next line gives one; unset is none
    schedule CosineDecay key=value...
    steps N
    variables V

Tensors, with s = 0 .. N-1 the step and v = 0 .. V-1 the variable:

    var/v               initial value
    grad/s/v            gradient of step s, before clipping
    learning_rate/s     the rate that step s uses
    after/s/v           the variable after step s

One gradient in each step is large (it is what the clippings cut), one variable
gets a zero gradient in one step, and gradients shrink towards the end, so that
amsgrad's maximum differs from the running moment.

Files named schedule_* hold no variables but tensor learning_rate [N]: the rate
of each step from 0 on, past the end of the decay. Keras rounds warmup_target to
float32 on its way, so the rates carry a relative error of up to 6e-8.
"""

import sys

import keras_common as common
import numpy as np

keras = common.use_float64()

import tensorflow as tf  # noqa: E402
from keras import optimizers  # noqa: E402
from keras.optimizers import schedules  # noqa: E402

STEPS = 10
SHAPES = [(3, 2), (4,), (1,)]

SKIPPED = {"name", "use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor",
           "gradient_accumulation_steps"}

CASES = {
    "sgd": (optimizers.SGD, dict(learning_rate=0.05)),
    "sgd_momentum": (optimizers.SGD, dict(learning_rate=0.05, momentum=0.9)),
    "sgd_nesterov": (optimizers.SGD, dict(learning_rate=0.05, momentum=0.8, nesterov=True)),
    "sgd_weight_decay": (optimizers.SGD, dict(momentum=0.9, weight_decay=0.02)),
    "rmsprop": (optimizers.RMSprop, dict()),
    "rmsprop_rho": (optimizers.RMSprop, dict(learning_rate=0.01, rho=0.7, epsilon=1e-3)),
    "rmsprop_momentum": (optimizers.RMSprop, dict(learning_rate=0.005, momentum=0.9)),
    "rmsprop_centered": (optimizers.RMSprop, dict(learning_rate=0.005, centered=True)),
    "rmsprop_centered_momentum": (optimizers.RMSprop,
                                  dict(learning_rate=0.005, centered=True, momentum=0.5)),
    "adam": (optimizers.Adam, dict()),
    "adam_settings": (optimizers.Adam,
                      dict(learning_rate=0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-4)),
    "adam_amsgrad": (optimizers.Adam, dict(learning_rate=0.01, beta_2=0.7, amsgrad=True)),
    "adam_weight_decay": (optimizers.Adam, dict(learning_rate=0.01, weight_decay=0.1)),
    "adamw": (optimizers.AdamW, dict()),
    "adamw_amsgrad": (optimizers.AdamW,
                      dict(learning_rate=0.01, weight_decay=0.05, beta_2=0.7, amsgrad=True)),
    "sgd_clipnorm": (optimizers.SGD, dict(learning_rate=0.1, clipnorm=0.5)),
    "sgd_global_clipnorm": (optimizers.SGD, dict(learning_rate=0.1, global_clipnorm=0.5)),
    "sgd_clipvalue": (optimizers.SGD, dict(learning_rate=0.1, clipvalue=0.25)),
    "adam_clipnorm": (optimizers.Adam, dict(learning_rate=0.01, clipnorm=0.5)),
    "adam_global_clipnorm": (optimizers.Adam, dict(learning_rate=0.01, global_clipnorm=0.5)),
    "rmsprop_clipvalue": (optimizers.RMSprop, dict(learning_rate=0.01, clipvalue=0.25)),
    "adamw_global_clipnorm": (optimizers.AdamW, dict(learning_rate=0.01, global_clipnorm=0.5)),
    "sgd_cosine": (optimizers.SGD, dict(learning_rate=dict(
        initial_learning_rate=0.1, decay_steps=7))),
    "adam_cosine_warmup": (optimizers.Adam, dict(learning_rate=dict(
        initial_learning_rate=0.0, decay_steps=5, alpha=0.1, warmup_target=0.02,
        warmup_steps=3))),
    "adamw_cosine": (optimizers.AdamW, dict(weight_decay=0.05, learning_rate=dict(
        initial_learning_rate=0.02, decay_steps=6, alpha=0.2))),
}

SCHEDULES = {
    "schedule_cosine": dict(initial_learning_rate=0.01, decay_steps=20),
    "schedule_cosine_alpha": dict(initial_learning_rate=0.01, decay_steps=20, alpha=0.05),
    "schedule_cosine_warmup": dict(initial_learning_rate=0.0, decay_steps=20,
                                   warmup_target=0.01, warmup_steps=6),
    "schedule_cosine_warmup_alpha": dict(initial_learning_rate=0.002, decay_steps=18, alpha=0.1,
                                         warmup_target=0.01, warmup_steps=4),
    "schedule_cosine_steps_without_target": dict(initial_learning_rate=0.01, decay_steps=12,
                                                 warmup_steps=5),
}


def gradients(random):
    steps = []
    for step in range(STEPS):
        scale = 1.0 if step < 5 else 0.1
        values = [np.round(random.normal(0, scale, s), 4).astype(np.float32) for s in SHAPES]
        values[step % 2].ravel()[0] *= 8
        if step == 3:
            values[1][:] = 0
        steps.append(values)
    return steps


def schedule_of(settings):
    rate = tf.constant(settings["initial_learning_rate"], tf.float64)
    settings = dict(settings, initial_learning_rate=rate)
    return schedules.CosineDecay(**settings)


def schedule_fact(golden, schedule):
    config = schedule.get_config()
    config.pop("name")
    config["initial_learning_rate"] = float(config["initial_learning_rate"])
    golden.fact("schedule", "CosineDecay", **config)


def make(name):
    random = np.random.default_rng(20260101)
    maker, settings = CASES[name]
    settings = dict(settings)
    schedule = None
    if isinstance(settings.get("learning_rate"), dict):
        schedule = schedule_of(settings["learning_rate"])
        settings["learning_rate"] = schedule
    optimizer = maker(**settings)
    start = [np.round(random.normal(0, 1, s), 3).astype(np.float32) for s in SHAPES]
    variables = [keras.Variable(v.astype(np.float64), name="v%d" % i)
                 for i, v in enumerate(start)]
    golden = common.Golden("optimizers", name)
    config = {k: v for k, v in optimizer.get_config().items() if k not in SKIPPED}
    config["learning_rate"] = "schedule" if schedule else settings.get(
        "learning_rate", float("%.7g" % config["learning_rate"]))
    golden.fact("optimizer", maker.__name__, **config)
    if schedule:
        schedule_fact(golden, schedule)
    golden.fact("steps", STEPS)
    golden.fact("variables", len(SHAPES))
    for index, value in enumerate(start):
        golden.tensor("var/%d" % index, value, given=True)
    optimizer.build(variables)
    for step, values in enumerate(gradients(random)):
        for index, value in enumerate(values):
            golden.tensor("grad/%d/%d" % (step, index), value, given=True)
        golden.tensor("learning_rate/%d" % step,
                      schedule(step) if schedule else config["learning_rate"])
        optimizer.apply([keras.ops.convert_to_tensor(v.astype(np.float64)) for v in values],
                        variables)
        for index, variable in enumerate(variables):
            golden.tensor("after/%d/%d" % (step, index), variable.numpy())
    return golden.write()


def make_schedule(name):
    schedule = schedule_of(SCHEDULES[name])
    golden = common.Golden("optimizers", name)
    schedule_fact(golden, schedule)
    golden.fact("steps", 30)
    golden.tensor("learning_rate", [float(schedule(s)) for s in range(30)])
    return golden.write()


def main():
    names = sys.argv[1:] or list(CASES) + list(SCHEDULES)
    total = 0
    for name in names:
        total += make(name) if name in CASES else make_schedule(name)
    print("%d cases, %d bytes" % (len(names), total))


if __name__ == "__main__":
    main()
