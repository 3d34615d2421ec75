# SPDX-License-Identifier: Apache-2.0
"""Measure the engines and their precisions side by side, in turns, on the same texts; print a Markdown table.

    python benchmarks/make_texts.py /tmp/texts.txt
    python benchmarks/engines.py MODEL /tmp/texts.txt

with a Python that has what python/requirements/runtime.lock names. MODEL is a model's folder. `--torch-python` names a Python
that has the extra torch, `--torch-model` a folder with safetensors of the same model, where those are others. What cannot be
loaded is left out, and why is said.

Each engine and precision is a process of its own that runs raw_engine.py: one thread a lane, like lengths together. All of them
live side by side and take turns, since machines drift; figures are medians over rounds. Cosines are those of each text's vector
to the first float32 one that loads (torch where there is one, else OpenVINO).
"""

# ruff: noqa: INP001, T201, S603 - a script, which starts the interpreters that it is given
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
VARIANTS = "torch:f32 torch:bf16 openvino:f32 openvino:bf16 openvino:int8 onnx:f32 onnx:int8"
HEAD = ("engine", "precision", "texts/s", "tokens/s", "one query p50", "resident", "cosine min", "cosine mean")


@dataclass
class Contender:
    """One engine with one precision, in a process of its own."""

    engine: str
    precision: str
    process: subprocess.Popen[str]
    texts: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    resident_mb: float = 0
    vectors: Any = None

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and return its answer; {} if the process has ended."""
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        assert self.process.stdout is not None  # noqa: S101
        try:
            self.process.stdin.write(f"{command}\n")
            self.process.stdin.flush()
        except OSError:
            return {}
        line = self.process.stdout.readline()
        return dict(json.loads(line)) if line else {}

    def row(self, reference: Any) -> tuple[str, ...]:
        """Return its line of the table."""
        cosine = (self.vectors * reference).sum(axis=1)
        return (
            self.engine,
            self.precision,
            f"{statistics.median(it['texts_s'] for it in self.texts):.0f}",
            f"{statistics.median(it['tokens_s'] for it in self.texts):.0f}",
            f"{statistics.median(it['p50_ms'] for it in self.queries):.2f} ms",
            f"{self.resident_mb:.0f} MB",
            f"{cosine.min():.5f}",
            f"{cosine.mean():.5f}",
        )


def start(variant: str, chosen: argparse.Namespace, errors: Path) -> Contender:
    """Start a process that loads a model on an engine."""
    engine, _, precision = variant.partition(":")
    torch = engine == "torch"
    command = [
        (chosen.torch_python if torch else None) or sys.executable,
        str(HERE / "raw_engine.py"),
        str((chosen.torch_model if torch else None) or chosen.model),
        str(chosen.texts),
        *("--engine", engine, "--precision", precision, "--lanes", str(chosen.lanes)),
        *(("--count", str(chosen.count)) if chosen.count else ()),
    ]
    path = os.pathsep.join([str(HERE.parent / "python"), *filter(None, [os.environ.get("PYTHONPATH")])])
    with errors.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | {"PYTHONPATH": path}
        )
    return Contender(engine, precision, process)


def started(chosen: argparse.Namespace, scratch: Path) -> list[Contender]:
    """Start them one after another, warm, each with its vectors; leave out what does not load."""
    ready = []
    for variant in chosen.variants.split():
        errors, vectors = scratch / "errors", scratch / "vectors.npy"
        contender = start(variant, chosen, errors)
        answer = contender.ask(f"vectors {vectors}")  # every shape once: the warm-up
        if not answer:
            said = errors.read_text(encoding="utf-8").strip().splitlines()
            print(f"{variant} is left out: {said[-1] if said else 'it ended'}", file=sys.stderr)
            continue
        contender.precision = answer["precision"]
        contender.vectors = np.load(vectors).astype(np.float64)
        contender.resident_mb = contender.ask("memory")["vmrss_mb"]
        ready.append(contender)
    return ready


def main() -> None:
    """Measure, then print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=Path)
    arguments.add_argument("texts", type=Path)
    arguments.add_argument("--torch-model", type=Path)
    arguments.add_argument("--torch-python")
    arguments.add_argument("--variants", default=VARIANTS, help="engine:precision, separated by spaces")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--queries", type=int, default=500, help="single queries a round")
    arguments.add_argument("--count", type=int, help="only so many of the texts")
    arguments.add_argument("--lanes", type=int, default=min(os.cpu_count() or 1, 8))
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        contenders = started(chosen, Path(scratch))
    for turn in range(chosen.rounds):
        first = turn % max(1, len(contenders))
        for contender in contenders[first:] + contenders[:first]:
            contender.texts.append(contender.ask("texts"))
            contender.queries.append(contender.ask(f"query {chosen.queries}"))
    reference = next((it.vectors for it in contenders if it.precision == "f32"), None)
    if reference is None:
        raise SystemExit("no float32 model could be loaded")
    rows = [HEAD, ("---", "---", *["---:"] * 6), *(it.row(reference) for it in contenders)]
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    for contender in contenders:
        contender.process.communicate()


if __name__ == "__main__":
    main()
