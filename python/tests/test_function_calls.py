# SPDX-License-Identifier: Apache-2.0
"""What user functions do when they are called, fail, print, wait and stream; whatever it is, the next call is well."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Failure, ask
from functions import Stream, number, pack, pack_arrays, register, run, taken

from ragbus import bridge, streams
from ragbus.functions import calls, running


@pytest.mark.parametrize(
    ("code", "kind", "python_type", "message"),
    [
        ("raise ValueError('é 中 😀')", "PYTHON", "ValueError", "é 中 😀"),
        ("raise ValueError('nul \\0 inside')", "PYTHON", "ValueError", "nul \0 inside"),
        ("raise ValueError('lone \\ud83d half')", "PYTHON", "ValueError", "lone \ufffd half"),
        ("raise OSError(2, 'no such thing', 'file')", "PYTHON", "FileNotFoundError", "[Errno 2] no such thing: 'file'"),
        ("raise KeyError('k') from ValueError('why')", "PYTHON", "KeyError", "'k'"),
        ("import sys; sys.exit()", "PYTHON", "SystemExit", ""),
        ("import sys; sys.exit(3)", "PYTHON", "SystemExit", "3"),
        ("exit('bye')", "PYTHON", "SystemExit", "bye"),
        ("raise KeyboardInterrupt", "PYTHON", "KeyboardInterrupt", ""),
        ("raise GeneratorExit", "PYTHON", "GeneratorExit", ""),
        ("raise StopIteration(1)", "PYTHON", "StopIteration", "1"),
        ("raise ExceptionGroup('two', [ValueError(1), KeyError(2)])", "PYTHON", "ExceptionGroup", "two (2 sub-exceptions)"),
        ("raise MemoryError", "PYTHON", "MemoryError", ""),
        ("return 'x' * sys.maxsize", "PYTHON", "MemoryError", ""),
        ("return fail()", "PYTHON", "RecursionError", "maximum recursion depth exceeded"),
        ("class Deep:\\n  def __repr__(self): return repr(self)\\n return repr(Deep())", "PYTHON", "RecursionError", "recursion"),
        ("import no_such_module_here", "PYTHON", "ModuleNotFoundError", "No module named"),
        ("return json.loads('{')", "PYTHON", "json.decoder.JSONDecodeError", "Expecting property name"),
        ("raise Mine('own')", "PYTHON", "own_errors.Mine", "own"),
        ("raise Silent()", "PYTHON", "own_errors.Silent", "<Silent whose message cannot be shown>"),
        ("return open('/no/such/file')", "PYTHON", "FileNotFoundError", "No such file"),
        ("return object()", "TYPE_CONVERSION", "ragbus.errors.RagbusError", "result: object has no JSON form"),
        ("return {'a': [b'']}", "TYPE_CONVERSION", "ragbus.errors.RagbusError", "result.a[0]: bytes has no JSON form"),
        ("return iter([])", "TYPE_CONVERSION", "ragbus.errors.RagbusError", "list_iterator has no JSON form"),
        ("return [float('nan')]", "SERIALIZATION", "ragbus.errors.RagbusError", "result[0]: "),
        ("return Hostile()", "PYTHON", "SystemExit", "9"),
        ("return '\\ud83d'.encode()", "PYTHON", "UnicodeEncodeError", "surrogates not allowed"),
        ("raise TypeError('inside')", "PYTHON", "TypeError", "inside"),
    ],
    ids=lambda value: value[:30],
)
@pytest.mark.parametrize("hard_cancel", [False, True], ids=["plain", "hard"])
def test_failures_of_functions(code: str, kind: str, python_type: str, message: str, *, hard_cancel: bool) -> None:
    module = f"""
import collections, json, sys
class Mine(Exception): pass
class Silent(Exception):
    def __str__(self): raise SystemExit(1)
class Hostile(collections.UserDict):
    def items(self): sys.exit(9)
def fail():
 {code.replace(chr(92) + "n", chr(10))}
