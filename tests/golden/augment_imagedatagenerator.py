#!/usr/bin/env python3
"""Golden values of augmentation: Keras 3's ImageDataGenerator.apply_transform.

    python3 tests/golden/augment_imagedatagenerator.py

writes tests/golden/augment/MODE_IMAGE.txt for each fill mode (nearest, constant,
reflect, wrap) and image (gray 24x20, square 17x17, rgb 9x11x3: rows x columns), and
brightness.txt. Lines that all golden files share are described in keras_common.py,
but results are written with three decimals (six digits); here:

    fill_mode MODE cval=C
    tensor image [H,W,C]            8-bit values
    transform NAME key=value...     theta tx ty shear zx zy flip_horizontal
                                    flip_vertical brightness; what is not named is
                                    0 (zx, zy: 1; brightness: none)
    tensor NAME/affine [H,W,C]      after the affine part and the flips
    tensor NAME/result [H,W,C]      after brightness; only for transforms with one

How Keras transforms (keras.src.legacy.preprocessing.image, Keras 3.15; model() below
is this text as code, and every value written is checked against it):

1. One affine map, linear interpolation. Write (x, y) = (column, row). With angles in
   radians (theta and shear are given in DEGREES) the matrices

       R = | cos theta  -sin theta  0 |      T = | 1  0  tx |
           | sin theta   cos theta  0 |          | 0  1  ty |
           |     0           0      1 |          | 0  0   1 |

       S = | 1  -sin shear  0 |              Z = | zx  0  0 |
           | 0   cos shear  0 |                  | 0  zy  0 |
           | 0       0      1 |                  | 0   0  1 |

   are multiplied in this order, M = R T S Z, and the value of the output pixel (x, y)
   is read from the input at

       (x', y') = O M O^-1 (x, y)

   where O shifts by the centre: o_x = H/2 - 0.5, o_y = W/2 - 0.5. So

   * the map goes from output to input: zx = 0.5 enlarges twice along the columns, tx = 2
     moves the picture two columns to the LEFT, ty = 2 two rows UP; theta > 0 turns
     the picture counter-clockwise as seen on a screen;
   * tx is along the columns and ty along the rows. Yet Keras draws tx from
     height_shift_range (times H) and ty from width_shift_range (times W): in Keras
     height_shift_range moves a picture sideways, and width_shift_range up and down;
   * o_x is made from H and o_y from W: right for square pictures, but a picture that is not
     square turns, shears and zooms about a point off its centre. The files gray and
     rgb show this, square does not;
   * if M is the identity the picture is not touched.

2. Outside of the input (n pixels along an axis, coordinate t < 0 or t > n-1):
     nearest    t is clamped to 0 .. n-1
     constant   the whole output value is cval, without blending at the border
     reflect    (d c b a | a b c d | d c b a); between -1 and 0 the edge value
     wrap       period n - 1: t + (n-1)*k falls into 0 .. n-1 (pixels 0 and n-1 are
                taken to be the same place)

3. flip_horizontal (columns), then flip_vertical (rows), after the affine map.

4. Brightness b, if any: the values are cut (not rounded) to 8-bit integers v, then
   Pillow's enhancer: b in [0, 1]: trunc(b * v); b > 1: trunc(b * v), at most 255; the
   product in C float, where b is rounded to float. The result is 8-bit again.
   b = none is no step at all; b = 1 still cuts to integers. Cutting makes the result
   of a value like 127.99999 depend on rounding: allow one step of v where NAME/affine
   is within 0.001 of an integer.

5. After all this ImageDataGenerator multiplies by rescale.

How Keras draws (get_random_transform), each once per picture, in this order: theta
uniform in +-rotation_range degrees; tx from height_shift_range r: a float below 1 is
uniform in +-r * H, a float from 1 on uniform in +-r pixels, an integer n picks one of
0 .. n-1, a list one of its values, and these two a sign; ty alike from width_shift_range
and W; shear uniform in +-shear_range degrees; zx and zy uniform in zoom_range = [a, b],
drawn apart, a number z standing for [1-z, 1+z]; flips with probability one half if
switched on; brightness uniform in brightness_range = [a, b].
"""

import keras_common as common
import numpy as np

import scipy.ndimage  # noqa: E402
from keras.src.legacy.preprocessing.image import ImageDataGenerator  # noqa: E402

TRANSFORMS = {
    "identity": {},
    "theta": dict(theta=10.0),
    "theta_negative": dict(theta=-35.5),
    "tx": dict(tx=2.0),
    "tx_fraction": dict(tx=-3.3),
    "ty": dict(ty=2.0),
    "ty_fraction": dict(ty=-4.6),
    "shear": dict(shear=20.0),
    "shear_negative": dict(shear=-5.0),
    "zx_in": dict(zx=0.7),
    "zy_out": dict(zy=1.3),
    "zoom": dict(zx=1.1, zy=0.85),
    "flip_horizontal": dict(flip_horizontal=1),
    "flip_vertical": dict(flip_vertical=1),
    "shift_far": dict(tx=31.5, ty=-27.25),
    "all": dict(theta=-8.0, tx=1.7, ty=-2.4, shear=4.0, zx=0.93, zy=1.08, flip_horizontal=1),
    "deep_like": dict(theta=7.0, shear=-3.5, zx=1.05, zy=0.92, brightness=1.15),
    "all_dark": dict(theta=12.0, tx=-0.6, ty=3.1, shear=9.0, zx=1.2, zy=0.8,
                     flip_horizontal=1, flip_vertical=1, brightness=0.8),
}
BRIGHTNESS = [0.0, 0.25, 0.5, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 3.7]
MODES = {"nearest": 0.0, "constant": 37.5, "reflect": 0.0, "wrap": 0.0}
COMBINED = ("identity", "theta", "tx", "ty_fraction", "zoom", "all", "deep_like", "all_dark")


