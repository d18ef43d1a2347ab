"""What a claim of 100 tasks costs the server, from a thousand to five million that are ready, beside a million of the future and ten million finished."""

import pathlib
import statistics

import psycopg

from bench import machine
from bench import worker as hark
from bench.report import Part, Target, disturbance, number

HARK = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "Sources/Hark"
CLAIM = HARK / "Store/SQL/claim.sql"
BATCH = 100
ROUNDS = 9
# What of a worker's session matters for the plan; `run` sees to it that SessionSetup still has it.
SESSION = ["set hark.worker = on", "set search_path = pg_catalog", "set jit = off", "set enable_seqscan = off", "set plan_cache_mode = force_generic_plan"]


def run(bench):
    sizes = [1_000, 5_000] if bench.quick else [1_000, 10_000, 100_000, 1_000_000, 5_000_000]
    scheduled, finished = (1_000, 10_000) if bench.quick else (1_000_000, 10_000_000)
    costs, full_looks, runs = {}, {}, []
    with hark.database(bench) as database, bench.server.connect(database) as loader, bench.server.connect(database) as worker:
        # Bulk: what the triggers would fill in is given.
        loader.execute("set session_replication_role = replica")
        loader.execute(
            "insert into hark.tasks_finished (id, position, state, function, args, finished_at)"
            " select -n, -n, 'completed', 'noop', '[1, 2]', now() - n * interval '1 ms' from generate_series(1, %s) n", [finished])
        loader.execute(
            "insert into hark.tasks (state, function, args, run_at) select 'scheduled', 'noop', '[1, 2]', now() + interval '1 day' from generate_series(1, %s)", [scheduled])
        loader.execute("insert into hark.workers (name) values ('bench')")
        setup = (HARK / "Worker/SignalLink.swift").read_text()
        for statement in SESSION:
            if f'"{statement}"' not in setup:
                raise SystemExit(f"a worker's session is not set up with `{statement}` any more: this benchmark has to follow")
            worker.execute(statement)
        # psycopg would prepare statements too, and deallocate all after a rollback, ours among them.
        worker.prepare_threshold = None
        worker.execute(f"prepare claim as {CLAIM.read_text()}")
        ready = 0
        for size in sizes:
            bench.progress(f"backlog: adding up to {size:,}")
            loader.execute("insert into hark.tasks (function, args) select 'noop', '[1, 2]' from generate_series(1, %s)", [size - ready])
            bench.server.settle(database, "hark.tasks", *(["hark.tasks_finished"] if not ready else []))
            bench.wait_for_quiet()
            others = machine.Disturbance()
            full_looks[size] = _full_looks(worker)
            costs[size] = _claims(worker)
            runs.append({"disturbance": others.share()})
            ready = size - (ROUNDS + 1) * BATCH
        size_on_disk = loader.execute("select pg_size_pretty(pg_database_size(current_database()))").fetchone()[0]
    part = Part(
        "claims.backlog", f"Claim of {BATCH} tasks, beside {scheduled:,} scheduled and {finished:,} finished ones",
        f"The server's own time by EXPLAIN ANALYZE, the median of {ROUNDS} claims, each of which goes on where the one before has taken; and the pages that it touches. "
        f"A full look: the median of {ROUNDS} claims with the mark 0, each of which is rolled back.",
        ["ready", "ms", "of the smallest", "pages", "full look ms", "of the smallest", "pages"], figures={"costs": costs, "full_looks": full_looks, "runs": runs})
    for size in sizes:
        cells = [(_time(kind[size]), _time(kind[size]) / _time(kind[sizes[0]]), _pages(kind[size])) for kind in (costs, full_looks)]
        part.rows.append([f"{size:,}", *(number(value) for three in cells for value in three)])
    for what, kind in (("claim", costs), ("claim by a full look", full_looks)):
        part.targets.append(Target(f"{what} at {sizes[-1]:,} ready / at {sizes[0]:,}", _time(kind[sizes[-1]]) / _time(kind[sizes[0]]), 1.5, at_least=False))
    part.notes += [f"the database took {size_on_disk} at the end", disturbance(runs)]
    return part


def _time(claims):
    return statistics.median(time for time, _ in claims)


def _pages(claims):
    return statistics.median(pages for _, pages in claims)


def _full_looks(worker):
    """(milliseconds, pages) of claims that look from the beginning, as a worker does at first and now and then, and take nothing in the end."""
    costs = []
    for _ in range(ROUNDS + 1):
        with worker.transaction(force_rollback=True):
            costs.append(_claim(worker, 0))
    return costs[1:]


def _claims(worker):
    """(milliseconds, pages) of each claim but the first, which is a full look and finds the mark."""
    costs, mark = [], 0
    for _ in range(ROUNDS + 1):
        costs.append(_claim(worker, mark))
        mark = worker.execute("select min(position) from only hark.tasks where token = %s", [mark + 1]).fetchone()[0]
    # Out of the way of the next size, as if they had been done.
    worker.execute("delete from only hark.tasks where state = 'running'")
    return costs[1:]


def _claim(worker, mark):
    """(milliseconds, pages) of one, whose token is the mark and one."""
    values = [["default"], [BATCH], [1], [1], [0], [mark], 1, mark + 1, None, None]
    execute = f"explain (analyze, buffers, timing off, format json) execute claim({', '.join(['%s'] * len(values))})"
    plan = psycopg.ClientCursor(worker).execute(execute, values).fetchone()[0][0]
    taken = plan["Plan"]["Actual Rows"]
    if taken != BATCH:
        raise SystemExit(f"{taken} of {BATCH} tasks were claimed")
    return plan["Execution Time"], plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
