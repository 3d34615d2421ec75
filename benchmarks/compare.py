"""Measure Ragbus on the bus beside the raw engine, in turns, and write what came out.

Both processes live side by side; one works while the other waits, round after round, so that what the machine does
meanwhile meets both. Medians and spreads are over rounds; ratios are taken within each round first. Starting is
measured in fresh processes, from before the start of `java` to the line that it prints at its first answer.
"""

# ruff: noqa: INP001, T201 - a script, no module
from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE = "dev.ragbus.benchmarks"
WARM_QUERIES = 2_000
FEATURES = ("amx_bf16", "avx512_bf16", "avx512_vnni", "avx512f", "avx2")


@dataclass(frozen=True)
class Measured:
    """A process that answers commands with JSON."""

    process: subprocess.Popen[str]

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a process ended with {self.process.wait()} at '{command}': see its log")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def measured(command: Sequence[str], log: Path, **environment: str) -> Iterator[Measured]:
    """Start a process to measure; its log goes to a file."""
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | environment,
        )
        try:
            yield Measured(process)
        finally:
            process.terminate()
            process.communicate()


@contextlib.contextmanager
def silent_hub() -> Iterator[str]:
    """Listen on a socket that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def first_answer(java: Sequence[str], **environment: str) -> float:
    """Return the seconds from before the start of a process to its first answer."""
    # An empty folder of the hub, so that the hub is asked whatever this machine has.
    with tempfile.TemporaryDirectory() as hub:
        started = time.monotonic()
        process = subprocess.Popen(  # noqa: S603
            [*java, f"{PACKAGE}.FirstAnswer"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"HF_HOME": hub} | environment,
        )
        with process:
            line = process.stdout.readline() if process.stdout else ""
            seconds = time.monotonic() - started
        if not line.startswith("answered"):
            raise SystemExit(f"no first answer: exit code {process.returncode}")
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the least and the most."""
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def machine() -> dict[str, Any]:
    """Describe the machine in a few words."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", "").split()
    return {
        "cpu": facts.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "features": [name for name in FEATURES if name in flags],
        "system": f"{platform.system()} {platform.release()}",
    }


def rounds(raw: Measured, bus: Measured, chosen: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Warm both up with the whole work, then take turns; return the rounds, and the memory after the work was done once."""
    commands = {
        "raw_query": (raw, f"query {chosen.queries}"),
        "bus_query": (bus, f"query {chosen.queries}"),
        "raw_texts": (raw, "texts"),
        "bus_texts_1_of_64": (bus, "texts 1 64"),
        "bus_texts_1": (bus, f"texts 1 {chosen.callers}"),
        "bus_texts_32": (bus, f"texts 32 {chosen.callers_of_many}"),
    }
    for name, (process, command) in commands.items():
        print(f"warming up: {name}", flush=True)
        process.ask(f"query {WARM_QUERIES}" if command.startswith("query") else command)
    once = bus.ask("memory")
    taken = []
    for number in range(chosen.rounds):
        # The other way round every second time, so that neither always follows the other.
        order = list(commands.items())[:: 1 if number % 2 == 0 else -1]
        taken.append({name: process.ask(command) for name, (process, command) in order})
        print(f"round {number + 1} of {chosen.rounds}", flush=True)
    return taken, once


