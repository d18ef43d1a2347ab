"""With a worker: what this package enqueues is run, and what became of it is read back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from sim import leaks, services, tasks, verdicts

import hark
from hark.django.models import Task, Worker
from hark.django.tasks_api import TaskResultStatus

HERE = Path(__file__).parent


def wait_for(what: Callable[[], object], worker: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert worker is None or worker.poll() is None, "the worker has ended"
        assert time.monotonic() < deadline, "it did not come about within 30 s"
        time.sleep(0.02)


@pytest.fixture
def configuration(cluster: Any, tmp_path: Path) -> Path:
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "greet.sh").write_text('#!/bin/sh\nread args\nprintf \'{"was": %s}\' "$args"\n')
    (functions / "greet.sh").chmod(0o755)
    file = tmp_path / "hark.toml"
    file.write_text(f"""
        database = "{cluster.url("app", "hark_worker")}"
        functions_directory = "{functions}"
        [queues.default]
        slots = 1
        [queues.mail]
        slots = 1
        [python]
        interpreter = "{sys.executable}"
        directory = "{HERE}"
        django_settings = "settings_for_worker"
        modules = ["sim"]
        interpreters = 1
        environment = {{ TEST_HOST = "{cluster.directory}", PYTHONPATH = "{Path(hark.__file__).parents[1]}", PYTHONDONTWRITEBYTECODE = "1" }}
    """)
    return file


@pytest.fixture
def worker(hark_binary: str, configuration: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a worker, and ends it after the test."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        with (tmp_path / "log").open("w") as log:
            started.append(subprocess.Popen([hark_binary, "work", "--config", str(configuration)], stdout=log, stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        assert process.wait(timeout=30) == 0, (tmp_path / "log").read_text()


def finished(ids: list[Any]) -> Callable[[], bool]:
    return lambda: Task.objects.finished().filter(pk__in=[int(id) for id in ids]).count() == len(ids)


def test_functions_are_run_and_their_results_read(worker: Any) -> None:
    ids = [
        hark.enqueue(services.interesting_calculation, [3, 14]),
        hark.enqueue(services.send, {"*": ["Ada", "Grace"], "subject": "Hello"}),
        hark.enqueue(services.wait_for_nothing),
        hark.enqueue("greet", {"name": "Ada"}),
        Task.objects.create(function=services.decorated, args=[7]).pk,
        Task.objects.add_task("sim.services", "create_another_model", ["Robert", 13]).pk,
    ]
    process = worker()
    wait_for(finished(ids), process)
    results = [Task.objects.using("viewer").get(pk=id) for id in ids]
    assert [task.state for task in results] == ["completed"] * 6
    assert [task.result for task in results] == [
        4782969,
        ["Ada: Hello", "Grace: Hello"],
        "done",
        {"was": {"name": "Ada"}},
        "connection 7",
        "Robert: 13",
    ]
    assert all(task.duration is not None for task in results)
    assert Worker.objects.get().queues == ["default", "mail"]


def test_verdicts_are_understood(worker: Any) -> None:
    retried, snoozed, failed, cancelled = (hark.enqueue(f) for f in (verdicts.retry, verdicts.snooze, verdicts.fail, verdicts.cancel))
    asking = hark.enqueue(verdicts.who_am_i, timeout=30, max_attempts=5)
    process = worker()
    wait_for(finished([failed, cancelled, asking]), process)
    wait_for(lambda: Task.objects.unfinished().filter(state="scheduled").count() == 2, process)
    task = {id: Task.objects.get(pk=id) for id in (retried, snoozed, failed, cancelled, asking)}
    assert task[retried].attempt == 1 and task[retried].error["message"] == "the server is busy"
    assert task[snoozed].attempt == 0 and task[snoozed].error is None
    assert all(3500 < (task[id].run_at - timezone.now()).total_seconds() < 3700 for id in (retried, snoozed))
    assert (task[failed].state, task[failed].attempt, task[failed].error["message"]) == ("failed", 1, "no such customer")
    assert task[cancelled].state == "cancelled"
    assert task[asking].result == [asking, "sim.verdicts.who_am_i", "default", 1, 5, 30]


def test_the_tasks_api(worker: Any) -> None:
    added, mailed = tasks.add.enqueue(3, 14), tasks.mail.enqueue("Ada", subject="Hello")
    patient, later, both = tasks.patient.enqueue(7), tasks.later.enqueue(n=1), tasks.later_with_context.enqueue(1)
    process = worker()
    wait_for(finished([result.id for result in (added, mailed, patient, later, both)]), process)
    for result in (added, mailed, patient, later, both):
        result.refresh()
        assert (result.status, result.errors, result.attempts) == (TaskResultStatus.SUCCESSFUL, [], 1)
        assert result.worker_ids == [Worker.objects.get().name]
    assert [result.return_value for result in (added, mailed, patient, later, both)] == [17, "Ada: Hello", [1, patient.id, 7], 2, [1, 1]]


def test_errors_of_the_tasks_api(worker: Any) -> None:
    busy, failed, exited = (tasks.fails.enqueue(kind) for kind in ("busy", "fail", "exit"))
    Task.objects.filter(pk__in=[busy.id, exited.id]).update(max_attempts=1)
    misfit = str(hark.enqueue("sim.tasks.add", {"c": 1}, validate=False))
    process = worker()
    wait_for(finished([busy.id, failed.id, exited.id, misfit]), process)
    results = [tasks.fails.get_result(result.id) for result in (busy, failed, exited)]
    assert [result.status for result in results] == [TaskResultStatus.FAILED] * 3
    assert [result.errors[0].exception_class for result in results] == [tasks.Busy, hark.Fail, SystemExit]
    traceback = results[0].errors[0].traceback.splitlines()
    assert traceback[0].startswith("Traceback") and 'tasks.py", line' in traceback[1] and traceback[-1] == "sim.tasks.Busy: try later", traceback
    refused = tasks.add.get_result(misfit)
    assert refused.attempts == 1 and "arguments do not fit sim.tasks.add" in refused.errors[0].traceback


def test_priorities_decide_who_is_first(worker: Any) -> None:
    ids = {priority: tasks.add.using(priority=priority).enqueue(priority).id for priority in (0, -50, 2, 100, 10, -1, 50, 1)}
    process = worker()
    wait_for(finished(list(ids.values())), process)
    order = Task.objects.finished().order_by("started_at").values_list("id", flat=True)  # one slot: each has a claim of its own
    assert [str(id) for id in order] == [ids[priority] for priority in (100, 50, 10, 2, 1, 0, -1, -50)]


def test_a_task_is_cancelled_while_it_runs(worker: Any) -> None:
    process = worker()
    # Before its interpreters are there a worker may claim a task and give it back: then it is running only for a moment.
    wait_for(finished([hark.enqueue(services.wait_for_nothing)]), process)
    id = hark.enqueue("sim.services.wait_for_long")
    wait_for(lambda: Task.objects.filter(pk=id, state="running").exists(), process)
    assert Task.objects.get(pk=id).cancel().result == "requested"
    wait_for(finished([id]), process)
    assert Task.objects.get(pk=id).state == "cancelled"


@pytest.fixture
def leaked(owner: Any) -> Iterator[None]:
    owner.execute("create table leaked (n int)")
    yield
    owner.execute("drop table leaked")


@pytest.mark.parametrize("leak", [leaks.atomic_entered_by_hand, leaks.autocommit_off, leaks.raw_begin])
def test_no_transaction_leaks_into_the_next_task(worker: Any, leaked: None, leak: Any, tmp_path: Path) -> None:
    ids = [hark.enqueue(leak), hark.enqueue(leaks.backend)]
    wait_for(finished(ids), worker())
    assert [Task.objects.get(pk=id).state for id in ids] == ["completed", "completed"], Task.objects.get(pk=ids[1]).errors
    assert 'the function left a transaction open on "default": rolled back' in (tmp_path / "log").read_text()


@pytest.mark.parametrize("function", [leaks.backend, leaks.backend_of_async])
def test_a_connection_is_kept_and_made_anew_when_it_is_lost(worker: Any, leaked: None, function: Any, owner: Any) -> None:
    process = worker()
    sessions = []
    for _ in range(3):
        id = hark.enqueue(function)
        wait_for(finished([id]), process)
        assert Task.objects.get(pk=id).state == "completed", Task.objects.get(pk=id).errors
        sessions.append(Task.objects.get(pk=id).result)
        if len(sessions) == 2:
            owner.execute("select pg_terminate_backend(%s, 30000)", [sessions[-1]])
    assert sessions[0] == sessions[1] != sessions[2]


def test_interpreters_share_no_connection(worker: Any, leaked: None, configuration: Path) -> None:
    text = configuration.read_text().replace("interpreters = 1", 'interpreters = 1\n        tasks_per_interpreter = 1\n        preload = ["sim.preloaded"]')
    configuration.write_text(text)
    ids = [hark.enqueue("sim.preloaded.parent", validate=False), hark.enqueue(leaks.backend), hark.enqueue(leaks.backend)]
    wait_for(finished(ids), worker())
    sessions = [Task.objects.get(pk=id).result for id in ids]
    assert None not in sessions and len(set(sessions)) == 3, sessions
