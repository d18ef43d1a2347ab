"""The queue as a whole: the benchmark `queue`."""

from bench.queue import drain, snapshot

PARTS = {"drain": drain, "snapshot": snapshot}


def versions():
    return {}
