"""What a project's settings say that concerns Hark."""

from __future__ import annotations

from typing import Any

from django.conf import settings

BACKEND = "hark.django.HarkBackend"


def backends() -> dict[str, dict[str, Any]]:
    """The entries of TASKS that are Hark's, by alias."""
    tasks = getattr(settings, "TASKS", None) or {}
    return {alias: entry for alias, entry in tasks.items() if entry.get("BACKEND") == BACKEND}


def configured_queues() -> set[str]:
    """The queues that TASKS names."""
    return {queue for entry in backends().values() for queue in entry.get("QUEUES", ["default"])}
