"""How a task's values look in the admin."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

NOTHING = mark_safe('<span class="hark-nothing">–</span>')


def state(name: str, why: str | None = None) -> SafeString:
    return format_html('<span class="hark-state hark-{}" title="{}">{}</span>', name, why or "", name)


def duration(value: timedelta | None) -> str:
    """In the two units that matter: 12 ms, 3.4 s, 2 min 5 s, 1 h 10 min, 3 d 4 h."""
    if value is None:
        return "–"
    seconds = value.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def moment(value: datetime | None) -> SafeString:
    """To the second, in the project's time zone, and how long ago it was or how soon it is."""
    if value is None:
        return NOTHING
    away = timezone.now() - value
    return format_html("{} ({})", exact(value), f"{duration(away)} ago" if away >= timedelta(0) else f"in {duration(-away)}")


def exact(value: datetime) -> str:
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    return f"{local:%Y-%m-%d %H:%M:%S %Z}".strip()


def ago(value: datetime | None) -> SafeString:
    """Short, so that a list's columns fit on a screen; who points at it sees the moment."""
    if value is None:
        return NOTHING
    return format_html('<span title="{}">{} ago</span>', exact(value), duration(max(timezone.now() - value, timedelta(0))))


def breakable(name: str) -> SafeString:
    """A dotted name that may go on in a new line behind a dot."""
    return format_html_join(mark_safe(".<wbr>"), "{}", ((part,) for part in name.split(".")))


def pretty_json(value: Any) -> SafeString:
    return format_html('<pre class="hark-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))


def errors(entries: list[dict[str, Any]] | None) -> SafeString:
    """A block for each attempt that went wrong, the last one first."""
    if not entries:
        return NOTHING
    return format_html_join("", "{}", ((error(entry),) for entry in reversed(entries)))


def error(entry: dict[str, Any]) -> SafeString:
    where = [f"attempt {entry.get('attempt')}", str(entry.get("at") or "")[:19].replace("T", " "), str(entry.get("worker") or "")]
    detail = entry.get("detail")
    return format_html(
        '<div class="hark-error"><div><span class="hark-kind">{}</span> {}</div><strong>{}</strong>{}</div>',
        entry.get("kind") or "error",
        " · ".join(part for part in where if part),
        entry.get("message") or "",
        format_html("<pre>{}</pre>", detail) if detail else "",
    )
