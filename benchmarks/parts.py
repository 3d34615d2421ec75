# SPDX-License-Identifier: Apache-2.0
"""What is measured, by part: each measurement is a name and a question to one of the contenders."""

# ruff: noqa: INP001 - a script's module
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from contenders import Answer, Contenders, Measured, Memory, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    Measurements = dict[str, Callable[[], Answer]]

CLIENTS = (1, 8, 64)
SIZES = (1, 32)
DOCUMENTS = (10, 100, 1_000)

# What a JVM takes little memory with; texts/s are 1 to 2 % fewer once warm, since hardly any of the time is Java's.
SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms32m", "-Xmn16m", "-Xmx256m")

# Whose warm-up is more than one run: single texts are so many requests that the JVM compiles for as long, of a front and a
# worker each compiles its own code, and a client over HTTP does as well.
WARM_UPS = {"bus_many_x1": 4, "worker_many_x1": 4, "query_bus": 4, "query_http": 8, "worker_query": 4}


@dataclass(frozen=True)
class Amounts:
    """How much is asked for in a round: single queries, requests under way on the bus, documents ranked."""

    queries: int = 1_000
    callers: int = 256
    callers_of_many: int = 16
    documents: int = 1_000


def http_texts(contenders: Contenders, server: Server, size: int, clients: int) -> Answer:
    """Send all texts over HTTP; the server's own counters and memory are told too, where it is ours."""
    command = f"texts {server.url} {server.model} {size} {clients}"
    client = contenders.client()
    if server.process is None:
        return client.ask(command)
    before = server.queue()
    with Memory(server.process) as memory:
        answer = client.ask(command)
    after = server.queue()
    counted = {key: after[key] - before[key] for key in ("batches", "real_tokens", "padded_tokens")}
    return answer | counted | {"tokens_s": counted["real_tokens"] / answer["seconds"], "resident_mb": memory.most_mb}


def together(processes: list[Measured], command: str) -> Answer:
    """Let processes work on a part of the texts each, at once: what all did in the time of the slowest."""
    for part, process in enumerate(processes):
        process.send(f"{command} {part} {len(processes)}")
    answers: list[Answer] = [json.loads(process.line()) for process in processes]
    seconds = max(answer["seconds"] for answer in answers)
    texts = sum(answer["texts_s"] * answer["seconds"] for answer in answers)
    return {"texts_s": texts / seconds, "seconds": seconds, "cpu_seconds": sum(answer["cpu_seconds"] for answer in answers)}


