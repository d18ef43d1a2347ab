"""What the hot statements cost the server: shared buffers that they touch, and bytes that they write to the log."""

import json
import statistics
import time

from bench.waiting import wait_until
from guard.accepted import Figure
from guard.world import ARGS, Session

BATCH = 100
# The first of them does not count: it plans.
ROUNDS = 6
ERROR = json.dumps({"kind": "error", "message": "it went wrong"})
# A multiple of 32: so often a sequence writes to the log.
INSERTS = 320
INSERT = "insert into hark.tasks (function, args) values ('noop', %s)"


def figures(world):
    found = {}
    for name, measure in {"claim": _claim, "complete": _complete, "fail": _fail, "retry": _retry, "promote": _promote}.items():
        with world.session() as session:
            found[f"{name}.buffers"] = Figure(_median(measure, session) / BATCH, f"buffers per task, {BATCH} at once", world.by)
    # Beside a second worker, which lives.
    for name in ("lanes", "next_due", "suspects"):
        with world.session() as session, Session(world, session.database):
            value = session.worker if name == "suspects" else ["default"]
            found[f"{name}.buffers"] = Figure(_median(lambda it: it.buffers(name, value), session), "buffers per call", world.by)
    for name, asleep in {"insert.buffers": False, "insert_with_bell.buffers": True}.items():
        found[name] = Figure(_insert(world, asleep), "buffers per task, one at a time", world.by)
    return found | _log(world)


def _median(measure, session):
    return statistics.median([measure(session) for _ in range(ROUNDS)][1:])


def _claim(session):
    counts = []

    def run(*arguments):
        counts.append(session.buffers(*arguments))

    _all(session.claim(BATCH, run))
    return counts[0]


def _complete(session):
    return session.buffers("complete", *session.fence(_all(session.claim(BATCH))), ["42"] * BATCH)


def _fail(session):
    return session.buffers("fail", *session.fence(_all(session.claim(BATCH))), [ERROR] * BATCH)


def _retry(session):
    return session.buffers("retry", *session.fence(_all(session.claim(BATCH))), [60.0] * BATCH, [ERROR] * BATCH)


def _promote(session):
    session.connection.execute(
        "update only hark.tasks set run_at = now() - interval '1 second' where id in "
        f"(select id from only hark.tasks where state = 'scheduled' order by run_at limit {BATCH})")
    return session.buffers("promote", ["default"], BATCH)


def _all(tasks):
    if len(tasks) != BATCH:
        raise SystemExit(f"{len(tasks)} of {BATCH} tasks were claimed")
    return tasks


def _insert(world, asleep):
    """By the server's own count, because EXPLAIN does not count what a trigger does at the commit: of many, less that of half as many."""
    bells = []
    with world.session() as session:
        signal = session.signal
        signal.execute(f"listen hark_worker_{session.worker}")
        signal.add_notify_handler(bells.append)
        if asleep:
            session.execute("arm", session.worker, ["default"], True, False, on=signal)
        # What a session has done is counted when it ends, or at the end of its next transaction after a second.
        time.sleep(1.1)
        for connection in (session.connection, signal):
            connection.execute("select 1")
        touched = _inserted(world, session.database, 2 * INSERTS) - _inserted(world, session.database, INSERTS)
        signal.execute("select 1")
    if len(bells) != (3 * INSERTS if asleep else 0):
        raise SystemExit(f"the bell rang {len(bells)} times for a worker that {'slept' if asleep else 'was awake'}")
    return touched / INSERTS


def _inserted(world, database, count):
    with world.server.connect() as watch:
        touched = "select blks_hit + blks_read, xact_commit from pg_stat_database where datname = %s"
        before = watch.execute(touched, [database]).fetchone()
        with world.server.connect(database) as client:
            pid = client.info.backend_pid
            for _ in range(count):
                client.execute(INSERT, [ARGS], prepare=True)
        wait_until("the client has left", lambda: not watch.execute("select 1 from pg_stat_activity where pid = %s", [pid]).fetchone(), lambda: None)
        wait_until("its statistics have come", lambda: watch.execute(touched, [database]).fetchone()[1] >= before[1] + count, lambda: None)
        return watch.execute(touched, [database]).fetchone()[0] - before[0]


def _log(world):
    """Without full pages, which depend on the moment of the last checkpoint; with the commit."""
    with world.session() as session:
        written = {"insert.log": [], "claim.log": [], "complete.log": []}
        for _ in range(ROUNDS):
            before = session.log_position()
            for _ in range(INSERTS):
                session.connection.execute(INSERT, [ARGS], prepare=True)
            written["insert.log"].append((session.log_position() - before) / INSERTS)
            before = session.log_position()
            tasks = _all(session.claim(BATCH))
            written["claim.log"].append((session.log_position() - before) / BATCH)
            before = session.log_position()
            session.execute("complete", *session.fence(tasks), ["42"] * BATCH)
            written["complete.log"].append((session.log_position() - before) / BATCH)
    return {name: Figure(float(statistics.median(values[1:])), "bytes of log per task", world.by) for name, values in written.items()}
