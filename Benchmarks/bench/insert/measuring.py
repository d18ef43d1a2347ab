"""How many single-row INSERTs a second, each a transaction of its own, with pgbench, by what is triggered. A worker is there and is busy."""

import pathlib
import re
import statistics
import subprocess

from bench import machine
from bench import worker as hark
from bench.report import number, spread
from bench.waiting import wait_until, wait_until_settled

# What happens with each row, beside what Hark itself does (its CHECKs and the trigger that fills in what is left open).
NONE, EMPTY, BELL, NOTIFY = "no trigger", "an empty trigger", "the bell", "NOTIFY always"
CREATE = {
    NONE: "select",
    EMPTY: "create trigger empty after insert on hark.tasks for each statement execute function empty()",
    BELL: "alter table hark.tasks enable trigger bell_insert",
    NOTIFY: "create trigger notify after insert on hark.tasks for each row execute function notify()",
}
DROP = "alter table hark.tasks disable trigger bell_insert; drop trigger if exists empty on hark.tasks; drop trigger if exists notify on hark.tasks"
FUNCTIONS = """
    create function empty() returns trigger language plpgsql as $$ begin return null; end $$;
    create function notify() returns trigger language plpgsql as $$ begin perform pg_notify('hark_bell_0', NEW.queue); return null; end $$;
"""
INSERT = "insert into hark.tasks (function, args) values ('noop', '{\"user\": 123456, \"template\": \"welcome\"}');\n"


def rates(bench, server, clients, kinds, seconds, repetitions):
    """Rates by kind, one for each repetition, in turn."""
    taken = {kind: [] for kind in kinds}
    with server.database("hark", template=hark.migrated(bench, server)) as database, server.connect(database) as connection:
        connection.execute(FUNCTIONS)
        # In the default queue it has one slot, which is taken: so it is awake as far as the doorbell knows.
        with hark.Worker(bench, database, slots=1, server=server) as worker:
            worker.wait_until_ready()
            connection.execute("insert into hark.tasks (function) values ('wait')")
            wait_until("the worker is busy", lambda: connection.execute("select from hark.tasks where state = 'running'").fetchall(), worker.check)
            _sample(bench, server, database, connection, BELL, clients, 0.2 if bench.quick else 1)
            for repetition in range(repetitions):
                for kind in kinds[repetition % len(kinds):] + kinds[:repetition % len(kinds)]:
                    taken[kind].append(_sample(bench, server, database, connection, kind, clients, seconds))
                bench.progress(f"insert, {clients} clients, {repetition + 1}/{repetitions}: " + ", ".join(f"{kind} {number(those[-1]['rate'])}" for kind, those in taken.items()))
    return taken


def _sample(bench, server, database, connection, kind, clients, seconds):
    connection.execute(DROP)
    connection.execute(CREATE[kind])
    connection.execute("delete from hark.tasks where state <> 'running'")
    connection.execute("vacuum hark.tasks")
    connection.execute("checkpoint")
    others = machine.Disturbance()
    rate = insert(bench, server, database, clients, seconds)
    # Until nobody counts the sessions that have just ended, they would seem to be somebody else's.
    wait_until_settled(server.pid)
    return {"rate": rate, "disturbance": others.share()}


def insert(bench, server, database, clients, seconds):
    """Rows a second."""
    script = pathlib.Path(bench.place, "insert.sql")
    script.write_text(INSERT)
    host, port, user, _ = server.arguments(database)
    command = [server.program("pgbench"), "-n", "-f", script, "-c", clients, "-j", 2, "-T", max(round(seconds), 1), "-M", "prepared", "-h", host, "-p", port, "-U", user, database]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not rate:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return float(rate[1])


def ratios(taken, kind, to):
    """One for each repetition: a disk that changes its pace is in both."""
    return [ours["rate"] / theirs["rate"] for ours, theirs in zip(taken[kind], taken[to])]


def row(clients, taken, kind):
    return [clients, kind, spread([one["rate"] for one in taken[kind]]), *(number(statistics.median(ratios(taken, kind, to))) for to in (NONE, EMPTY))]
