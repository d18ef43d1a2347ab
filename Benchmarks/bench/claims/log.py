"""How many bytes a task leaves in the server's log (WAL), from its INSERT to its end."""

import contextlib
import json

from bench import draining, floor
from bench import worker as hark
from bench.report import Part, number

INSERT = {"C floor": "insert into floor.task (name, args) select 'send_mail', %s::jsonb from generate_series(1, %s)",
          "hark": "insert into hark.tasks (function, args) select 'noop', %s::jsonb from generate_series(1, %s)"}
TABLE = {"C floor": "floor.task", "hark": "hark.tasks"}
AT_ONCE = 1_000


def run(bench):
    tasks = bench.tasks
    part = Part(
        "claims.log", "Log: bytes of write-ahead log for each task",
        f"Arguments of 230 bytes. INSERT: one row a transaction, and {AT_ONCE:,} rows a transaction. Claim and outcome: {tasks:,} tasks that are drained by one worker. With full pages: right after a checkpoint, when each page "
        "that is touched for the first time goes to the log as a whole; without: as it is long after one.",
        ["", "full pages", "INSERT, one row", f"INSERT, {AT_ONCE:,} rows", "claim and outcome", "INSERT to end, one row"])
    totals = {}
    for full in (True, False):
        with _full_pages(bench, full):
            for name in INSERT:
                one, many = _inserted(bench, name, tasks // 10, 1), _inserted(bench, name, tasks, AT_ONCE)
                drained = (draining.drain_floor(bench, tasks) if name == "C floor" else draining.drain_hark(bench, tasks, args=draining.ARGS))["wal"]
                totals[name, full] = one + drained
                part.rows.append([name, "with" if full else "without", number(one), number(many), number(drained), number(one + drained)])
                part.figures[f"{name}, {'with' if full else 'without'} full pages"] = {"insert": one, "insert_many": many, "drain": drained}
                bench.progress(f"log: {name}, {'with' if full else 'without'} full pages: {number(one + drained)} bytes")
    for full in (True, False):
        part.notes.append(f"hark / floor, {'with' if full else 'without'} full pages: {number(totals['hark', full] / totals['C floor', full])}")
    return part


@contextlib.contextmanager
def _full_pages(bench, wanted):
    with bench.server.connect() as connection:
        connection.execute(f"alter system set full_page_writes = {'on' if wanted else 'off'}")
        connection.execute("select pg_reload_conf()")
        connection.execute("checkpoint")
        try:
            yield
        finally:
            connection.execute("alter system reset full_page_writes")
            connection.execute("select pg_reload_conf()")


def _inserted(bench, name, tasks, at_once):
    """Bytes for each of so many."""
    with (floor if name == "C floor" else hark).database(bench) as database, bench.server.connect(database) as connection:
        bench.server.settle(database, TABLE[name])
        before = connection.execute("select pg_current_wal_insert_lsn()").fetchone()[0]
        for _ in range(max(tasks // at_once, 1)):
            connection.execute(INSERT[name], [json.dumps(draining.ARGS), at_once], prepare=True)
        written = connection.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", [before]).fetchone()[0]
        return int(written) / (max(tasks // at_once, 1) * at_once)
