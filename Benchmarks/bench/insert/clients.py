"""INSERTs by 1, 16 and 64 clients."""

import statistics

from bench.insert import measuring
from bench.insert.measuring import BELL, EMPTY, NONE, NOTIFY
from bench.report import Part, Target, disturbance, spread


def run(bench):
    # Many and short: the disk and the neighbours of a virtual machine change their pace within seconds.
    seconds, repetitions = (1, 1) if bench.quick else (1, max(bench.repetitions, 15))
    part = Part(
        "insert.clients", "INSERT: one row a transaction, while the workers are busy",
        f"Rows a second, min / median / max of {repetitions} runs of {seconds} s, with pgbench and prepared statements; the ratios are medians of those of each repetition.",
        ["clients", "trigger", "rows/s", "of no trigger", "of an empty one"])
    for clients in (1, 16, 64):
        taken = measuring.rates(bench, bench.server, clients, [NONE, EMPTY, BELL, NOTIFY], seconds, repetitions)
        part.figures[clients] = taken
        part.rows += [measuring.row(clients, taken, kind) for kind in taken]
        ratios = measuring.ratios(taken, BELL, EMPTY)
        if clients > 1:
            part.targets.append(Target(f"{clients} clients: INSERTs with the bell / with an empty trigger", statistics.median(ratios), 0.9, at_least=True))
        part.notes.append(f"{clients} clients: the bell / an empty trigger in each repetition: {spread(ratios)}")
    part.notes.append(disturbance(one for taken in part.figures.values() for those in taken.values() for one in those))
    return part
