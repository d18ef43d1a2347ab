"""The tests run on a private PostgreSQL that has the schema and the roles, with Django set up for it.

Django's databases: "default" as the owner, "enqueuer", "viewer" and "worker" in the roles of migrations/grants.sql, and "empty", which has
no schema.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import psycopg
import pytest
from django.conf import settings
from psycopg.types.json import Jsonb

sys.path.insert(0, str(Path(__file__).parent))

from cluster import Cluster  # noqa: E402

from hark.schema import migrations

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = Cluster()
HAS_BACKPORT = django.VERSION < (6, 0)


def database(name: str, role: str | None = None) -> dict[str, Any]:
    options = {"options": f"-c role={role}"} if role else {}
    return {"ENGINE": "django.db.backends.postgresql", "HOST": str(CLUSTER.directory), "USER": "postgres", "NAME": name, "OPTIONS": options}


settings.configure(
    DATABASES={
        "default": database("app"),
        "enqueuer": database("app", "hark_enqueuer"),
        "viewer": database("app", "hark_viewer"),
        "worker": database("app", "hark_worker"),
        "empty": database("empty"),
        "light": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        *(["django_tasks"] if HAS_BACKPORT else []),
        "hark.django",
        "sim",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    ROOT_URLCONF="sim.urls",
    STATIC_URL="/static/",
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    TASKS={"default": {"BACKEND": "hark.django.HarkBackend", "QUEUES": ["default", "mail"]}},
)
django.setup()


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[Cluster]:
    CLUSTER.start()
    try:
        with psycopg.connect(CLUSTER.url("postgres"), autocommit=True) as connection:
            connection.execute("create database empty")
            connection.execute("create database app")
        with psycopg.connect(CLUSTER.url("app"), autocommit=True) as connection:
            for migration in migrations():
                connection.execute(migration.sql.encode())
            connection.execute((ROOT / "migrations" / "grants.sql").read_bytes())
        yield CLUSTER
    finally:
        CLUSTER.stop()


@pytest.fixture(autouse=True)
def _clean(cluster: Cluster) -> Iterator[None]:
    """No test sees the tasks of another, and none leaves a transaction open."""
    yield
    from django.db import connections

    left_open = [alias for alias in connections if connections[alias].in_atomic_block]
    connections.close_all()
    with psycopg.connect(cluster.url("app"), autocommit=True) as connection:
        connection.execute("truncate hark.tasks, hark.tasks_finished, hark.workers")
    assert not left_open, f"transactions were left open on {left_open}"


@pytest.fixture
def owner(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cluster.url("app"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def hark_binary() -> str:
    binary = os.environ.get("HARK_BINARY")
    if not binary:
        pytest.skip("HARK_BINARY is not set: it names the hark that tests of a worker run")
    return binary


@pytest.fixture
def finished(owner: psycopg.Connection[Any]) -> Any:
    """Inserts a task in a state that only a worker brings about, as a worker would, and returns its id."""

    def insert(state: str, function: str = "sim.services.interesting_calculation", **columns: Any) -> int:
        values: dict[str, Any] = {"attempt": 1, "max_attempts": 10, "worker_id": 1, "token": 7, **columns}
        for name in ("args", "result", "errors"):
            if name in values:
                values[name] = Jsonb(values[name])
        times = "now() - interval '100 s', now() - interval '90 s', " + ("now()" if state != "running" else "null")
        names = ", ".join(["state", "function", *values])
        marks = ", ".join(["%s"] * (2 + len(values)))
        sql = f"insert into hark.tasks ({names}, created_at, started_at, finished_at) values ({marks}, {times}) returning id"
        found = owner.execute(sql, [state, function, *values.values()]).fetchone()
        assert found is not None
        return int(found[0])

    return insert


@pytest.fixture
def worker_row(owner: psycopg.Connection[Any]) -> Any:
    """Enters a worker that lives, as far as the table says."""

    def insert(name: str, queues: list[str], running: int = 0) -> int:
        sql = """insert into hark.workers (name, state, listener, queues, slots, running, hostname, pid, version)
            values (%s, 'working', 'listening', %s, 10, %s, 'host', 123, '0.1.0') returning id"""
        found = owner.execute(sql, [name, queues, running]).fetchone()
        assert found is not None
        return int(found[0])

    return insert
