# SPDX-License-Identifier: Apache-2.0
"""What Python prints and logs, line by line through a pipe to Java's log, never blocking and never raising."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import threading

from ragbus.errors import message_of, safe

# A write up to PIPE_BUF (4,096 bytes) is atomic: 900 characters are at most 3,600 bytes, and the head is below 400.
MAX_LINE_CHARS = 900
MAX_THREAD_CHARS = 60
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def escape(text: str) -> str:
    """Escape control characters, so that a line stays one line and no terminal obeys it; lone surrogates become U+FFFD."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), safe(text))


class LogPipe:
    """The write end of Java's log pipe. A full or closed pipe drops lines and counts them; any thread may send."""

    def __init__(self, fd: int) -> None:
        """Take over a file descriptor and make it non-blocking."""
        os.set_blocking(fd, False)
        self._fd = fd
        self._lock = threading.Lock()
        self.dropped = 0  # lines, guarded by _lock
        self._told = 0

    def send(self, level: str, text: str) -> None:
        """Write a line as `LEVEL<tab>thread<tab>text`; a long one goes out in pieces."""
        escaped = escape(text)
        thread = escape(threading.current_thread().name)[:MAX_THREAD_CHARS]
        for start in range(0, max(1, len(escaped)), MAX_LINE_CHARS):
            self._write(f"{level}\t{thread}\t{escaped[start : start + MAX_LINE_CHARS]}\n")

    def _write(self, line: str) -> None:
        with self._lock:
            lost = self.dropped - self._told
            if lost and self._try(f"WARNING\tragbus\t{lost} lines of Python's output were dropped\n"):
                self._told = self.dropped
            if not self._try(line):
                self.dropped += 1

    def _try(self, line: str) -> bool:
        try:
            os.write(self._fd, line.encode())
        except OSError:  # full (EAGAIN) or gone (EPIPE, EBADF): a log line is never worth a failure
            return False
        return True


class LineStream(io.TextIOBase):
    """A text stream whose lines go to a pipe at one level. Unfinished lines are kept per thread. `close` does nothing."""

    def __init__(self, pipe: LogPipe, level: str) -> None:
        """Write to `pipe` at `level`."""
        self._pipe = pipe
        self._level = level
        self._pending = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """UTF-8, as the pipe has it."""
        return "utf-8"

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, text: str) -> int:
        """Send every finished line; keep the rest until its newline, a flush, or 900 characters have come."""
        *lines, rest = (getattr(self._pending, "text", "") + text).split("\n")
        for line in lines:
            self._pipe.send(self._level, line.removesuffix("\r"))
        while len(rest) >= MAX_LINE_CHARS:
            self._pipe.send(self._level, rest[:MAX_LINE_CHARS])
            rest = rest[MAX_LINE_CHARS:]
        self._pending.text = rest
        return len(text)

    def flush(self) -> None:
        """Send this thread's unfinished line, if there is one."""
        rest = getattr(self._pending, "text", "")
        if rest:
            self._pending.text = ""
            self._pipe.send(self._level, rest)

    def close(self) -> None:
        """Do nothing: all lanes share `sys.stdout`, and one that closed it would break every later print."""


class PipeHandler(logging.Handler):
    """The root logger's way into the pipe, one line a line of the message.

    It has no lock of its own, since the pipe has one. That of a `logging.Handler` is taken before the `try` that gives it up, so
    a function that is killed in between would leave it locked for all threads for good (CPython 3.11 and 3.12).
    """

    def __init__(self, pipe: LogPipe) -> None:
        """Write to `pipe`."""
        super().__init__()
        self._pipe = pipe
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Do without a lock."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Send a record that the filters let pass; they may put another in its place (CPython 3.12)."""
        kept: object = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; one that cannot be formatted is sent as its failure."""
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - arguments of a log call are anyone's
            text = f"{record.name}: a record that cannot be formatted: {message_of(error)}"
        for line in text.splitlines() or [""]:
            self._pipe.send(record.levelname, line)


def redirect(fd: int) -> LogPipe:
    """Send `sys.stdout` (INFO), `sys.stderr` (WARNING) and the root logger into the pipe `fd`."""
    pipe = LogPipe(fd)
    sys.stdout = LineStream(pipe, "INFO")
    sys.stderr = LineStream(pipe, "WARNING")
    root = logging.getLogger()
    root.handlers = [PipeHandler(pipe)]
    root.setLevel(logging.INFO)
    return pipe