"""
    function = register("fail", module, module="own_errors", hard_cancel=hard_cancel)
    with pytest.raises(Failure) as raised:
        run(function)
    fields = raised.value.fields
    assert (fields["kind"], fields["type"]) == (kind, python_type)
    assert message in fields["message"]
    assert run(register("four", "2 + 2")) == 4


def test_the_traceback_shows_the_source_and_the_cause_and_none_of_ours() -> None:
    code = """
    def parse(text):
        return int(text)  # 😀

    def outer(text):
        try:
            parse(text)
        except ValueError as error:
            raise LookupError("no number") from error
    """
    with pytest.raises(Failure) as raised:
        run(register("outer", code), args=["é"])
    traceback = raised.value.fields["traceback"]
    assert 'File "<fn:outer>", line 3, in parse\n    return int(text)  # 😀' in traceback
    assert "ValueError: invalid literal for int() with base 10: 'é'" in traceback
    assert "The above exception was the direct cause" in traceback
    assert traceback.endswith("LookupError: no number\n")
    assert "running.py" not in traceback
    ours = Failure(bridge.run_function(10**9, 1, 1.0, pack({}), arrays=False)[1])
    assert "registered.py" in ours.fields["traceback"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "args, kwargs: missing a required argument: 'a'"),
        ({"args": [1, 2, 3]}, "args, kwargs: too many positional arguments"),
        ({"args": [1], "kwargs": {"c": 1}}, "args, kwargs: got an unexpected keyword argument 'c'"),
        ({"args": [1], "kwargs": {"a": 1}}, "args, kwargs: multiple values for argument 'a'"),
        ({"args": [1], "kwargs": {"nul \0": 1}}, "args, kwargs: got an unexpected keyword argument"),
    ],
    ids=str,
)
@pytest.mark.parametrize("prefix", ["", "async "])
def test_arguments_that_do_not_fit(prefix: str, arguments: dict[str, Any], message: str) -> None:
    function = register("take", f"{prefix}def take(a, b=0):\n    return a")
    with pytest.raises(Failure) as raised:
        run(function, **arguments)
    assert raised.value.kind == "INVALID"
    assert message in raised.value.fields["message"]
    with pytest.raises(Failure) as raised:
        Stream(function, **arguments).pull()
    assert raised.value.kind == "INVALID"


def test_a_generator_whose_arguments_do_not_fit_is_not_opened() -> None:
    with pytest.raises(Failure, match="INVALID: args, kwargs: missing a required argument: 'a'"):
        Stream(register("items", "def items(a):\n    yield a"))
    assert not calls._running
    assert not running._streams


def test_a_type_error_inside_is_no_misfit() -> None:
    function = register("take", "def take(a):\n    return take()")
    with pytest.raises(Failure, match=r"PYTHON: take\(\) missing 1 required"):
        run(function, args=[1])
    with pytest.raises(Failure, match="PYTHON: must be real number, not str"):
        run(register("sqrt", module="math"), args=["four"])
    with pytest.raises(Failure, match="PYTHON: "):
        run(register("max", module="builtins"), args=[1])


def test_arguments_as_the_hints_ask() -> None:
    code = """
    from __future__ import annotations
    import dataclasses, enum
    import numpy as np
    import numpy.typing as npt

    class Unit(enum.Enum):
        CM = "cm"

    @dataclasses.dataclass
    class Point:
        x: float
        unit: Unit = Unit.CM

    def scale(point: Point, by: npt.NDArray[np.float32]) -> Point:
        assert by.dtype == np.float32
        return dataclasses.replace(point, x=point.x * float(by.sum()))
    """
    function = register("scale", code)
    assert function["output_schema"]["properties"]["unit"] == {"enum": ["cm"]}
    assert run(function, args=[{"x": 2}], kwargs={"by": [1, 2]}) == {"x": 6, "unit": "cm"}
    with pytest.raises(Failure, match="TYPE_CONVERSION: argument 'point': ValueError: 'm' is not a valid Unit"):
        run(function, args=[{"x": 2, "unit": "m"}, [1]])


@pytest.mark.parametrize("name", ["float16", "uint8", "bool", "int64"])
def test_arrays_as_arguments_and_results(name: str) -> None:
    function = register("same", "def same(x):\n    return {'x': x, 'name': x.dtype.name}")
    array = np.array([[0, 1, 1]], name)
    lists = run(function, pack_arrays(x=array))
    assert lists == {"x": array.tolist(), "name": name}
    assert run(function, pack_arrays(x=array), arrays=True)["x"].tobytes() == array.tobytes()


def test_each_call_has_a_context_of_its_own() -> None:
    code = """
    from contextvars import ContextVar
    seen = ContextVar("seen", default=0)
    def count():
        seen.set(seen.get() + 1)
        return seen.get()
    def counts():
        while True:
            yield count()
    """
    function = register("count", code)
    assert [run(function), run(function)] == [1, 1]
    stream = Stream(register("counts", code))
    assert [stream.pull(1), stream.pull(1)] == [([1], False), ([2], False)]
    stream.close()


def test_a_function_that_closes_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    root = logging.getLogger()
    for where, name in ((sys, "stdout"), (sys, "stderr"), (root, "handlers"), (root, "level")):
        monkeypatch.setattr(where, name, getattr(where, name))
    streams.redirect(write)
    run(register("shut", "def shut():\n    import sys\n    print('before')\n    sys.stdout.close()\n    sys.stderr.close()"))
    run(register("say", "print('after 😀')"))
    assert os.read(read, 1_000).decode() == "INFO\tMainThread\tbefore\nINFO\tMainThread\tafter 😀\n"
    os.close(read)
    os.close(write)


def test_async_functions() -> None:
    code = """
    import asyncio
    async def gathered(n):
        async def one(at):
            await asyncio.sleep(0)
            return at
        return await asyncio.gather(*map(one, range(n)))
    async def fails():
        await asyncio.sleep(0)
        raise ValueError("later")
    async def leaves():
        async def forever():
            try:
                await asyncio.sleep(1_000)
            finally:
                left.append("ended")
        global task
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return len(left)
    left = []
    """
    assert register("gathered", code)["kind"] == "async"
    assert run(register("gathered", code), args=[3]) == [0, 1, 2]
    with pytest.raises(Failure, match="PYTHON: later"):
        run(register("fails", code))
    leaves = register("leaves", code)
    assert [run(leaves), run(leaves)] == [0, 1]
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@pytest.mark.parametrize("hard_cancel", [False, True], ids=["plain", "hard"])
def test_an_async_function_ends_at_its_deadline_or_when_cancelled(*, hard_cancel: bool) -> None:
    code = """
    import asyncio, time
    ended = []
    async def waits(how):
        try:
            await (asyncio.to_thread(time.sleep, 0.3) if how == "thread" else asyncio.sleep(1_000))
        finally:
            ended.append(how)
    def count():
        return ended
    """
    function = register("waits", code, hard_cancel=hard_cancel)
    for how in ("loop", "thread"):
        started = time.monotonic()
        with pytest.raises(Failure, match="TIMEOUT: the deadline passed"):
            run(function, args=[how], seconds=0.05)
        assert time.monotonic() - started < 0.25 or how == "loop"
    answers: list[Any] = []
    call = number()
    lane = threading.Thread(
        target=lambda: answers.append(bridge.run_function(function["id"], call, 1_000.0, pack({"args": ["x"]}), arrays=False)),
    )
    lane.start()
    while not ask("function_cancel", call=call)["cancelled"]:
        time.sleep(0.001)
    lane.join(30)
    assert Failure(answers[0][1]).kind == "CANCELLED"
    assert not calls._running


def test_an_async_function_that_cancels_itself_or_outlives_its_deadline() -> None:
    code = """
    import asyncio
    async def own():
        raise asyncio.CancelledError("own")
    async def stubborn():
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            return "late"
    """
    with pytest.raises(Failure) as raised:
        run(register("own", code))
    assert (raised.value.kind, raised.value.fields["type"]) == ("PYTHON", "asyncio.exceptions.CancelledError")
    assert run(register("stubborn", code), seconds=0.01) == "late"


GENERATORS = """
import asyncio, ragbus
ended = []
def count(n, fail=None, bad=None):
    try:
        for at in range(n):
            if at == fail:
                raise LookupError(f"at {at}")
            yield object() if at == bad else at
    finally:
        ended.append("count")

