"""One worker, and what it costs and endures: the benchmark `workers`."""

from bench.workers import executables, idle, memory, recovery

PARTS = {"idle": idle, "recovery": recovery, "memory": memory, "executables": executables}


def versions():
    return {}
