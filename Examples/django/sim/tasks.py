"""More functions for tasks: one that may fail, an async one, and one of Django's Tasks API."""

import asyncio

from django.db.models import Sum
from django_tasks import task

from sim.models import AnotherModel


def average_value(name):
    """Fails while there is no record of the name, and is tried again: with a record it succeeds."""
    values = [record.value for record in AnotherModel.objects.filter(name=name)]
    return sum(values) / len(values)


async def total_values(names):
    async def total(name):
        return (await AnotherModel.objects.filter(name=name).aaggregate(total=Sum("value")))["total"]

    return dict(zip(names, await asyncio.gather(*map(total, names))))


@task(priority=10)
def welcome(name):
    print(f"welcoming {name}")  # goes to the worker's log
    return f"Welcome, {name}"
