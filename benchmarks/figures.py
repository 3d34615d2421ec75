# SPDX-License-Identifier: Apache-2.0
"""Figures from rounds: medians, spreads, ratios within a round; the goals; the tables."""

# ruff: noqa: INP001 - a script's module
from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parts import CLIENTS, SIZES, SMALL_JVM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Round = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Layer:
    """A layer measured by itself."""

    title: str
    size: str
    micros: float


@dataclass(frozen=True)
class Figure:
    """What is computed from each round; a goal is a bound that the median is held against."""

    title: str
    of: Callable[[Round], float]
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    def goal(self) -> str:
        """Return the goal in words."""
        unit = f" {self.unit}" if self.unit else ""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}{unit}"
        return f"≤ {self.at_most:g}{unit}" if self.at_most is not None else ""

    def met(self, median: float) -> str:
        """Return whether the goal is met, in words."""
        if self.at_least is None and self.at_most is None:
            return ""
        low = self.at_least is not None and median < self.at_least
        high = self.at_most is not None and median > self.at_most
        return "**missed**" if low or high else "met"


def value(name: str, key: str = "texts_s") -> Callable[[Round], float]:
    """Return what takes a measured value."""
    return lambda one: float(one[name][key])


def ratio(name: str, other: str, key: str = "texts_s") -> Callable[[Round], float]:
    """Return what divides a value of one measurement by that of another."""
    return lambda one: float(one[name][key]) / float(one[other][key])


def less(name: str, other: str, key: str = "p50_ms") -> Callable[[Round], float]:
    """Return what subtracts a value of another measurement."""
    return lambda one: float(one[name][key]) - float(one[other][key])


def padding(name: str) -> Callable[[Round], float]:
    """Return what divides padded by real tokens."""
    return lambda one: float(one[name]["padded_tokens"]) / float(one[name]["real_tokens"])


def of_limit(name: str, precision: str) -> Callable[[Round], float]:
    """Return what divides real tokens a second by those that the machine's matrix rate allows."""
    return lambda one: float(one[name]["real_tokens"]) / one[name]["seconds"] / one[f"limit_{precision}"]["tokens_s"]


def most_resident(prefix: str) -> Callable[[Round], float]:
    """Return what takes the most resident memory of a server under any of its loads."""
    return lambda one: max(float(found["resident_mb"]) for name, found in one.items() if name.startswith(prefix))


def goals(servers: Sequence[str]) -> tuple[Figure, ...]:
    """Return the goals; those over another server are held against the first."""
    return (*_OVER_ONNX, *_over(servers[0] if servers else "a server at `--url` (TEI)"), *_OTHER_GOALS)


def _over(server: str) -> tuple[Figure, ...]:
    return (
        Figure(
            f"the same at default precision (bfloat16 where there is any) over {server}",
            ratio("http_64x1", f"{server}_64x1"),
            at_least=4,
        ),
        Figure(f"the same with int8 over {server}", ratio("int8_64x1", f"{server}_64x1"), at_least=6),
        Figure(f"p99 over that of {server}", ratio("http_64x1", f"{server}_64x1", "p99_ms"), at_most=0.5),
    )


_OVER_ONNX = (
    Figure(
        "HTTP, 64 clients, one text a request, over raw ONNX Runtime float32", ratio("http_64x1", "onnx", "tokens_s"), at_least=1.6
    ),
    Figure("the same with int8", ratio("int8_64x1", "onnx", "tokens_s"), at_least=2.4),
)

