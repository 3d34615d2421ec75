# SPDX-License-Identifier: Apache-2.0
"""How far each load is, which another lane may ask at any time, and the switch that cancels it.

Java names a load by an id of its own, which is used once. Whoever works for a load says what it does with `step`, and calls
`checkpoint` wherever it can stop; both do nothing for work that has no id. Any thread may call anything here. The load that
a thread works for is in a context variable: a thread made on the way is run in `contextvars.copy_context()`.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Iterator

Phase: TypeAlias = Literal["waiting", "locating", "downloading", "converting", "quantizing", "loading"]

# Cancellations that are remembered, since one may come before its load begins or between its operations.
MAX_CANCELLATIONS = 1_000


@dataclass(frozen=True, slots=True)
class Progress:
    """What a load does at the moment; the bytes are those of all its files, 0 where nothing is fetched."""

    phase: Phase
    file: str | None = None
    done_bytes: int = 0
    total_bytes: int = 0


_current: ContextVar[str | None] = ContextVar("ragbus_load", default=None)
_running: dict[str, Progress] = {}
_cancelled: dict[str, None] = {}  # oldest first
_lock = threading.Lock()


@contextmanager
def of(load_id: str | None, phase: Phase) -> Iterator[None]:
    """Work for a load within this context, beginning with `phase`; None is work that nobody watches.

    Raises CANCELLED if the load has been cancelled before.
    """
    token = _current.set(load_id)
    try:
        step(phase)
        yield
    finally:
        _current.reset(token)
        if load_id is not None:
            with _lock:
                _running.pop(load_id, None)


def step(phase: Phase) -> None:
    """Begin another phase, unless the load has been cancelled: then raise CANCELLED."""
    checkpoint()
    _set(Progress(phase))


def fetching(file: str, done_bytes: int, total_bytes: int) -> None:
    """Say which file is fetched, and the bytes of all files together; raise CANCELLED if the load has been cancelled."""
    checkpoint()
    _set(Progress("downloading", file, done_bytes, total_bytes))


def _set(progress: Progress) -> None:
    load_id = _current.get()
    if load_id is not None:
        with _lock:
            _running[load_id] = progress


def checkpoint() -> None:
    """Raise CANCELLED if the load that this thread works for has been cancelled."""
    load_id = _current.get()
    if load_id is not None and load_id in _cancelled:
        raise RagbusError("CANCELLED", f"the load {load_id} was cancelled")


def read(load_id: str) -> dict[str, Any]:
    """Return the progress of a load; one that has not begun, is between operations or has ended is `waiting`."""
    with _lock:
        return asdict(_running.get(load_id, Progress("waiting")))


def cancel(load_id: str) -> bool:
    """Have a load stop at its next checkpoint, also if it has not begun; return whether it is at work."""
    with _lock:
        _cancelled.pop(load_id, None)
        _cancelled[load_id] = None
        if len(_cancelled) > MAX_CANCELLATIONS:
            del _cancelled[next(iter(_cancelled))]
        return load_id in _running
