# SPDX-License-Identifier: Apache-2.0
"""Deadlines, the cancelled flag, and the one exception that may be sent into a call and must reach no other."""

from __future__ import annotations

import math
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Failure, ask
from functions import Stream, number, pack, register, run, taken, unpack

import ragbus
from ragbus import bridge
from ragbus.errors import RagbusError
from ragbus.functions import calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPIN = """
def spin(started, swallow):
    while True:
        try:
            while True:
                pass
        except BaseException:
            if not swallow:
                raise
            return "swallowed"
"""


def _threads(count: int) -> ThreadPoolExecutor:
    """Return threads that are not traced: a kill in the tracer of a coverage run would leave its lock locked."""
    return ThreadPoolExecutor(count, initializer=sys.settrace, initargs=(None,))


@pytest.fixture
def busy() -> Iterator[None]:
    """Let threads take turns often, so that they meet everywhere."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(2e-5)
    yield
    sys.setswitchinterval(interval)


def test_outside_a_call() -> None:
    assert ragbus.deadline() == math.inf
    assert not ragbus.cancelled()
    assert ask("function_cancel", call=10**9) == {"cancelled": False}
    assert ask("function_kill", call=10**9) == {"killed": False}


def test_the_deadline_is_seen_by_the_function_its_tasks_and_its_threads() -> None:
    code = """
    import asyncio, contextvars, threading, ragbus

    async def look():
        async def task():
            return ragbus.deadline()
        seen = []
        thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: seen.append(ragbus.deadline()),))
        thread.start()
        thread.join()
        return [ragbus.deadline(), *await asyncio.gather(task(), task()), await asyncio.to_thread(ragbus.deadline), *seen]
    """
    left = run(register("look", code), seconds=50)
    assert len(left) == 5
    assert all(40 < it <= 50 for it in left)
    assert run(register("expired", "__import__('ragbus').cancelled()"), seconds=50) is False
    assert ragbus.deadline() == math.inf


def test_a_call_whose_time_is_over_does_not_start() -> None:
    function = register("never", "args.append(1) or args[0].append(2)")
    for seconds in (0, -1.5):
        with pytest.raises(Failure, match="the deadline passed") as raised:
            run(function, seconds=seconds)
        assert raised.value.kind == "TIMEOUT"


def test_a_function_that_looks_ends_in_time() -> None:
    code = """
    import ragbus
    def until_over():
        turns = 0
        while not ragbus.cancelled():
            turns += 1
        return ragbus.deadline()
    """
    function = register("until_over", code)
    assert run(function, seconds=0.02) == 0
    with _threads(1) as lane:
        call = number()
        answer = lane.submit(bridge.run_function, function["id"], call, 1_000, pack({}), arrays=False)
        _until(lambda: bool(ask("function_cancel", call=call)["cancelled"]))
        ok, _ = answer.result(timeout=30)
        assert ok


def _until(reached: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def test_a_call_number_is_used_once_at_a_time() -> None:
    function, stream = register("nothing", "def nothing():\n    yield 1"), Stream(register("one", "1"))
    ok, reply = bridge.open_stream(function["id"], stream.number, math.inf, pack({}), arrays=False)
    assert (ok, Failure(reply).kind) == (False, "CONFLICT")
    assert stream.pull() == ([1], True)
    assert bridge.open_stream(function["id"], stream.number, math.inf, pack({}), arrays=False)[0]
    stream.close()


@pytest.mark.parametrize("swallow", [False, True])
def test_a_kill_ends_a_loop_even_one_that_swallows_it(*, swallow: bool) -> None:
    function, call = register("spin", SPIN, hard_cancel=True), number()
    before = ask("function_stats")["taints"]
    with _threads(1) as lane:
        answer = lane.submit(bridge.run_function, function["id"], call, 5.0, pack({"args": [1, swallow]}), arrays=False)
        _until(lambda: bool(ask("function_kill", call=call)["killed"]))
        ok, reply = answer.result(timeout=30)
        assert not ok
        failure = Failure(reply)
        assert (failure.kind, failure.fields["message"]) == ("TIMEOUT", "the deadline passed; the function was stopped")
        four = register("four", "2 + 2")
        assert lane.submit(run, four).result(timeout=30) == 4
    assert ask("function_kill", call=call) == {"killed": False}
    assert ask("function_stats")["taints"] == before + 1


def test_only_functions_that_allow_it_are_killed() -> None:
    function, call = (
        register("polite", "def polite():\n    import ragbus\n    while not ragbus.cancelled(): pass\n    return 1"),
        number(),
    )
    with _threads(1) as lane:
        answer = lane.submit(bridge.run_function, function["id"], call, math.inf, pack({}), arrays=False)
        _until(lambda: call in calls._running)
        assert ask("function_kill", call=call) == {"killed": False}
        ask("function_cancel", call=call)
        assert answer.result(timeout=30)[0]


def test_a_stop_that_a_function_raises_itself_is_its_own_failure() -> None:
    code = "def fake():\n    from ragbus.functions.calls import LaneTimeout\n    raise LaneTimeout('mine')"
    with pytest.raises(Failure, match="mine") as raised:
        run(register("fake", code, hard_cancel=True))
    assert (raised.value.kind, raised.value.fields["type"]) == ("PYTHON", "ragbus.functions.calls.LaneTimeout")


def test_a_call_that_ends_while_its_kill_is_on_the_way_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    claimed, ended = threading.Event(), threading.Event()
    send = calls._send

    def send_late(thread: int) -> None:
        if thread != threading.get_ident():
            claimed.set()
            assert ended.wait(30)
            time.sleep(0.02)  # the lane is in its wait by now, or would have gone
        send(thread)

    monkeypatch.setattr(calls, "_send", send_late)

    def user_code() -> int:
        assert claimed.wait(30)
        ended.set()
        return 1

    def lane() -> int:
        call = number()
        killer.submit(_until, lambda: calls.kill(call))
        with pytest.raises(RagbusError, match="the function was stopped"):
            calls.stoppable(call, user_code)
        return sum(range(100_000))

    with _threads(1) as killer, _threads(1) as lanes:
        assert lanes.submit(lane).result(timeout=60) == 4_999_950_000


def test_draining_leaves_nothing_behind() -> None:
    def traced(*_: Any) -> Any:
        return traced

    def lane() -> int:
        for _ in range(100):
            calls._drain()
        sys.settrace(traced)
        return sum(at for at in range(10))  # hangs if CPython still looks for an exception

    with _threads(1) as lanes:
        assert lanes.submit(lane).result(timeout=60) == 45


WORK = """
import asyncio, time

