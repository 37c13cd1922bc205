"""What the scripts that make golden values share: the file format and its writer.

A golden file is plain text, one fact a line, made to be read with a line reader
and strtod. Words are separated by one blank; names hold no blanks.

    # text                          a remark; skip it
    case NAME                       first fact of a file
    keras VERSION BACKEND           what computed the values
    KEY WORD...                     facts of the kind of file (see its script)
    tensor NAME RANK D1 ... Dr V1 ... Vn
                                    n = D1 * ... * Dr values (1 when RANK is 0),
                                    the last dimension varies fastest
    end                             last line of a file

Values are decimal numbers. Given values (weights, inputs, labels) are float32
numbers in their shortest form, so strtof returns them exactly; computed values
were computed by Keras in float64 from those float32 numbers and are written
with eight digits. Hence a float32 implementation is compared with the truth,
and the difference is its own rounding alone. A value may be nan, inf or -inf.
"""

import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent


def use_float64():
    """Make Keras compute in float64; returns the module."""
    import keras

    keras.config.set_floatx("float64")
    return keras


def given_text(value):
    """Shortest decimal that strtof turns back into the same float32."""
    value = float(value)
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return str(np.float32(value))


def computed_text(value):
    return "%.8g" % float(value)


def setting_text(value):
    """A Keras setting as one word: True -> 1, None -> none, (3, 3) -> 3,3."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ",".join(setting_text(v) for v in value)
    if isinstance(value, float):
        return repr(value)
    return str(value)


class Golden:
    """Collects the lines of one golden file and writes it."""

    def __init__(self, folder, name):
        import keras

        self.path = FOLDER / folder / (name + ".txt")
        self.lines = [
            "case " + name,
            "keras %s %s" % (keras.__version__, keras.backend.backend()),
        ]

    def fact(self, key, *words, **settings):
        words = [setting_text(w) for w in words]
        words += [k + "=" + setting_text(v) for k, v in settings.items()]
        self.lines.append(" ".join([key] + words))

    def tensor(self, name, values, given=False):
        values = np.asarray(values, dtype=np.float64)
        text = given_text if given else computed_text
        words = ["tensor", name, str(values.ndim)]
        words += [str(d) for d in values.shape]
        words += [text(v) for v in values.ravel()]
        self.lines.append(" ".join(words))

    def write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(self.lines + ["end"]) + "\n"
        self.path.write_text(text)
        return len(text)
