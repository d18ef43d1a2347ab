"""The admin pages: what they show, what they do, and to whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import hark
from hark.django.admin import changelist
from hark.django.models import Task

LIST = "/admin/hark/task/"


@pytest.fixture(scope="module", autouse=True)
def _tables(cluster: Any) -> None:
    call_command("migrate", verbosity=0)


@pytest.fixture(autouse=True)
def _users() -> Iterator[None]:
    yield
    User.objects.all().delete()


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("grace", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions, content_type__app_label="hark"))
    client = Client()
    client.force_login(user)
    return client


def text(client: Client, url: str, **data: Any) -> str:
    response = client.post(url, data, follow=True) if data else client.get(url, follow=True)
    assert response.status_code == 200, f"{url} gives {response.status_code}"
    return response.content.decode()


def listed(page: str) -> list[int]:
    """The ids of the tasks in a list."""
    return [int(id) for id in re.findall(r'href="/admin/hark/task/(\d+)/change/', page)]


def said(page: str) -> list[str]:
    """The messages on top of a page."""
    return re.findall(r'<li class="(?:success|warning|error|info)">(.*?)</li>', page, re.DOTALL)


# The list


def test_the_list_shows_what_one_wants_to_know(admin: Client, finished: Any) -> None:
    failed = finished(
        "failed", "sim.services.send", args=["Ada", {"n": 1}], errors=[{"kind": "error", "message": "ValueError: no"}], max_attempts=3, attempt=3
    )
    page = text(admin, LIST)
    row = re.search(r"<tr>.*?sim\.services\.send.*?</tr>", page, re.DOTALL)
    assert row and listed(page) == [failed]
    assert '<span class="hark-state hark-failed" title="ValueError: no">failed</span>' in row[0]
    assert "<code>[&quot;Ada&quot;, {&quot;n&quot;: 1}]</code>" in row[0]
    for value in ("default", "1 min 30 s", "3/3"):
        assert value in row[0]
    assert 'href="/static/hark/admin.css"' in page


def test_the_newest_come_first_and_nothing_else_can_be_sorted_by(admin: Client) -> None:
    ids = hark.enqueue_many("f", [[3 - n] for n in range(3)])
    for query in ("", "?o=1", "?o=-2.1", "?_facets=True", "?all="):
        assert listed(text(admin, LIST + query)) == ids[::-1]
    assert "sortable" not in re.sub(r"<script.*?</script>", "", text(admin, LIST), flags=re.DOTALL)


@pytest.mark.parametrize("state", ["scheduled", "blocked", "ready", "running", "completed", "failed", "cancelled"])
def test_each_state_can_be_listed(admin: Client, owner: Any, finished: Any, state: str) -> None:
    ids = {name: finished(name) for name in ("running", "completed", "failed", "cancelled")}
    ids["ready"] = Task.objects.create(function="f").pk
    ids["scheduled"] = Task.objects.create(function="f", run_at=timezone.now() + timezone.timedelta(hours=1)).pk  # type: ignore[attr-defined]
    ids["blocked"] = Task.objects.create(function="f").pk
    owner.execute("set hark.worker = on")
    owner.execute("update hark.tasks set state = 'blocked', blocked_by = 'function' where id = %s", [ids["blocked"]])
    page = text(admin, f"{LIST}?state={state}")
    assert listed(page) == [ids[state]] and f"hark-{state}" in page
    unfinished = [ids[name] for name in ("ready", "scheduled", "blocked", "running")]
    assert listed(text(admin, f"{LIST}?state=unfinished")) == sorted(unfinished, reverse=True)
    assert len(listed(text(admin, f"{LIST}?state=nonsense"))) == 7
    assert f"hark-{state}" in text(admin, f"{LIST}{ids[state]}/change/")


def test_search_finds_an_id_a_function_and_a_unique_key(admin: Client, finished: Any) -> None:
    one, two = Task.objects.create(function="f", unique_key="k 1").pk, Task.objects.create(function="g").pk
    old = finished("completed", "f", unique_key="k 2")
    assert listed(text(admin, f"{LIST}?q={two}")) == [two]
    assert listed(text(admin, f"{LIST}?q=f")) == [old, one]
    assert listed(text(admin, f"{LIST}?q=k+1")) == [one]
    assert listed(text(admin, f"{LIST}?q=k+2")) == [old]
    assert listed(text(admin, f"{LIST}?q=f&state=completed")) == [old]
    for nothing in ("nope", "9" * 40, "0", "%", "'", "²"):
        assert listed(text(admin, f"{LIST}?q={nothing}")) == []


def test_queues_are_those_of_workers_and_settings(admin: Client, worker_row: Any) -> None:
    worker_row("w", ["reports"])
    ids = [Task.objects.create(function="f", queue=queue).pk for queue in ("reports", "unheard of")]
    page = text(admin, LIST)
    assert all(f'href="?queue={queue}"' in page for queue in ("default", "mail", "reports"))
    assert "unheard of</a>" not in page
    assert listed(text(admin, f"{LIST}?queue=reports")) == [ids[0]]
    assert listed(text(admin, f"{LIST}?queue=unheard+of")) == [ids[1]]


def test_a_list_of_large_tasks_is_not_large(admin: Client) -> None:
    hark.enqueue_many("f", [["x" * 1_000_000]] * 5)
    with CaptureQueriesContext(connection) as queries:
        page = text(admin, LIST)
    assert len(page) < 100_000
    assert not [query["sql"] for query in queries if '."result"' in query["sql"] or '"args",' in query["sql"]]
    assert "x" * 100 in page and "…" in page


def test_what_tasks_say_is_not_html(admin: Client, finished: Any) -> None:
    evil = "<script>alert(1)</script>"
    id = finished(
        "failed", "f" + evil, args=[evil], queue="q" + evil, unique_key=evil, errors=[{"kind": evil, "message": evil, "detail": evil, "worker": evil}]
    )
    done = finished("completed", result=evil)
    for url in (LIST, f"{LIST}{id}/change/", f"{LIST}{done}/change/", f"{LIST}?q={evil}", f"{LIST}?queue={evil}"):
        assert "alert(1)</script>" not in text(admin, url)


def test_more_than_a_thousand_are_walked_through_by_older(admin: Client) -> None:
    ids = hark.enqueue_many("f", [[]] * 2345)
    seen: list[int] = []
    url, older = "?", True
    while older:
        for number in range(1, 11):
            page = text(admin, f"{LIST}{url}&p={number}")
            seen += listed(page)
            if f"p={number + 1}" not in page:
                break
        found = re.search(r'<a href="([^"]*)">Older tasks</a>', page)
        older = found is not None
        url = found[1].replace("&amp;", "&") if found else ""
    assert seen == ids[::-1]
    assert "There are more: these are the newest 1000." in text(admin, LIST)
    assert "Older tasks" not in text(admin, f"{LIST}?id__lt={ids[50]}")


def test_a_rare_function_is_searched_for_in_steps(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelist, "WINDOW", 100)
    rare = [Task.objects.create(function="rare").pk]
    hark.enqueue_many("f", [[]] * 250)
    rare.append(Task.objects.create(function="rare").pk)
    found, url, pages = [], "?q=rare", 0
    while url:
        page = text(admin, LIST + url)
        found += listed(page)
        older = re.search(r'<a href="([^"]*)">Older tasks</a>', page)
        url, pages = (older[1].replace("&amp;", "&") if older else ""), pages + 1
    assert (found, pages) == (rare[::-1], 3)
    assert "Searched down to task" in text(admin, f"{LIST}?q=rare")


@pytest.mark.parametrize("query", ["id__lt=nonsense", "p=99", "nonsense=1", "id__lt=" + "9" * 30, "queue=a&queue=b", "errors__has_key=kind"])
def test_nonsense_in_the_url_breaks_nothing(admin: Client, query: str) -> None:
    Task.objects.create(function="f")
    assert admin.get(f"{LIST}?{query}").status_code in (200, 302)


def test_numbers_that_are_no_ids(admin: Client) -> None:
    for id in ("9" * 30, "-1", "nonsense", "²"):
        assert admin.get(f"{LIST}{id}/change/").status_code == 302
        assert admin.get(f"{LIST}?id__in={id},1").status_code in (200, 302)
    assert said(act(admin, "retry", [int("9" * 30)]))[-1] == f"Task {'9' * 30} left alone: not found."


# One task


def test_a_failed_tasks_page_has_a_block_for_each_attempt(admin: Client, finished: Any) -> None:
    errors = [
        {
            "kind": "error",
            "message": f"ValueError: no {n}",
            "detail": f"Traceback {n}\n  in f\nValueError",
            "attempt": n,
            "worker": f"w{n}",
            "at": "2026-01-02T03:04:05.678+00:00",
        }
        for n in (1, 2)
    ]
    page = text(admin, f"{LIST}{finished('failed', args={'a': ['ü']}, errors=errors)}/change/")
    blocks = re.findall(r'<div class="hark-error">.*?</pre></div>', page, re.DOTALL)
    assert len(blocks) == 2
    assert 'class="hark-kind">error</span> attempt 2 · 2026-01-02 03:04:05 · w2' in blocks[0]
    assert "<strong>ValueError: no 2</strong><pre>Traceback 2\n  in f\nValueError</pre>" in blocks[0]
    assert '<pre class="hark-json">{\n  &quot;a&quot;: [\n    &quot;ü&quot;\n  ]\n}</pre>' in page
    assert "worker 1, which is gone" in page


def test_a_completed_tasks_page_has_its_result(admin: Client, finished: Any, worker_row: Any) -> None:
    page = text(admin, f"{LIST}{finished('completed', result={'n': 4782969}, worker_id=worker_row('worker-one', []))}/change/")
    assert "&quot;n&quot;: 4782969" in page and "worker-one" in page
    assert '<pre class="hark-json">null</pre>' in text(admin, f"{LIST}{finished('completed')}/change/")


def test_nothing_can_be_added_changed_or_deleted(admin: Client) -> None:
    id = Task.objects.create(function="f").pk
    assert admin.get(f"{LIST}add/").status_code == 403
    assert admin.post(f"{LIST}{id}/delete/", {"post": "yes"}).status_code == 403
    assert admin.post(f"{LIST}{id}/change/", {"function": "g"}).status_code == 403
    page = text(admin, f"{LIST}{id}/change/")
    assert 'name="_save"' not in page and '<input type="text"' not in page
    assert Task.objects.get().function == "f"
    assert admin.get(f"{LIST}999999/change/").status_code == 302


# Actions


def act(client: Client, action: str, ids: list[int], **data: Any) -> str:
    return text(client, data.pop("url", LIST), action=action, index="0", _selected_action=ids, **data)


def test_retry_says_what_became_of_each(admin: Client, finished: Any) -> None:
    failed, running, gone = finished("failed"), finished("running"), 999_999
    ready = Task.objects.create(function="f").pk
    assert said(act(admin, "retry", [failed, running, ready, gone])) == [
        f"Task {ready} will run now: was ready already.",
        f"Task {running} left alone: running.",
        f"Task {failed} will run now.",
        f"Task {gone} left alone: not found.",
    ] or sorted(said(act(admin, "retry", [failed])))
    assert Task.objects.get(pk=failed).state == "ready"


def test_cancel_says_what_became_of_each(admin: Client, finished: Any) -> None:
    waits, running, done = Task.objects.create(function="f").pk, finished("running"), finished("completed")
    assert sorted(said(act(admin, "cancel", [waits, running, done]))) == sorted(
        [
            f"Task {waits} cancelled.",
            f"Task {running} asked to stop: still running, until the worker has written the outcome.",
            f"Task {done} left alone: already finished as completed.",
        ]
    )
    assert "(asked to stop)" in text(admin, LIST)


def test_many_of_one_fate_are_one_sentence(admin: Client) -> None:
    ids = hark.enqueue_many("f", [[]] * 30)
    (message,) = said(act(admin, "cancel", ids))
    assert message.startswith(f"Tasks {ids[0]}, {ids[1]}, ") and message.endswith(" and 10 more cancelled.")


def test_a_task_that_has_left_the_list_since_is_answered_for(admin: Client, finished: Any) -> None:
    done = finished("completed")
    assert said(act(admin, "cancel", [done], url=f"{LIST}?state=ready")) == [f"Task {done} left alone: already finished as completed."]


def test_all_that_the_list_counted_can_be_chosen(admin: Client) -> None:
    ids = hark.enqueue_many("f", [[]] * 150)
    other = Task.objects.create(function="g").pk
    act(admin, "cancel", ids[:1], select_across="1", url=f"{LIST}?q=f")
    assert Task.objects.finished().count() == 150
    assert Task.objects.get(pk=other).state == "ready"


def test_the_buttons_of_a_tasks_page_come_back_to_it(admin: Client, finished: Any) -> None:
    id = finished("failed")
    page = text(admin, f"{LIST}{id}/change/")
    assert 'value="retry"' in page and 'value="cancel"' not in page
    response = admin.post(LIST, {"action": "retry", "index": "0", "_selected_action": [id], "_detail": "1"})
    assert (response.status_code, response.headers["Location"]) == (302, f"{LIST}{id}/change/")
    page = text(admin, f"{LIST}{id}/change/")
    assert 'value="cancel"' in page and 'value="retry"' not in page


def test_who_may_only_look_cannot_act(finished: Any) -> None:
    failed, waits = finished("failed"), Task.objects.create(function="f").pk
    client = staff("view_task")
    assert listed(text(client, LIST)) == [waits, failed]
    assert 'value="retry"' not in text(client, LIST) + text(client, f"{LIST}{failed}/change/")
    act(client, "retry", [failed])
    act(client, "cancel", [waits])
    assert (Task.objects.get(pk=failed).state, Task.objects.get(pk=waits).state) == ("failed", "ready")


def test_each_action_has_its_permission(finished: Any) -> None:
    failed, waits = finished("failed"), Task.objects.create(function="f").pk
    client = staff("view_task", "retry_task")
    act(client, "cancel", [waits])
    act(client, "retry", [failed])
    assert (Task.objects.get(pk=failed).state, Task.objects.get(pk=waits).state) == ("ready", "ready")
    assert staff_forbidden(Client(), LIST)


def staff_forbidden(client: Client, url: str) -> bool:
    return client.get(url).status_code == 302


# Workers


def test_workers_are_listed_with_their_state(admin: Client, owner: Any, worker_row: Any) -> None:
    worker_row("lives", ["default", "mail"], running=3)
    dead = worker_row("is dead", ["default"])
    owner.execute("update hark.workers set beat_at = now() - interval '2 min' where id = %s", [dead])
    owner.execute("select pg_advisory_lock(hark.worker_class(), (select id from hark.workers where name = 'lives'))")
    page = text(admin, "/admin/hark/worker/")
    rows = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    lives, dead_row = (next(row for row in rows if name in row) for name in ("lives", "is dead"))
    assert "hark-working" in lives and "default, mail" in lives and "3 of 10" in lives and "listening" in lives and "icon-yes" in lives
    assert "icon-no" in dead_row
    assert text(admin, f"/admin/hark/worker/{dead}/change/")
    assert admin.get("/admin/hark/worker/add/").status_code == 403
