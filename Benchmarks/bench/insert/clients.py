"""INSERTs by 1, 16 and 64 clients."""

from bench.insert import measuring
from bench.insert.measuring import BELL, EMPTY, NONE, NOTIFY
from bench.report import Part, Target


def run(bench):
    # Multiples of eight: then each trigger has had each place, in both directions.
    rounds, of_one, seconds = (2, 1, 0.2) if bench.quick else (104, 24, 0.4)
    part = Part(
        "insert.clients", "INSERT: one row a transaction, while the workers are busy",
        f"Rows a second, min / median / max of {rounds} rounds of {seconds} s each ({of_one} with one client), with pgbench and prepared statements. The clients stay, and what is triggered is "
        "exchanged beneath them. The ratios are of the rows of all rounds, with their standard error.",
        ["clients", "trigger", "rows/s", "of no trigger", "of an empty one"])
    for clients in (1, 16, 64):
        taken = part.figures[clients] = measuring.rates(bench, bench.server, clients, [NONE, EMPTY, BELL, NOTIFY], rounds if clients > 1 else of_one, seconds)
        part.rows += measuring.rows(clients, taken)
        if clients > 1:
            reached, _ = measuring.ratio(taken, BELL, EMPTY)
            part.targets.append(Target(f"{clients} clients: INSERTs with the bell / with an empty trigger", reached, 0.9, at_least=True))
    part.notes.append(measuring.disturbance(part.figures.values()))
    return part
