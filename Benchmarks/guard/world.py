"""A database to count in: with the schema, and tasks that are ready, scheduled and finished; and a session as a worker has it."""

import contextlib
import json
import pathlib
import subprocess

import psycopg

from bench import draining

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
EACH = 10_000
ARGS = json.dumps(draining.ARGS)
TEMPLATE = "guard_template"


class World:
    def __init__(self, server, program):
        self.server = server
        self._setup = subprocess.run([program, "session"], check=True, capture_output=True, text=True).stdout.splitlines()
        self._copies = 0
        # Neither of these may come in between, or be counted.
        with server.connect() as connection:
            connection.execute("alter system set autovacuum = off")
            connection.execute("alter system set full_page_writes = off")
            connection.execute("select pg_reload_conf()")
            self.by = f"PostgreSQL {connection.info.server_version // 10_000}"
        self._make_template()

    def _make_template(self):
        with self.server.connect() as connection:
            connection.execute(f"create database {TEMPLATE}")
        with self.server.connect(TEMPLATE) as connection:
            for path in sorted((REPOSITORY / "migrations").glob("0*.sql")):
                connection.execute(path.read_text())
        with Session(self, TEMPLATE) as session:
            session.insert(EACH)
            while tasks := session.claim(1_000):
                session.execute("complete", *session.fence(tasks), ["42"] * len(tasks))
            session.connection.execute("vacuum hark.tasks")
            session.insert(EACH)
            session.insert(EACH, "interval '1 hour' + number * interval '1 second'")
            session.unregister()
            for table in ("tasks", "tasks_finished", "workers"):
                session.connection.execute(f"vacuum analyze hark.{table}")
        with self.server.connect() as connection:
            connection.execute("checkpoint")
            settings = [connection.execute(f"show {name}").fetchone()[0] for name in ("autovacuum", "full_page_writes")]
        if settings != ["off", "off"]:
            raise SystemExit("PostgreSQL has not taken the guard's settings")

    @contextlib.contextmanager
    def database(self):
        self._copies += 1
        with self.server.database(f"guard_{self._copies}", template=TEMPLATE) as name:
            yield name

    @contextlib.contextmanager
    def url(self):
        with self.database() as name:
            yield self.server.url(name)

    @contextlib.contextmanager
    def session(self):
        with self.database() as name, Session(self, name) as session:
            yield session

    def set_up(self, connection):
        for statement in self._setup:
            connection.execute(statement)


class Session:
    """The two connections of a worker, and its statements, prepared as it does."""

    def __init__(self, world, database):
        self._world = world
        self.database = database
        self.connection = world.server.connect(database)
        self.signal = world.server.connect(database)
        self._prepared = set()
        self._token = 0
        self._mark = 0
        for connection in (self.connection, self.signal):
            world.set_up(connection)
        self.worker = self.register()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.signal.close()

    def register(self):
        return self.execute("register", "guard", "host", 1, 1, "boot", "1", "1", "1", ["default"], 100, on=self.signal)[0][0]

    def unregister(self):
        self.execute("unregister", self.worker, on=self.signal)

    def execute(self, name, *values, on=None, before=""):
        """The rows of one statement of the store."""
        connection = on or self.connection
        if (name, connection) not in self._prepared:
            text = (REPOSITORY / "Sources/Hark/Store/SQL" / f"{name}.sql").read_text()
            connection.execute(f"prepare {name} as {text}")
            self._prepared.add((name, connection))
        places = f"({', '.join(['%s'] * len(values))})" if values else ""
        # The values are written into the text: EXECUTE takes no parameters.
        return psycopg.ClientCursor(connection).execute(f"{before} execute {name}{places}", values).fetchall()

    def buffers(self, name, *values):
        """How many shared buffers the statement has touched."""
        (plan,), = self.execute(name, *values, before="explain (analyze, buffers, timing off, summary off, format json)")
        root = plan[0]["Plan"]
        return root["Shared Hit Blocks"] + root["Shared Read Blocks"]

    def insert(self, count, delay="interval '0'"):
        self.connection.execute(
            f"insert into hark.tasks (function, args, run_at) select 'noop', '{ARGS}', now() + {delay} from generate_series(1, {count}) number")

    def claim(self, count, run=None):
        """A narrow look, from where the last one found something. Returns (id, token) of each."""
        self._token += 1
        (run or self.execute)("claim", ["default"], [count], [1], [1], [0], [self._mark], self.worker, self._token, "null", "null")
        taken = self.connection.execute("select id, token, position from only hark.tasks where token = %s order by position", [self._token]).fetchall()
        if taken:
            self._mark = taken[0][2]
        return [(id, token) for id, token, _ in taken]

    @staticmethod
    def fence(tasks):
        return [id for id, _ in tasks], [token for _, token in tasks]

    def log_position(self):
        return self.connection.execute("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()[0]
