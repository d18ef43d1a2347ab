"""The same on a disk whose syncs take 2 ms longer."""

from bench import slow_disk
from bench.insert import measuring
from bench.insert.measuring import BELL, EMPTY, NONE, NOTIFY
from bench.report import Part


def run(bench):
    rounds, seconds = (2, 0.2) if bench.quick else (8, 1)
    part = Part(
        "insert.slow_disk", f"INSERT: the same on a disk that is {slow_disk.MICROSECONDS / 1000:.0f} ms slower",
        f"Rows a second, min / median / max of {rounds} rounds of {seconds} s each; ratios as above. Each sync of the server takes {slow_disk.MICROSECONDS / 1000:.0f} ms longer.",
        ["clients", "trigger", "rows/s", "of no trigger", "of an empty one"])
    with slow_disk.server(bench) as server:
        for clients in (1, 16, 64):
            part.figures[clients] = measuring.rates(bench, server, clients, [NONE, EMPTY, BELL, NOTIFY], rounds, seconds)
            part.rows += measuring.rows(clients, part.figures[clients])
    return part
