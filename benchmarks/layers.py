# SPDX-License-Identifier: Apache-2.0
"""The layers in Python by themselves: microseconds for one short query, and for a batch of like lengths; medians.

Tokenising, the forward pass, pooling and normalising; on the calling thread, with the service's settings. Prints JSON: a number for
each layer and size.
"""

# ruff: noqa: INP001, T201 - a script, no module
from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from raw_engine import QUERY, padded

from ragbus import devices, hosting, model, pooling, tokenization
from ragbus.engines import EngineOptions, load_engine
from ragbus.tokenization import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragbus.engines import Engine

ROWS = 12  # like lengths within the service's budget of 512 tokens


def median_us(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of some runs, after as many to warm up."""
    times = []
    for _ in range(2 * repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return round(statistics.median(times[repeats:]) * 1e6, 2)


def layers(engine: Engine, texts: Sequence[str], repeats: int) -> dict[str, float]:
    """Measure each layer on texts that run as one batch."""
    cut = Cut(engine.folder.max_tokens)
    rows = [row.ids for row in engine.tokenize(texts, cut, pair=False)]
    step = devices.width_step(engine.device, engine.precision)
    width = padded(max(map(len, rows)), step, engine.folder.max_tokens)
    ids = np.full((len(rows), width), engine.tokens.pad_id, np.int32)
    table = pooling.table_of([len(row) for row in rows], width, flags=pooling.FINISH)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
    out = np.empty((len(rows), engine.outputs), np.float32)
    hidden = np.random.default_rng(1).standard_normal((*ids.shape, engine.outputs)).astype(np.float32)
    return {
        "tokenise": median_us(lambda: engine.tokenize(texts, cut, pair=False), repeats),
        "forward": median_us(lambda: engine.forward(ids, table, out), repeats),
        "normalise": median_us(lambda: pooling.finish_embeddings(table, out), repeats),
        "mean pooling": median_us(lambda: pooling.pool("mean", hidden, table, out), repeats),
    }


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=Path, help="the model's folder")
    arguments.add_argument("texts", type=Path)
    arguments.add_argument("--repeats", type=int, default=200)
    chosen = arguments.parse_args()
    hosting.start()  # the same allocator settings
    folder = model.read_folder(chosen.model, "embedding")
    tokens = tokenization.load(folder.folder / "tokenizer.json", pad_id=folder.pad_id, lowercase=folder.lowercase)
    engine, _ = load_engine("openvino", folder, tokens, EngineOptions(lanes=1))
    lines = chosen.texts.read_text(encoding="utf-8").splitlines()
    middle = len(lines) // 2  # of those in order of length: alike, and neither short nor long
    alike = sorted(lines, key=len)[middle : middle + ROWS]
    found = {"one short query": [QUERY], f"{len(alike)} paragraphs of middling length": alike}
    print(json.dumps({size: layers(engine, texts, chosen.repeats) for size, texts in found.items()}))


if __name__ == "__main__":
    main()
