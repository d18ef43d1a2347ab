"""From an INSERT to the first line of the function, when the worker has nothing to do: a Python function beside a Swift function of the same worker, in turn.

The client looks at the clock before it hands the statement to libpq, the function as the first thing it does. After each task there is a pause, so that
the worker sleeps again.

Two transactions are on the disk before the function starts, that of the INSERT and that of the claim. On a slow disk that is most of the time, and hides
what Python adds; so the same is measured again with synchronous_commit off.
"""

import random
import time

from bench import machine
from bench import worker as hark
from bench.report import Part, Target, disturbance, number, percentile
from bench.waiting import wait_until

FUNCTIONS = {"Python": b"app.tasks.now", "Swift": b"now"}
PAUSE = (0.03, 0.07)


def run(bench):
    samples = 20 if bench.quick else 300
    part = Part(
        "python.latency", "Latency: from INSERT to the first line of the function, worker idle",
        f"Milliseconds, {samples} of each, one at a time and in turn, with pauses of {PAUSE[0] * 1000:.0f} to {PAUSE[1] * 1000:.0f} ms. "
        "One worker has both functions.",
        ["synchronous_commit", "function", "min", "p50", "p95", "p99", "max"])
    for commit in ("on", "off"):
        bench.progress(f"latency: {samples} of each, synchronous_commit {commit}")
        figures = bench.undisturbed("latency", lambda: _measure(bench, samples, commit))
        taken = figures["milliseconds"]
        for name, times in taken.items():
            part.rows.append([commit, name, *(number(percentile(times, share)) for share in (0, 50, 95, 99, 100))])
        part.figures[commit] = figures
        python, swift = (percentile(taken[name], 50) for name in FUNCTIONS)
        if commit == "on":
            part.targets.append(Target("Python / Swift at p50", python / swift, 1.5, at_least=False))
        else:
            part.notes.append(f"the same without the disk: {number(python / swift)}; Python adds {(python - swift) * 1000:.0f} us")
    part.notes.append(disturbance(part.figures.values()))
    return part


def _measure(bench, samples, commit):
    with hark.database(bench) as database, bench.server.connect(database) as connection:
        connection.execute(f"alter database {database} set synchronous_commit = {commit}")
        # Sessions that begin from now on have it, also the client's.
        with hark.Worker(bench, database, slots=1000, python=hark.python_plain(bench, 2)) as worker, bench.server.connect(database) as client:
            worker.wait_until_ready()
            _sample(client, worker, 5)
            others = machine.Disturbance()
            taken = _sample(client, worker, samples)
            return {"milliseconds": {name: sorted(times) for name, times in taken.items()}, "disturbance": others.share()}


def _sample(connection, worker, count):
    """Milliseconds, by function."""
    pgconn = connection.pgconn
    # Below psycopg, whose own work for a statement would be in both figures and make them look more alike than they are.
    pgconn.prepare(b"enqueue", b"insert into hark.tasks (function) values ($1) returning id")
    sent = {}
    for _ in range(count):
        for name, function in FUNCTIONS.items():
            time.sleep(random.uniform(*PAUSE))
            moment = time.time_ns()
            answer = pgconn.exec_prepared(b"enqueue", [function])
            sent[int(answer.get_value(0, 0))] = (name, moment)
    pgconn.exec_(b"deallocate enqueue")
    ids = list(sent)
    count_done = "select count(*) from hark.tasks_finished where id = any (%s)"
    wait_until("all tasks are done", lambda: connection.execute(count_done, [ids]).fetchone()[0] == len(ids), worker.check)
    times = {name: [] for name in FUNCTIONS}
    for id, began in connection.execute("select id, result::bigint from hark.tasks_finished where id = any (%s)", [ids]):
        name, moment = sent[id]
        times[name].append((began - moment) / 1e6)
    return times
