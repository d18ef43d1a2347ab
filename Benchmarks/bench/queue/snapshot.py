"""The same drain while somebody holds a snapshot open (a dump, a forgotten psql), so that nothing that is dead can be cleaned up."""

import statistics

from bench import draining
from bench.report import Part, Target, disturbance, number, spread


def run(bench):
    tasks = bench.tasks if bench.quick else max(bench.tasks, 300_000)
    contestants = {
        f"{who}, {'held' if held else 'free'}": lambda drain=drain, held=held: drain(bench, tasks, held=held)
        for who, drain in (("C floor", draining.drain_floor), ("hark", _hark)) for held in (False, True)
    }
    repetitions = min(bench.repetitions, 3)
    runs = draining.in_turn(bench, "snapshot", contestants, repetitions)
    part = Part(
        "queue.snapshot", f"Held snapshot: {tasks:,} tasks",
        f"Tasks a second, min / median / max of {repetitions}. Held: a transaction with a snapshot from before the first claim stays open to the end.",
        ["", "tasks/s", "of free", "server CPU us"], figures={"tasks": tasks, "runs": runs})
    median = {name: statistics.median(run["rate"] for run in those) for name, those in runs.items()}
    for name, those in runs.items():
        free = median[name.replace("held", "free")]
        part.rows.append([name, spread([run["rate"] for run in those]), number(median[name] / free), number(statistics.median(run["server_cpu"] for run in those) / tasks * 1e6)])
    part.targets.append(Target("drain under a held snapshot / without", median["hark, held"] / median["hark, free"], 0.9, at_least=True))
    part.notes.append(disturbance(run for those in runs.values() for run in those))
    return part


def _hark(bench, tasks, held):
    return draining.drain_hark(bench, tasks, args=draining.ARGS, held=held)
