"""Which of the two tables a query reads.

`hark.tasks` holds what waits and runs, and its child by inheritance `hark.tasks_finished` what has finished. A query of the parent reads
both, which is what people want, and which PostgreSQL cannot narrow down by the state: to find the three tasks that are blocked it would
look through ten million that are completed. These queries name the table:

    from only "hark"."tasks"           from "hark"."tasks_finished"
"""

from __future__ import annotations

from typing import Any

from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable

TASKS = '"hark"."tasks"'
FINISHED = '"hark"."tasks_finished"'


class OnlyTasks(BaseTable):
    def as_sql(self, compiler: Any, connection: Any) -> Any:
        sql, parameters = super().as_sql(compiler, connection)
        return f"only {sql}", parameters


class FinishedTasks(BaseTable):
    def __init__(self, table_name: str, alias: str | None) -> None:
        super().__init__(FINISHED, alias)


class UnfinishedQuery(Query):
    base_table_class = OnlyTasks


class FinishedQuery(Query):
    base_table_class = FinishedTasks
