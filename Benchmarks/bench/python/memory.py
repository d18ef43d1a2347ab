"""The memory of eight interpreters with Django: forked from one that has loaded it, as Hark does, beside as many Pythons that each load it themselves.

PSS shares out what several processes map in common, so a sum of it is what they take together. All of them have used their database connection before.
"""

import collections
import os
import subprocess

from psycopg.types.json import Jsonb

from bench import processes
from bench import worker as hark
from bench.report import Part, Target, number
from bench.waiting import wait_until

INTERPRETERS = 8
CALLS = 20


def run(bench):
    bench.progress("memory")
    with hark.database(bench) as database:
        forked, server = _forked(bench, database)
        separate = _separate(bench, database)
    part = Part(
        "python.memory", f"Memory: {INTERPRETERS} interpreters with Django",
        f"MB. Each has called a function that uses the database, {CALLS} times or so. Private is what no other process shares.",
        ["", "PSS, all", "PSS, each", "private, each"], figures={"forked": forked, "fork_server": server, "separate": separate})
    rows = {"hark, with its fork server": (forked + [server], forked), f"{INTERPRETERS} separate processes": (separate, separate)}
    for name, (everything, interpreters) in rows.items():
        pss, private = (sum(sizes[index] for sizes in interpreters) / INTERPRETERS for index in (0, 1))
        part.rows.append([name, number(sum(size for size, _ in everything)), number(pss), number(private)])
    total, alone = (sum(size for size, _ in sizes) for sizes in (forked + [server], separate))
    part.targets.append(Target("hark / separate", total / alone, 1, at_least=False))
    return part


def _forked(bench, database):
    with bench.server.connect(database) as connection, hark.Worker(bench, database, slots=1000, python=hark.python_django(bench, database, INTERPRETERS)) as worker:
        worker.wait_until_ready()
        calls = collections.Counter()
        # Each takes long enough for all to have one; until each has had enough.
        while len(calls) < INTERPRETERS or min(calls.values()) < CALLS:
            ids = [row[0] for row in connection.execute(
                "insert into hark.tasks (function, args) select 'sim.tasks.touch', %s from generate_series(1, %s) returning id",
                [Jsonb([0.02]), INTERPRETERS * CALLS])]
            done = "select result::int from hark.tasks_finished where id = any (%s) and state = 'completed'"
            wait_until("the functions have been called", lambda: len(connection.execute(done, [ids]).fetchall()) == len(ids), worker.check)
            calls.update(pid for pid, in connection.execute(done, [ids]))
        pids = worker.pythons()
        server = processes.parent(next(iter(calls)))
        if set(pids) != {server, *calls}:
            raise SystemExit("some interpreters were replaced while their memory was to be measured")
        return [processes.memory(pid) for pid in calls], processes.memory(server)


def _separate(bench, database):
    command = [bench.python, f"{bench.projects}/django/separate.py", str(CALLS)]
    running = []
    try:
        for _ in range(INTERPRETERS):
            running.append(subprocess.Popen(
                command, env={**os.environ, **hark.django_environment(bench, database)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for process in running:
            if process.stdout.readline() != "ready\n":
                raise SystemExit("a separate Python did not load the project")
        return [processes.memory(process.pid) for process in running]
    finally:
        for process in running:
            process.communicate()
