# SPDX-License-Identifier: Apache-2.0
"""The engine at its best, in plain CPython: what Ragbus on the bus is measured against.

The same model file through the same compiled graph (OpenVINO, pooling inside), the same precision, one stream and one
compute thread a lane, an infer request a lane; a single query has all threads. All texts are known at once, so like lengths go
together perfectly, within the budget that the service has too. There is no queue, no bus, no JVM, and nobody waits for a single
answer.

Reads commands from standard input, one a line, and answers each with a line of JSON:

    query CALLS    CALLS single queries, one after another: tokenise, infer, pool, normalise
    texts          all texts once, on every lane
    memory         resident memory of this process
    vectors FILE   all texts once, their normalised vectors as NumPy's .npy, in the order of the texts
"""

# ruff: noqa: INP001, T201 - a script, no module
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from bisect import bisect_right
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ragbus import devices, hosting, model, pooling, registry, tokenization
from ragbus.engines import EngineOptions, load_engine
from ragbus.tokenization import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragbus.engines import Engine

QUERY = "How tall is Mont Blanc?"
SHORT = 8
LINE = 96  # the service's `Lines.COMMON_WIDTH`


class Batch(NamedTuple):
    """The indices of rows that run together, line by line."""

    width: int
    lines: list[list[int]]

    @property
    def rows(self) -> list[int]:
        """The indices, in their order."""
        return [at for line in self.lines for at in line]


