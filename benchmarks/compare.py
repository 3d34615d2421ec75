# SPDX-License-Identifier: Apache-2.0
"""Measure Ragbus beside the raw engines and what others offer, in turns, and write what came out.

All processes live side by side; one works while the others wait, round after round, so that what the machine does meanwhile meets
all of them. Medians and spreads are over rounds; ratios are taken within each round first. Starting is measured in fresh
processes, from before the start of `java` to the line that it prints at its first answer.
"""

# ruff: noqa: INP001, T201 - a script, no module
from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import socket
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chart import chart
from contenders import PACKAGE, Contenders, Paths, Server
from figures import Layer, Round, figures, goals, layer_table, over, tables
from pages import write_into
from parts import IN_TURNS, WARM_UPS, Amounts, Parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FEATURES = ("amx_int8", "amx_bf16", "avx512_bf16", "avx512_vnni", "avx512f", "avx2")
PARTS = (*IN_TURNS, "start", "layers")
URL_HELP = "a server with OpenAI's /v1/embeddings, to be measured too; may be repeated, and the goals are held against the first"


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


def starts(paths: Paths, count: int) -> list[Round]:
    """Return starts, with no other process of the run left, each as a round."""
    found: list[Round] = []
    with silent_hub() as endpoint:
        for _ in range(count):
            plain = first_answer(paths.java(), HF_HUB_OFFLINE="1")
            silent = first_answer(paths.java(), HF_ENDPOINT=endpoint)
            found.append({"start": {"seconds": plain}, "start_silent_hub": {"seconds": silent}})
    return found


