"""Measure indexing beside the raw engine: how much of what plain CPython embeds in a second reaches the index.

Run after examples/search/run.sh has built everything once: `python3 examples/search/benchmark/indexing.py`. The documents are
the paragraphs of benchmarks/make_texts.py, twenty a file. The application indexes them from nothing, in a process of its
own each round; its rate counts from the look at the folder to the last commit: reading, tokenising and cutting, embedding,
writing words and vectors. The raw engine (benchmarks/raw_engine.py) embeds the very chunks that came of it, all known at once.
"""

# ruff: noqa: T201, S603, S607 - a script; our own programs, found on the path
from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = HERE.parents[2] / "benchmarks"
JAR = HERE.parent / "target" / "search.jar"
PARAGRAPHS_PER_FILE = 20
DONE = re.compile(r"indexed .* in ([\d.]+) s: .*; ([\d,]+) texts, ([\d,]+) texts/s")


def write_documents(folder: Path, count: int) -> None:
    """Write the paragraphs as Markdown files."""
    texts = folder.parent / "texts.txt"
    subprocess.run([sys.executable, BENCHMARKS / "make_texts.py", texts, "--count", str(count)], check=True)
    paragraphs = texts.read_text(encoding="utf-8").splitlines()
    folder.mkdir()
    for at in range(0, len(paragraphs), PARAGRAPHS_PER_FILE):
        file = folder / f"{at // PARAGRAPHS_PER_FILE:05}.md"
        file.write_text("\n\n".join(paragraphs[at : at + PARAGRAPHS_PER_FILE]) + "\n", encoding="utf-8")


def index(documents: Path, into: Path) -> tuple[int, float]:
    """Index the documents from nothing; return how many texts were embedded and how many a second."""
    shutil.rmtree(into, ignore_errors=True)
    command = ["java", "-jar", str(JAR), str(documents), "--index", str(into), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout or ():
            if found := DONE.search(line):
                texts = int(found[2].replace(",", ""))
                return texts, texts / float(found[1])
        raise SystemExit("the application ended before it had indexed")
    finally:
        process.terminate()
        process.wait()


def java(*command: str) -> str:
    """Run a Java program from its source, with the application's class path."""
    return subprocess.run(["java", "-cp", str(JAR), *command], check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Measure, round after round, and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--paragraphs", type=int, default=8_000)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_documents(work / "documents", chosen.paragraphs)
        index(work / "documents", work / "index")
        chunks = work / "chunks.txt"
        chunks.write_text(java(str(HERE / "ChunkTexts.java"), str(work / "index")), encoding="utf-8")
        environment = java(str(BENCHMARKS / "dev/ragbus/benchmarks/Environment.java"))
        python, package, model = environment.splitlines()[-3:]
        raw = subprocess.Popen(
            [python, BENCHMARKS / "raw_engine.py", model, chunks],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": package},
        )
        if raw.stdin is None or raw.stdout is None:
            raise RuntimeError("the process has no pipes")

        def engine() -> float:
            raw.stdin.write("texts\n")
            raw.stdin.flush()
            return float(json.loads(raw.stdout.readline())["texts_s"])

        engine()
        ratios = []
        for at in range(chosen.rounds):
            alone = engine()
            count, rate = index(work / "documents", work / "index")
            ratios.append(rate / alone)
            print(f"round {at + 1}: {count} chunks, raw {alone:.0f} texts/s, indexed {rate:.0f} texts/s, ratio {ratios[-1]:.2f}")
        raw.stdin.close()
        raw.wait()
        print(f"median ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
