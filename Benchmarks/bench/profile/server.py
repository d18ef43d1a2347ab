"""Where the server's time for a task goes, from its INSERT to its end: by statement, and what lies between the statements."""

import json

from bench import draining, processes
from bench import worker as hark
from bench.counting import on_counting_server
from bench.report import Part, number

INSERT = "insert into hark.tasks (function, args) values ('noop', %s)"
# The words that tell the worker's statements.
WORDS = {"claim": "attempt = t.attempt +", "complete": "insert into hark.tasks_finished"}


def run(bench):
    inserts = 200 if bench.quick else 20_000
    with on_counting_server(bench) as counting:
        inserted = _inserts(counting, inserts)
        drained = _drain(counting, bench.tasks)
    part = Part(
        "profile.server", "The server's time for one task",
        f"For one task, of {inserts:,} that are inserted one a transaction while nobody sleeps, and of {bench.tasks:,} that one worker drains. By pg_stat_statements, which itself costs a little; CPU: of all processes "
        "of the server. What is left is the commit, the bell, the protocol, and what the other processes do.",
        ["", "us", "log bytes", "statements"], figures={"inserts": inserted, "drain": drained})
    for title, run in (("INSERT", inserted), ("drain", drained)):
        for name, (time, log, calls) in run["statements"].items():
            part.rows.append([f"{title}: {name}", number(time), number(log), number(calls)])
        part.rows.append([f"{title}: the server's CPU, all of it", number(run["server_cpu"]), number(run["wal"]), ""])
        if "worker_cpu" in run:
            part.rows.append([f"{title}: the worker's CPU", number(run["worker_cpu"]), "", ""])
    return part


def _inserts(bench, count):
    with hark.database(bench) as database, bench.server.connect(database) as client:
        bench.server.settle(database, "hark.tasks")
        for _ in range(100):
            client.execute(INSERT, [json.dumps(draining.ARGS)], prepare=True)
        with _Statements(bench) as statements:
            cpu = processes.cpu(bench.server.pid)
            for _ in range(count):
                client.execute(INSERT, [json.dumps(draining.ARGS)], prepare=True)
            cpu = processes.cpu(bench.server.pid) - cpu
        return {"statements": statements.each(count, {"insert": "insert into hark.tasks (function"}), "server_cpu": cpu / count * 1e6, "wal": statements.log / count}


def _drain(bench, tasks):
    with _Statements(bench) as statements:
        run = draining.drain_hark(bench, tasks, args=draining.ARGS)
    return {"statements": statements.each(tasks, WORDS), "server_cpu": run["server_cpu"] / tasks * 1e6, "worker_cpu": run["worker_cpu"] / tasks * 1e6, "wal": run["wal"]}


class _Statements:
    """What the extension has counted while the block ran."""

    def __init__(self, bench):
        self._server = bench.server
        self._rows = []
        self.log = 0

    def __enter__(self):
        with self._server.connect() as connection:
            connection.execute("select pg_stat_statements_reset()")
            self._from = connection.execute("select pg_current_wal_insert_lsn()").fetchone()[0]
        return self

    def __exit__(self, *_):
        with self._server.connect() as connection:
            self.log = int(connection.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", [self._from]).fetchone()[0])
            self._rows = connection.execute("select query, total_exec_time * 1000, wal_bytes, calls from pg_stat_statements").fetchall()

    def each(self, tasks, words):
        """(us, bytes of log, calls) of each kind of statement for one task."""
        found = {}
        for name, text in words.items():
            rows = [row for row in self._rows if text in row[0].lower()]
            if not rows:
                raise SystemExit(f"the server has not counted a statement {name}")
            found[name] = tuple(float(sum(row[column] for row in rows)) / tasks for column in (1, 2, 3))
        return found