def packed(lengths: Sequence[int], step: int, budget: int, most_rows: int) -> list[Batch]:
    """Return batches of full lines: of all rows left, the longest that fits goes to where the least room is."""
    left = sorted(range(len(lengths)), key=lambda at: lengths[at])
    found = []
    while left:
        width = max(LINE, -(-lengths[left[-1]] // step) * step)
        lines: list[list[int]] = []
        count = 0
        while left and count < most_rows and len(lines) < max(1, budget // width):
            line, room = [], width
            while count < most_rows and (at := bisect_right(left, room, key=lambda it: lengths[it])):
                line.append(left.pop(at - 1))
                room -= lengths[line[-1]]
                count += 1
            lines.append(line)
        used = max(sum(lengths[at] for at in line) for line in lines)
        found.append(Batch(min(width, -(-used // step) * step), lines))
    return found


def batches(lengths: Sequence[int], budget: int, most_rows: int, order: str) -> list[list[int]]:
    """Return the indices of rows that run together.

    In order of length: longest first, as many as fit the budget of padded tokens. In order of arrival: just so many rows.
    """
    if order == "arrival":
        return [list(range(first, min(first + most_rows, len(lengths)))) for first in range(0, len(lengths), most_rows)]
    found: list[list[int]] = [[]]
    for index in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        batch = found[-1]
        if batch and (len(batch) == most_rows or (len(batch) + 1) * lengths[batch[0]] > budget):
            found.append(batch := [])
        batch.append(index)
    return [batch for batch in found if batch]


def padded(length: int, step: int, most: int) -> int:
    """Return the width of a batch whose longest row has so many tokens; short queries are best at 8."""
    return min(most, -(-length // step) * step if length > SHORT else SHORT)


def run(engine: Engine, batch: Batch, rows: Sequence[list[int]], *, alone: bool = False) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Run a batch of these rows; `alone` as in `Engine.forward`."""
    ids = np.full((len(batch.lines), batch.width), engine.tokens.pad_id, np.int32)
    table = pooling.table_of([len(rows[at]) for at in batch.rows], batch.width, flags=pooling.FINISH)
    starts = []
    for number, line in enumerate(batch.lines):
        together = [token for at in line for token in rows[at]]
        ids[number, : len(together)] = together
        starts += [number * batch.width + start for start in accumulate((len(rows[at]) for at in line[:-1]), initial=0)]
    table[:, pooling.START] = starts
    out = np.empty((len(table), engine.outputs), np.float32)
    engine.finish(engine.forward(ids, table, out, alone=alone), table, out)
    return out


class Lanes:
    """Threads that live as long as the program, as the service's do: each keeps its infer request."""

    def __init__(self, count: int) -> None:
        """Take as many threads as the service has lanes."""
        self._lanes = [ThreadPoolExecutor(1, f"lane-{lane}") for lane in range(count)]

    def each(self, work: Callable[[int], None]) -> None:
        """Run `work(lane)` on every lane and wait for all."""
        for running in [lane.submit(work, at) for at, lane in enumerate(self._lanes)]:
            running.result()


def query(engine: Engine, calls: int, step: int) -> dict[str, Any]:
    """Measure one short query at a time, which has the compute threads of all lanes."""
    cut = Cut(engine.folder.max_tokens)
    parts = np.empty((calls, 2))
    for at in range(calls):
        started = time.perf_counter()
        rows = engine.tokenize([QUERY], cut, pair=False)
        tokenised = time.perf_counter()
        run(engine, Batch(padded(len(rows[0].ids), step, engine.folder.max_tokens), [[0]]), [rows[0].ids], alone=True)
        parts[at] = (tokenised - started, time.perf_counter() - tokenised)
    millis = np.sort(parts.sum(axis=1)) * 1e3
    return {
        "p50_ms": round(float(np.percentile(millis, 50)), 4),
        "p99_ms": round(float(np.percentile(millis, 99)), 4),
        "tokenise_p50_ms": round(float(np.percentile(parts[:, 0], 50) * 1e3), 4),
        "infer_p50_ms": round(float(np.percentile(parts[:, 1], 50) * 1e3), 4),
        "calls": calls,
    }


def query_of_loaded(calls: int) -> dict[str, Any]:
    """Measure one short query at a time on the engine that serves this process: a function that Ragbus runs."""
    engine = next(it.engine for it in registry.loaded() if it.engine.activation is None)
    query(engine, 100, SHORT)
    return query(engine, calls, SHORT)


def chosen_batches(engine: Engine, rows: Sequence[list[int]], chosen: argparse.Namespace) -> list[Batch]:
    """Return the batches of rows: packed where the engine can and order does not matter."""
    if engine.packs and chosen.order == "length":
        return packed([len(row) for row in rows], chosen.width_step, chosen.budget, chosen.rows)
    widths = [padded(len(row), chosen.width_step, engine.folder.max_tokens) for row in rows]
    together = batches(widths, chosen.budget, chosen.rows, chosen.order)
    return [Batch(max(widths[at] for at in batch), [[at] for at in batch]) for batch in together]


def every_text(engine: Engine, texts: Sequence[str], lanes: Lanes, chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure all texts: tokenise them on all lanes, sort, run."""
    cut = Cut(engine.folder.max_tokens)
    ids: list[list[int]] = [[]] * len(texts)

    def tokenise(lane: int) -> None:
        mine = range(lane, len(texts), chosen.lanes)
        for at, row in zip(mine, engine.tokenize([texts[at] for at in mine], cut, pair=False), strict=True):
            ids[at] = row.ids

    started, cpu = time.perf_counter(), time.process_time()
    lanes.each(tokenise)
    tokenised = time.perf_counter()
    ran = chosen_batches(engine, ids, chosen)
    left = deque(ran)

    def infer(_lane: int) -> None:
        while True:
            try:
                batch = left.popleft()
            except IndexError:
                return
            run(engine, batch, ids)

    lanes.each(infer)
    seconds = time.perf_counter() - started
    real = sum(map(len, ids))
    return {
        "texts_s": round(len(texts) / seconds, 2),
        "tokens_s": round(real / seconds, 1),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "tokenise_seconds": round(tokenised - started, 3),
        "batches": len(ran),
        "real_tokens": real,
        "padded_tokens": sum(len(batch.lines) * batch.width for batch in ran),
    }


def every_vector(engine: Engine, texts: Sequence[str], chosen: argparse.Namespace) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the vectors of all texts, in their order."""
    rows = [row.ids for row in engine.tokenize(texts, Cut(engine.folder.max_tokens), pair=False)]
    vectors = np.empty((len(texts), engine.outputs), np.float32)
    for batch in chosen_batches(engine, rows, chosen):
        vectors[batch.rows] = run(engine, batch, rows)
    return vectors


def memory() -> dict[str, float]:
    """Return resident memory now and at its highest, in MB (2^20 bytes)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return {f"{key.lower()}_mb": round(int(status[key].split()[0]) / 1024, 1) for key in ("VmRSS", "VmHWM")}


def main() -> None:
    """Load the model, then answer commands."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=Path, help="the model's folder")
    arguments.add_argument("texts", type=Path)
    arguments.add_argument("--lanes", type=int, default=min(os.cpu_count() or 1, 8))
    arguments.add_argument("--engine", default="openvino")
    arguments.add_argument("--precision", default="auto")
    arguments.add_argument("--count", type=int, help="only so many of the texts")
    arguments.add_argument("--budget", type=int, default=512, help="padded tokens a batch")
    arguments.add_argument("--rows", type=int, default=32, help="rows a batch")
    arguments.add_argument("--order", choices=("length", "arrival"), default="length", help="what runs together")
    arguments.add_argument("--width-step", type=int, help="widths are multiples of this (unless given: of what the service takes)")
    arguments.add_argument("--cache", type=Path, help="Ragbus's cache folder, for the same copy of the weights as the service has")
    chosen = arguments.parse_args()
    # The allocator's settings and the copy of the weights matter.
    hosting.start(cache_folder=str(chosen.cache) if chosen.cache else None)
    texts = chosen.texts.read_text(encoding="utf-8").splitlines()[: chosen.count]
    folder = model.read_folder(chosen.model, "embedding")
    tokens = tokenization.load(folder.folder / "tokenizer.json", pad_id=folder.pad_id, lowercase=folder.lowercase)
    engine, _ = load_engine(chosen.engine, folder, tokens, EngineOptions(lanes=chosen.lanes, precision=chosen.precision))
    chosen.width_step = chosen.width_step or devices.width_step(engine.device, engine.precision)
    lanes = Lanes(chosen.lanes)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "query":
            answer = query(engine, int(rest[0]), chosen.width_step)
        elif command == "texts":
            answer = every_text(engine, texts, lanes, chosen)
        elif command == "memory":
            answer = dict(memory())
        elif command == "vectors":
            np.save(rest[0], every_vector(engine, texts, chosen))
            answer = {}
        else:
            raise SystemExit(f"unknown command {command}")
        print(json.dumps(answer | {"precision": engine.precision}), flush=True)


if __name__ == "__main__":
    main()
