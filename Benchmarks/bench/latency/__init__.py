"""From INSERT to the start of the function: the benchmark `latency`."""

from bench.latency import idle, offered

PARTS = {"idle": idle, "offered": offered}


def versions():
    return {}
