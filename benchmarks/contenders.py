# SPDX-License-Identifier: Apache-2.0
"""The processes that are measured: how each is started, and how it is asked.

Each reads commands from its standard input, one a line, and answers with a line of JSON; servers are asked over HTTP by a client
in a JVM of its own. A process is started when it is first asked for, stays for the whole run, and idles while others work.
"""

# ruff: noqa: INP001 - a script's module
from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
PACKAGE = "dev.ragbus.benchmarks"
MODEL = "all-MiniLM-L6-v2"
READY = "Ragbus is ready: "
SAMPLE_SECONDS = 0.1

Answer = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """A process that answers commands with JSON."""

    process: subprocess.Popen[str]
    log: Path

    def send(self, command: str) -> None:
        """Send a command."""
        if self.process.stdin is None:
            raise RuntimeError("the process has no pipes")
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        """Wait for the next line that it prints."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"a process ended with {self.process.wait()}: see {self.log}")
        return line

    def ask(self, command: str) -> Answer:
        """Send a command and wait for its answer."""
        self.send(command)
        answer: Answer = json.loads(self.line())
        return answer


@dataclass(frozen=True)
class Server:
    """What serves `/v1/embeddings`: its address, the model to name, and its process where that is ours."""

    url: str
    model: str
    process: subprocess.Popen[str] | None = None

    def queue(self) -> dict[str, int]:
        """Return what Ragbus has counted of its queue."""
        with urllib.request.urlopen(f"{self.url}/v1/ragbus/stats", timeout=10) as reply:  # noqa: S310 - our own server
            found: dict[str, int] = json.load(reply)["queue"]
        return found


@dataclass
class Memory:
    """The most resident memory that a process has while this context is open, in MB (2^20 bytes)."""

    process: subprocess.Popen[str]
    most_mb: float = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Memory:
        """Begin to look."""
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        pages = Path(f"/proc/{self.process.pid}/statm")
        while not self._over.is_set():
            resident = int(pages.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
            self.most_mb = max(self.most_mb, round(resident / 2**20, 1))
            self._over.wait(SAMPLE_SECONDS)


@dataclass(frozen=True)
class Paths:
    """Where everything is: class paths, Pythons, the model's folder, the texts, and the folder for logs and results."""

    classpath: str
    beside: str
    python: str
    package: str
    model: str
    texts: str
    out: Path
    java_flags: Sequence[str] = ()
    torch_python: str | None = None
    torch_model: str | None = None

    def java(self, *flags: str, classpath: str | None = None) -> list[str]:
        """Return the command that starts a JVM, up to the class."""
        home = os.environ.get("JAVA_HOME")
        java = str(Path(home) / "bin" / "java") if home else "java"
        return [java, *self.java_flags, *flags, "-cp", classpath or self.classpath]


class Contenders:
    """All processes of a run by name; they end with the context."""

    def __init__(self, paths: Paths, stack: contextlib.ExitStack) -> None:
        """Start nothing yet."""
        self.paths = paths
        self._stack = stack
        self._running: dict[str, Measured] = {}
        self._servers: dict[str, Server] = {}

    def _process(self, name: str, command: Sequence[str], **environment: str) -> Measured:
        if name not in self._running:
            running = process(command, self.paths.out / f"{name}.log", **environment)
            self._running[name] = self._stack.enter_context(running)
        return self._running[name]

    def raw(self, name: str = "raw", *flags: str) -> Measured:
        """Return an engine in plain CPython."""
        paths = self.paths
        cache = str(Path(paths.model).parents[1])
        command = [paths.python, str(HERE / "raw_engine.py"), paths.model, paths.texts, "--cache", cache, *flags]
        return self._process(name, command, PYTHONPATH=paths.package, TOKENIZERS_PARALLELISM="false")

    def onnx(self) -> Measured:
        """Return raw ONNX Runtime in float32, 32 texts a batch in order of arrival; a quarter of the texts, since it is slow."""
        flags = (
            "--count",
            "500",
            "--engine",
            "onnx",
            "--precision",
            "f32",
            "--order",
            "arrival",
            "--rows",
            "32",
            "--width-step",
            "1",
        )
        return self.raw("onnx", *flags)

    def onnx_by_length(self) -> Measured:
        """Return raw ONNX Runtime in float32 at its best: like lengths together, as the raw engine has them."""
        return self.raw("onnx-by-length", "--count", "500", "--engine", "onnx", "--precision", "f32", "--width-step", "8")

    def limit(self) -> Measured:
        """Return what multiplies matrices as fast as the machine can."""
        return self._process("limit", [self.paths.python, str(HERE / "limit.py")])

    def torch(self) -> Measured:
        """Return sentence-transformers, in the Python that was given."""
        paths = self.paths
        if paths.torch_python is None:
            raise ValueError("there is no Python with sentence-transformers")
        script = str(HERE / "sentence_transformer.py")
        return self._process("torch", [paths.torch_python, script, paths.torch_model or paths.model, paths.texts])

    def bus(self, name: str = "bus", *, lanes: int | None = None, core: int | None = None, worker: bool = False) -> Measured:
        """Return Ragbus on the bus, with HTTP before it; with fewer lanes, on one core, or with a worker process."""
        folder = Path(self.paths.model)
        flags = [f"-Dragbus.models.dir={folder.parent}", "-Dragbus.models.offline=true"]
        flags += [f"-Dragbus.lanes.inference={lanes}"] if lanes else []
        flags += ["-Dragbus.cluster.isolation=process", "-Dragbus.cluster.workers=1"] if worker else []
        bound = ["taskset", "-c", str(core)] if core is not None else []
        # The same model once more, under its folder's name, for loads beside work.
        return self._process(name, [*bound, *self.paths.java(*flags), f"{PACKAGE}.BusBenchmark", self.paths.texts, folder.name])

    def langchain4j(self, weights: str) -> Measured:
        """Return langchain4j's model in process, `float` or `quantised`."""
        command = [*self.paths.java(classpath=self.paths.beside), f"{PACKAGE}.beside.LangChain4j", self.paths.texts, weights]
        return self._process(f"langchain4j-{weights}", command)

    def client(self) -> Measured:
        """Return the HTTP client."""
        return self._process("client", [*self.paths.java(), f"{PACKAGE}.HttpLoad", self.paths.texts])

    def server(self, name: str = "server", *flags: str, precision: str = "auto") -> Server:
        """Return the application, as its jar starts it."""
        if name not in self._servers:
            settings = self.paths.out / f"{name}.toml"
            settings.write_text(_SETTINGS.format(model=MODEL, precision=precision), encoding="utf-8")
            extras = {"RAGBUS_PYTHON_EXTRAS": "quantize"} if precision == "int8" else {}
            command = [*self.paths.java(*flags), "dev.ragbus.app.Main"]
            running = self._process(name, command, RAGBUS_CONFIG=str(settings), **extras)
            line = running.line()
            while not line.startswith(READY):
                line = running.line()
            self._servers[name] = Server(line[len(READY) :].split()[0], MODEL, running.process)
        return self._servers[name]


_SETTINGS = """\
[http]
port = 0
[models]
offline = true
[[models.preload]]
model_name = "{model}"
precision = "{precision}"
"""


@contextlib.contextmanager
def process(command: Sequence[str], log: Path, **environment: str) -> Iterator[Measured]:
    """Start a process to measure; its log goes to a file."""
    with log.open("w", encoding="utf-8") as errors:
        started = subprocess.Popen(  # noqa: S603 - our own programs
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | environment,
        )
        try:
            yield Measured(started, log)
        finally:
            started.terminate()
            started.communicate()
