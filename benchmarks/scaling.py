# SPDX-License-Identifier: Apache-2.0
"""Tables and a picture of what RoutingSimulation and BusCost have printed."""

# ruff: noqa: INP001, T201 - a script, no module
from __future__ import annotations

import argparse
import csv
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from lines import Panel, picture
from pages import write_into

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Line = dict[str, str]

POLICIES = {
    "one_queue": "one queue",
    "ragbus": "Ragbus",
    "ragbus_near": "Ragbus, its own among the two",
    "two_drawn_alike": "two drawn alike",
    "least_known": "least of all",
    "round_robin": "round robin",
    "random": "random",
    "least_told": "least told",
}
WAYS = {
    "local": "local bus",
    "one JVM": "two nodes in one JVM",
    "two JVMs": "two JVMs",
    "front": "through a front to a worker in another JVM",
    "HTTP": "the same over HTTP, its client included",
}
MANY_WORKERS = "64"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def values(lines: Iterable[Line], key: str) -> list[str]:
    """Return the different values of a column, in order of their first."""
    return list(dict.fromkeys(line[key] for line in lines))


def where(lines: Iterable[Line], **wanted: str) -> list[Line]:
    """Return the lines with these values."""
    return [line for line in lines if all(line[key] == value for key, value in wanted.items())]


def number(text: str) -> str:
    """Return a measured number without digits that mean nothing."""
    return f"{float(text):,.0f}"


def by_policy(title: str, key: str, lines: list[Line], *columns: str) -> str:
    """Return a table with a row for each value of a column and a column for each policy."""
    policies = [policy for policy in POLICIES if where(lines, policy=policy)]
    rows = []
    for value in values(lines, key):
        found = [where(lines, policy=policy, **{key: value})[0] for policy in policies]
        cells = [" / ".join(one[column] if column == "utilisation" else number(one[column]) for column in columns) for one in found]
        rows.append([value, *cells])
    return table([title, *(POLICIES[policy] for policy in policies)], rows)


def routing_tables(lines: list[Line]) -> str:
    """Return what was simulated."""
    load, speeds, fronts, near = (where(lines, part=part) for part in ("load", "speeds", "fronts", "near"))
    told = [[interval, *_fronts(where(fronts, announce_ms=interval))] for interval in values(fronts, "announce_ms")]
    head = [f"{POLICIES[policy]}, {count}" for policy in ("ragbus", "least_known") for count in values(fronts, "fronts")]
    both = ("answer_p99_ms", "query_p99_ms")
    return "\n".join(
        [
            "Load 0.9, all workers alike, four fronts: p99 of all requests / of queries, ms.\n",
            by_policy("workers", "workers", where(load, load="0.9"), *both),
            f"{MANY_WORKERS} workers, by load: the same.\n",
            by_policy("load", "load", where(load, workers=MANY_WORKERS), *both),
            "60 workers, of which 6 are GPUs, 20 times as fast: p99 of all requests, ms / utilisation.\n",
            by_policy("load", "load", where(speeds, workers="60"), "answer_p99_ms", "utilisation"),
            f"{MANY_WORKERS} workers, load 0.9, by how often they tell and the number of fronts: p99 of all requests, ms.\n",
            table(["announce_interval, ms", *head], told),
            "Load 0.9, a front in each worker's process: p99 of all requests / of queries, ms.\n",
            by_policy("workers", "workers", where(near, load="0.9"), *both),
        ]
    )


def _fronts(lines: list[Line]) -> list[str]:
    return [number(line["answer_p99_ms"]) for policy in ("ragbus", "least_known") for line in where(lines, policy=policy)]


def bus_table(lines: list[Line]) -> str:
    """Return what a request costs, as medians over the rounds; a process at its limit uses a core."""
    rows = []
    for texts in values(lines, "texts"):
        local = _median(where(lines, way="local", texts=texts), "p50_us")
        for way, title in WAYS.items():
            found = where(lines, way=way, texts=texts)
            asker = _median(found, "asker_us")
            rows.append(
                [
                    title,
                    texts,
                    f"{_median(found, 'p50_us'):,.0f}",
                    f"{_median(found, 'p50_us') / local:.1f}",
                    f"{_median(found, 'requests_s'):,.0f}",
                    f"{asker:.3g}",
                    f"{_median(found, 'answerer_us'):.3g}" if way in {"two JVMs", "front", "HTTP"} else "",
                    f"{1e6 / asker:,.0f}" if asker else "",  # too few requests for the clock of processor time
                ]
            )
    head = ["way", "texts", "p50, µs", "over local", "requests/s", "CPU here, µs", "CPU there, µs", "requests/s/core here"]
    return table(head, rows)


def _median(lines: list[Line], key: str) -> float:
    return statistics.median(float(line[key]) for line in lines)


def _series(lines: list[Line], key: str, column: str) -> dict[str, list[tuple[float, float]]]:
    return {
        policy: [(float(line[key]), float(line[column])) for line in found]
        for policy in POLICIES
        if (found := where(lines, policy=policy))
    }


def panels(lines: list[Line]) -> list[Panel]:
    """Return what is drawn."""
    load, speeds, fronts = (where(lines, part=part) for part in ("load", "speeds", "fronts"))
    p99 = "p99 of all requests, ms"
    fast = where(speeds, workers="60")
    many = where(load, workers=MANY_WORKERS)
    sixteen = where(fronts, fronts="16")
    return [
        Panel("load 0.9, workers alike", "workers", p99, _series(where(load, load="0.9"), "workers", "answer_p99_ms"), log_x=True),
        Panel(f"{MANY_WORKERS} workers alike", "load", p99, _series(many, "load", "answer_p99_ms")),
        Panel("60 workers, 6 of them GPUs", "load", p99, _series(fast, "load", "answer_p99_ms")),
        Panel("60 workers, 6 of them GPUs", "load", "utilisation", _series(fast, "load", "utilisation"), log_y=False),
        Panel(
            f"{MANY_WORKERS} workers, load 0.9, 16 fronts",
            "announce_interval, ms",
            p99,
            _series(sixteen, "announce_ms", "answer_p99_ms"),
            log_x=True,
        ),
    ]


def main() -> None:
    """Print the tables, or write them into a page, with the picture beside it."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("routing", type=Path, help="what RoutingSimulation printed")
    found.add_argument("bus", type=Path, help="what BusCost printed")
    found.add_argument("--document", type=Path, help="write the tables into this page, and scaling.svg beside it")
    chosen = found.parse_args()
    routing, bus = (list(csv.DictReader(path.open(encoding="utf-8"))) for path in (chosen.routing, chosen.bus))
    tables = {"routing": routing_tables(routing), "bus": bus_table(bus)}
    shown = {policy: title for policy, title in POLICIES.items() if policy != "ragbus_near"}
    drawn = picture(panels(routing), shown)
    if chosen.document:
        for name, written in tables.items():
            write_into(chosen.document, f"benchmarks/scaling.sh: {name}", f"\n{written}\n")
        chosen.document.with_suffix(".svg").write_text(drawn, encoding="utf-8")
    else:
        chosen.routing.with_name("scaling.svg").write_text(drawn, encoding="utf-8")
        print("\n".join(tables.values()))


if __name__ == "__main__":
    main()
