"""How what a task costs grows with the number of workers, of inserting clients and of queues: the benchmark `scale`."""

from bench.scale import busy, queues, sleepers

PARTS = {"sleepers": sleepers, "queues": queues, "busy": busy}


def versions():
    return {}
