#!/bin/bash
# check-images.sh [FILE...]
#
# `make check-images`: compares pydicom's test files and PNG files, or FILEs, with
# what pydicom and Pillow read (tests/images/compare_images.py), and checks the
# de-identified forms of the DICOM files (check_deidentified.py).  VENV: a virtual
# environment with tests/images/requirements.txt, made below build/ if not
# given.  IMAGES: a folder with more files, such as PngSuite.

source "$(dirname "$0")/common.sh"
cd "$ROOT"

venv=${VENV:-$BUILD/images-venv}
if [[ ! -x $venv/bin/python ]]; then
    python3 -m venv "$venv" || die "no virtual environment (Debian: apt-get install python3-venv)"
    "$venv/bin/pip" -q install -r tests/images/requirements.txt || die "pip failed"
fi
program=$(make -s print-UNIT_DIR)/decode_image
deidentify=$(make -s print-UNIT_DIR)/deidentify_image
make -s -j "$(jobs)" "$program" "$deidentify"
if (($# == 0)); then
    data=$("$venv/bin/python" -c 'import os, pydicom; print(os.path.dirname(pydicom.__file__))')/data
    mapfile -t files < <(
        find "$data/test_files" "$data/palettes" -maxdepth 1 -name '*.dcm'
        [[ -z ${IMAGES:-} ]] || find "$IMAGES" -type f -size +0
    )
    set -- "${files[@]}"
fi
status=0
"$venv/bin/python" tests/images/compare_images.py "$program" "$@" || status=1
"$venv/bin/python" tests/images/check_deidentified.py "$deidentify" "$@" || status=1
exit "$status"
