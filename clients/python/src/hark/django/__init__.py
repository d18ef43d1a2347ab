"""Hark in Django: an app with models, admin pages, checks and a command, and a backend for the Tasks API.

INSTALLED_APPS = [..., "hark.django"]
TASKS = {"default": {"BACKEND": "hark.django.HarkBackend"}}
"""

from typing import Any

__all__ = ["HarkBackend"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: apps are loaded before models may be, and a project without the Tasks API has no base for it.
    if name == "HarkBackend":
        from hark.django.backend import HarkBackend

        return HarkBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
