"""The same on a disk whose syncs take 2 ms longer."""

from bench import slow_disk
from bench.insert import measuring
from bench.insert.measuring import BELL, EMPTY, NONE, NOTIFY
from bench.report import Part


def run(bench):
    seconds, repetitions = (1, 1) if bench.quick else (2, 3)
    part = Part(
        "insert.slow_disk", f"INSERT: the same on a disk that is {slow_disk.MICROSECONDS / 1000:.0f} ms slower",
        f"Rows a second, min / median / max of {repetitions} runs of {seconds} s. Each sync of the server takes {slow_disk.MICROSECONDS / 1000:.0f} ms longer.",
        ["clients", "trigger", "rows/s", "of no trigger", "of an empty one"])
    with slow_disk.server(bench) as server:
        for clients in (1, 16, 64):
            taken = measuring.rates(bench, server, clients, [NONE, EMPTY, BELL, NOTIFY], seconds, repetitions)
            part.figures[clients] = taken
            part.rows += [measuring.row(clients, taken, kind) for kind in taken]
    return part
