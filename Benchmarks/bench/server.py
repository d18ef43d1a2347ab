"""A private PostgreSQL, which ends with us: in a directory of its own, reached through a socket in it, as the user postgres when we are root."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg

# What is not the server's default. Commits are on the disk before they are answered: fsync and synchronous_commit stay on. The log gets
# room enough for no checkpoint to begin, and after the warm-up no file to be made, in the midst of a run.
SETTINGS = {"shared_buffers": "512MB", "max_connections": "200", "min_wal_size": "1GB", "max_wal_size": "4GB"}
# Printed with the figures.
SHOWN = ["server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "autovacuum", *SETTINGS]


def _programs():
    """The folder of the newest PostgreSQL that is installed."""
    folders = [os.path.dirname(path) for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: float(folder.split("/")[-2]))
    return subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True).stdout.strip()


class Server:
    port = 5432
    user = "postgres"

    def __init__(self, place, environment=None, settings=None):
        self._environment = environment
        self._settings = SETTINGS | (settings or {})
        self.directory = tempfile.mkdtemp(prefix="postgresql-", dir=place)
        self._as_user = ["setpriv", "--pdeathsig", "INT"]
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            self._as_user += [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups"]
        self._folder = _programs()
        self._process = None

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        data = f"{self.directory}/data"
        self._run("initdb", "-D", data, "-U", self.user, "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust")
        settings = {"listen_addresses": "", "unix_socket_directories": self.directory, "port": str(self.port), **self._settings}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # A session of its own: Ctrl-C in the terminal is ours to handle.
        log = open(f"{self.directory}/server.log", "w")
        self._process = subprocess.Popen(
            [*self._as_user, self.program("postgres"), "-D", data, *arguments], cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            env=self._environment)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    with open(log.name) as text:
                        raise SystemExit(f"PostgreSQL does not start:\n{text.read()}")
                time.sleep(0.05)

    def __exit__(self, *_):
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program, *arguments):
        done = subprocess.run([*self._as_user, self.program(program), *arguments], cwd="/", capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{program} failed: {done.stdout}{done.stderr}")

    def program(self, name):
        return f"{self._folder}/{name}"

    @property
    def pid(self):
        return self._process.pid

    def connect(self, database="postgres", autocommit=True):
        return psycopg.connect(host=self.directory, port=self.port, user=self.user, dbname=database, autocommit=autocommit)

    def url(self, database):
        return f"postgresql:///{database}?host={self.directory}&port={self.port}&user={self.user}"

    def arguments(self, database):
        """The same for programs that take it in pieces."""
        return [self.directory, str(self.port), self.user, database]

    @contextlib.contextmanager
    def database(self, name, template="template0"):
        """A database that is there as long as the block runs."""
        with self.connect() as connection:
            connection.execute(f"create database {name} template {template}")
        try:
            yield name
        finally:
            with self.connect() as connection:
                connection.execute(f"drop database {name} with (force)")

    def settle(self, database, *tables):
        """Leaves nothing of what came before to be done while the clock runs."""
        with self.connect(database) as connection:
            for table in tables:
                connection.execute(f"vacuum analyze {table}")
            connection.execute("checkpoint")

    def description(self):
        with self.connect() as connection:
            return {name: connection.execute(f"show {name}").fetchone()[0] for name in SHOWN}
