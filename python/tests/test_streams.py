# SPDX-License-Identifier: Apache-2.0
"""Python's output in the log pipe: whole lines, nothing that breaks out of them, never a wait or an error."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ragbus import streams
from ragbus.streams import LineStream, LogPipe

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pipe:
    """Both ends of a pipe."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        self.log = LogPipe(self.write_fd)

    def read(self) -> bytes:
        pieces = []
        while True:
            try:
                pieces.append(os.read(self.read_fd, 65_536))
            except BlockingIOError:
                return b"".join(pieces)

    def lines(self) -> list[list[str]]:
        return [line.split("\t") for line in self.read().decode().splitlines()]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    both = Pipe()
    yield both
    for fd in (both.read_fd, both.write_fd):
        try:
            os.close(fd)
        except OSError:
            continue


def test_lines_go_out_whole(pipe: Pipe) -> None:
    stream = LineStream(pipe.log, "INFO")
    assert stream.write("one\ntw") == 6
    assert pipe.lines() == [["INFO", "MainThread", "one"]]
    stream.write("o\r\n\nthree")
    stream.flush()
    stream.flush()
    assert [line[2] for line in pipe.lines()] == ["two", "", "three"]


def test_print_and_control_characters(pipe: Pipe) -> None:
    print("é 中 😀\x1b[31m red \r over\x00 \x85 \u2028 \ud83d", file=LineStream(pipe.log, "INFO"))
    assert pipe.read().decode() == "INFO\tMainThread\té 中 😀\\x1b[31m red \\r over\\x00 \\x85 \\u2028 \ufffd\n"


def test_a_long_line_goes_out_in_pieces(pipe: Pipe) -> None:
    stream = LineStream(pipe.log, "INFO")
    stream.write("😀" * 2_000)
    stream.flush()
    lines = pipe.lines()
    assert "".join(line[2] for line in lines) == "😀" * 2_000
    assert all(len("\t".join(line).encode()) < 4_096 for line in lines)


def test_close_does_nothing(pipe: Pipe) -> None:
    stream = LineStream(pipe.log, "INFO")
    stream.close()
    with stream:
        pass
    assert not stream.closed
    assert stream.writable()
    assert not stream.readable()
    assert not stream.isatty()
    assert stream.encoding == "utf-8"
    print("still here", file=stream)
    assert pipe.lines()[-1][2] == "still here"
    with pytest.raises(io.UnsupportedOperation):
        stream.fileno()


def test_a_full_pipe_drops_lines_counts_them_and_tells_later(pipe: Pipe) -> None:
    sent = 0
    while pipe.log.dropped < 3:
        pipe.log.send("INFO", "x" * 500)
        sent += 1
    lines = pipe.lines()
    pipe.log.send("INFO", "room again")
    lines += pipe.lines()
    told = [int(text.split()[0]) for level, _, text in lines if level == "WARNING"]
    assert sum(told) == 3
    assert lines[-2][1:] == ["ragbus", f"{told[-1]} lines of Python's output were dropped"]
    assert lines[-1] == ["INFO", "MainThread", "room again"]
    assert len(lines) - len(told) - 1 == sent - 3


@pytest.mark.parametrize("end", ["read_fd", "write_fd"])
def test_a_closed_pipe_is_no_error(pipe: Pipe, end: str) -> None:
    os.close(getattr(pipe, end))
    pipe.log.send("INFO", "into the void")
    assert pipe.log.dropped == 1


def test_threads_do_not_mix_their_lines(pipe: Pipe) -> None:
    stream = LineStream(pipe.log, "INFO")
    together = threading.Barrier(3)

    def work(word: str) -> None:
        together.wait()
        for _ in range(50):
            for letter in word:
                stream.write(letter)
            stream.write("\n")

    threads = [threading.Thread(target=work, args=(word,), name=f"lane\t{word}") for word in ("aaa", "bbb", "ccc")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = pipe.lines()
    assert len(lines) == 150
    assert all(line[1] == f"lane\\t{line[2]}" for line in lines)


class Killed(BaseException):
    """What a function is stopped with."""


def test_a_thread_that_is_killed_while_it_logs_leaves_no_lock_locked(pipe: Pipe) -> None:
    handler = streams.PipeHandler(pipe.log)
    locks: list[Any] = [pipe.log._lock, *filter(None, [handler.lock])]

    def work() -> None:
        try:
            handler.handle(logging.makeLogRecord({"msg": "never mind"}))
        except Killed:
            return

    for lock in locks:
        for _ in range(30):
            thread = threading.Thread(target=work, name="killed")
            with lock:
                thread.start()
                time.sleep(0.005)  # it waits for the lock, and has been killed by the time that it gets it
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Killed))
            thread.join()
            assert lock.acquire(timeout=1)
            lock.release()


def test_a_handler_filters(pipe: Pipe) -> None:
    handler = streams.PipeHandler(pipe.log)
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    kept = [handler.handle(logging.makeLogRecord({"name": "some", "msg": text})) for text in ("plain", "secret")]
    assert kept == [True, False]
    logging.shutdown([lambda: handler])  # as at the end of the process, which takes its lock
    assert [line[2] for line in pipe.lines()] == ["some: plain"]


def test_redirect(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(root, "handlers", root.handlers)
    monkeypatch.setattr(root, "level", root.level)
    streams.redirect(pipe.write_fd)
    print("out")
    print("err", file=sys.stderr)
    sys.stdout.close()
    logging.getLogger("some.place").error("first %s\nsecond", "line")
    logging.getLogger("some.place").debug("too quiet")
    logging.getLogger("some.place").warning("%d", "no number")
    logging.getLogger("some.place").info("")
    assert pipe.lines() == [
        ["INFO", "MainThread", "out"],
        ["WARNING", "MainThread", "err"],
        ["ERROR", "MainThread", "some.place: first line"],
        ["ERROR", "MainThread", "second"],
        [
            "WARNING",
            "MainThread",
            "some.place: a record that cannot be formatted: %d format: a real number is required, not str",
        ],
        ["INFO", "MainThread", "some.place: "],
    ]
