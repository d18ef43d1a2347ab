"""INSERTs by 1, 16 and 64 clients."""

import statistics

from bench.insert import measuring
from bench.insert.measuring import BELL, EMPTY, NONE, NOTIFY
from bench.report import Part, Target, disturbance, number, spread


def run(bench):
    # Many and short: the disk and the neighbours of a virtual machine change their pace within seconds, and one run of a second may differ
    # from the next by a sixth. So what is to be reached is the mean of many pairs.
    seconds, repetitions, pairs = (1, 1, 1) if bench.quick else (1, max(bench.repetitions, 10), 40)
    part = Part(
        "insert.clients", "INSERT: one row a transaction, while the workers are busy",
        f"Rows a second, min / median / max of {repetitions} runs of {seconds} s, with pgbench and prepared statements; the ratios are medians of those of each repetition. "
        f"What is to be reached is the mean of {pairs} more pairs of runs, one with an empty trigger and one with the bell, each time in the other order.",
        ["clients", "trigger", "rows/s", "of no trigger", "of an empty one"])
    for clients in (1, 16, 64):
        taken = measuring.rates(bench, bench.server, clients, [NONE, EMPTY, BELL, NOTIFY], seconds, repetitions)
        part.figures[clients] = taken
        part.rows += [measuring.row(clients, taken, kind) for kind in taken]
        if clients > 1:
            beside = measuring.rates(bench, bench.server, clients, [EMPTY, BELL], seconds, pairs)
            part.figures[f"{clients}, pairs"] = beside
            ratios = measuring.ratios(beside, BELL, EMPTY)
            mean, error = statistics.fmean(ratios), statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else 0
            part.targets.append(Target(f"{clients} clients: INSERTs with the bell / with an empty trigger", mean, 0.9, at_least=True))
            part.notes.append(f"{clients} clients: the bell / an empty trigger in each of {pairs} pairs: {spread(ratios)}; standard error of the mean {number(error)}")
    part.notes.append(disturbance(one for taken in part.figures.values() for those in taken.values() for one in those))
    return part
