# SPDX-License-Identifier: Apache-2.0
"""The call that runs: its deadline, its cancelled flag, and the one way to stop it from outside.

A stop is an exception that CPython raises in another thread at the next bytecode, maybe late. Two threads agree on it by one
atomic step: whoever takes a call's section out of `_stoppable` decides, the killer (then the exception comes, and the lane
waits for it) or the lane (then it never comes). So it cannot reach the next call.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class LaneTimeout(BaseException):
    """Raised in a function that is stopped because its time is over."""


class Call:
    """One call under way: its number, when it must be over, and whether its caller has gone."""

    __slots__ = ("_cancelled", "deadline", "number", "on_cancel")

    def __init__(self, number: int, seconds_left: float) -> None:
        """Start the clock."""
        self.number = number
        self.deadline = time.monotonic() + seconds_left
        self.on_cancel: Callable[[], object] | None = None
        self._cancelled = False

    def seconds_left(self) -> float:
        """Return the time left in seconds, negative when it is over."""
        return self.deadline - time.monotonic()

    def cancel(self) -> None:
        """Raise the flag, from any thread."""
        self._cancelled = True
        on_cancel = self.on_cancel
        if on_cancel is not None:
            with contextlib.suppress(RuntimeError):  # its event loop has closed
                on_cancel()

    def is_over(self) -> bool:
        """Say whether the flag is raised or the deadline has passed."""
        return self._cancelled or self.seconds_left() <= 0

    def check(self) -> None:
        """Raise CANCELLED or TIMEOUT if the call is over."""
        if self._cancelled:
            raise RagbusError("CANCELLED", "the call was cancelled")
        if self.seconds_left() <= 0:
            raise RagbusError("TIMEOUT", "the deadline passed")


class _Section:
    """A stretch of user code that may be stopped: its thread, and whether the exception has been sent there."""

    __slots__ = ("sent", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.sent = False


current: ContextVar[Call | None] = ContextVar("ragbus_call", default=None)
_running: dict[int, Call] = {}
_stoppable: dict[int, _Section] = {}
_kills = {"sent": 0}


def deadline() -> float:
    """Return the seconds left to the current call, at least 0; infinity outside a call."""
    call = current.get()
    return math.inf if call is None else max(0.0, call.seconds_left())


def cancelled() -> bool:
    """Say whether the current call should end: its caller has gone, or its deadline has passed. False outside a call."""
    call = current.get()
    return call is not None and call.is_over()


def begin(number: int, seconds_left: float) -> Call:
    """Make a call known to `cancel`; its number must not be in use."""
    call = Call(number, seconds_left)
    if _running.setdefault(number, call) is not call:
        raise RagbusError("CONFLICT", f"call {number} is running")
    return call


def end(call: Call) -> None:
    """Forget a call."""
    _running.pop(call.number, None)


def cancel(number: int) -> bool:
    """Raise a call's cancelled flag, from any thread; say whether it was running."""
    call = _running.get(number)
    if call is not None:
        call.cancel()
    return call is not None


def stoppable(number: int, code: Callable[[], T]) -> T:
    """Run user code that `kill` may stop: TIMEOUT if it did, whatever the code made of the exception.

    At most one LaneTimeout comes in a section, and none after this function: it is raised in the code, or in the few lines
    here that the outer `try` holds, or it is cleared.
    """
    section = _Section()
    failure: BaseException | None = None
    value: Any = None
    try:
        try:
            _stoppable[number] = section
            value = code()
        except BaseException as error:  # noqa: BLE001 - raised again below, once no stop can come
            failure = error
        stopped = _leave(number, section)
    except LaneTimeout:
        stopped = _leave(number, section)
    try:
        if stopped:
            raise RagbusError("TIMEOUT", "the deadline passed; the function was stopped") from failure
        if failure is not None:
            raise failure
        return value  # type: ignore[no-any-return]
    finally:
        del failure  # its traceback holds this frame


def _leave(number: int, section: _Section) -> bool:
    if _stoppable.pop(number, None) is not None:
        return False
    while not section.sent:
        time.sleep(0)
    _drain()
    return True


def _drain() -> None:
    """Take what was sent to this thread and not yet raised, if anything.

    It is replaced by another that is raised here: clearing it instead (with NULL) would leave CPython 3.11 and 3.12 forever in
    search of it, which slows every thread and hangs one that is traced.
    """
    try:
        _send(threading.get_ident())
        while True:
            pass
    except LaneTimeout:
        return


def _send(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(LaneTimeout))


def kill(number: int) -> bool:
    """Send LaneTimeout into a call's stoppable code, from another thread; say whether it was there."""
    section = _stoppable.pop(number, None)
    if section is None:
        return False
    try:
        _send(section.thread)
        _kills["sent"] += 1
    finally:
        section.sent = True
    return True


def kills() -> int:
    """Return how many calls have been killed: each may have left a lock locked or a state half changed."""
    return _kills["sent"]
