"""How many tasks a second, when many wait that do nothing: Hark's Swift function with one worker and with two, beside the bare statements of a C program."""

import statistics

from bench import draining
from bench.report import Part, Target, disturbance, number, spread

FLOOR = "C floor"


def run(bench):
    contestants = {
        FLOOR: lambda: draining.drain_floor(bench, bench.tasks),
        "hark, 1 worker": lambda: draining.drain_hark(bench, bench.tasks, args=draining.ARGS),
        "hark, 2 workers": lambda: draining.drain_hark(bench, bench.tasks, args=draining.ARGS, workers=2),
    }
    runs = draining.in_turn(bench, "drain", contestants)
    part = Part(
        "queue.drain", f"Drain: {bench.tasks:,} tasks of a Swift function that does nothing",
        f"Tasks a second, min / median / max of {bench.repetitions}. {draining.SLOTS} slots a worker, arguments of 230 bytes, finished tasks kept. The floor claims and completes "
        "1,000 at a time on one connection, on tables with the least. CPU and log: for each task.",
        ["", "tasks/s", "of the floor", "worker CPU us", "server CPU us", "log bytes"], figures={"tasks": bench.tasks, "runs": runs})
    median = {name: statistics.median(run["rate"] for run in those) for name, those in runs.items()}
    for name, those in runs.items():
        cpu = [number(statistics.median(run[side] for run in those) / bench.tasks * 1e6) if side in those[0] else "" for side in ("worker_cpu", "server_cpu")]
        part.rows.append([name, spread([run["rate"] for run in those]), number(median[name] / median[FLOOR]), *cpu, number(statistics.median(run["wal"] for run in those))])
    part.targets.append(Target("drain, one worker / floor", median["hark, 1 worker"] / median[FLOOR], 0.8, at_least=True))
    ratios = [ours["rate"] / floor["rate"] for ours, floor in zip(runs["hark, 1 worker"], runs[FLOOR])]
    part.notes += [f"the same ratio in each repetition: {spread(ratios)}", disturbance(run for those in runs.values() for run in those)]
    return part
