# SPDX-License-Identifier: Apache-2.0
"""What a process that hosts Python in a JVM needs once: switches, guards, memory settings, versions."""

from __future__ import annotations

import ctypes
import functools
import importlib
import logging
import os
import sys
import threading
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragbus import devices, garbage, streams
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

# Deeper recursion through C code overflows a lane's stack, and with it the JVM.
MAX_RECURSION = 5_000

# mallopt's parameters (glibc malloc.h). Few arenas, since every thread would otherwise grow one of its own, and free memory at
# the top of the heap goes back to the system. Naming the trim threshold ends glibc's own adjusting, so that of mmap is named too:
# left at 128 KB, each large array would be mapped and faulted in anew.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MADV_DONTNEED = 4
_MALLOC_SETTINGS = ((_M_ARENA_MAX, 2), (_M_TRIM_THRESHOLD, 4 << 20), (_M_MMAP_THRESHOLD, 4 << 20))

_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_XET": "1",  # xet's servers are not behind HF_ENDPOINT, and its downloads cannot be stopped
    "TOKENIZERS_PARALLELISM": "false",
}
_PACKAGES = ("numpy", "openvino", "tokenizers", "jep")
# In jep's module: how Python code would get at any Java class. An array and a proxy are Java objects, and know their class.
_JAVA_DOORS = ("findClass", "forName", "jarray", "jproxy")


@dataclass
class _Process:
    """What `start` was told, for the rest of the process."""

    cache_folder: Path | None = None
    log_fd: int | None = None


_process = _Process()
_start_lock = threading.Lock()
_started = threading.Event()
log = logging.getLogger("ragbus")


def start(
    *,
    log_fd: int | None = None,
    switch_interval_seconds: float | None = None,
    module_path: Sequence[str] = (),
    offline: bool = False,
    cache_folder: str | None = None,
    enable_gpu: bool = False,
    enable_gc: bool = False,
) -> dict[str, str]:
    """Set the process up, once: a repeat changes nothing. Return the versions of Python and of the packages.

    `cache_folder` is where engines keep what they make of models; without one they keep nothing. With `enable_gpu` the log says
    which GPUs there are, or why there is none. With `enable_gc` full collections are Java's to ask for.
    Raises RUNTIME on a Python without its interpreter lock, which jep does not support.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise RagbusError("RUNTIME", "this Python runs without its global interpreter lock, which jep does not support")
    with _start_lock:
        if not _started.is_set():
            os.environ.update(_ENVIRONMENT | ({"HF_HUB_OFFLINE": "1"} if offline else {}))
            if switch_interval_seconds is not None:
                sys.setswitchinterval(switch_interval_seconds)
            _set_malloc()
            _guard()
            if enable_gc:
                garbage.take_over()
            _process.cache_folder = Path(cache_folder) if cache_folder else None
            _process.log_fd = log_fd
            if log_fd is not None:
                streams.redirect(log_fd)
            if enable_gpu:
                log.info("%s", devices.cuda_driver().summary())
            sys.path[:0] = [entry for entry in module_path if entry not in sys.path]
            _started.set()
    return versions()


def cache_folder() -> Path | None:
    """Return the folder where engines keep what they make of models, None if there is none."""
    return _process.cache_folder


def watch(alarm_seconds: float) -> None:
    """Set an alarm anew: unless this is called again in time, the stacks of all threads go to the log, once.

    It needs no interpreter lock to go off, so it shows what keeps the lock. Without a log there is no alarm.
    """
    import faulthandler  # noqa: PLC0415

    if _process.log_fd is not None:
        faulthandler.dump_traceback_later(alarm_seconds, file=_process.log_fd)


def give_way(niceness: int) -> None:
    """Let this thread, and those it starts, give way to others by so much, as `nice` does; where threads can, which is on Linux."""
    if niceness == 0 or sys.platform != "linux":
        return
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)
    except OSError as error:
        log.warning("threads that run models do not give way to others: %s", error)


def forget_thread() -> None:
    """Forget the calling thread, which Python has not started and would keep until another one gets its number.

    As CPython does itself from 3.13 on, when such a thread ends.
    """
    with threading._active_limbo_lock:  # type: ignore[attr-defined]  # noqa: SLF001
        threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]  # noqa: SLF001


def log_stacks() -> None:
    """Log what each thread that is in Python is doing, under the name of its lane."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way to see threads that are stuck
        log.error("thread %s is at\n%s", names.get(ident, ident), "".join(traceback.format_stack(frame)))


