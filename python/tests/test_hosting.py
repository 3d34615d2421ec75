# SPDX-License-Identifier: Apache-2.0
"""Setting a process up, once."""

from __future__ import annotations

import _thread
import ctypes
import faulthandler
import logging
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import Failure, ask

from ragbus import devices, hosting
from ragbus.devices import Gpu, Present

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let `start` run as in a new process, and undo what it does."""
    monkeypatch.setattr(hosting, "_started", threading.Event())
    monkeypatch.setattr(hosting, "_process", hosting._Process())
    monkeypatch.setattr(sys, "setrecursionlimit", sys.setrecursionlimit)
    monkeypatch.setattr(faulthandler, "enable", faulthandler.enable)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers)
    monkeypatch.setattr(root, "level", root.level)
    interval, method = sys.getswitchinterval(), multiprocessing.get_start_method(allow_none=True)
    yield
    sys.setswitchinterval(interval)
    multiprocessing.set_start_method(method, force=True)


@pytest.mark.usefixtures("fresh")
def test_an_alarm_shows_what_keeps_the_interpreter_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("watch", alarm_seconds=0.001) == {}  # without a log there is no alarm
    reader, writer = os.pipe()
    monkeypatch.setattr(hosting._process, "log_fd", writer)
    try:
        ask("watch", alarm_seconds=0.05)
        ctypes.PyDLL(None).usleep(500_000)  # keeps the lock
        told = os.read(reader, 65_536).decode()
    finally:
        faulthandler.cancel_dump_traceback_later()
        os.close(reader)
        os.close(writer)
    assert told.startswith("Timeout (0:00:00.05")
    assert "test_an_alarm_shows_what_keeps_the_interpreter_lock" in told


def test_the_stacks_of_all_threads_are_logged_under_their_names(caplog: pytest.LogCaptureFixture) -> None:
    gate, waiting = threading.Event(), threading.Event()

    def deaf() -> None:
        waiting.set()
        gate.wait()

    thread = threading.Thread(target=deaf, name="ragbus-lane-deaf")
    thread.start()
    waiting.wait()
    assert ask("log_stacks") == {}
    gate.set()
    thread.join()
    (record,) = (it for it in caplog.messages if it.startswith("thread ragbus-lane-deaf is at"))
    assert "in deaf" in record


@pytest.mark.usefixtures("fresh")
def test_start_happens_once(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    versions = ask("start", log_fd=writer, switch_interval_seconds=0.002, module_path=[str(tmp_path)], offline=True)
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(versions) >= {"numpy", "openvino", "tokenizers"}
    assert ask("start", log_fd=None, switch_interval_seconds=0.1, module_path=["other"], offline=False) == versions
    assert sys.getswitchinterval() == pytest.approx(0.002)
    assert sys.path[0] == str(tmp_path)
    assert "other" not in sys.path
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == os.environ["DO_NOT_TRACK"] == "1"
    assert multiprocessing.get_start_method() == "spawn"
    print("to the log")
    assert os.read(reader, 100) == b"INFO\tMainThread\tto the log\n"
    os.close(reader)
    os.close(writer)


@pytest.mark.usefixtures("fresh")
def test_guards(caplog: pytest.LogCaptureFixture) -> None:
    ask("start")
    limit = sys.getrecursionlimit()
    with pytest.raises(ValueError, match="above 5000"):
        sys.setrecursionlimit(5_001)
    sys.setrecursionlimit(limit)
    assert "HF_HUB_OFFLINE" not in os.environ
    faulthandler.enable(all_threads=True)
    assert "faulthandler.enable was ignored" in caplog.text


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("present", "line"),
    [
        (Present("cuda", missing="there is no driver"), "models run on the CPU: there is no driver"),
        (Present("cuda", (Gpu(0, "A", 1 << 20), Gpu(1, "B", 5 << 30))), "cuda:0 is A with 1 MB; cuda:1 is B with 5120 MB"),
    ],
)
def test_the_log_says_which_gpus_there_are(
    present: Present, line: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "cuda_driver", lambda: present)
    with caplog.at_level(logging.INFO, "ragbus"):
        ask("start", enable_gpu=True)
        ask("start", enable_gpu=True)
    assert [record.message for record in caplog.records] == [line]


@pytest.mark.usefixtures("fresh")
def test_user_code_finds_no_way_to_java(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("_jep")
    vars(module).update(findClass=len, forName=len, jarray=len, jproxy=len, JepException=Exception)
    monkeypatch.setitem(sys.modules, "_jep", module)
    importer = SimpleNamespace(classEnquirer=object(), classLoader=object(), find_spec=lambda *_: None)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, importer])
    ask("start")
    assert importer.classLoader is None
    assert not importer.classEnquirer.isJavaPackage("java.lang")
    assert hasattr(module, "JepException")
    assert not {"findClass", "forName", "jarray", "jproxy"} & set(vars(module))


class _JavaBuffer:
    """A buffer of Java's as jep shows it to Python."""

    def __init__(self, array: np.ndarray) -> None:
        self.__array_interface__ = array.__array_interface__

    def getClass(self) -> None:  # noqa: N802
        raise AssertionError