def picture(height, width, channels, seed):
    """A smooth ramp with a bright bar and noise: every direction can be told apart."""
    random = np.random.default_rng(seed)
    row, column, channel = np.mgrid[0:height, 0:width, 0:channels]
    values = 30 + 5.0 * row + 2.5 * column + 25 * channel
    values += np.where((row > height // 3) & (column < width // 2), 80, 0)
    values += random.integers(-12, 13, (height, width, channels))
    return np.clip(np.rint(values), 0, 255)


def fold(t, count, mode):
    """The coordinate inside of -1 .. count that stands for t; NaN outside of constant."""
    last = count - 1
    if mode == "nearest":
        return np.clip(t, 0, last)
    if mode == "constant":
        return np.where((t < 0) | (t > last), np.nan, t)
    if mode == "wrap":
        return np.where((t < 0) | (t > last), t - last * np.floor(t / last), t)
    t = np.mod(t + 0.5, 2 * count)
    return np.where(t > count, 2 * count - t, t) - 0.5


def model(image, mode, cval, theta=0.0, tx=0.0, ty=0.0, shear=0.0, zx=1.0, zy=1.0,
          flip_horizontal=0, flip_vertical=0, brightness=None):
    """The text above as code; returns (affine, result)."""
    height, width, _ = image.shape
    out = image.astype(np.float64)
    if (theta, tx, ty, shear, zx, zy) != (0, 0, 0, 0, 1, 1):
        a, s = np.deg2rad(theta), np.deg2rad(shear)
        m = (np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
             @ np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
             @ np.array([[1, -np.sin(s), 0], [0, np.cos(s), 0], [0, 0, 1]])
             @ np.diag([zx, zy, 1.0]))
        ox, oy = height / 2 - 0.5, width / 2 - 0.5
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        xs = fold(m[0, 0] * (x - ox) + m[0, 1] * (y - oy) + m[0, 2] + ox, width, mode)
        ys = fold(m[1, 0] * (x - ox) + m[1, 1] * (y - oy) + m[1, 2] + oy, height, mode)
        outside = np.isnan(xs) | np.isnan(ys)
        xs, ys = np.where(outside, 0, xs), np.where(outside, 0, ys)
        x0, y0 = np.floor(xs).astype(int), np.floor(ys).astype(int)
        fx, fy = (xs - x0)[..., None], (ys - y0)[..., None]
        columns = [np.clip(x0, 0, width - 1), np.clip(x0 + 1, 0, width - 1)]
        rows = [np.clip(y0, 0, height - 1), np.clip(y0 + 1, 0, height - 1)]
        out = ((out[rows[0], columns[0]] * (1 - fx) + out[rows[0], columns[1]] * fx) * (1 - fy)
               + (out[rows[1], columns[0]] * (1 - fx) + out[rows[1], columns[1]] * fx) * fy)
        out[outside] = cval
    if flip_horizontal:
        out = out[:, ::-1]
    if flip_vertical:
        out = out[::-1]
    if brightness is None:
        return out, None
    scaled = np.float32(brightness) * np.trunc(out).astype(np.float32)
    return out, np.minimum(np.trunc(scaled), 255)


def check(mine, keras_values, where, cut=None):
    difference = np.abs(mine - keras_values)
    if cut is not None:
        difference = np.where(np.abs(cut - np.rint(cut)) < 1e-9, 0, difference)
    assert difference.max() < 1e-6, (where, difference.max())


def emit(golden, generator, image, mode, cval, name, parameters):
    golden.fact("transform", name, **parameters)
    plain = {k: v for k, v in parameters.items() if k != "brightness"}
    affine = generator.apply_transform(image, plain)
    mine, mine_result = model(image, mode, cval, **parameters)
    check(mine, affine, (mode, name))
    golden.tensor(name + "/affine", affine)
    if "brightness" in parameters:
        result = generator.apply_transform(image, parameters)
        check(mine_result, result, (mode, name, "brightness"), mine)
        golden.tensor(name + "/result", result)


def main():
    if not hasattr(scipy.ndimage, "interpolation"):
        scipy.ndimage.interpolation = scipy.ndimage
    common.computed_text = lambda value: "%.6g" % float(value)
    images = {"gray": picture(24, 20, 1, 1), "square": picture(17, 17, 1, 2),
              "rgb": picture(9, 11, 3, 3)}
    total = 0
    for mode, cval in MODES.items():
        generator = ImageDataGenerator(fill_mode=mode, cval=cval, data_format="channels_last")
        for label, image in images.items():
            golden = common.Golden("augment", "%s_%s" % (mode, label))
            golden.fact("fill_mode", mode, cval=cval)
            golden.tensor("image", image, given=True)
            for name in TRANSFORMS if label == "gray" else COMBINED:
                emit(golden, generator, image, mode, cval, name, TRANSFORMS[name])
            total += golden.write()
    generator = ImageDataGenerator(data_format="channels_last")
    every_value = np.arange(256.0).reshape(16, 16, 1)
    golden = common.Golden("augment", "brightness")
    golden.fact("fill_mode", "nearest", cval=0.0)
    golden.tensor("image", every_value, given=True)
    for brightness in BRIGHTNESS:
        emit(golden, generator, every_value, "nearest", 0.0, "brightness_%g" % brightness,
             dict(brightness=brightness))
    total += golden.write()
    print("%d bytes" % total)


if __name__ == "__main__":
    main()
