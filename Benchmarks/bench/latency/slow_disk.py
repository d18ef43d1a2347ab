"""The same, worker asleep, on a disk whose syncs take 2 ms longer: what a queue gains that does not wait for it."""

import copy

from bench import slow_disk
from bench.latency import measuring
from bench.latency.idle import PAUSE
from bench.report import Part, disturbance


def run(bench):
    count = 20 if bench.quick else 400
    with slow_disk.server(bench) as server:
        slow = copy.copy(bench)
        slow.server = server
        runs = measuring.once(bench, "latency on a slow disk", {
            "C floor": lambda: measuring.of_floor(slow, count, PAUSE),
            "hark": lambda: measuring.of_hark(slow, count, PAUSE),
            "hark, `durable_claims = false`": lambda: measuring.of_hark(slow, count, PAUSE, durable_claims=False),
        })
    part = Part(
        "latency.slow_disk", f"Latency: the same on a disk that is {slow_disk.MICROSECONDS / 1000:.0f} ms slower",
        f"Milliseconds; {count} inserts of each, one at a time, worker asleep. Each sync of the server takes {slow_disk.MICROSECONDS / 1000:.0f} ms longer: one for the INSERT, and one for a durable claim.",
        ["", "min", *(f"p{share}" for share in measuring.SHARES), "max"], figures=runs)
    part.rows += [[name, *measuring.cells(run["milliseconds"])] for name, run in runs.items()]
    part.notes.append(disturbance(runs.values()))
    return part
