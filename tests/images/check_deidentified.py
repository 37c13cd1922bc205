"""Checks de-identified DICOM files with pydicom, the profile's table, and dcmdump.

    check_deidentified.py DEIDENTIFY_IMAGE FILE...

For each file that pneumo reads: pydicom reads the result; no value of an attribute
that table E.1-1 of PS3.15 removes, empties or replaces is left, at any depth; UIDs
are mapped alike wherever they stand; the pixel data are the same bytes; and
dcmdump, if it is installed, finds no fault that it does not find in the file
itself.  Then the same for a file that has every attribute of the table.
"""
import importlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

import pydicom
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

warnings.simplefilter("ignore")
KEY = "0123456789abcdef"
MARK = "Curie"
DATABASE = "dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c"
TABLE = importlib.import_module(DATABASE)
CLASSES = {0x00080016, 0x00081150, 0x00080062, 0x0008001A}


def tags_of(*names):
    return {tag[0] << 16 | tag[1] for name in names for tag in getattr(TABLE, name + "_TAGS") if len(tag) == 2}


# What must not keep its value, and what must be another UID.
REPLACED = tags_of("D", "Z", "X", "Z_D", "X_Z", "X_D", "X_Z_D")
UIDS = tags_of("U")
# Sequences whose items are cleaned may stay.
CHARACTERISTICS = {0x00100040, 0x00101010, 0x00101020, 0x00101030}


def walk(dataset, path=()):
    for element in dataset:
        yield path, element
        if element.VR == "SQ":
            for i, item in enumerate(element.value or []):
                yield from walk(item, path + (int(element.tag), i))


def run(program, options, source, target):
    done = subprocess.run([program, KEY, options, source, target], stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout.strip()


def dumped(path):
    if shutil.which("dcmdump") is None:
        return None
    done = subprocess.run(["dcmdump", "-q", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          errors="replace")
    return done.returncode


def pixels(path):
    with open(path, "rb") as file:
        dataset = pydicom.dcmread(file, force=True)
    return dataset.PixelData if "PixelData" in dataset else None


def check(program, path, options, problems):
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "out.dcm")
        status, said = run(program, options, path, target)
        if status != 0:
            return False
        before = pydicom.dcmread(path, force=True)
        after = pydicom.dcmread(target, force=True)
        kept = CHARACTERISTICS if "c" in options else set()
        old_uids = {str(v) for _, e in walk(before) if e.VR == "UI" and int(e.tag) in UIDS and e.value
                    for v in ([e.value] if isinstance(e.value, str) else e.value)
                    if not str(v).startswith("1.2.840.10008.")}
        for _, element in walk(after):
            tag = int(element.tag)
            if element.tag.is_private and "p" not in options:
                problems.append(f"{path}: private {element.tag} is left")
            if tag in REPLACED and tag not in kept and element.VR != "SQ" and element.value not in (None, "", b"", []):
                old = before.get(element.tag)
                shifted = "d" in options and element.VR in ("DA", "TM", "DT")
                if tag not in (0x00120062, 0x00120063) and not shifted and (old is None or old.value == element.value):
                    problems.append(f"{path}: {element.tag} {element.keyword} is left: {element.value!r}")
            if element.VR == "UI" and tag not in CLASSES and element.value:
                for value in [element.value] if isinstance(element.value, str) else element.value:
                    if str(value) in old_uids:
                        problems.append(f"{path}: UID of {element.tag} is left")
        if "SOPInstanceUID" in after and "MediaStorageSOPInstanceUID" in after.file_meta and \
                before.SOPInstanceUID == before.file_meta.get("MediaStorageSOPInstanceUID") and \
                after.SOPInstanceUID != after.file_meta.MediaStorageSOPInstanceUID:
            problems.append(f"{path}: meta elements and data set disagree")
        if after.get("PatientIdentityRemoved") != "YES" or after.DeidentificationMethodCodeSequence[0].CodeValue != "113100":
            problems.append(f"{path}: it does not say that it was de-identified")
        if [int(e.tag) for e in after] != sorted(int(e.tag) for e in after):
            problems.append(f"{path}: elements are not in order")
        if pixels(path) != pixels(target):
            problems.append(f"{path}: the pixel data differ")
        if dumped(path) == 0 and dumped(target) != 0:
            problems.append(f"{path}: dcmdump finds a fault")
        again = os.path.join(folder, "again.dcm")
        run(program, options, path, again)
        if open(again, "rb").read() != open(target, "rb").read():
            problems.append(f"{path}: a second time gives other bytes")
    return True


VALUES = {"UI": "1.2.3.4", "DA": "19671107", "TM": "101112", "DT": "19671107101112", "AS": "066Y", "DS": "1.5",
          "IS": "7", "US": 7, "SS": 7, "UL": 7, "SL": 7, "FL": 1.5, "FD": 1.5, "OB": MARK.encode() + b" ",
          "OW": MARK.encode() + b" ", "UN": MARK.encode() + b" ", "AT": 0x00100010, "CS": MARK.upper()}


def every_attribute(path, syntax):
    """Writes a file with every attribute of the table, at the top and in a sequence that is kept."""
    def fill(dataset):
        for tag in sorted(REPLACED | UIDS):
            if tag >> 16 in (0x0000, 0x0002, 0x0004) or tag >> 16 > 0x5fff or (tag >> 16) % 2:
                continue
            try:
                vr = dictionary_VR(tag)
            except KeyError:
                vr = "LO"
            vr = vr.split(" ")[0]
            if vr == "SQ":
                item = Dataset()
                item.PatientName = MARK
                item.add_new(0x00080104, "LO", MARK)
                dataset.add_new(tag, "SQ", [item])
            else:
                dataset.add_new(tag, vr, VALUES.get(vr, MARK))

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.SourceApplicationEntityTitle = MARK
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset(None, {}, file_meta=meta, preamble=MARK.encode() * 25 + b"123")
    fill(dataset)
    inner = Dataset()
    fill(inner)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.ViewPosition = "PA"
    dataset.SharedFunctionalGroupsSequence = [inner]
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(1, "LO", MARK)
    dataset.add_new(0x50000010, "US", 1)
    dataset.add_new(0x60004000, "LT", MARK)
    dataset.Rows = dataset.Columns = 2
    dataset.add_new(0x7FE00010, "OB" if syntax == ExplicitVRLittleEndian else "OW", b"\1\2\3\4")
    dataset.save_as(path, enforce_file_format=True)


def main():
    program, files = sys.argv[1], sys.argv[2:]
    problems, checked, refused = [], 0, 0
    for path in files:
        for options in ("", "dc", "p"):
            if check(program, path, options, problems):
                checked += 1
            else:
                refused += 1
    with tempfile.TemporaryDirectory() as folder:
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
            path, target = os.path.join(folder, "all.dcm"), os.path.join(folder, "out.dcm")
            every_attribute(path, syntax)
            for options in ("", "dc"):
                checked += check(program, path, options, problems)
            run(program, "", path, target)
            left = open(target, "rb").read()
            for text in (MARK.encode(), b"19671107", b"1.2.3.4\0"):
                if text in left:
                    at = left.index(text)
                    problems.append(f"every attribute: {text!r} is left after {left[max(0, at - 12):at]!r}")
            if b"PA" not in left or MARK.encode() not in open(path, "rb").read():
                problems.append("every attribute: the view is gone, or the file is not what it should be")
    for problem in problems[:40]:
        print(problem)
    print(f"deidentified: {checked} passed, {len(problems)} failed ({refused} not read)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
