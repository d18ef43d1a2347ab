"""Figures, and how they are shown: a Markdown table for people, JSON for programs."""

import dataclasses
import math
import statistics


@dataclasses.dataclass
class Target:
    """A ratio that DESIGN or an issue asks for."""

    what: str
    value: float
    limit: float
    at_least: bool

    @property
    def is_reached(self):
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self):
        verdict = "reached" if self.is_reached else "**not reached**"
        return f"{self.what}: {number(self.value)}; to be {'at least' if self.at_least else 'at most'} {number(self.limit)}: {verdict}"


@dataclasses.dataclass
class Part:
    """One table: what one benchmark, or one part of it, has found."""

    name: str
    title: str
    text: str
    columns: list
    rows: list = dataclasses.field(default_factory=list)
    targets: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)
    # Everything that was measured, for the JSON.
    figures: dict = dataclasses.field(default_factory=dict)

    def markdown(self):
        lines = [f"### {self.title}", "", self.text, "", _row(self.columns), _row("---" for _ in self.columns)]
        lines += [_row(row) for row in self.rows]
        lines += [""] + [f"- {target}" for target in self.targets] + [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def json(self):
        targets = [dataclasses.asdict(target) | {"is_reached": target.is_reached} for target in self.targets]
        return {"name": self.name, "title": self.title, "figures": self.figures, "targets": targets, "notes": self.notes}


def _row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def disturbance(runs):
    """What others took at most, of runs that have it as `disturbance`."""
    return f"others used at most {max(run['disturbance'] for run in runs):.0%} of the CPUs"


def summary(parts):
    """All targets of a run, in one table."""
    rows = [[part.name, target.what, number(target.value), f"{'at least' if target.at_least else 'at most'} {number(target.limit)}",
             "reached" if target.is_reached else "**not reached**"] for part in parts for target in part.targets]
    return "\n".join(["### Targets", "", _row(["benchmark", "what", "measured", "to be", ""]), _row("---" for _ in range(5)), *map(_row, rows)]) + "\n"


def number(value):
    """Three figures, or all before the point."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(2 - math.floor(math.log10(abs(value))), 0)}f}"


def spread(values):
    """Smallest / median / largest."""
    return " / ".join(number(value) for value in (min(values), statistics.median(values), max(values)))


def percentile(values, share):
    """The value that so many of a hundred are not above (nearest rank)."""
    return sorted(values)[max(math.ceil(len(values) * share / 100) - 1, 0)]
