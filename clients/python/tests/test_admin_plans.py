"""No page of the admin reads more than its share of a long history: by EXPLAIN ANALYZE of every statement that it sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from hark.django.admin import changelist

WINDOW = 5_000
HISTORY = 200_000
BACKLOG = 20_000

# Mostly completed, one in a thousand failed; the function "rare" is among the oldest.
FILL = f"""
    insert into hark.tasks_finished (id, state, queue, function, args, priority, run_at, attempt, position, created_at, started_at, finished_at, errors)
    select n, case when n % 1000 = 0 then 'failed' when n % 1000 = 1 then 'cancelled' else 'completed' end, 'default',
      case when n < 3 then 'rare' else 'sim.services.f' || n % 10 end, jsonb_build_array(n, repeat('x', 100)), 0, now(), 1, n, now(), now(), now(),
      case when n % 1000 = 0 then '[{{"kind": "error", "message": "ValueError"}}]'::jsonb end
    from generate_series(1, {HISTORY}) n;
    alter sequence hark.tasks_id_seq restart with {HISTORY + 1};
    set hark.bell = off;
    insert into hark.tasks (function, args, queue, unique_key, run_at)
    select 'sim.services.f' || n % 10, jsonb_build_array(n), case when n % 2 = 0 then 'mail' else 'default' end, case when n % 100 = 0 then 'key ' || n end,
      case when n % 4 = 0 then now() + interval '1 day' else now() end
    from generate_series(1, {BACKLOG}) n;
    reset hark.bell;
"""

PAGES = [
    "",
    "?p=10",
    "?state=unfinished",
    *(f"?state={state}" for state in ("scheduled", "blocked", "ready", "running", "completed", "failed", "cancelled")),
    "?state=completed&p=10",
    "?q=150000",
    "?q=210000",
    "?q=sim.services.f3",
    "?q=rare",
    "?q=nope",
    "?q=key+100",
    "?q=nope&state=completed",
    "?q=sim.services.f3&state=failed",
    "?q=nope&state=ready",
    "?queue=mail",
    "?queue=nope",
    "?queue=nope&state=failed",
    "?queue=nope&state=completed&id__lt=100000",
    "?id__lt=100000",
    "?id__lt=100000&q=nope",
    "?o=3",
    "?_facets=True",
    "?all=",
    "?function__startswith=nope",
    "?errors__isnull=False",
]


@pytest.fixture(scope="module", autouse=True)
def _history(cluster: Any) -> None:
    call_command("migrate", verbosity=0)


@pytest.fixture(params=["analyzed", "without statistics"])
def admin(request: pytest.FixtureRequest, owner: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(changelist, "WINDOW", WINDOW)
    for statement in FILL.split(";\n"):
        owner.execute(statement)
    if request.param == "analyzed":
        owner.execute("vacuum analyze hark.tasks, hark.tasks_finished")
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    yield client
    User.objects.all().delete()


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Each scan in a plan: its kind, its table, and how many rows it read."""
    if "Relation Name" in plan:
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        yield plan["Node Type"], plan["Relation Name"], round(read * plan["Actual Loops"])
    for child in plan.get("Plans", []):
        yield from scans(child)


def test_no_page_reads_the_whole_table(admin: Client) -> None:
    too_much: list[str] = []
    for page in PAGES:
        with CaptureQueriesContext(connection) as queries:
            response = admin.get(f"/admin/hark/task/{page}", follow=True)
        assert response.status_code == 200, page
        statements = [query["sql"] for query in queries if '"hark"."tasks' in query["sql"]]
        assert statements, f"{page} asked nothing"
        for statement in statements:
            with connection.cursor() as cursor:
                cursor.execute(f"explain (analyze, format json) {statement}")
                (found,) = cursor.fetchone()
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            read = list(scans(plan))
            if sum(rows for _, _, rows in read) > 2 * WINDOW + 2 * changelist.MOST:
                too_much.append(f"{page}: {read} in {statement[:60]} ... {statement[-250:]}")
    assert not too_much, "\n".join(too_much)


def test_the_page_of_one_task_reads_one_task(admin: Client) -> None:
    for id in (1000, HISTORY + 5):
        with CaptureQueriesContext(connection) as queries:
            assert admin.get(f"/admin/hark/task/{id}/change/").status_code == 200
        for statement in (query["sql"] for query in queries if '"hark"."tasks' in query["sql"]):
            with connection.cursor() as cursor:
                cursor.execute(f"explain (analyze, format json) {statement}")
                (found,) = cursor.fetchone()
            assert sum(rows for _, _, rows in scans((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])) <= 2