class Parts:
    """The parts by name; each gives its measurements, and starts no process before it is asked."""

    def __init__(self, contenders: Contenders, amounts: Amounts, servers: dict[str, Server]) -> None:
        """Measure so much on these contenders, and on the servers that others have started, by name."""
        self._contenders = contenders
        self._amounts = amounts
        self._servers = servers

    def _grid(self, name: str, server: Callable[[], Server]) -> Measurements:
        def ask(size: int, clients: int) -> Answer:
            return http_texts(self._contenders, server(), size, clients)

        return {f"{name}_{clients}x{size}": partial(ask, size, clients) for clients in CLIENTS for size in SIZES}

    def raw(self) -> Measurements:
        """Return the raw engine, which knows all texts at once."""
        return {"raw": lambda: self._contenders.raw().ask("texts")}

    def onnx(self) -> Measurements:
        """Return raw ONNX Runtime, in order of arrival and of length."""
        return {
            "onnx": lambda: self._contenders.onnx().ask("texts"),
            "onnx_by_length": lambda: self._contenders.onnx_by_length().ask("texts"),
        }

    def http(self) -> Measurements:
        """Return the application over HTTP."""
        return self._grid("http", self._contenders.server)

    def url(self) -> Measurements:
        """Return the servers that were given."""
        found: Measurements = {}
        for name in self._servers:
            found |= self._grid(name, partial(self._servers.__getitem__, name))
        return found

    def _in_precision(self, precision: str) -> Measurements:
        def ask(clients: int, size: int) -> Answer:
            server = self._contenders.server(precision, precision=precision)
            return http_texts(self._contenders, server, size, clients)

        return {f"{precision}_{clients}x{size}": partial(ask, clients, size) for clients, size in ((64, 1), (8, 32))}

    def int8(self) -> Measurements:
        """Return the application with its model in int8."""
        return self._in_precision("int8")

    def f32(self) -> Measurements:
        """Return the application with its model in float32, which is what others run."""
        return self._in_precision("f32")

    def bus(self) -> Measurements:
        """Return the bus, as many callers as HTTP has and more."""
        some = {(clients, size) for clients in CLIENTS for size in SIZES}
        many = {(self._amounts.callers, 1), (self._amounts.callers_of_many, 32)}

        def ask(callers: int, size: int) -> Answer:
            return self._contenders.bus().ask(f"texts {size} {callers}")

        every: Measurements = {f"bus_{callers}x{size}": partial(ask, callers, size) for callers, size in sorted(some)}
        return every | {f"bus_many_x{size}": partial(ask, callers, size) for callers, size in sorted(many)}

    def langchain4j(self) -> Measurements:
        """Return langchain4j in process, beside as many requests of 32 on the bus."""
        measured: Measurements = {
            f"langchain4j_{weights}": partial(self._langchain4j, weights, "texts 32 8") for weights in ("float", "quantised")
        }
        return measured | {"bus_8x32": lambda: self._contenders.bus().ask("texts 32 8")}

    def _langchain4j(self, weights: str, command: str) -> Answer:
        return self._contenders.langchain4j(weights).ask(command)

    def torch(self) -> Measurements:
        """Return sentence-transformers."""
        return {} if self._contenders.paths.torch_python is None else {"torch": lambda: self._contenders.torch().ask("texts")}

    def idle(self) -> Measurements:
        """Return one short query at a time: the engine's own call, the bus and HTTP of one process; and beside them others."""
        queries = self._amounts.queries

        def http() -> Answer:
            url = self._contenders.bus().ask("url")["url"]
            return self._contenders.client().ask(f"query {url} all-MiniLM-L6-v2 {queries}")

        return {
            "query_engine": lambda: self._contenders.bus().ask(f"engine {queries}"),
            "query_bus": lambda: self._contenders.bus().ask(f"query {queries}"),
            "query_http": http,
            "query_raw": lambda: self._contenders.raw().ask(f"query {queries}"),
            "query_langchain4j": lambda: self._langchain4j("float", f"query {queries}"),
        }

    def lanes(self) -> Measurements:
        """Return a lane a core in one process, beside a process a core with one lane, bound to its core."""
        cores = sorted(os.sched_getaffinity(0))

        def apart() -> Answer:
            processes = [self._contenders.bus(f"bus-core-{core}", lanes=1, core=core) for core in cores]
            return together(processes, "texts 32 8")

        return {
            "lanes": lambda: self._contenders.bus().ask(f"texts 32 {8 * len(cores)}"),
            "processes": apart,
        }

    def cluster(self) -> Measurements:
        """Return a front with one worker process, to lay beside everything in one process."""

        def ask(command: str) -> Answer:
            return self._contenders.bus("bus-worker", worker=True).ask(command)

        amounts = self._amounts
        return {
            "worker_query": lambda: ask(f"query {amounts.queries}"),
            "worker_many_x1": lambda: ask(f"texts 1 {amounts.callers}"),
            "worker_many_x32": lambda: ask(f"texts 32 {amounts.callers_of_many}"),
        }

    def memory(self) -> Measurements:
        """Return the application under load in a small JVM."""

        def small(size: int) -> Answer:
            return http_texts(self._contenders, self._contenders.server("small", *SMALL_JVM), size, 64)

        return {f"small_64x{size}": partial(small, size) for size in SIZES}

    def limit(self) -> Measurements:
        """Return the rate of matrix multiplications."""
        return {f"limit_{precision}": partial(self._limit, precision) for precision in ("f32", "bf16", "int8")}

    def _limit(self, precision: str) -> Answer:
        return self._contenders.limit().ask(precision)

    def rerank(self) -> Measurements:
        """Return rankings of few and many documents, as many documents in all."""

        def ask(documents: int) -> Answer:
            return self._contenders.bus().ask(f"rerank {documents} {max(1, self._amounts.documents // documents)}")

        return {f"rerank_{documents}": partial(ask, documents) for documents in DOCUMENTS}

    def load(self) -> Measurements:
        """Return embeddings beside the loads of another model."""
        return {"load": lambda: self._contenders.bus().ask("load 300")}

    def named(self, names: list[str]) -> Measurements:
        """Return the measurements of parts."""
        found: Measurements = {}
        for name in names:
            found |= getattr(self, name)()
        return found


IN_TURNS = (
    "limit",
    "raw",
    "onnx",
    "http",
    "int8",
    "f32",
    "url",
    "bus",
    "langchain4j",
    "torch",
    "idle",
    "lanes",
    "cluster",
    "memory",
    "rerank",
    "load",
)
