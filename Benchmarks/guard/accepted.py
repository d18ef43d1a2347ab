"""What was measured beside what was accepted: `guard.json` has a figure for each compiler, or server, that it was accepted with, and why."""

import dataclasses
import datetime
import json

# A figure may be so much worse than the accepted one; all of them are costs.
MARGIN = 0.10


@dataclasses.dataclass
class Figure:
    """`by`: the compiler or the server that it belongs to, since others give other figures."""

    value: float
    unit: str
    by: str


@dataclasses.dataclass
class Verdict:
    name: str
    unit: str
    accepted: float | None
    measured: float | None
    text: str
    fails: bool

    @property
    def ratio(self):
        return self.measured / self.accepted if self.accepted and self.measured is not None else None


def judge(accepted, measured):
    return [_judge(name, accepted["figures"].get(name), measured.get(name)) for name in dict.fromkeys([*measured, *accepted["figures"]])]


def _judge(name, known, figure):
    if figure is None:
        return Verdict(name, known["unit"], None, None, "not measured any more: accept it", True)
    if known is None:
        return Verdict(name, figure.unit, None, figure.value, "new: accept it", True)
    before = known["accepted"].get(figure.by)
    verdict = Verdict(name, figure.unit, before, figure.value, "", False)
    if before is None:
        verdict.text = f"not judged: none was accepted with {figure.by}"
    elif figure.value > before * (1 + MARGIN):
        verdict.text, verdict.fails = "**worse**", True
    elif figure.value < before * (1 - MARGIN):
        verdict.text = "better: accept it"
    else:
        verdict.text = "as accepted"
    return verdict


def table(verdicts):
    lines = ["| figure | unit | measured | accepted | ratio | verdict |", "| --- | --- | --- | --- | --- | --- |"]
    for verdict in verdicts:
        ratio = f"{verdict.ratio:.3f}" if verdict.ratio is not None else ""
        lines.append(f"| {verdict.name} | {verdict.unit} | {_number(verdict.measured)} | {_number(verdict.accepted)} | {ratio} | {verdict.text} |")
    return "\n".join(lines) + "\n"


def _number(value):
    return "" if value is None else f"{value:,.{0 if value >= 1000 else 2}f}"


def accept(accepted, measured, names, note):
    """Writes these figures into `accepted`, and why; those that are not measured any more go. Returns the names of those that have changed."""
    known = accepted["figures"]
    changed = []
    for name in dict.fromkeys([*measured, *known]) if names == ["all"] else names:
        figure = measured.get(name)
        entry = {"date": f"{datetime.date.today()}", "name": name}
        if figure is None:
            del known[name]
            entry |= {"to": None}
        else:
            figures = known.setdefault(name, {"unit": figure.unit, "accepted": {}})
            value = round(figure.value, 2)
            before = figures["accepted"].get(figure.by)
            if value == before and figures["unit"] == figure.unit:
                continue
            figures["unit"] = figure.unit
            figures["accepted"][figure.by] = value
            entry |= {"by": figure.by, "from": before, "to": value}
        accepted["notes"].append(entry | {"note": note})
        changed.append(name)
    return changed


def load(path):
    try:
        with open(path) as file:
            return json.load(file)
    except FileNotFoundError:
        return {"figures": {}, "notes": []}


def save(path, accepted):
    with open(path, "w") as file:
        file.write(json.dumps(accepted, indent=2) + "\n")
