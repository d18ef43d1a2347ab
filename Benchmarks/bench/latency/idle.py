"""From INSERT to the start of the function when the worker has nothing to do and sleeps."""

import statistics

from bench.latency import measuring
from bench.report import Part, Target, disturbance, number, percentile, spread

# Long enough for the worker to be asleep again, and of random length, so that it does not fall into step with anything.
PAUSE = (30_000, 70_000)


def run(bench):
    count, rounds = (20, 1) if bench.quick else (400, 5)
    contestants = {"C floor": measuring.of_floor, "hark": measuring.of_hark}
    runs = {name: [] for name in contestants}
    for number_of_round in range(rounds):
        for name in list(contestants)[:: 1 if number_of_round % 2 else -1]:
            runs[name].append(bench.undisturbed(name, lambda: contestants[name](bench, count, PAUSE)))
            bench.progress(f"latency {number_of_round + 1}/{rounds}: {name}: p50 {number(percentile(runs[name][-1]['milliseconds'], 50))} ms")
    part = Part(
        "latency.idle", "Latency: from INSERT to the start of a Swift function, worker asleep",
        f"Milliseconds; {rounds} rounds of {count} inserts, one at a time, with pauses of {PAUSE[0] / 1000:.0f} to {PAUSE[1] / 1000:.0f} ms. The floor: a C program that is woken in the same "
        "way and claims on the connection on which it listens, up to the end of its claim.",
        ["", "min", *(f"p{share}" for share in measuring.SHARES), "max"], figures=runs)
    for name, those in runs.items():
        part.rows.append([name, *measuring.cells(sorted(time for run in those for time in run["milliseconds"]))])
    for share, limit in ((50, 1.3), (99, 2)):
        ratios = [percentile(ours["milliseconds"], share) / percentile(floor["milliseconds"], share) for ours, floor in zip(runs["hark"], runs["C floor"])]
        part.targets.append(Target(f"latency p{share} / floor, median of the rounds", statistics.median(ratios), limit, at_least=False))
        part.notes.append(f"p{share} / floor in each round: {spread(ratios)}")
    part.notes.append(disturbance(run for those in runs.values() for run in those))
    return part
