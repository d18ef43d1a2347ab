"""How many single-row INSERTs a second, each a transaction of its own, with pgbench, by what is triggered. A worker is there and is busy."""

import contextlib
import pathlib
import re
import statistics
import subprocess
import time

from bench import machine
from bench import worker as hark
from bench.report import number, spread
from bench.waiting import wait_until

# What happens with each row, beside what Hark itself does (the trigger that judges a row and fills in what is left open).
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
# After the trigger has been exchanged every session plans its INSERT anew.
SETTLING = 0.2


def rates(bench, server, clients, kinds, rounds, seconds):
    """Rates by kind, one for each round. The clients stay, as those of an application do, and insert without end; what is triggered is exchanged
    beneath them, so that what is to be compared lies within seconds: disk and neighbours of a virtual machine change their pace."""
    taken = {kind: [] for kind in kinds}
    with server.database("hark", template=hark.migrated(bench, server)) as database, server.connect(database) as connection:
        connection.execute(FUNCTIONS)
        (sequence,), = connection.execute("select pg_get_serial_sequence('hark.tasks', 'id')").fetchall()

        def clock():
            """How many rows there have been, and the seconds at which that was so."""
            return connection.execute(f"select last_value, extract(epoch from clock_timestamp())::float8 from {sequence}").fetchone()

        def all_are_there():
            sql = "select count(*) from pg_stat_activity where datname = current_database() and query like 'insert into hark.tasks (function, args)%'"
            return connection.execute(sql).fetchone()[0] >= clients

        # In the default queue it has one slot, which is taken: so it is awake as far as the doorbell knows.
        with hark.Worker(bench, database, slots=1, server=server) as worker:
            worker.wait_until_ready()
            connection.execute("insert into hark.tasks (function) values ('wait')")
            wait_until("the worker is busy", lambda: connection.execute("select from hark.tasks where state = 'running'").fetchall(), worker.check)
            with _inserting(bench, server, database, clients) as check:
                wait_until("all clients are there", all_are_there, check)
                others = machine.Disturbance()
                for turn in range(rounds):
                    first = turn % len(kinds)
                    for kind in (kinds[first:] + kinds[:first])[::1 if turn // len(kinds) % 2 else -1]:
                        connection.execute(f"{DROP}; {CREATE[kind]}")
                        time.sleep(SETTLING)
                        before, began = clock()
                        time.sleep(seconds)
                        after, ended = clock()
                        taken[kind].append((after - before) / (ended - began))
                    check()
                    worker.check()
                    bench.progress(f"insert, {clients} clients, {turn + 1}/{rounds}: " + ", ".join(f"{kind} {number(those[-1])}" for kind, those in taken.items()))
                share = others.share()
                if not all_are_there():
                    raise SystemExit("some of pgbench's clients have ended")
                return {"rates": taken, "disturbance": share}


@contextlib.contextmanager
def _inserting(bench, server, database, clients):
    """Yields what raises when the clients have ended by themselves."""
    command = ["setpriv", "--pdeathsig", "TERM", *_pgbench(bench, server, database, clients, 86_400)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        def check():
            if process.poll() is not None:
                raise SystemExit(f"pgbench failed:\n{process.stdout.read()}")

        try:
            yield check
        finally:
            process.terminate()


def insert(bench, server, database, clients, seconds):
    """Rows a second."""
    done = subprocess.run(_pgbench(bench, server, database, clients, max(round(seconds), 1)), capture_output=True, text=True)
    rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not rate:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return float(rate[1])


def _pgbench(bench, server, database, clients, seconds):
    script = pathlib.Path(bench.place, "insert.sql")
    script.write_text(INSERT)
    host, port, user, _ = server.arguments(database)
    return list(map(str, [
        server.program("pgbench"), "-n", "-f", script, "-c", clients, "-j", 2, "-T", seconds, "-M", "prepared", "-h", host, "-p", port, "-U", user, database]))


def ratio(taken, kind, to):
    """The rows of all rounds beside each other, and the standard error of that: a mean of quotients would be too high, since noise below counts
    for more than noise above."""
    ours, theirs = taken["rates"][kind], taken["rates"][to]
    whole = sum(ours) / sum(theirs)
    rest = [one - whole * other for one, other in zip(ours, theirs)]
    return whole, (statistics.stdev(rest) / statistics.fmean(theirs) / len(rest) ** 0.5 if len(rest) > 1 else 0)


def disturbance(runs):
    return f"others used at most {max(run['disturbance'] for run in runs):.0%} of the CPUs, on average over the rounds of one number of clients"


def rows(clients, taken):
    return [[clients, kind, spread(those), *(_with_error(*ratio(taken, kind, to)) for to in (NONE, EMPTY))] for kind, those in taken["rates"].items()]


def _with_error(value, error):
    return number(value) if error == 0 else f"{number(value)} ± {error:.3f}"
