"""manage.py check --database: the schema, the role, the queues."""

from __future__ import annotations

from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from hark.django.migrator import migrate


def checked(alias: str, queues: list[str] | None = None) -> dict[str | None, str]:
    """What is said of a database that is Hark's: by id."""
    entry: dict[str, Any] = {"BACKEND": "hark.django.HarkBackend", "OPTIONS": {"database": alias}}
    if queues is not None:
        entry["QUEUES"] = queues
    with override_settings(TASKS={"default": entry}):
        return {check.id: f"{check.msg} {check.hint}" for check in run_checks(databases=[alias]) if (check.id or "").startswith("hark.")}


def test_all_is_well_when_workers_work_every_queue(worker_row: Any) -> None:
    worker_row("w1", ["default"])
    worker_row("w2", ["mail"])
    assert checked("default", ["default", "mail"]) == {}


def test_a_missing_schema() -> None:
    assert "the database 'empty' has no hark schema" in checked("empty")["hark.W002"]


def test_manage_py_check_prints_it_and_goes_on() -> None:
    with override_settings(TASKS={"default": {"BACKEND": "hark.django.HarkBackend", "OPTIONS": {"database": "empty"}}}):
        err = StringIO()
        call_command("check", "--database", "empty", stderr=err)
    assert "(hark.W002) the database 'empty' has no hark schema" in err.getvalue()
    assert "manage.py hark_migrate" in err.getvalue()


def test_a_schema_that_is_too_old_or_too_new(cluster: Any) -> None:
    with psycopg.connect(cluster.url("empty"), autocommit=True) as connection:
        try:
            migrate("empty")
            connection.execute("delete from hark.migrations where name like '0004%'")
            connection.execute("insert into hark.migrations (name, compatible) values ('9999_breaking', false)")
            found = checked("empty")
        finally:
            connections["empty"].close()
            connection.execute("drop schema hark cascade")
    assert "too old for this version of hark-tasks: 0004_create_workers" in found["hark.W004"]
    assert "too new for this version of hark-tasks: it has the breaking migration 9999_breaking" in found["hark.W005"]


def test_a_database_that_is_not_postgresql() -> None:
    assert "the database 'light' is sqlite" in checked("light")["hark.W001"]


def test_an_enqueuer_is_not_asked_for_rights_it_need_not_have() -> None:
    assert checked("enqueuer") == {}


def test_a_role_without_any_rights(owner: Any) -> None:
    owner.execute("create role nobody_here")
    settings = connections["default"].settings_dict
    connections.settings["nobody"] = {**settings, "OPTIONS": {"options": "-c role=nobody_here"}}
    try:
        assert "may not use the schema hark" in checked("nobody")["hark.W003"]
    finally:
        connections["nobody"].close()
        del connections.settings["nobody"]
        owner.execute("drop role nobody_here")


def test_queues_that_nobody_works(worker_row: Any) -> None:
    assert "no worker works on the database 'viewer'" in checked("viewer", ["default"])["hark.W006"]
    worker_row("w1", ["default"])
    found = checked("viewer", ["default", "mail", "reports"])
    assert list(found) == ["hark.W007"]
    assert "queues that no worker of the database 'viewer' works: mail, reports hark work --queue mail --queue reports" in found["hark.W007"]


def test_a_database_that_is_not_harks_is_left_alone() -> None:
    with override_settings(TASKS={}):
        assert [check for check in run_checks(databases=["empty"]) if (check.id or "").startswith("hark.")] == []


def test_without_a_named_database_no_database_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(connections["default"], "cursor", refuse)
    run_checks()