def test_memory_that_java_lends_leads_not_back_to_it() -> None:
    memory = np.arange(6, dtype=np.int32)
    lent = np.asarray(_JavaBuffer(memory))
    assert hasattr(lent.base, "getClass")
    seen = hosting.without_java(lent)
    assert not hasattr(seen.base, "getClass")
    seen[0] = 7
    assert memory.tolist() == [7, 1, 2, 3, 4, 5]
    assert seen.dtype == np.int32
    assert hosting.without_java(memory) is memory


@pytest.mark.usefixtures("fresh")
def test_a_python_without_its_lock_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(Failure, match="RUNTIME: this Python runs without"):
        ask("start")


def priority() -> int:
    """Return this thread's own niceness."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have none of their own")
def test_a_thread_and_those_it_starts_give_way_and_no_other() -> None:
    def give_way() -> tuple[int, int]:
        hosting.give_way(3)
        with ThreadPoolExecutor(1) as started:
            return priority(), started.submit(priority).result()

    before = priority()
    with ThreadPoolExecutor(1) as lane:
        assert lane.submit(give_way).result() == (before + 3, before + 3)
    with ThreadPoolExecutor(1) as other:
        assert (priority(), other.submit(priority).result()) == (before, before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have none of their own")
def test_where_threads_may_not_give_way_that_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def forbidden(*_args: int) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "setpriority", forbidden)
    hosting.give_way(3)
    assert "threads that run models do not give way to others: not here" in caplog.text


def test_a_thread_that_leaves_is_forgotten() -> None:
    """It is one that Python has not started, such as Java's."""
    left = threading.Event()

    def lane() -> None:
        ask("enter", thread="a lane", niceness=0)
        assert "a lane" in {thread.name for thread in threading.enumerate()}
        ask("leave")
        left.set()

    _thread.start_new_thread(lane, ())
    assert left.wait(30)
    assert "a lane" not in {thread.name for thread in threading.enumerate()}


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hosting.resident_bytes() > 10_000_000
    hosting.trim()
    monkeypatch.setattr(hosting, "_libc", lambda: None)
    hosting.trim()
    hosting._set_malloc()


def test_growth_is_measured_where_nothing_else_is() -> None:
    with hosting.measured_growth() as growth:
        held = np.ones(8_000_000)
    assert growth.bytes is not None
    assert 40_000_000 < growth.bytes < 100_000_000
    with hosting.measured_growth() as outer, hosting.measured_growth() as inner:
        pass
    assert (outer.bytes, inner.bytes) == (None, None)
    del held
    with pytest.raises(IndexError), hosting.measured_growth():
        [].pop()
    with hosting.measured_growth() as again:
        pass
    assert again.bytes is not None
