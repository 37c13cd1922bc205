"""Compares how pneumo reads image files with how pydicom and Pillow do.

    compare_images.py DECODE_IMAGE FILE...

DICOM files: the stored values as pydicom decodes them, then modality, window or
range by the rules of docs/images.md.  Others: Pillow.  Prints a line a file and
fails if one differs by more than TOLERANCE grey levels: 1, and for the colours
of lossy JPEG, which decoders round and enlarge differently, 3.  A lossy grey
picture may in addition differ by one stored value.
"""
import os
import subprocess
import sys
import warnings

import numpy as np
import pydicom
from PIL import Image
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

TOLERANCE = 1.0
TOLERANCE_LOSSY_COLOUR = 3.0
LOSSY_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


def read_all(program, files, channels):
    """Returns (line, pixels or None) for each file."""
    names = ("\n".join(files) + "\n").encode()
    out = subprocess.run([program, str(channels)], input=names, stdout=subprocess.PIPE, check=True).stdout
    results, at = [], 0
    for _ in files:
        end = out.index(b"\n", at)
        line = out[at:end].decode("latin1")
        at = end + 1
        pixels = None
        if line.startswith("ok"):
            width, height = map(int, line.split()[1:3])
            n = width * height * channels
            pixels = np.frombuffer(out[at:at + n], np.uint8).reshape(height, width, channels)
            at += n
        results.append((line, pixels))
    return results


def first(value):
    return float(value[0] if isinstance(value, MultiValue) else value)


def window(dataset, values):
    """Returns 0 to 1 by the window of a data set, or None."""
    if not dataset.get("WindowWidth") or first(dataset.WindowWidth) < 1:
        return None
    centre, width = first(dataset.WindowCenter), first(dataset.WindowWidth)
    function = dataset.get("VOILUTFunction") or "LINEAR"
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width <= 1:
        return (values > centre - 0.5) * 1.0
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def grey(dataset, stored):
    """Returns grey levels, 0 to 255, and grey levels for a stored value."""
    bits = dataset.BitsStored
    values = apply_modality_lut(stored, dataset).astype(float)
    if "VOILUTSequence" in dataset:
        looked_up = apply_voi_lut(apply_modality_lut(stored, dataset), dataset, index=0)
        level = looked_up / (2.0 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1)
        step = 1.0
    else:
        level = window(dataset, values)
        step = 0.0
        if level is None:
            if bits <= 8:
                low = -(1 << (bits - 1)) if dataset.PixelRepresentation else 0
                ends = apply_modality_lut(np.array([low, low + (1 << bits) - 1]), dataset).astype(float)
            else:
                kept = np.ones(values.shape, bool)
                if "PixelPaddingValue" in dataset:
                    padding = [dataset.PixelPaddingValue,
                               dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue)]
                    kept = (stored < min(padding)) | (stored > max(padding))
                ends = values[kept] if kept.any() else values
            level = np.clip((values - ends.min()) / max(ends.max() - ends.min(), 1e-9), 0, 1)
            step = 255 / max(ends.max() - ends.min(), 1e-9)
        else:
            step = 255 / first(dataset.WindowWidth)
        step *= abs(float(dataset.get("RescaleSlope") or 1))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        level = 1 - level
    return level * 255, step


def expected_dicom(path):
    """Returns pixels, 0 to 255, what they are, and the tolerance."""
    dataset = pydicom.dcmread(path, force=True)
    photometric = dataset.PhotometricInterpretation
    many = int(dataset.get("NumberOfFrames") or 1) > 1
    stored = pixel_array(dataset, index=0) if many else pixel_array(dataset)
    lossy = dataset.file_meta.get("TransferSyntaxUID", "") in LOSSY_JPEG
    if photometric.startswith("MONOCHROME"):
        pixels, step = grey(dataset, stored)
        return pixels, photometric, TOLERANCE + (step if lossy else 0)
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(stored, dataset)
        return colours / (2.0 ** (8 * colours.dtype.itemsize) - 1) * 255, photometric, TOLERANCE
    return stored / (2.0 ** dataset.BitsStored - 1) * 255, photometric, TOLERANCE_LOSSY_COLOUR if lossy else TOLERANCE


def expected_other(path):
    image = Image.open(path)
    image.load()
    if image.mode.startswith("I"):
        return np.asarray(image) / 257.0, f"{image.format} {image.mode}", TOLERANCE
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return np.asarray(image.convert(mode)).astype(float), f"{image.format} {image.mode}", TOLERANCE


def main():
    warnings.simplefilter("ignore")
    program, files = sys.argv[1], sorted(sys.argv[2:])
    counts = {"same": 0, "DIFFERENT": 0, "refused": 0, "neither": 0, "only pneumo": 0}
    for path, one, three in zip(files, read_all(program, files, 1), read_all(program, files, 3)):
        line, pixels = one
        try:
            want, kind, tolerance = expected_dicom(path) if path.endswith(".dcm") else expected_other(path)
        except Exception as error:  # what the other program cannot read
            want, kind, tolerance = None, f"not read: {type(error).__name__}", 0
        if want is None:
            result = "neither" if pixels is None else "only pneumo"
            detail = line if pixels is None else ""
        elif pixels is None:
            result, detail = "refused", line
        else:
            got = pixels[:, :, 0] if want.ndim == 2 else three[1]
            most = np.abs(got - want).max() if got.shape == want.shape else 255
            result = "same" if most <= tolerance else "DIFFERENT"
            detail = f"at most {most:.2f} levels of {tolerance:.2f}"
        counts[result] += 1
        print(f"{os.path.basename(path):42} {kind:28} {result:12} {detail}")
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return counts["DIFFERENT"] > 0


if __name__ == "__main__":
    sys.exit(main())
