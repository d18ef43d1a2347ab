"""The same under load: 500 inserts a second, at fixed moments, whether or not the one before has been answered in time."""

from bench.latency import measuring
from bench.report import Part, disturbance, number, percentile

PER_SECOND = 500


def run(bench):
    count = 200 if bench.quick else 5_000
    pause = (1_000_000 // PER_SECOND,) * 2
    runs = measuring.once(bench, f"latency at {PER_SECOND}/s", {
        "C floor": lambda: measuring.of_floor(bench, count, pause),
        "hark": lambda: measuring.of_hark(bench, count, pause),
    })
    part = Part(
        "latency.offered", f"Latency at {PER_SECOND} inserts a second",
        f"Milliseconds, {count:,} inserts on one connection, one every {1000 // PER_SECOND} ms. One that could not be sent in time counts from the moment at which it should have been.",
        ["", "min", *(f"p{share}" for share in measuring.SHARES), "max"], figures=runs)
    for name, one in runs.items():
        part.rows.append([name, *measuring.cells(one["milliseconds"])])
    ratios = {share: percentile(runs["hark"]["milliseconds"], share) / percentile(runs["C floor"]["milliseconds"], share) for share in measuring.SHARES}
    part.notes.append("hark / floor: " + ", ".join(f"p{share} {number(ratio)}" for share, ratio in ratios.items()))
    part.notes.append(disturbance(runs.values()))
    return part
