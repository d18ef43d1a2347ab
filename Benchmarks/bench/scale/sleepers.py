"""One INSERT while more and more workers sleep on the queue: how many wake, what they ask, how soon the task starts."""

import statistics
import time

from bench import machine
from bench import worker as hark
from bench.report import Part, Target, disturbance, number, percentile
from bench.scale import fleet
from bench.waiting import wait_until

COLUMNS = ["woken", "claims", "statements", "commit ms", "start ms", "server CPU ms", "workers' CPU ms"]
ONE, EVERYBODY = "one is rung", "everybody is rung"
# Nobody leaves anything to others: all stand by, and listen. They find out when they are rung.
RING_EVERYBODY = """
    create or replace function hark.is_guarded(worker integer, queues text[]) returns boolean language sql volatile as 'select false';
    create or replace function hark.are_answered(buckets integer[]) returns boolean language sql volatile as 'select false';
    select pg_notify('hark_worker_' || id, 'bell default') from hark.workers
"""
# A worker that has heard a bell for nothing, too, is asleep again after this.
AFTERMATH = 0.05


def run(bench):
    counts, inserts = ([1, 3], 5) if bench.quick else ([1, 2, 4, 16, 100], 100)
    runs = {}
    with fleet.server(bench) as counting:
        for count in counts:
            runs[count] = _measure(counting, count, inserts)
            bench.progress(f"sleepers, {count}: " + ", ".join(f"{kind}: {number(run['claims'])} claims" for kind, run in runs[count].items()))
    part = Part(
        "scale.sleepers", "Sleepers: one INSERT while many workers sleep",
        f"For one INSERT, of {inserts}, one at a time, each after everybody is asleep again. Woken: worker processes that asked the server for anything. Claims, and all statements but the INSERT, by pg_stat_statements. "
        "Start: from the INSERT to the first line of the function, p50. Commit: how long the INSERT took, p50. Everybody is rung: the same schema with nobody who leaves a queue to others.",
        ["sleepers", "", *COLUMNS], figures=runs)
    for count, kinds in runs.items():
        for kind, run in kinds.items():
            part.rows.append([count, kind, *cells(run)])
    few, many = runs[counts[0]][ONE], runs[counts[-1]][ONE]
    part.targets += [
        Target(f"{counts[-1]} sleepers: worker processes woken per INSERT", many["woken"], 1.2, at_least=False),
        Target(f"claims per INSERT, {counts[-1]} sleepers / {counts[0]}", many["claims"] / few["claims"], 1.2, at_least=False),
    ]
    part.notes.append(disturbance(run for kinds in runs.values() for run in kinds.values()))
    return part


def _measure(bench, count, inserts):
    taken = {}
    with hark.database(bench) as database, bench.server.connect(database) as client, fleet.fleet(bench, database, count, poll=fleet.SELDOM) as workers:
        watch = fleet.Watch(bench, client, workers)
        for kind in (ONE, EVERYBODY):
            if kind == EVERYBODY:
                client.execute(RING_EVERYBODY)
                watch.wait_until_asleep()
            for _ in range(3):
                insert(watch, client)
            before, others = watch.asked(), machine.Disturbance()
            each = [insert(watch, client) for _ in range(inserts)]
            taken[kind] = watch.asked_since(before, inserts) | {"disturbance": others.share()} | summary(each)
    return taken


def insert(watch, client, queue="default"):
    """One task from its INSERT until everybody sleeps again."""
    before = watch.sessions()
    sent = time.time_ns()
    (id,), = client.execute(f"{fleet.INSERT}, queue) values ('now', %s) returning id", [queue], prepare=True).fetchall()
    commit = time.time_ns() - sent
    (began,), = wait_until("the task is done", lambda: client.execute(fleet.RESULT, [id], prepare=True).fetchall(), pause=0.002)
    time.sleep(AFTERMATH)
    watch.wait_until_asleep()
    return {"woken": len({name for _, name, _ in watch.sessions() - before}), "commit": commit / 1e6, "start": (began - sent) / 1e6}


def cells(run):
    return [number(run[key]) for key in ("woken", "claims", "statements", "commit", "start")] + [number(run[key] * 1e3) for key in ("server_cpu", "worker_cpu")]


def summary(each):
    woken = {"woken": statistics.mean(one["woken"] for one in each)}
    return woken | {key: percentile([one[key] for one in each], 50) for key in ("commit", "start")}
