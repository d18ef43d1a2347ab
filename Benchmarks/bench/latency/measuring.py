"""One way of measuring for Hark and the floor: a C program inserts and looks at the clock before it hands the statement to libpq; the
function looks at the same clock as the first thing it does, and the floor when its claim is done."""

import contextlib
import os
import subprocess
import tempfile

from bench import floor, machine
from bench import worker as hark
from bench.report import number, percentile
from bench.waiting import wait_until

SHARES = (50, 95, 99, 99.9)


def of_hark(bench, count, pause, durable_claims=True):
    """Milliseconds from the INSERT to the first line of a Swift function. pause: (from, to) in microseconds between two inserts."""
    with hark.database(bench) as database, hark.Worker(bench, database, slots=100, durable_claims=durable_claims) as worker, bench.server.connect(database) as connection:
        worker.wait_until_ready()
        sql = "insert into hark.tasks (function) values ('now') returning id"

        def began(ids):
            done = "select id, result::bigint from hark.tasks_finished where id = any (%s)"
            wait_until("all tasks are done", lambda: connection.execute(f"select count(*) from ({done}) d", [ids]).fetchone()[0] == len(ids), worker.check)
            return connection.execute(done, [ids]).fetchall()

        began_at = _insert(bench, database, min(count, 20), pause, sql)
        began(list(began_at))
        others = machine.Disturbance()
        sent = _insert(bench, database, count, pause, sql)
        disturbance = others.share()
        return {"milliseconds": sorted((moment - sent[id]) / 1e6 for id, moment in began(list(sent))), "disturbance": disturbance}


def of_floor(bench, count, pause):
    """Milliseconds from the INSERT to the end of the claim, in a C program that does nothing else."""
    with floor.database(bench) as database, _listener(bench, database) as claimed:
        with bench.server.connect(database) as connection:
            connection.execute("create trigger ring after insert on floor.task for each row execute function floor.ring()")
        sql = "insert into floor.task (name) values ('now') returning id"
        _insert(bench, database, min(count, 20), pause, sql)
        others = machine.Disturbance()
        sent = _insert(bench, database, count, pause, sql)
        disturbance = others.share()
        moments = claimed(sent)
        return {"milliseconds": sorted((moments[id] - moment) / 1e6 for id, moment in sent.items()), "disturbance": disturbance}


@contextlib.contextmanager
def _listener(bench, database):
    """Yields what ends the program and returns when it claimed which task."""
    # What it says goes to a file, because nobody reads it meanwhile, and a pipe would be full.
    with tempfile.TemporaryFile() as said:
        process = floor.start(bench, database, "listen", stdin=subprocess.PIPE, stdout=said)

        def lines():
            # The program shares our place in the file: to move it would have it write over what it has said.
            return os.pread(said.fileno(), os.fstat(said.fileno()).st_size, 0).decode().splitlines()

        def moments():
            # The last line may be half written.
            return dict(map(int, line.split()) for line in lines()[1:] if line.count(" ") == 1)

        def claimed(ids):
            # It ends when it is told to, whatever it has not heard yet.
            wait_until("the floor has claimed all of them", lambda: ids.keys() <= moments().keys(), patience=10)
            process.communicate()
            return moments()

        try:
            wait_until("the floor listens", lines)
            yield claimed
        finally:
            process.kill()
            process.wait()


def _insert(bench, database, count, pause, sql):
    """Nanoseconds since 1970 at which each was sent, by id."""
    rows = (map(int, line.split()) for line in floor.run(bench, database, "insert", str(count), *map(str, pause), sql).splitlines())
    return {id: sent for id, sent, _ in rows}


def once(bench, what, contestants):
    """One run of each contestant, a name and what measures it."""
    runs = {}
    for name, measure in contestants.items():
        runs[name] = bench.undisturbed(name, measure)
        bench.progress(f"{what}: {name}: p50 {number(percentile(runs[name]['milliseconds'], 50))} ms")
    return runs


def cells(times):
    return [number(times[0]), *(number(percentile(times, share)) for share in SHARES), number(times[-1])]
