"""Python functions: the benchmark `python`."""

import importlib.metadata
import sys

from bench.python import crash, drain, latency, memory

PARTS = {"drain": drain, "latency": latency, "crash": crash, "memory": memory}
PACKAGES = ["pgqueuer", "asyncpg", "uvloop", "Django", "psycopg"]


def versions():
    """Printed with the figures."""
    return {"Python": sys.version.split()[0], **{name: importlib.metadata.version(name) for name in PACKAGES}}
