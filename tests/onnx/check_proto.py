"""Compares src/exchange/onnx.proto with the official one, as package onnx has it.

    python3 tests/onnx/check_proto.py

Needs the packages onnx and protobuf.  Every message and field of ours has to be
there under the same number and, as bytes on the wire, of the same type.  To make
onnx.pb-c.[ch] again: protoc-c --proto_path=src/exchange --c_out=src/exchange onnx.proto
"""
import re
import sys
from pathlib import Path

import onnx

OURS = Path(__file__).parents[2] / "src/exchange/onnx.proto"
# Enumerations are int32 here.
TYPES = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 9: "string", 11: "message", 12: "bytes", 14: "int32"}
FIELD = re.compile(r"(optional|repeated)?\s*([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(\[packed = true\])?;")


def main():
    wrong = []
    checked = 0
    path = []
    for line in OURS.read_text().splitlines():
        line = line.split("//")[0].strip()
        opened = re.match(r"(message|oneof) (\w+) \{", line)
        if opened:
            path.append(opened.group(2) if opened.group(1) == "message" else None)
            continue
        if line == "}":
            path.pop()
            continue
        field = FIELD.match(line)
        if not field or not path:
            continue
        descriptor = onnx.ModelProto.DESCRIPTOR.file
        names = [name for name in path if name is not None]
        message = descriptor.message_types_by_name[names[0]]
        for name in names[1:]:
            message = message.nested_types_by_name[name]
        label, kind, name, number, packed = field.groups()
        official = message.fields_by_name.get(name)
        kind = kind if kind in TYPES.values() else "message"
        if official is None or official.number != int(number) or TYPES.get(official.type) != kind:
            wrong.append(f"{'.'.join(names)}.{name} = {number}")
        elif (label == "repeated") != (official.is_repeated if hasattr(official, "is_repeated") else official.label == 3):
            wrong.append(f"{'.'.join(names)}.{name}: {label}")
        checked += 1
    print(f"{checked} fields, {len(wrong)} that are not as in onnx {onnx.__version__}")
    print("\n".join(wrong))
    return bool(wrong) or checked < 50


if __name__ == "__main__":
    sys.exit(main())