async def count_async(n, fail=None, bad=None):
    try:
        for at in range(n):
            await asyncio.sleep(0)
            if at == fail:
                raise LookupError(f"at {at}")
            yield object() if at == bad else at
    finally:
        await asyncio.sleep(0)
        ended.append("count_async")

def returns(n, fail=None, bad=None):
    return count(n, fail, bad)

async def returns_async(n, fail=None, bad=None):
    return count_async(n, fail, bad)

def how_many(_):
    return len(ended)
"""


@pytest.mark.parametrize("hard_cancel", [False, True], ids=["plain", "hard"])
@pytest.mark.parametrize("name", ["count", "count_async", "returns", "returns_async"])
def test_streams(name: str, *, hard_cancel: bool) -> None:
    function = register(name, GENERATORS, hard_cancel=hard_cancel)
    ended = vars(sys.modules[f"ragbus_functions.{name}"])["ended"]
    ended.clear()
    assert Stream(function, args=[5]).pull() == ([0, 1, 2, 3, 4], True)
    assert len(ended) == 1
    stream = Stream(function, args=[5])
    assert stream.pull(2) == ([0, 1], False)
    assert stream.pull(100, millis=0) == ([2], False)
    assert stream.pull(2) == ([3, 4], False)
    assert stream.pull(2) == ([], True)
    stream.close()
    with pytest.raises(Failure, match=f"RUNTIME: no stream {stream.number} is open"):
        stream.pull()
    assert len(ended) == 2
    stream = Stream(function, args=[5])
    stream.pull(1)
    stream.close()
    stream.close()
    assert len(ended) == 3
    Stream(function, args=[5]).close()
    for arguments, message in (({"fail": 2}, "PYTHON: at 2"), ({"bad": 2}, r"TYPE_CONVERSION: items\[0\]: object has no JSON")):
        stream = Stream(function, args=[5], kwargs=arguments)
        assert stream.pull() == ([0, 1], False)
        with pytest.raises(Failure, match=message):
            stream.pull()
        with pytest.raises(Failure, match="no stream"):
            stream.pull()
    with pytest.raises(Failure, match=r"TYPE_CONVERSION: items\[0\]"):
        Stream(function, args=[5], kwargs={"bad": 0}).pull()
    stream = Stream(function, args=[5])
    stream.pull(1)
    assert ask("function_cancel", call=stream.number) == {"cancelled": True}
    with pytest.raises(Failure, match="CANCELLED"):
        stream.pull()
    gc.collect()
    assert len(ended) == 7
    assert not running._streams
    assert not calls._running


def test_a_stream_ends_at_its_deadline() -> None:
    code = "def slow():\n    import time\n    for at in range(100):\n        time.sleep(0.02)\n        yield at"
    stream = Stream(register("slow", code), seconds=0.1)
    items, done = stream.pull()
    assert not done
    assert 0 < len(items) < 10
    with pytest.raises(Failure, match="TIMEOUT"):
        stream.pull()
    code = "import asyncio\nasync def slow():\n    yield 1\n    await asyncio.sleep(1_000)"
    stream = Stream(register("slow", code), seconds=0.1)
    assert stream.pull() == ([1], False)
    with pytest.raises(Failure, match="TIMEOUT"):
        stream.pull()


def test_a_generator_that_fails_at_its_end() -> None:
    code = "def ends():\n    try:\n        yield 1\n        yield 2\n    finally:\n        raise SystemExit(4)"
    stream = Stream(register("ends", code))
    stream.pull(1)
    ok, failure = bridge.close_stream(stream.number)
    assert not ok
    assert json.loads(failure)["type"] == "SystemExit"
    stream.close()


def test_what_is_no_generator_is_a_stream_of_one_item() -> None:
    for code in ("def one(x):\n    return [x]", "async def one(x):\n    return [x]", "args"):
        assert Stream(register("one", code), args=[7]).pull() == ([[7]], True)
    raw = Stream(register("one", "import numpy as np\ndef one(x):\n    yield np.ones(x)"), args=[2], arrays=True).pull()[0]
    assert raw[0].tolist() == [1, 1]


def test_a_generator_is_not_called_for_one_result() -> None:
    for code in ("def items():\n    yield 1", "async def items():\n    yield 1"):
        with pytest.raises(Failure, match="TYPE_CONVERSION: items is a generator: its items have to be streamed"):
            run(register("items", code))


SCANNED: dict[str, str | bytes] = {
    "b_good.py": '''
"""Two functions and what they need."""
from _shared import BASE
from math import sqrt

def plus(a: int) -> int:
    """Add."""
    return a + BASE

def times(a: int) -> int:
    return a * _hidden()

def _hidden():
    global calls
    calls += 1
    return calls

class Public: pass
calls = 0
''',
    "a_declared.py": """
