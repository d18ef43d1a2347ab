"""One INSERT, and nothing at all, while some workers sleep on more and more queues."""

import time

from bench import machine
from bench import worker as hark
from bench.report import Part, Target, disturbance, number
from bench.scale import fleet, sleepers


def run(bench):
    shapes = [(2, 1), (2, 10)] if bench.quick else [(1, 1), (4, 1), (16, 1), (100, 1), (4, 10), (4, 100), (4, 1_000), (16, 1_000)]
    inserts, seconds = (5, 6) if bench.quick else (50, 20)
    runs = {}
    with fleet.server(bench) as counting:
        for workers, queues in shapes:
            runs[f"{workers}, {queues:,}"] = _measure(counting, workers, queues, inserts, seconds)
            bench.progress(f"queues: {workers} workers, {queues} queues: {number(runs[f'{workers}, {queues:,}']['idle'])} statements a second for a worker that idles")
    part = Part(
        "scale.queues", "Queues: workers that sleep on more and more of them",
        f"Each worker has all the queues. One INSERT, of {inserts} into one queue after the other, as above. Idle: statements and CPU seconds for one worker in a minute in which nothing comes, from {seconds} s.",
        ["workers, queues", *sleepers.COLUMNS, "idle: statements", "idle: server CPU s", "idle: worker CPU s"], figures=runs)
    for name, run in runs.items():
        part.rows.append([name, *sleepers.cells(run), *(number(run[key] * 60) for key in ("idle", "idle_server_cpu", "idle_worker_cpu"))])
    # A worker alone has nobody to ask after.
    idle = [runs[f"{workers}, {queues:,}"]["idle"] for workers, queues in shapes if workers > 1]
    part.targets += [
        Target("statements of a worker that idles beside others, the most of all / the fewest", max(idle) / min(idle), 1.3, at_least=False),
        Target("worker processes woken per INSERT, the most of all", max(run["woken"] for run in runs.values()), 1.2, at_least=False),
    ]
    part.notes.append(disturbance(runs.values()))
    return part


def _measure(bench, count, queues, inserts, seconds):
    names = ["default"] if queues == 1 else [f"queue{number}" for number in range(queues)]
    with hark.database(bench) as database, bench.server.connect(database) as client:
        with fleet.fleet(bench, database, count, queues=names, poll=fleet.SELDOM) as workers:
            watch = fleet.Watch(bench, client, workers)
            for number in range(3):
                sleepers.insert(watch, client, names[number % queues])
            before, others = watch.asked(), machine.Disturbance()
            each = [sleepers.insert(watch, client, names[number * queues // inserts]) for number in range(inserts)]
            run = watch.asked_since(before, inserts) | {"disturbance": others.share()} | sleepers.summary(each)
        # With the poll interval that they have by default.
        with fleet.fleet(bench, database, count, queues=names) as workers:
            watch = fleet.Watch(bench, client, workers)
            before = watch.asked()
            time.sleep(seconds)
            idle = watch.asked_since(before, count * seconds)
        return run | {"idle": idle["statements"], "idle_server_cpu": idle["server_cpu"], "idle_worker_cpu": idle["worker_cpu"]}
