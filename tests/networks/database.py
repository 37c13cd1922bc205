"""The server that the checks of networks use, through psql.

PSQL is the command that reaches it, as a superuser; FOLDER a folder that both
the server and this program may read and write.
"""
import os
import shlex
import subprocess
from pathlib import Path

FOLDER = Path(os.environ["FOLDER"])
PSQL = shlex.split(os.environ["PSQL"])


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
