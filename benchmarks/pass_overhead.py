# SPDX-License-Identifier: Apache-2.0
"""Measure what a pass costs by rows and width, on one thread, and fit the fixed part of it in tokens.

The service batches by it: `BatchLimits.PASS_OVERHEAD_TOKENS`. For each shape the least processor time of several warm
passes counts, so that other work on the machine matters little. Two fits, by least squares on relative errors:
time = fixed + token x rows x width, and the same with an attention term, square x rows x width^2. What counts for the
constant is the fixed part over the cost of a token. The time of the first passes tells what a new shape costs, in time
and in resident memory.
"""

# ruff: noqa: INP001, T201 - a script, no module
from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragbus import hosting, model, pooling, tokenization
from ragbus.engines import EngineOptions, openvino

if TYPE_CHECKING:
    from ragbus.engines import Engine
    from ragbus.engines.openvino import OpenVinoEngine

WIDTHS = (4, 8, 12, 16, 24, 32, 37, 40, 48, 64, 80, 96, 128, 192, 256)
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
MOST_TOKENS = 768

# What most batches of the service are, where rows share lines.
LINES, LINE_WIDTH = 5, 96


def passes(engine: Engine, rows: int, width: int, count: int) -> list[float]:
    """Return the processor seconds of passes over one shape."""
    chance = np.random.default_rng(rows * 1_000 + width)
    ids = chance.integers(1_000, 20_000, (rows, width), np.int32)
    table = pooling.table_of([width] * rows, width, flags=pooling.FINISH)
    out = np.empty((rows, engine.outputs), np.float32)
    times = []
    for _ in range(count):
        # The compute runs on a thread of the engine's, so it is the process's time that counts.
        started = time.process_time()
        engine.finish(engine.forward(ids, table, out), table, out)
        times.append(time.process_time() - started)
    return times


def fit(columns: list[np.ndarray[Any, Any]], seconds: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], float]:
    """Return the coefficients of the columns and the mean relative error."""
    matrix = np.stack(columns, axis=1)
    found, *_ = np.linalg.lstsq(matrix / seconds[:, None], np.ones(len(seconds)), rcond=None)
    return found, float(np.mean(np.abs(matrix @ found / seconds - 1)))


def loaded(folder: Path, precision: str) -> OpenVinoEngine:
    """Return a model on one thread."""
    read = model.read_folder(folder, "embedding")
    tokens = tokenization.load(read.folder / "tokenizer.json", pad_id=read.pad_id, lowercase=read.lowercase)
    return openvino.load(read, tokens, EngineOptions(lanes=1, precision=precision))


def measure(folder: Path, precision: str, count: int) -> None:
    """Measure one precision and print the table and the fits."""
    engine = loaded(folder, precision)
    shapes = [(rows, width) for rows in ROWS for width in WIDTHS if rows * width <= MOST_TOKENS]
    passes(engine, 1, WIDTHS[0], 3)
    before = hosting.resident_bytes()
    times = [passes(engine, rows, width, count) for rows, width in shapes]
    grown = hosting.resident_bytes() - before
    best = np.array([min(one[1:]) for one in times])
    extra = np.array([one[0] for one in times]) - best
    again = np.array([passes(engine, rows, width, 1)[0] for rows, width in shapes]) - best
    print(f"\n{engine.precision}, milliseconds a pass (least of {count - 1} warm ones)\n")
    print("| rows \\ width |" + "".join(f" {width} |" for width in WIDTHS))
    print("|---" * (len(WIDTHS) + 1) + "|")
    known = dict(zip(shapes, best, strict=True))
    for rows in ROWS:
        cells = (f" {known[rows, width] * 1e3:.2f} |" if (rows, width) in known else " |" for width in WIDTHS)
        print(f"| {rows} |" + "".join(cells))
    grid = np.array(shapes, float)
    ones = np.ones(len(best))
    area, square = grid[:, 0] * grid[:, 1], grid[:, 0] * grid[:, 1] ** 2
    for name, columns in (("linear", [ones, area]), ("with attention", [ones, area, square])):
        found, error = fit(columns, best)
        print(
            f"\n{name}: fixed {found[0] * 1e6:.0f} us, a token {found[1] * 1e6:.1f} us"
            + (f", its square {found[2] * 1e9:.1f} ns" if len(found) > 2 else "")  # noqa: PLR2004
            + f"; overhead {found[0] / found[1]:.0f} tokens; mean error {error:.1%}"
        )
    print(
        f"\nfirst pass over a shape: {np.median(extra) * 1e3:.2f} ms more, {extra.max() * 1e3:.2f} ms at most; "
        f"a shape seen before, after all {len(shapes)} others: {np.median(again) * 1e3:.2f} ms more (median); "
        f"{grown / 2**20 / len(shapes):.2f} MB of resident memory a shape"
    )


def measure_nodes(folder: Path, precision: str, count: int) -> None:
    """Print where the time of a pass over the service's commonest batch goes, by the engine's own measurement of its nodes."""
    openvino._core().set_property("CPU", {"PERF_COUNT": True})  # noqa: SLF001
    engine = loaded(folder, precision)
    lengths = [32] * (LINES * LINE_WIDTH // 32)
    table = pooling.table_of(lengths, 32, flags=pooling.FINISH)
    ids = np.random.default_rng(1).integers(1_000, 20_000, (LINES, LINE_WIDTH), np.int32)
    out = np.empty((len(lengths), engine.outputs), np.float32)
    millis: Counter[str] = Counter()
    for number in range(count):
        engine.forward(ids, table, out)
        if number > 1:
            [request] = engine.graph._requests.values()  # noqa: SLF001
            for node in request.infer_request.get_profiling_info():
                millis[node.node_type] += node.real_time.total_seconds() * 1e3 / (count - 2)
    total = sum(millis.values())
    print(f"\n{engine.precision}, {LINES} lines of {LINE_WIDTH}: {total:.1f} ms a pass on one thread\n")
    print("| nodes | ms | of the pass |")
    print("|---|---:|---:|")
    for name, spent in millis.most_common(8):
        print(f"| {name} | {spent:.2f} | {spent / total:.1%} |")


def main() -> None:
    """Measure each precision that the machine has."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=Path, help="the model's folder")
    arguments.add_argument("--precision", action="append", help="f32, bf16 or auto; may be repeated")
    arguments.add_argument("--passes", type=int, default=20)
    arguments.add_argument("--nodes", action="store_true", help="where the time of one pass goes, rather than what passes cost")
    chosen = arguments.parse_args()
    hosting.start()  # the service's allocator settings
    for precision in chosen.precision or ["f32", "bf16"]:
        (measure_nodes if chosen.nodes else measure)(chosen.model, precision, chosen.passes)


if __name__ == "__main__":
    main()
