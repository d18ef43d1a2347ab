"""From INSERT to the start of the function: the benchmark `latency`."""

from bench.latency import idle, offered, slow_disk

PARTS = {"idle": idle, "offered": offered, "slow_disk": slow_disk}


def versions():
    return {}
