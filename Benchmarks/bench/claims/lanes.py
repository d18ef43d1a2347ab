"""Does it cost to have many queues, or many priorities? One worker drains the same number of tasks, spread over more and more lanes."""

import statistics

from bench import draining
from bench.report import Part, disturbance, number, spread

ALL_PRIORITIES = tuple(range(-10, 11))


def run(bench):
    tasks = min(bench.tasks, 50_000)
    repetitions = min(bench.repetitions, 3)
    shapes = [(1, 1), (10, 1)] if bench.quick else [(1, 1), (10, 1), (100, 1), (1_000, 1), (1, 21), (100, 21)]
    runs = draining.in_turn(bench, "lanes", {_name(*shape): lambda shape=shape: _drain(bench, tasks, *shape) for shape in shapes}, repetitions)
    part = Part(
        "claims.lanes", f"Lanes: {tasks:,} tasks over many queues and priorities",
        f"Tasks a second of one worker, min / median / max of {repetitions}; 1,000 slots altogether, but at least 10 for each queue.",
        ["", "tasks/s", "of one queue", "worker CPU us", "server CPU us"], figures={"tasks": tasks, "runs": runs})
    median = {name: statistics.median(run["rate"] for run in those) for name, those in runs.items()}
    for name, those in runs.items():
        cpu = [number(statistics.median(run[side] for run in those) / tasks * 1e6) for side in ("worker_cpu", "server_cpu")]
        part.rows.append([name, spread([run["rate"] for run in those]), number(median[name] / median[_name(1, 1)]), *cpu])
    part.notes.append(disturbance(run for those in runs.values() for run in those))
    return part


def _name(queues, priorities):
    return f"{queues:,} {'queue' if queues == 1 else 'queues'}, {priorities} {'priority' if priorities == 1 else 'priorities'}"


def _drain(bench, tasks, queues, priorities):
    names = ["default"] if queues == 1 else [f"queue{number}" for number in range(queues)]
    return draining.drain_hark(
        bench, tasks, slots=max(draining.SLOTS // queues, 10), queues=names, priorities=(0,) if priorities == 1 else ALL_PRIORITIES)