import ragbus

@ragbus.function
def first(): return 1

@ragbus.function(name="the.second", description="Told.", timeout="2s", input_schema={}, output_schema={"type": "integer"},
                 hard_cancel=True)
async def second(a: int): return 2

def third(): return 3
""",
    "c_syntax.py": "def broken(:",
    "d_raises.py": "raise SystemExit(3)",
    "e_bytes.py": b"\xff\xfe\x00",
    "f_twice.py": "def plus(): pass",
    "g_name.py": "import ragbus\n@ragbus.function(name='no name')\ndef f(): pass",
    "g_schema.py": "import ragbus\n@ragbus.function(output_schema={'const': float('nan')})\ndef g(): pass",
    "h_latin.py": "# -*- coding: latin-1 -*-\ndef latin(): return 'é'".encode("latin-1"),
    "_shared.py": "BASE = 100",
    "notes.txt": "none",
}


def test_a_folder_of_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "_shared", raising=False)
    for name, text in SCANNED.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    found = ask("function_scan", dir=str(tmp_path))["functions"]
    assert [it.get("name") or (it["file"].split("/")[-1], it["error"]["kind"], it["error"]["type"]) for it in found] == [
        "first",
        "the.second",
        "plus",
        "times",
        ("c_syntax.py", "INVALID", "ragbus.errors.RagbusError"),
        ("d_raises.py", "PYTHON", "SystemExit"),
        ("e_bytes.py", "INVALID", "ragbus.errors.RagbusError"),
        ("f_twice.py", "CONFLICT", "ragbus.errors.RagbusError"),
        ("g_name.py", "INVALID", "ragbus.errors.RagbusError"),
        ("g_schema.py", "INVALID", "ragbus.errors.RagbusError"),
        "latin",
    ]
    by_name = {it["name"]: it for it in found if "name" in it}
    second = by_name["the.second"]
    assert (second["description"], second["timeout_seconds"], second["hard_cancel"], second["kind"]) == ("Told.", 2, True, "async")
    assert (second["input_schema"], second["output_schema"]) == ({}, {"type": "integer"})
    assert (by_name["plus"]["description"], by_name["plus"]["module"]) == ("Add.", "b_good")
    assert by_name["plus"]["file"] == str(tmp_path / "b_good.py")
    assert run(by_name["plus"], args=[1]) == 101
    assert [run(by_name["times"], args=[2]), run(by_name["times"], args=[2])] == [2, 4]
    assert run(by_name["latin"]) == "é"
    again = ask("function_scan", dir=str(tmp_path))["functions"]
    assert {it["cache"] for it in again if "name" in it} == {"hit"}
    assert run(again[3], args=[2]) == 6
    assert run(register("times", file=str(tmp_path / "b_good.py")), args=[2]) == 8
    assert sys.path.count(str(tmp_path)) == 1
    with pytest.raises(Failure, match="FUNCTION_NOT_FOUND: module 'b_good' defines no 'nope'"):
        register("nope", file=str(tmp_path / "b_good.py"))
    assert ask("function_scan", dir=str(tmp_path / "nothing")) == {"functions": []}


def test_memory_stays_where_it_is() -> None:
    array = {"path": ["args", 0], "dtype": "float32", "shape": [8, 4], "offset": 0}
    payloads = [pack({"args": [value]}) for value in (None, 2**70, 0.5, "é 😀" * 50, [1.5] * 64, {"a": [{"b": "c"}]})]
    payloads.append(pack({"args": [None], "arrays": [array]}, bytes(128)))
    plain = register("same", "def same(x):\n    return x", hard_cancel=True)
    fails = register("fails", "def fails(x):\n    raise ValueError(x)")
    later = register("later", "async def later(x):\n    return x")
    items = register("items", "def items(x):\n    yield x\n    yield x")

    def everything() -> None:
        for payload in payloads:
            taken(bridge.run_function(plain["id"], 1, 1e6, payload, arrays=False))
            taken(bridge.run_function(plain["id"], 1, 1e6, payload, arrays=True))
            assert not bridge.run_function(fails["id"], 1, 1e6, payload, arrays=False)[0]
            taken(bridge.open_stream(items["id"], 1, 1e6, payload, arrays=True))
            taken(bridge.next_items(1, 1, 1e3))
            taken(bridge.close_stream(1))
        taken(bridge.run_function(later["id"], 1, 1e6, payloads[0], arrays=False))

    def grown(times: int) -> int:
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(times):
            everything()
        gc.collect()
        return sys.getallocatedblocks() - before

    grown(50)
    assert grown(200) < 200


def test_the_example_in_the_functions_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (found,) = ask("function_scan", dir=str(Path(__file__).parents[2] / "conf" / "functions"))["functions"]
    assert (found["name"], found["timeout_seconds"]) == ("text_statistics", 10)
    assert found["description"] == "Count characters, words and sentences of texts."
    assert found["input_schema"]["required"] == ["texts"]
    assert found["input_schema"]["properties"]["frequent"] == {
        "type": "integer",
        "default": 5,
        "description": "how many frequent words to name",
    }
    assert run(found, args=[["The cat's hat. A hat!", ""]], kwargs={"frequent": 1}) == [
        {"characters": 21, "words": 5, "sentences": 2, "unique_words": 4, "frequent_words": ["hat"]},
        {"characters": 0, "words": 0, "sentences": 0, "unique_words": 0, "frequent_words": []},
    ]
