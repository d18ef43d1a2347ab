"""`hark work` as a process, with a configuration and a database for it."""

import contextlib
import json
import signal
import subprocess
import tempfile

from bench import processes
from bench.waiting import wait_until

TEMPLATE = "hark_template"
# Before a command: it ends when we are killed.
WITH_US = ["setpriv", "--pdeathsig", "TERM"]


def migrated(bench, server=None):
    """A database with Hark's schema, to copy from: made once."""
    server = server or bench.server
    with server.connect() as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [TEMPLATE]).fetchone():
            connection.execute(f"create database {TEMPLATE}")
            subprocess.run([bench.hark, "migrate", "--database", server.url(TEMPLATE)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return TEMPLATE


@contextlib.contextmanager
def database(bench):
    with bench.server.database("hark", template=migrated(bench)) as name:
        yield name


class Worker:
    """A worker that runs as long as the block does. It must end well, or the figures are not worth anything."""

    def __init__(self, bench, database, *, slots, queues=("default",), functions=None, python=None, server=None, name=None, poll=None, durable_claims=True):
        """slots: of each queue. functions: a directory with executables. name, poll, durable_claims: as in a configuration."""
        self._was_killed = False
        self.interpreters = python["interpreters"] if python else 0
        self._directory = tempfile.TemporaryDirectory(prefix="worker-", dir=bench.place)
        self._log = f"{self._directory.name}/log"
        lines = [f"database = {json.dumps((server or bench.server).url(database))}", 'task_log = "failures"', 'drain_timeout = "1s"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in {"name": name, "poll_interval": poll}.items() if value]
        if functions:
            lines.append(f"functions_directory = {json.dumps(functions)}")
        for queue in queues:
            lines += [f"[queues.{queue}]", f"slots = {slots}", f"durable_claims = {json.dumps(durable_claims)}"]
        if python:
            lines += ["[python]"] + [f"{key} = {_toml(value)}" for key, value in python.items()]
        configuration = f"{self._directory.name}/hark.toml"
        with open(configuration, "w") as file:
            file.write("\n".join(lines) + "\n")
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                [*WITH_US, bench.hark, "work", "--config", configuration], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self.pid = self._process.pid

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        ended_early = self._process.poll() is not None and not self._was_killed
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        with open(self._log) as file:
            log = file.read()
        self._directory.cleanup()
        if kind is None and (ended_early or code != (-signal.SIGKILL if self._was_killed else 0)):
            raise SystemExit(f"hark work ended with {code}{' in the midst of it' if ended_early else ''}:\n{log}")
        if kind is not None:
            print(f"The worker said:\n{log}")

    def kill(self):
        """SIGKILL, as a crash would be. Returns when the process is gone."""
        self._was_killed = True
        self._process.kill()
        self._process.wait()

    def pythons(self):
        """Its interpreters and their fork server."""
        return processes.named(self.pid, "hark-python") if self.interpreters else []

    def wait_until_ready(self):
        """Until it listens and has all its interpreters."""
        wait_until("the worker is ready", lambda: self._said(" listening") and (not self.interpreters or len(self.pythons()) == self.interpreters + 1), self.check)

    def _said(self, words):
        with open(self._log) as file:
            return words in file.read()

    def check(self):
        if self._process.poll() is not None:
            raise SystemExit("hark work has ended")


def python_plain(bench, interpreters):
    return {"interpreter": bench.python, "directory": f"{bench.projects}/plain", "modules": ["app"], "interpreters": interpreters}


def python_django(bench, database, interpreters):
    return {
        "interpreter": bench.python, "directory": f"{bench.projects}/django", "django_settings": "core.settings", "modules": ["sim"],
        "preload": ["sim.tasks"], "interpreters": interpreters, "environment": django_environment(bench, database),
    }


def django_environment(bench, database):
    return {f"BENCH_DATABASE_{key}": value for key, value in zip(("HOST", "PORT", "USER", "NAME"), bench.server.arguments(database))}


def _toml(value):
    """JSON's texts, numbers and lists are TOML's too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {json.dumps(part)}" for key, part in value.items()) + " }"
    return json.dumps(value)