def versions() -> dict[str, str]:
    """Return the versions of Python and of those of our packages that are installed, importing none."""
    import importlib.metadata  # noqa: PLC0415 - slow

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _guard() -> None:
    """Take from user code what would end the JVM or leave Python."""
    import faulthandler  # noqa: PLC0415
    import multiprocessing  # noqa: PLC0415 - slow, and only ever used from here

    sys.setrecursionlimit = _bounded_recursion(sys.setrecursionlimit)
    faulthandler.enable = _no_faulthandler
    multiprocessing.set_start_method("spawn", force=True)  # a forked JVM has the locks of threads it lacks
    for name in ("_jep", "jep"):
        try:
            module = importlib.import_module(name)
        except ImportError:  # outside a JVM
            continue
        for door in _JAVA_DOORS:
            vars(module).pop(door, None)
    for importer in sys.meta_path:
        if hasattr(importer, "classEnquirer"):  # jep's: it stays, since each new interpreter would add another, and holds no Java
            importer.classEnquirer, importer.classLoader = _NoJava(), None  # type: ignore[attr-defined]


class _NoJava:
    """Stand in for the Java object that tells jep's importer which packages are Java's: none is."""

    def isJavaPackage(self, _name: str) -> bool:  # noqa: N802 - jep's name
        return False


def without_java(array: NDArray[Any]) -> NDArray[Any]:
    """View memory that Java lends, and keeps, without the Java object behind it: through that, any class could be had."""
    if not hasattr(array.base, "getClass"):
        return array
    import numpy as np  # noqa: PLC0415 - nothing else here needs it

    memory = (ctypes.c_byte * array.nbytes).from_address(array.ctypes.data)
    return np.frombuffer(memoryview(memory), dtype=array.dtype)


def _bounded_recursion(set_limit: Callable[[int], None]) -> Callable[[int], None]:
    def setrecursionlimit(limit: int, /) -> None:
        if limit > MAX_RECURSION:
            raise ValueError(f"a recursion limit of {limit} is above {MAX_RECURSION}, what a lane's stack holds")
        set_limit(limit)

    return setrecursionlimit


def _no_faulthandler(*_args: Any, **_kwargs: Any) -> None:
    """Stand in for `faulthandler.enable`, which takes SIGSEGV away from the JVM: its next null check would end it."""
    log.warning("faulthandler.enable was ignored: the JVM needs its signal handlers")


@functools.cache
def _libc() -> Any:
    try:
        library = ctypes.CDLL(None)
    except OSError:  # pragma: no cover - not on Linux
        return None
    return library


def _set_malloc() -> None:
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOC_SETTINGS:
            mallopt(parameter, value)


def trim() -> None:
    """Give free memory back to the system, where glibc can."""
    malloc_trim = getattr(_libc(), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


@dataclass
class Growth:
    """What was measured; None where something else was measured meanwhile, since nobody knows whose the memory is."""

    bytes: int | None = None


@dataclass
class _Measurements:
    begun: int = 0
    under_way: int = 0


_measurements = _Measurements()
_measurements_lock = threading.Lock()


@contextmanager
def measured_growth() -> Iterator[Growth]:
    """Measure by how much the process grows within this context; known once it is left, free memory having been given back."""
    growth, before = Growth(), resident_bytes()
    with _measurements_lock:
        _measurements.begun += 1
        mine, alone = _measurements.begun, _measurements.under_way == 0
        _measurements.under_way += 1
    try:
        yield growth
    finally:
        with _measurements_lock:
            _measurements.under_way -= 1
            alone = alone and _measurements.begun == mine
    trim()
    if alone:
        growth.bytes = resident_bytes() - before


def evict(file: Path) -> None:
    """Give back the resident pages of a file that this process has mapped and cannot write to; they are read again when needed."""
    madvise, maps = getattr(_libc(), "madvise", None), Path("/proc/self/maps")
    if madvise is None or not maps.is_file():  # pragma: no cover - not on Linux
        return
    name = str(file.resolve())
    for line in maps.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        span, mode, *_, mapped = line.split(maxsplit=5)
        if mapped == name and "w" not in mode:
            start, stop = (int(it, 16) for it in span.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), _MADV_DONTNEED)


def resident_bytes() -> int:
    """Return the process's resident memory in bytes, 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # pragma: no cover - not on Linux
        return 0
