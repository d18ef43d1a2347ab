"""Many workers on one server, and what they ask of it."""

import contextlib

from bench import processes
from bench import worker as hark
from bench.counting import on_counting_server
from bench.waiting import wait_until

# So rare that an INSERT has what it causes to itself.
SELDOM = "60s"
CLAIM = "attempt = t.attempt +"
INSERT = "insert into hark.tasks (function"
RESULT = "select result::int8 from hark.tasks_finished where id = %s"
CLIENTS = [INSERT, "select result::int8", "select bool_and(beat_at"]


def server(bench):
    """One that counts statements, with room for a hundred workers beside 64 clients."""
    return on_counting_server(bench, {"max_connections": "400"})


@contextlib.contextmanager
def fleet(bench, database, count, *, slots=10, queues=("default",), poll="5s"):
    """So many workers, all of them listening; ends well, or the figures are not worth anything."""
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(hark.Worker(bench, database, slots=slots, queues=queues, poll=poll, name=f"worker {number}")) for number in range(count)]
        for worker in workers:
            worker.wait_until_ready()
        yield workers


class Watch:
    """Looks at the workers from another database, so that it does not count itself."""

    def __init__(self, bench, connection, workers):
        """connection: to the database of the workers."""
        self._watch = bench.server.connect()
        (self._database, self._asleep), = connection.execute(
            "select oid::int8, array[hark.sleeper_class(), hark.reserve_class()]::int8[] from pg_database where datname = current_database()").fetchall()
        self._server, self._workers = bench.server, workers
        self.wait_until_asleep()
        wait_until("their early looks are over", lambda: connection.execute(
            "select bool_and(beat_at > started_at + interval '1500 ms') from hark.workers").fetchone()[0])

    def wait_until_asleep(self):
        armed = "select count(distinct pid) from pg_locks where locktype = 'advisory' and database::int8 = %s and classid::int8 = any (%s) and granted"
        wait_until("all workers sleep", lambda: self._watch.execute(armed, [self._database, self._asleep]).fetchone()[0] == len(self._workers), pause=0.005)

    def sessions(self):
        """Those of the workers whose last words were not that they live: (process, name of the worker, moment of the last statement)."""
        asked = "select pid, application_name, state_change from pg_stat_activity where application_name like 'hark worker%' and strpos(query, 'beat_at = now()') = 0"
        return set(self._watch.execute(asked).fetchall())

    def asked(self):
        """So far: statements in the database but for the clients' own, claims among them; CPU seconds of the server and of the workers."""
        calls = """
            select coalesce(sum(calls), 0)::int8, coalesce(sum(calls) filter (where strpos(lower(query), %s) > 0), 0)::int8 from pg_stat_statements
            where dbid::int8 = %s and not query ilike any (%s)
        """
        statements, claims = self._watch.execute(calls, [CLAIM, self._database, [f"{text}%" for text in CLIENTS]]).fetchone()
        return {"statements": statements, "claims": claims, "server_cpu": processes.cpu(self._server.pid),
                "worker_cpu": sum(processes.precise_cpu(worker.pid) for worker in self._workers)}

    def asked_since(self, before, count):
        """The same for one of so many."""
        return {key: (value - before[key]) / count for key, value in self.asked().items()}