_OTHER_GOALS = (
    Figure("requests of 32, bus over langchain4j float32", ratio("bus_8x32", "langchain4j_float"), at_least=2),
    Figure("requests of 32, bus over langchain4j quantised", ratio("bus_8x32", "langchain4j_quantised"), at_least=1.5),
    Figure("the same with int8, over HTTP", ratio("int8_8x32", "langchain4j_quantised"), at_least=1.5),
    Figure("one text a request, many callers, bus over the raw engine", ratio("bus_many_x1", "raw"), at_least=0.95),
    Figure("32 texts a request, many callers, bus over the raw engine", ratio("bus_many_x32", "raw"), at_least=0.95),
    Figure("single texts over requests of 32, many callers, bus", ratio("bus_many_x1", "bus_many_x32"), at_least=0.9),
    Figure("one short query, bus less the engine call, p50", less("query_bus", "query_engine"), "ms", at_most=0.15),
    Figure("one short query, HTTP less the engine call, p50", less("query_http", "query_engine"), "ms", at_most=0.5),
    Figure("real tokens/s over the bfloat16 limit, bus, requests of 32", of_limit("bus_many_x32", "bf16"), at_least=0.7),
    Figure("padded over real tokens, HTTP, 64 clients, one text a request", padding("http_64x1"), at_most=1.1),
    Figure("padded over real tokens, HTTP, 64 clients, 32 texts a request", padding("http_64x32"), at_most=1.1),
    Figure("n lanes in one process over n processes of one lane", ratio("lanes", "processes"), at_least=0.9),
    Figure("a front and one worker process over one process, many x 1", ratio("worker_many_x1", "bus_many_x1"), at_least=0.9),
    Figure("a front and one worker process over one process, many x 32", ratio("worker_many_x32", "bus_many_x32"), at_least=0.9),
    Figure("one short query, a worker process less one process, p50", less("worker_query", "query_bus"), "ms", at_most=0.5),
    Figure("resident memory under HTTP load, no JVM flags", most_resident("http_"), "MB", at_most=400),
    Figure(f"the same with {' '.join(SMALL_JVM)}", most_resident("small_"), "MB", at_most=400),
    Figure("process start to first answer", value("start", "seconds"), "s", at_most=2.5),
    Figure("rerank, time a token, 1,000 documents over 100", ratio("rerank_1000", "rerank_100", "token_us"), at_most=1.1),
    Figure(
        "rerank of 1,000 documents, the process's memory more than before it",
        value("rerank_1000", "grown_mb"),
        "MB",
        at_most=20,
    ),
)


def figures(servers: Sequence[str]) -> tuple[Figure, ...]:
    """Return what has no goal."""
    return (*_throughputs(servers), *_ratios(servers), *_OTHER_FIGURES)


def _ratios(servers: Sequence[str]) -> list[Figure]:
    cells = [f"{clients}x{size}" for clients in CLIENTS for size in SIZES]
    found = [Figure(f"HTTP in float32 over {server}, 64x1", ratio("f32_64x1", f"{server}_64x1")) for server in servers]
    return found + [
        Figure(f"HTTP over {server}, {it}", ratio(f"http_{it}", f"{server}_{it}")) for server in servers for it in cells
    ]


def _throughputs(servers: Sequence[str]) -> list[Figure]:
    found = [
        Figure("raw engine (OpenVINO), all texts known at once", value("raw"), "texts/s"),
        Figure("raw ONNX Runtime float32, 32 texts a batch in order of arrival", value("onnx"), "texts/s"),
        Figure("raw ONNX Runtime float32, like lengths together", value("onnx_by_length"), "texts/s"),
        Figure("langchain4j float32, requests of 32", value("langchain4j_float"), "texts/s"),
        Figure("langchain4j quantised, requests of 32", value("langchain4j_quantised"), "texts/s"),
        Figure("sentence-transformers on torch, batches of 32", value("torch"), "texts/s"),
    ]
    for name, title in (("bus", "bus"), ("http", "HTTP"), *((server, server) for server in servers)):
        for clients in CLIENTS:
            for size in SIZES:
                key = f"{name}_{clients}x{size}"
                found.append(Figure(f"{title}, {clients} x {size}", value(key), "texts/s"))
                found.append(Figure(f"{title}, {clients} x {size}, p99", value(key, "p99_ms"), "ms"))
    for size in SIZES:
        found.append(Figure(f"bus, many x {size}", value(f"bus_many_x{size}"), "texts/s"))
        found.append(Figure(f"bus, many x {size}, p99", value(f"bus_many_x{size}", "p99_ms"), "ms"))
        found.append(Figure(f"HTTP, small JVM, 64 x {size}", value(f"small_64x{size}"), "texts/s"))
    for name in ("int8", "f32"):
        found += [Figure(f"HTTP, {name}, {it.replace('x', ' x ')}", value(f"{name}_{it}"), "texts/s") for it in ("64x1", "8x32")]
    return found


