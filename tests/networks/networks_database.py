"""The server that the checks of ONNX use, through psql.

PSQL is the command that reaches it, as a superuser (psql by default);
PNEUMO_SHARED_FOLDER a folder in which both the server and this program may
read, and this program write; IMAGES a query with columns i and image.
"""
import os
import shlex
import subprocess
from pathlib import Path

FOLDER = Path(os.environ.get("PNEUMO_SHARED_FOLDER", "/tmp"))
PSQL = shlex.split(os.environ.get("PSQL", "psql"))
IMAGES = os.environ.get("IMAGES", "SELECT i, pneumo_phantom(i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END, 256)"
                        " AS image FROM generate_series(1, 8) i")


def sql(text):
    """Runs SQL and returns the rows of its last result as lists of texts."""
    done = subprocess.run(PSQL + ["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-f", "-"],
                          input=text, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return [line.split("\t") for line in done.stdout.splitlines() if line]


def quote(text):
    """Returns a text as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def put(name, content):
    """Writes a file for the server; returns its path as a literal."""
    path = FOLDER / name
    path.write_bytes(content)
    path.chmod(0o644)
    return quote(path)


def get(query):
    """Returns the bytes that a query gives."""
    return bytes.fromhex(sql(f"SELECT encode(({query}), 'hex')")[-1][0])
