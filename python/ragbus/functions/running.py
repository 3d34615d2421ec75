# SPDX-License-Identifier: Apache-2.0
"""Calls of registered functions: one result, or a stream of items pulled by the caller. All of a call runs on one lane's thread."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from ragbus.errors import RagbusError
from ragbus.functions import calls, payload, registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ragbus.functions.registered import Function

T = TypeVar("T")


def run(function_id: int, number: int, seconds_left: float, body: NDArray[Any] | bytes, arrays: bool) -> bytes:
    """Call a function to its end and return its result as a payload with the key `result`."""
    function = registered.get(function_id)
    if function.kind in {"generator", "async_generator"}:
        raise RagbusError("TYPE_CONVERSION", f"{function.name} is a generator: its items have to be streamed")
    invocation = _Invocation(function, number, seconds_left, body)
    try:
        return payload.write("result", invocation.value(), arrays=arrays)
    finally:
        calls.end(invocation.call)


class _Invocation:
    """A function with its arguments, its call, and the context it runs in."""

    __slots__ = ("args", "call", "context", "function", "kwargs", "target")

    def __init__(self, function: Function, number: int, seconds_left: float, body: NDArray[Any] | bytes) -> None:
        self.function = function
        self.target = function.target()
        args, kwargs = payload.read(body)
        if function.kind == "expression":
            args, kwargs = [args, kwargs], {}
        self.args, self.kwargs = function.signature.convert(args, kwargs)
        self.call = calls.begin(number, seconds_left)
        try:
            self.call.check()
            self.context = copy_context()
            self.context.run(calls.current.set, self.call)
        except BaseException:
            calls.end(self.call)
            raise

    def value(self) -> Any:
        """Call the function; one that is async is run to its end."""
        if self.function.kind == "async":
            with _Loop(self) as loop:
                return loop.run(self.invoke())
        return self.user_code(self.invoke)

    def invoke(self) -> Any:
        """Call the function in its context. A TypeError of the call itself is INVALID: the arguments do not fit."""
        try:
            return self.context.run(self.target, *self.args, **self.kwargs)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                self._refuse_arguments(error)
            raise

    def _refuse_arguments(self, error: TypeError) -> None:
        try:
            inspect.signature(self.target).bind(*self.args, **self.kwargs)
        except TypeError as misfit:
            raise RagbusError("INVALID", f"args, kwargs: {misfit}") from error
        except ValueError:  # no signature to be had
            pass

    def user_code(self, code: Callable[[], T]) -> T:
        """Run code that `function_kill` may stop, if the function allows it."""
        return calls.stoppable(self.call.number, code) if self.function.hard_cancel else code()


class _Stoppable(Coroutine[Any, Any, T]):
    """A coroutine whose steps `function_kill` may stop: a step is its author's code, between steps the event loop's runs."""

    def __init__(self, work: Coroutine[Any, Any, T], number: int) -> None:
        self._work = work
        self._number = number

    def send(self, value: Any) -> Any:
        return self._step(lambda: self._work.send(value))

    def throw(self, *error: Any) -> Any:
        return self._step(lambda: self._work.throw(*error))

    def _step(self, step: Callable[[], Any]) -> Any:
        try:
            return calls.stoppable(self._number, step)
        except RagbusError:
            self._work.close()  # stopped, maybe before it began
            raise

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Any:
        return self._work.__await__()


class _Loop:
    """An event loop of one call: coroutines are cancelled when the call is over. Its worker threads are not waited for."""

    def __init__(self, invocation: _Invocation) -> None:
        self._call = invocation.call
        self._context = invocation.context
        self._hard_cancel = invocation.function.hard_cancel
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> _Loop:
        return self

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine until it ends or its call is over: then it is cancelled, and TIMEOUT or CANCELLED raised."""
        loop, call = self._loop, self._call
        task = loop.create_task(_Stoppable(work, call.number) if self._hard_cancel else work, context=self._context)
        left = call.seconds_left()
        timer = loop.call_later(max(0.0, left), task.cancel) if math.isfinite(left) else None
        call.on_cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if call.is_over():
            task.cancel()
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError:
            call.check()
            raise
        finally:
            call.on_cancel = None
            if timer is not None:
                timer.cancel()

    def finish(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine to its end, whatever the time."""
        self._loop.run_until_complete(self._loop.create_task(work, context=self._context))

    def close(self) -> None:
        """Cancel what is left, let it end, and close the loop."""
        self.__exit__()

    def __exit__(self, *_: object) -> None:
        loop = self._loop
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


_END = object()


class _Stream:
    """An invocation whose items are pulled: those of its generator, or its one result."""

    __slots__ = ("_failure", "_invocation", "_items", "_loop", "arrays")

    def __init__(self, invocation: _Invocation, *, arrays: bool) -> None:
        self.arrays = arrays
        self._invocation = invocation
        self._loop: _Loop | None = None
        self._failure: BaseException | None = None
        self._items: Any = None
        if invocation.function.kind in {"generator", "async_generator"}:
            self._items = invocation.invoke()

    def pull(self, most: int, seconds: float) -> tuple[list[Any], bool]:
        """Return the next items and whether they were the last: at most `most`, and no more once `seconds` have passed.

        A failure after some items is kept for the next pull.
        """
        items: list[Any] = []
        call, until = self._invocation.call, time.monotonic() + seconds
        try:
            self._raise_failure()
            while len(items) < most:
                call.check()
                item = self._next()
                if item is _END:
                    return items, True
                items.append(item)
                if time.monotonic() >= until:
                    break
        except BaseException as failure:
            if not items:
                raise
            self._failure = failure
        return items, False

    def put_off(self, failure: BaseException) -> None:
        """Raise a failure at the next pull."""
        self._failure = failure

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _next(self) -> Any:
        invocation = self._invocation
        if self._items is None:
            value = invocation.value()
            self._items = value if isinstance(value, (Iterator, AsyncIterator)) else iter((value,))
        items = self._items
        if isinstance(items, AsyncIterator):
            loop = self._loop = self._loop or _Loop(invocation)
            return loop.run(_step(items))
        return invocation.user_code(lambda: invocation.context.run(next, items, _END))

    def close(self) -> None:
        """End the generator: its `finally` runs."""
        items, self._failure = self._items, None
        try:
            if self._loop is not None:
                try:
                    if hasattr(items, "aclose"):
                        self._loop.finish(items.aclose())
                finally:
                    self._loop.close()
            elif hasattr(items, "close"):
                self._invocation.context.run(items.close)
        finally:
            calls.end(self._invocation.call)


async def _step(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)


_streams: dict[int, _Stream] = {}


def open_stream(function_id: int, number: int, seconds_left: float, body: NDArray[Any] | bytes, arrays: bool) -> None:
    """Bind a function's arguments and keep it as the stream `number`; nothing of it runs yet."""
    invocation = _Invocation(registered.get(function_id), number, seconds_left, body)
    try:
        _streams[number] = _Stream(invocation, arrays=arrays)
    except BaseException:
        calls.end(invocation.call)
        raise


def next_items(number: int, most: int, seconds: float) -> bytes:
    """Pull items and return them as a payload with the keys `items` and `done`. A stream that is done or fails is closed."""
    stream = _streams.get(number)
    if stream is None:
        raise RagbusError("RUNTIME", f"no stream {number} is open")
    try:
        items, done = stream.pull(most, seconds)
        reply, done = _written(stream, items, done=done)
    except BaseException:
        close_stream(number)
        raise
    if done:
        close_stream(number)
    return reply


def _written(stream: _Stream, items: list[Any], *, done: bool) -> tuple[bytes, bool]:
    """Return the payload of items and whether they are the last; one that cannot travel fails at the next pull."""
    try:
        return payload.write("items", items, arrays=stream.arrays, done=done), done
    except RagbusError:
        good = 0
        try:
            for good, item in enumerate(items):  # noqa: B007 - the first that fails
                payload.write("items", [item], arrays=stream.arrays)
        except RagbusError as failure:
            if good == 0:
                raise
            stream.put_off(failure)
        return payload.write("items", items[:good], arrays=stream.arrays, done=False), False


def close_stream(number: int) -> None:
    """Close a stream on the thread that ran it; one that is not open is fine."""
    stream = _streams.pop(number, None)
    if stream is not None:
        stream.close()