def figures(taken: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return medians, spreads and ratios of what the rounds gave."""

    def over(name: str, key: str) -> list[float]:
        return [float(one[name][key]) for one in taken]

    def ratio(name: str, key: str) -> list[float]:
        return [one[name][key] / one["raw_texts"][key] for one in taken]

    def padding(name: str) -> list[float]:
        return [one[name]["padded_tokens"] / one[name]["real_tokens"] for one in taken]

    found: dict[str, Any] = {}
    for quantile in ("p50_ms", "p99_ms"):
        for side in ("raw", "bus"):
            found[f"query_{side}_{quantile}"] = spread(over(f"{side}_query", quantile))
        found[f"query_difference_{quantile}"] = spread([one["bus_query"][quantile] - one["raw_query"][quantile] for one in taken])
    for name in ("raw_texts", "bus_texts_1_of_64", "bus_texts_1", "bus_texts_32"):
        found[f"{name}_texts_s"] = spread(over(name, "texts_s"))
        found[f"{name}_padding"] = spread(padding(name))
        found[f"{name}_cpu_seconds"] = spread(over(name, "cpu_seconds"))
    for name in ("bus_texts_1_of_64", "bus_texts_1", "bus_texts_32"):
        found[f"{name}_ratio"] = spread(ratio(name, "texts_s"))
        found[f"{name}_p50_ms"] = spread(over(name, "p50_ms"))
        found[f"{name}_p99_ms"] = spread(over(name, "p99_ms"))
    return found


ROWS = (
    ("one short query, raw engine, p50", "query_raw_p50_ms", "ms", ""),
    ("one short query, raw engine, p99", "query_raw_p99_ms", "ms", ""),
    ("one short query, bus, p50", "query_bus_p50_ms", "ms", ""),
    ("one short query, bus, p99", "query_bus_p99_ms", "ms", ""),
    ("bus less raw, p50", "query_difference_p50_ms", "ms", "at most 0.3"),
    ("all texts, raw engine", "raw_texts_texts_s", "texts/s", ""),
    ("requests of 1, bus", "bus_texts_1_texts_s", "texts/s", ""),
    ("requests of 1, bus over raw", "bus_texts_1_ratio", "", "at least 0.9"),
    ("requests of 1, p99", "bus_texts_1_p99_ms", "ms", ""),
    ("the same with only 64 callers, bus over raw", "bus_texts_1_of_64_ratio", "", ""),
    ("the same with only 64 callers, p99", "bus_texts_1_of_64_p99_ms", "ms", ""),
    ("requests of 32, bus", "bus_texts_32_texts_s", "texts/s", ""),
    ("requests of 32, bus over raw", "bus_texts_32_ratio", "", "at least 0.9"),
    ("padded over real tokens, raw", "raw_texts_padding", "", ""),
    ("padded over real tokens, requests of 1", "bus_texts_1_padding", "", ""),
    ("padded over real tokens, requests of 32", "bus_texts_32_padding", "", ""),
    ("processor time for all texts, raw", "raw_texts_cpu_seconds", "s", ""),
    ("processor time for all texts, requests of 1", "bus_texts_1_cpu_seconds", "s", ""),
    ("processor time for all texts, requests of 32", "bus_texts_32_cpu_seconds", "s", ""),
    ("embedding beside another model's load, slowest over slowest without", "load_ratio", "", "at most 2"),
    ("resident memory after each kind of work once, bus", "bus_once_vmrss_mb", "MB", "at most 450"),
    ("resident memory after all rounds, bus", "bus_vmrss_mb", "MB", ""),
    ("resident memory after it, raw", "raw_vmrss_mb", "MB", ""),
    ("process start to first answer", "first_answer_s", "s", "at most 4"),
    ("the same, the hub never answers", "first_answer_silent_hub_s", "s", "at most 4"),
)


def table(result: dict[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    about = result["machine"]
    head = (
        f"{about['cpu']}, {about['cores']} cores, {' '.join(about['features'])}; {result['precision']}; "
        f"{result['rounds']} rounds; JVM flags: {' '.join(result['java_flags']) or 'none'}"
    )
    lines = [
        head,
        "",
        "| figure | median | least | most | unit | goal |",
        "|---|---:|---:|---:|---|---|",
    ]
    for title, key, unit, goal in ROWS:
        one = result["figures"][key]
        lines.append(f"| {title} | {one['median']:.4g} | {one['min']:.4g} | {one['max']:.4g} | {unit} | {goal} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table, write both forms."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--classpath", required=True)
    arguments.add_argument("--package", required=True, help="the folder that holds the Python package")
    arguments.add_argument("--python", required=True, help="the environment's Python")
    arguments.add_argument("--model", required=True, help="the model's folder")
    arguments.add_argument("--texts", required=True)
    arguments.add_argument("--out", type=Path, required=True, help="folder for the results")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--queries", type=int, default=2_000, help="single queries a round")
    arguments.add_argument("--callers", type=int, default=256, help="requests of one text under way")
    arguments.add_argument("--callers-of-many", type=int, default=16, help="requests of 32 texts under way")
    arguments.add_argument("--starts", type=int, default=5)
    arguments.add_argument("--java-flag", action="append", default=[], help="a flag for the JVM; may be repeated")
    chosen = arguments.parse_args()
    home = os.environ.get("JAVA_HOME")
    java = [str(Path(home) / "bin" / "java") if home else "java", *chosen.java_flag, "-cp", chosen.classpath]
    raw_command = [chosen.python, str(Path(__file__).with_name("raw_engine.py")), chosen.model, chosen.texts]
    # The same model once more, under its folder's name, for loads beside work.
    folder = Path(chosen.model)
    bus_command = [*java[:-2], f"-Dragbus.models.dir={folder.parent}", *java[-2:]]
    bus_command += [f"{PACKAGE}.BusBenchmark", chosen.texts, folder.name]
    with (
        measured(raw_command, chosen.out / "raw.log", PYTHONPATH=chosen.package, TOKENIZERS_PARALLELISM="false") as raw,
        measured(bus_command, chosen.out / "bus.log") as bus,
    ):
        taken, once = rounds(raw, bus, chosen)
        loads = [bus.ask("load 300") for _ in range(chosen.rounds)]
        memory = {"raw": raw.ask("memory"), "bus": bus.ask("memory")}
    found = figures(taken)
    found["bus_once_vmrss_mb"] = spread([once["vmrss_mb"]])
    found["load_ratio"] = spread([one["beside_slowest_ms"] / one["alone_slowest_ms"] for one in loads])
    for side, answer in memory.items():
        found |= {f"{side}_{key}": spread([answer[key]]) for key in ("vmrss_mb", "vmhwm_mb")}
    print("measuring starts", flush=True)
    found["first_answer_s"] = spread([first_answer(java) for _ in range(chosen.starts)])
    with silent_hub() as endpoint:
        silent = [first_answer(java, HF_ENDPOINT=endpoint) for _ in range(chosen.starts)]
    found["first_answer_silent_hub_s"] = spread(silent)
    result = {
        "machine": machine(),
        "precision": taken[0]["raw_texts"]["precision"],
        "java_flags": chosen.java_flag,
        "rounds": chosen.rounds,
        "figures": found,
        "every_round": taken,
        "every_load": loads,
    }
    (chosen.out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (chosen.out / "result.md").write_text(table(result), encoding="utf-8")
    print(f"\n{table(result)}\nwritten to {chosen.out / 'result.md'} and {chosen.out / 'result.json'}")


if __name__ == "__main__":
    main()