def work(n, turns, *places):
    'Give way at some places, the very end among them: there the killer gets its turn.'
    def give_way(place):
        if place in places:
            time.sleep(0)
    try:
        give_way(0)
        for turn in range(turns):
            n += 1
        give_way(1)
    finally:
        give_way(2)
    return n

async def work_async(n, turns, *places):
    for turn in range(3):
        await asyncio.sleep(0)
        work(0, turns // 3, *places)
    return n + turns

def work_items(n, turns, *places):
    for turn in range(3):
        yield work(n, turns, *places)
"""


class Target:
    """A lane that makes one call after another, and the number of the call under way."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.functions = {name: register(name, WORK, hard_cancel=True) for name in ("work", "work_async", "work_items")}
        self.call = 0
        self.killed: set[int] = set()
        self.outcomes: dict[int, str] = {}

    def make_calls(self, kills: int) -> None:
        """Make calls until so many have been killed."""
        give_up = time.monotonic() + 300
        while len(self.killed) < kills and time.monotonic() < give_up:
            at = len(self.outcomes)
            n, turns = self.random.randrange(1_000), self.random.choice((0, 30, 300))
            name = "work_async" if at % 40 == 0 else "work_items" if at % 40 == 20 else "work"
            arguments = [n, turns, *self.random.sample(range(3), self.random.randrange(3))]
            call = self.call = number()
            self.outcomes[call] = self._make(name, call, arguments)
        self.call = -1

    def _make(self, name: str, call: int, arguments: list[int]) -> str:
        function, payload, right = self.functions[name]["id"], pack({"args": arguments}), sum(arguments[:2])
        try:
            if name != "work_items":
                body = unpack(taken(bridge.run_function(function, call, math.inf, payload, arrays=False)))
                return "right" if body == {"result": right} else f"wrong: {body}"
            assert taken(bridge.open_stream(function, call, math.inf, payload, arrays=False)) == b""
            bodies = [unpack(taken(bridge.next_items(call, 1, 1_000))) for _ in range(4)]
            done = [{"items": [right], "done": False}] * 3 + [{"items": [], "done": True}]
        except Failure as failure:
            return str(failure.kind)
        return "right" if bodies == done else f"wrong: {bodies}"


def shoot(target: Target, seed: int) -> None:
    """Kill calls of a lane at random moments."""
    chance = random.Random(seed)
    while target.call >= 0:
        call = target.call
        for _ in range(chance.choice((0, 10, 100, 1_000))):
            pass
        if chance.random() < 0.5 and calls.kill(call):
            target.killed.add(call)
        time.sleep(0)


def _random_kills(count: int) -> None:
    targets = [Target(seed) for seed in range(2)]
    with _threads(4) as threads:
        lanes = [threads.submit(target.make_calls, count // 2) for target in targets]
        killers = [threads.submit(shoot, target, seed) for seed, target in enumerate(targets, 7)]
        for thread in lanes + killers:
            thread.result(timeout=600)
    for target in targets:
        outcomes = target.outcomes.items()
        assert len(target.killed) >= count // 2
        assert {call for call, outcome in outcomes if outcome == "TIMEOUT"} == target.killed
        assert {outcome for call, outcome in outcomes if call not in target.killed} == {"right"}
    assert not calls._running
    assert not calls._stoppable


# Where a kill meets a weak reference's callback, Python reports it and goes on: the call's code has then made nothing of it.
SWALLOWED = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")


@SWALLOWED
@pytest.mark.usefixtures("busy")
def test_random_kills_hit_no_innocent_call() -> None:
    _random_kills(2_000)


@pytest.mark.slow
@SWALLOWED
@pytest.mark.usefixtures("busy")
def test_many_random_kills_hit_no_innocent_call() -> None:
    _random_kills(20_000)
