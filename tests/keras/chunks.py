#!/usr/bin/env python3
"""Writes FILE.gz, an HDF5 file of datasets in the forms that Keras does not use: see tests/unit/test_exchange.c."""

import gzip
import os
import sys

import h5py
import numpy as np

halves = np.arange(500) / 2
with h5py.File(sys.argv[1], "w") as file:
    file.create_dataset("chunked", data=halves.reshape(20, 25).astype("<f4"), chunks=(7, 11), compression="gzip",
                        shuffle=True, fletcher32=True)
    file.create_dataset("deflated", data=halves.astype(">f8"), chunks=(100,), compression="gzip")
    file.create_dataset("half", data=halves.astype("<f2"))
    file.create_dataset("integers", data=-np.arange(100, dtype="<i2"))
    file.create_group("tracked", track_order=True).create_dataset("one", data=np.float32(0))
with open(sys.argv[1], "rb") as file:
    data = file.read()
os.remove(sys.argv[1])
with open(sys.argv[1] + ".gz", "wb") as file:
    file.write(gzip.compress(data, 9, mtime=0))