def layers(paths: Paths, jmh: str, seconds: float) -> list[Layer]:
    """Return each layer by itself: those in Java by JMH, a JVM each, then those in Python."""
    report = paths.out / "jmh.json"
    amount = ["-f", "1", "-wi", "3", "-i", "3", "-w", f"{seconds * 1000:.0f}ms", "-r", f"{seconds * 1000:.0f}ms"]
    command = [*paths.java(classpath=jmh), "org.openjdk.jmh.Main", *amount, "-foe", "true", "-rf", "json", "-rff", str(report)]
    with (paths.out / "jmh.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)  # noqa: S603
    found = []
    for one in json.loads(report.read_text(encoding="utf-8")):
        title = ".".join(one["benchmark"].split(".")[-2:])
        size = ", ".join(f"{name}: {value}" for name, value in one.get("params", {}).items())
        found.append(Layer(title, size, one["primaryMetric"]["score"]))
    repeats = str(max(2, int(seconds * 400)))
    script = [paths.python, str(Path(__file__).with_name("layers.py")), paths.model, paths.texts, "--repeats", repeats]
    environment = os.environ | {"PYTHONPATH": paths.package, "TOKENIZERS_PARALLELISM": "false"}
    answer = subprocess.run(script, env=environment, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603
    for size, times in json.loads(answer.stdout).items():
        found += [Layer(title, size, micros) for title, micros in times.items()]
    return found


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


def in_turns(parts: Parts, names: list[str], rounds: int) -> list[Round]:
    """Warm all up with the whole work, then take turns; return the rounds."""
    measurements = parts.named(names)
    for name, ask in measurements.items():
        print(f"warming up: {name}", flush=True)
        for _ in range(WARM_UPS.get(name, 1)):
            ask()
    taken: list[Round] = []
    for number in range(rounds):
        # The other way round every second time, so that neither always follows the other.
        order = list(measurements.items())[:: 1 if number % 2 == 0 else -1]
        started = time.monotonic()
        one: Round = {name: ask() for name, ask in order}
        taken.append(one)
        print(f"round {number + 1} of {rounds}: {time.monotonic() - started:.0f} s", flush=True)
    return taken


def arguments() -> argparse.Namespace:
    """Read the command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--classpath", required=True)
    found.add_argument("--beside", required=True, help="the class path of what is measured beside Ragbus")
    found.add_argument("--jmh", required=True, help="the class path of the layers")
    found.add_argument("--package", required=True, help="the folder that holds the Python package")
    found.add_argument("--python", required=True, help="the environment's Python")
    found.add_argument("--model", required=True, help="the model's folder")
    found.add_argument("--texts", required=True)
    found.add_argument("--out", type=Path, required=True, help="folder for the results")
    found.add_argument("--only", help=f"parts, by commas: {','.join(PARTS)} (unless given: all)")
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--count", type=int, help="only so many of the texts")
    found.add_argument("--queries", type=int, default=1_000, help="single queries a round")
    found.add_argument("--callers", type=int, default=256, help="requests of one text under way on the bus, at most")
    found.add_argument("--callers-of-many", type=int, default=16, help="requests of 32 texts under way on the bus, at most")
    found.add_argument("--documents", type=int, default=1_000, help="documents ranked a round, in rankings of each size")
    found.add_argument("--starts", type=int, default=5)
    found.add_argument("--layer-seconds", type=float, default=0.5, help="time for each of six runs of a layer in Java")
    found.add_argument("--java-flag", action="append", default=[], help="a flag for every JVM; may be repeated")
    found.add_argument("--torch-python", help="a Python that has sentence-transformers, to be measured too")
    found.add_argument("--torch-model", help="the folder or name of the model for it")
    found.add_argument("--document", type=Path, help="also write the tables into this page, and figures.svg beside it")
    found.add_argument("--url", action="append", default=[], metavar="NAME=URL", help=URL_HELP)
    found.add_argument("--url-model", default="all-MiniLM-L6-v2", help="the name of their model")
    return found.parse_args()


def main() -> None:
    """Measure, print the tables, write both forms."""
    chosen = arguments()
    only = chosen.only.split(",") if chosen.only else list(PARTS)
    if unknown := set(only) - set(PARTS):
        raise SystemExit(f"--only has no {', '.join(sorted(unknown))}: {', '.join(PARTS)}")
    texts = Path(chosen.texts)
    if chosen.count:
        some = texts.read_text(encoding="utf-8").splitlines(keepends=True)[: chosen.count]
        texts = chosen.out / "some-texts.txt"
        texts.write_text("".join(some), encoding="utf-8")
    paths = Paths(
        classpath=chosen.classpath,
        beside=chosen.beside,
        python=chosen.python,
        package=chosen.package,
        model=chosen.model,
        texts=str(texts),
        out=chosen.out,
        java_flags=chosen.java_flag,
        torch_python=chosen.torch_python,
        torch_model=chosen.torch_model,
    )
    amounts = Amounts(chosen.queries, chosen.callers, chosen.callers_of_many, chosen.documents)
    servers = {name: Server(url.rstrip("/"), chosen.url_model) for name, _, url in (it.partition("=") for it in chosen.url)}
    if not all(it.url for it in servers.values()):
        raise SystemExit("--url takes NAME=URL")
    names = list(servers)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        parts = Parts(Contenders(paths, stack), amounts, servers)
        taken = in_turns(parts, [name for name in IN_TURNS if name in only], chosen.rounds)
    if "start" in only:
        print("measuring starts", flush=True)
        taken += starts(paths, chosen.starts)
    alone: list[Layer] = []
    if "layers" in only:
        print("measuring layers", flush=True)
        alone = layers(paths, chosen.jmh, chosen.layer_seconds)
    about = machine()
    said = (
        f"{about['cpu']}, {about['cores']} cores, {' '.join(about['features'])}; {chosen.rounds} rounds in "
        f"{time.monotonic() - started:.0f} s; JVM flags: {' '.join(chosen.java_flag) or 'none'}."
    )
    result = {
        "machine": about,
        "rounds": chosen.rounds,
        "java_flags": chosen.java_flag,
        "figures": {figure.title: over(taken, figure) for figure in (*goals(names), *figures(names))},
        "layers": [asdict(layer) for layer in alone],
        "every_round": taken,
    }
    written = f"{said}\n\n{tables(taken, names)}{layer_table(alone)}"
    (chosen.out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (chosen.out / "result.md").write_text(written, encoding="utf-8")
    (chosen.out / "figures.svg").write_text(chart(taken, names), encoding="utf-8")
    if chosen.document:
        write_into(chosen.document, "benchmarks/run.sh", f"{written}\n![Texts a second](figures.svg)\n")
        chosen.document.with_name("figures.svg").write_text(chart(taken, names), encoding="utf-8")
    print(f"\n{written}\nwritten to {chosen.out / 'result.md'} and {chosen.out / 'result.json'}")


if __name__ == "__main__":
    main()
