# SPDX-License-Identifier: Apache-2.0
"""Functions registered and called through the bridge: every kind of function, every kind of failure."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import Failure, ask
from functions import Stream, pack, register, run

from ragbus import bridge
from ragbus.functions import registered
from ragbus.functions.compiled import Cache, Source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("code", "arguments", "result"),
    [
        ("2 + 2", {}, 4),
        (" 'é 中 😀' ", {}, "é 中 😀"),
        ("args[0] * 2", {"args": [21]}, 42),
        ("[args[0] + it for it in kwargs['more']]", {"args": [1], "kwargs": {"more": [1, 2]}}, [2, 3]),
        ("args", {}, []),
        ("args", {"args": {"a": 1}}, [{"a": 1}]),
        ("args", {"args": "text"}, ["text"]),
        ("args", {"args": None}, [None]),
        ("args", {"args": [[1], 2]}, [[1], 2]),
        ("kwargs", {"kwargs": {"b": None}}, {"b": None}),
        ("kwargs", {"kwargs": None}, {}),
    ],
)
def test_expressions(code: str, arguments: dict[str, Any], result: Any) -> None:
    function = register("expression", code)
    assert function["kind"] == "expression"
    assert run(function, **arguments) == result


def test_a_function_of_a_text() -> None:
    code = """
    import math
    RADIUS = 2
    def area(scale: float = 1.0) -> float:
        'Return the area of a circle.'
        return math.pi * (RADIUS * scale) ** 2
    """
    function = register("area", code, module="circles", timeout="500ms", hard_cancel=True)
    described = {key: value for key, value in function.items() if key not in {"id", "source_sha256", "cache"}}
    assert described == {
        "name": "area",
        "module": "circles",
        "file": "<fn:area>",
        "description": "Return the area of a circle.",
        "input_schema": {
            "type": "object",
            "properties": {"scale": {"type": "number", "default": 1.0}},
            "additionalProperties": False,
        },
        "output_schema": {"type": "number"},
        "positional": ["scale"],
        "timeout_seconds": 0.5,
        "hard_cancel": True,
        "kind": "function",
    }
    assert run(function) == pytest.approx(12.566, abs=1e-3)
    assert run(function, args=[2]) == run(function, kwargs={"scale": 2}) == pytest.approx(50.265, abs=1e-3)
    assert "def area" in ask("function_source", id=function["id"])["code"]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ({"name": "f", "code": "def f(:\n  pass"}, "INVALID", "code: line 1, column 7: invalid syntax: def f(:"),
        ({"name": "f", "code": "x = 'a\0b'"}, "INVALID", "null"),
        ({"name": "f", "code": "x = '\ud83d'"}, "INVALID", "surrogates not allowed"),
        ({"name": "f", "code": "(" * 5_000 + ")" * 5_000}, "INVALID", "code: "),
        ({"name": "f", "code": "def g():\n  pass"}, "FUNCTION_NOT_FOUND", "module 'f' defines no 'f'"),
        ({"name": "f", "code": "f = 3"}, "FUNCTION_NOT_FOUND", "'f' in module 'f' is no function but int"),
        ({"name": "f", "code": "x = 1 / 0"}, "PYTHON", "division by zero"),
        ({"name": "f", "code": "raise SystemExit(3)"}, "PYTHON", "3"),
        ({"name": "f", "code": "import no_such_module_here"}, "PYTHON", "No module named 'no_such_module_here'"),
        ({"name": "f", "module": "no_such_module_here:f"}, "MODULE_NOT_FOUND", "no module 'no_such_module_here'"),
        ({"name": "f", "module": "json.no_such_part"}, "MODULE_NOT_FOUND", "no module 'json.no_such_part'"),
        ({"name": "no_such_function", "module": "json"}, "FUNCTION_NOT_FOUND", "module 'json' defines no 'no_such_function'"),
        ({"name": "f", "module": "json:decoder.NO"}, "FUNCTION_NOT_FOUND", "module 'json' defines no 'decoder.NO'"),
        ({"name": "f", "module": "math:pi"}, "FUNCTION_NOT_FOUND", "'pi' in module 'math' is no function but float"),
        ({"name": "f", "module": "..relative"}, "INVALID", "module '..relative'"),
        ({"name": "f", "code": "1", "module": "no module"}, "INVALID", "module 'no module'"),
        ({"name": "f"}, "INVALID", "module, code or file"),
        ({"name": "a b", "code": "1"}, "INVALID", "name 'a b'"),
        ({"name": 5, "code": "1"}, "INVALID", "name 5"),
        ({"name": "f", "file": "/no/such/file.py"}, "INVALID", "file /no/such/file.py cannot be read: No such file"),
        ({"name": "f", "code": "1", "timeout": "soon"}, "INVALID", "timeout 'soon'"),
        ({"name": "f", "code": "1", "timeout": 0}, "INVALID", "timeout 0"),
        ({"name": "f", "code": "1", "timeout": True}, "INVALID", "timeout True"),
        ({"name": "f", "code": "1", "input_schema": [1]}, "INVALID", "input_schema is no object"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:40],
)
def test_what_cannot_be_registered(body: dict[str, Any], kind: str, message: str) -> None:
    with pytest.raises(Failure) as raised:
        ask("function_register", **body)
    assert (raised.value.kind, message in raised.value.fields["message"]) == (kind, True), raised.value


def test_an_import_that_fails_inside_a_module_is_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_inside.py").write_text("import no_such_module_here", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Failure, match="No module named 'no_such_module_here'") as raised:
        register("f", module="broken_inside")
    assert (raised.value.kind, raised.value.fields["type"]) == ("PYTHON", "ModuleNotFoundError")


def test_installed_functions() -> None:
    assert run(register("sqrt", module="math"), args=[9]) == 3
    join = register("path.join", module="posixpath:join")
    assert run(join, args=["a", "b"]) == "a/b"
    assert "def dumps" in ask("function_source", id=register("dumps", module="json")["id"])["code"]
    dotted = register("iso", module="datetime:datetime.fromtimestamp")
    assert run(dotted, args=[0]).startswith("19")
    assert ask("function_source", id=register("len", module="builtins")["id"]) == {"code": None}
    assert run(register("counts", module="collections:Counter"), args=["aab"]) == {"a": 2, "b": 1}


def test_unregistered() -> None:
    function = register("gone", "1")
    assert ask("function_unregister", id=function["id"]) == ask("function_unregister", id=function["id"]) == {}
    for answer in (
        bridge.run_function(function["id"], 1, 1.0, pack({}), arrays=False),
        bridge.open_stream(function["id"], 1, 1.0, pack({}), arrays=False),
    ):
        assert (answer[0], json.loads(answer[1])["kind"]) == (False, "FUNCTION_NOT_FOUND")


def test_mixed_calls_hit_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "cache", Cache())
    functions = [register(f"mixed_{at}", f"def mixed_{at}(x):\n    return x + {at}") for at in range(20)]
    for call in range(1_000):
        at = (call * 7) % 20
        assert run(functions[at], args=[call]) == call + at
    stats = ask("function_stats")
    assert (stats["cache_misses"], stats["cached"]) == (20, 20)
    assert stats["cache_hits"] / (stats["cache_hits"] + stats["cache_misses"]) > 0.9
    assert register("mixed_3", "def mixed_3(x):\n    return x + 3")["cache"] == "hit"


def test_the_cache_is_bounded_and_what_it_drops_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "cache", Cache(limit=2))
    functions = [register(f"kept_{at}", f"def kept_{at}():\n    return {at}") for at in range(4)]
    assert ask("function_stats")["cached"] == 2
    assert "ragbus_functions.kept_0" not in sys.modules
    assert [run(function) for function in functions] == [0, 1, 2, 3]
    assert len(registered.cache) == 2
    same = Source.of_text("1", "m", "f")
    assert registered.cache.get_or_compile(same) is registered.cache.get_or_compile(same)


def test_a_stream_of_items() -> None:
    function = register("count", "def count(n):\n    yield from range(n)")
    stream = Stream(function, args=[5])
    assert stream.pull(3) == ([0, 1, 2], False)
    assert stream.pull(3) == ([3, 4], True)
    stream.close()


def test_arrays_both_ways() -> None:
    function = register("double", "def double(x):\n    x *= 2\n    return {'x': x, 'kind': str(x.dtype)}")
    body = {"args": [None], "arrays": [{"path": ["args", 0], "dtype": "float16", "shape": [2, 1], "offset": 0}]}
    payload = pack(body, np.array([1, 2.5], np.float16).tobytes())
    assert run(function, payload) == {"x": [[2], [5]], "kind": "float16"}
    raw = run(function, payload, arrays=True)["x"]
    assert (raw.dtype, raw.shape, raw.tolist()) == (np.float16, (2, 1), [[2], [5]])
