"""What a worker costs that has nothing to do: CPU time, memory, sessions, and what it asks of the server."""

import subprocess
import time

from bench import floor, machine, processes
from bench import worker as hark
from bench.counting import on_counting_server
from bench.report import Part, Target, disturbance, number
from bench.waiting import wait_until_settled

POLL = 5
# The early looks of a worker that has just started, which may have taken the place of a killed one, are over.
SETTLING = 3


def run(bench):
    seconds = 6 if bench.quick else 30
    # Statements and not transactions: pg_stat_database learns late, or never, of those that touch no table.
    with on_counting_server(bench) as counting:
        runs = {"C floor": _floor(counting, seconds), "hark": _hark(counting, seconds)}
    part = Part(
        "workers.idle", f"Idle: {seconds} s with nothing to do",
        f"The floor: a C program with two connections that asks `select 1` every {POLL} s. A worker looks every 0.8 to 0.95 of its poll interval, which is {POLL} s. Round trips: as seen in "
        "pg_stat_activity, ten times a second; statements by pg_stat_statements, which misses none. Wake-ups: how often its threads went to sleep. PSS: its share of "
        "the memory that it maps; anonymous is what comes from no file.",
        ["", "CPU s", "PSS MB", "anonymous MB", "sessions", "round trips", "statements", "wake-ups"], figures={"seconds": seconds, "runs": runs})
    for name, one in runs.items():
        part.rows.append([name, *(number(one[key]) for key in ("cpu", "pss", "anonymous")), *(one[key] for key in ("sessions", "trips", "statements", "wake_ups"))])
    ours = runs["hark"]
    part.targets += [
        Target("idle worker: sessions", ours["sessions"], 2, at_least=False),
        Target(f"idle worker: round trips in {seconds} s", ours["trips"], seconds / (0.8 * POLL) + 1, at_least=False),
        Target("idle worker: CPU seconds in 30 s", ours["cpu"] * 30 / seconds, 0.005, at_least=False),
        Target("idle worker: PSS in MB", ours["pss"], 14, at_least=False),
        Target("idle worker: anonymous PSS in MB", ours["anonymous"], 4, at_least=False),
    ]
    part.notes.append(disturbance(runs.values()))
    return part


def _hark(bench, seconds):
    with hark.database(bench) as database, hark.Worker(bench, database, slots=10) as worker:
        worker.wait_until_ready()
        return _watch(bench, database, worker.pid, seconds)


def _floor(bench, seconds):
    with floor.database(bench) as database:
        process = floor.start(bench, database, "idle", stdout=subprocess.PIPE)
        try:
            process.stdout.readline()
            return _watch(bench, database, process.pid, seconds)
        finally:
            process.kill()
            process.communicate()


def _watch(bench, database, pid, seconds):
    time.sleep(SETTLING)
    wait_until_settled(pid)
    # From another database, so that all sessions of this one are the worker's.
    with bench.server.connect() as watch:
        def changes():
            return set(watch.execute("select pid, state_change from pg_stat_activity where datname = %s and state = 'idle'", [database]).fetchall())

        def asked():
            calls = "select coalesce(sum(calls), 0) from pg_stat_statements where dbid = (select oid from pg_database where datname = %s)"
            return int(watch.execute(calls, [database]).fetchone()[0])

        first = seen = changes()
        statements = asked()
        slept = woken = processes.sleeps(pid)
        others = machine.Disturbance()
        cpu = processes.precise_cpu(pid)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.1)
            seen = seen | changes()
            # Of a thread that ends, what was seen last.
            woken = woken | processes.sleeps(pid)
        cpu = processes.precise_cpu(pid) - cpu
        statements = asked() - statements
        memory = processes.memory_map(pid)
        return {"cpu": cpu, "pss": memory["Pss"], "anonymous": memory["Pss_Anon"],
                "sessions": len(first), "trips": len(seen - first), "statements": statements,
                "wake_ups": sum(count - slept.get(thread, 0) for thread, count in woken.items()), "disturbance": others.share()}
