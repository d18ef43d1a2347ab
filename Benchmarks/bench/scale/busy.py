"""1 to 16 workers, and 1 to 64 clients that insert for them: how many tasks a second get through, and what is asked for each."""

import statistics

from bench import machine
from bench import worker as hark
from bench.insert import measuring
from bench.report import Part, Target, disturbance, number, spread
from bench.scale import fleet
from bench.waiting import wait_until

SLOTS = 100


def run(bench):
    shapes = [(1, 4), (2, 4)] if bench.quick else [(1, 1), (1, 16), (1, 64), (4, 1), (4, 16), (4, 64), (16, 1), (16, 16), (16, 64)]
    seconds, repetitions = (1, 1) if bench.quick else (3, 3)
    runs = {shape: [] for shape in shapes}
    with fleet.server(bench) as counting:
        for repetition in range(repetitions):
            for shape in shapes[:: 1 if repetition % 2 else -1]:
                runs[shape].append(_measure(counting, *shape, seconds))
                bench.progress(f"busy {repetition + 1}/{repetitions}: {shape[0]} workers, {shape[1]} clients: {number(runs[shape][-1]['rate'])} tasks/s")
    part = Part(
        "scale.busy", "Workers and inserting clients at once",
        f"Clients of pgbench insert single rows for {seconds} s, one a transaction; the workers, with {SLOTS} slots each, are asleep at first. Tasks a second: until the last one is finished, min / median / max of "
        f"{repetitions}. Claims and statements but for the INSERTs for one task, by pg_stat_statements.",
        ["workers", "clients", "tasks/s", "inserted/s", "claims", "statements", "server CPU us", "workers' CPU us"],
        figures={f"{workers}, {clients}": those for (workers, clients), those in runs.items()})
    for (workers, clients), those in runs.items():
        middle = {key: statistics.median(run[key] for run in those) for key in those[0]}
        cpu = [number(middle[key] * 1e6) for key in ("server_cpu", "worker_cpu")]
        part.rows.append([workers, clients, spread([run["rate"] for run in those]), number(middle["inserted"]), number(middle["claims"]), number(middle["statements"]), *cpu])
    workers, clients = shapes[-1]
    claims = statistics.median(run["claims"] for run in runs[shapes[-1]])
    part.targets.append(Target(f"{workers} workers, {clients} clients: claims per task", claims, 1, at_least=False))
    part.notes.append(disturbance(run for those in runs.values() for run in those))
    return part


def _measure(bench, count, clients, seconds):
    with hark.database(bench) as database, bench.server.connect(database) as client, fleet.fleet(bench, database, count, slots=SLOTS) as workers:
        watch = fleet.Watch(bench, client, workers)
        bench.server.settle(database, "hark.tasks")
        others, before = machine.Disturbance(), watch.asked()
        (began,), = client.execute("select clock_timestamp()").fetchall()
        inserted = measuring.insert(bench, bench.server, database, clients, seconds)
        wait_until("all are done", lambda: not client.execute("select from only hark.tasks limit 1").fetchall())
        (tasks, ended), = client.execute("select count(*), max(finished_at) from hark.tasks_finished").fetchall()
        return watch.asked_since(before, tasks) | {"rate": tasks / (ended - began).total_seconds(), "inserted": inserted, "disturbance": others.share()}