_OTHER_FIGURES = (
    Figure("HTTP, 64 x 1, over raw ONNX Runtime with like lengths together", ratio("http_64x1", "onnx_by_length", "tokens_s")),
    Figure("HTTP over bus, 64 x 1", ratio("http_64x1", "bus_64x1")),
    Figure("HTTP over bus, 64 x 32", ratio("http_64x32", "bus_64x32")),
    Figure("HTTP int8 over default precision, 64 x 1", ratio("int8_64x1", "http_64x1")),
    Figure("HTTP in float32 over raw ONNX Runtime float32, 64 x 1", ratio("f32_64x1", "onnx", "tokens_s")),
    Figure("HTTP in float32 over langchain4j float32, 8 x 32", ratio("f32_8x32", "langchain4j_float")),
    Figure("bus over sentence-transformers, requests of 32", ratio("bus_8x32", "torch")),
    Figure("processor time of the HTTP client, 64 x 1", value("http_64x1", "cpu_seconds"), "s"),
    Figure("padded over real tokens, raw engine", padding("raw")),
    Figure("padded over real tokens, raw ONNX Runtime", padding("onnx")),
    Figure("padded over real tokens, bus, 64 x 1", padding("bus_64x1")),
    Figure("padded over real tokens, bus, many x 1", padding("bus_many_x1")),
    Figure("padded over real tokens, bus, many x 32", padding("bus_many_x32")),
    Figure("one short query, the engine call in the same process, p50", value("query_engine", "p50_ms"), "ms"),
    Figure("one short query, raw engine in plain CPython, p50", value("query_raw", "p50_ms"), "ms"),
    Figure("one short query, langchain4j float32, p50", value("query_langchain4j", "p50_ms"), "ms"),
    Figure("one short query, bus, p50", value("query_bus", "p50_ms"), "ms"),
    Figure("one short query, bus, p99", value("query_bus", "p99_ms"), "ms"),
    Figure("one short query, HTTP, p50", value("query_http", "p50_ms"), "ms"),
    Figure("one short query, HTTP, p99", value("query_http", "p99_ms"), "ms"),
    Figure("one short query, bus less raw engine, p50", less("query_bus", "query_raw"), "ms"),
    *(
        Figure(f"matrix rate in {precision} at the model's shapes", value(f"limit_{precision}", "gflops"), "GFLOP/s")
        for precision in ("f32", "bf16", "int8")
    ),
    *(
        Figure(f"the same as tokens, {precision}", value(f"limit_{precision}", "tokens_s"), "tokens/s")
        for precision in ("f32", "bf16", "int8")
    ),
    Figure("real tokens/s over the bfloat16 limit, raw engine", of_limit("raw", "bf16")),
    Figure("n lanes in one process", value("lanes"), "texts/s"),
    Figure("n processes of one lane", value("processes"), "texts/s"),
    *(Figure(f"rerank of {count}, p50", value(f"rerank_{count}", "p50_ms"), "ms") for count in (10, 100, 1_000)),
    *(Figure(f"rerank of {count}, a token", value(f"rerank_{count}", "token_us"), "us") for count in (10, 100, 1_000)),
    Figure(
        "embedding beside another model's load, slowest over slowest without",
        lambda one: float(one["load"]["beside_slowest_ms"]) / float(one["load"]["alone_slowest_ms"]),
    ),
    Figure("process start to first answer, the hub never answers", value("start_silent_hub", "seconds"), "s"),
)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the least and the most."""
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def over(rounds: Sequence[Round], figure: Figure) -> dict[str, float] | None:
    """Return a figure's spread over the rounds that have what it is made of; None if none has."""
    values = []
    for one in rounds:
        try:
            values.append(figure.of(one))
        except (KeyError, ValueError):
            continue
    return spread(values) if values else None


def _number(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"  # noqa: PLR2004


def _numbers(figure: Figure, found: dict[str, float]) -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{_number(found['median'])}{unit} | {_number(found['min'])} | {_number(found['max'])}"


def _row(figure: Figure, found: dict[str, float] | None) -> str:
    if found is None:
        return f"| {figure.title} | {figure.goal()} | | | | not measured |"
    return f"| {figure.title} | {figure.goal()} | {_numbers(figure, found)} | {figure.met(found['median'])} |"


def tables(rounds: Sequence[Round], servers: Sequence[str]) -> str:
    """Return the goals and the figures as Markdown."""
    lines = ["| figure | goal | median | least | most | |", "|---|---|---:|---:|---:|---|"]
    lines += [*(_row(figure, over(rounds, figure)) for figure in goals(servers)), ""]
    lines += ["| figure | median | least | most |", "|---|---:|---:|---:|"]
    for figure in figures(servers):
        found = over(rounds, figure)
        if found is not None:
            lines.append(f"| {figure.title} | {_numbers(figure, found)} |")
    return "\n".join(lines) + "\n"


def layer_table(layers: Sequence[Layer]) -> str:
    """Return layers as Markdown; nothing where there are none."""
    if not layers:
        return ""
    rows = [f"| {layer.title} | {layer.size} | {layer.micros:.4g} us |" for layer in layers]
    return "\n".join(["", "| layer alone | of | time |", "|---|---|---:|", *rows]) + "\n"
