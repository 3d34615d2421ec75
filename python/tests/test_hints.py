# SPDX-License-Identifier: Apache-2.0
"""Hints and docstrings as schemas, and arguments made of JSON as the hints ask."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
from collections import abc
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict, Union

import numpy as np
import numpy.typing as npt
import pytest

from ragbus.errors import RagbusError
from ragbus.functions.hints import shape_of, signature_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Options(TypedDict):
    name: str
    level: NotRequired[int]


class Dated(TypedDict, total=False):
    day: dt.date


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0
    names: list[str] = dataclasses.field(default_factory=list)
    norm: float = dataclasses.field(init=False, default=0.0)


@dataclasses.dataclass
class Tree:
    colour: Colour
    children: list[Tree]


UserId = NewType("UserId", int)
TEXT, INT, NUMBER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "null"}
POINT = {
    "type": "object",
    "properties": {"x": NUMBER, "y": NUMBER, "names": {"type": "array", "items": TEXT}},
    "required": ["x"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, TEXT),
        (int, INT),
        (float, NUMBER),
        (bool, {"type": "boolean"}),
        (None, NULL),
        (type(None), NULL),
        (Any, {}),
        (object, {}),
        ("unresolved", {}),
        (complex, {}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": INT}),
        (abc.Sequence[list[str]], {"type": "array", "items": {"type": "array", "items": TEXT}}),
        (abc.Iterator[float], {"type": "array", "items": NUMBER}),
        (set[str], {"type": "array", "items": TEXT, "uniqueItems": True}),
        (dict, {"type": "object"}),
        (dict[str, int], {"type": "object", "additionalProperties": INT}),
        (abc.Mapping[str, Any], {"type": "object"}),
        (tuple, {"type": "array"}),
        (tuple[int, ...], {"type": "array", "items": INT}),
        (tuple[int, str], {"type": "array", "prefixItems": [INT, TEXT], "minItems": 2, "maxItems": 2}),
        (Literal["a", 1, None], {"enum": ["a", 1, None]}),
        (Colour, {"enum": ["red", "blue"]}),
        (Level, {"enum": [1]}),
        (Optional[int], {"anyOf": [INT, NULL]}),  # noqa: UP045
        (int | str, {"anyOf": [INT, TEXT]}),
        (Union[int, Any], {}),  # noqa: UP007
        (Annotated[int, "how many", 5], {"type": "integer", "description": "how many"}),
        (Annotated[int, 5], INT),
        (UserId, INT),
        (Options, {"type": "object", "properties": {"name": TEXT, "level": INT}, "required": ["name"]}),
        (Point, POINT),
        (np.ndarray, {"type": "array"}),
        (npt.NDArray[np.float32], {"type": "array"}),
        (dt.datetime, {"type": "string", "format": "date-time"}),
        (dt.date, {"type": "string", "format": "date"}),
        (dt.time, {"type": "string", "format": "time"}),
        (
            Tree,
            {
                "type": "object",
                "properties": {"colour": {"enum": ["red", "blue"]}, "children": {"type": "array"}},
                "required": ["colour", "children"],
                "additionalProperties": False,
            },
        ),
    ],
    ids=str,
)
def test_schema_of_a_hint(hint: Any, schema: Any) -> None:
    assert shape_of(hint).schema == schema


@pytest.mark.parametrize(
    ("hint", "given", "made"),
    [
        (Colour, "red", Colour.RED),
        (list[Colour], ["red", "blue"], [Colour.RED, Colour.BLUE]),
        (dict[str, Level], {"a": 1}, {"a": Level.LOW}),
        (set[int], [1, 2, 1], {1, 2}),
        (tuple, [1, 2], (1, 2)),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[Colour, int], ["red", 2], (Colour.RED, 2)),
        (Colour | None, None, None),
        (Colour | None, "blue", Colour.BLUE),
        (Point, {"x": 1}, Point(1)),
        (list[Point] | None, [{"x": 1, "y": 2, "names": ["a"]}], [Point(1, 2, ["a"])]),
        (Dated, {"day": "2026-11-22"}, {"day": dt.date(2026, 11, 22)}),
        (dt.datetime, "2026-11-22T10:00:00+00:00", dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC)),
        (dt.time, "10:30", dt.time(10, 30)),
    ],
    ids=str,
)
def test_an_argument_as_its_hint_asks(hint: Any, given: Any, made: Any) -> None:
    convert = shape_of(hint).convert
    assert convert is not None
    assert convert(given) == made


@pytest.mark.parametrize("hint", [str, list[int], dict[str, str], Colour | str, Options, Any, set[Any] | list[int]], ids=str)
def test_an_argument_that_stays_as_it_is(hint: Any) -> None:
    assert shape_of(hint).convert is None


def test_arrays() -> None:
    for hint, given, dtype in (
        (npt.NDArray[np.float32], [[1, 2]], np.float32),
        (npt.NDArray[np.floating[Any]], [0.5], np.float64),
        (npt.NDArray[Any], [1], np.int64),
        (np.ndarray, np.ones(2, np.uint8), np.uint8),
    ):
        convert = shape_of(hint).convert
        assert convert is not None
        made = convert(given)
        assert (type(made), made.dtype, made.tolist()) == (np.ndarray, dtype, np.asarray(given).tolist())
    given = np.ones(3, np.float32)
    convert = shape_of(npt.NDArray[np.float32]).convert
    assert convert is not None
    assert convert(given) is given


@pytest.mark.parametrize(
    ("hint", "given", "message"),
    [
        (Colour, "green", "argument 'x': ValueError: 'green' is not a valid"),
        (list[Colour], "red", "argument 'x': TypeError: an array is wanted, not str"),
        (set[str], "red", "argument 'x': TypeError: an array is wanted, not str"),
        (dict[str, Colour], ["red"], "argument 'x': TypeError: an object is wanted, not list"),
        (Point, 3, "argument 'x': TypeError: an object is wanted, not int"),
        (Point, {"y": 3}, "argument 'x': TypeError: .*missing 1 required positional argument: 'x'"),
        (tuple[int, int], [1], "argument 'x': ValueError"),
        (dt.date, "today", "argument 'x': ValueError: Invalid isoformat string: 'today'"),
        (npt.NDArray[np.float32], [[1], [1, 2]], "argument 'x': ValueError"),
    ],
    ids=str,
)
def test_an_argument_that_is_none(hint: Any, given: Any, message: str) -> None:
    def take(x: Any) -> None: ...

    take.__annotations__["x"] = hint
    for args, kwargs in (([given], {}), ([], {"x": given})):
        with pytest.raises(RagbusError, match=message) as raised:
            signature_of(take).convert(args, kwargs)
        assert raised.value.kind == "TYPE_CONVERSION"


def everything(
    texts: list[str],
    /,
    count: int = 3,
    *more: int,
    where: Point | None = None,
    sep: str = ", ",
    odd: Any = object(),  # noqa: B008
) -> dict[str, float]:
    """Do everything
    at once.

    More of it here.

    Args:
        texts: what to read,
            line by line
        count (int, optional): how many
            note: this is no parameter
        *more: numbers

        where: a place
    Returns:
        sep: not a parameter
    """  # noqa: D205 - a paragraph of two lines is what is tested
    raise NotImplementedError(texts, count, more, where, sep, odd)


def test_a_signature() -> None:
    found = signature_of(everything)
    assert found.description == "Do everything at once."
    assert found.positional == ["texts", "count"]
    assert found.output_schema == {"type": "object", "additionalProperties": NUMBER}
    assert found.input_schema == {
        "type": "object",
        "properties": {
            "texts": {"type": "array", "items": TEXT, "description": "what to read, line by line"},
            "count": INT | {"default": 3, "description": "how many note: this is no parameter"},
            "where": {"anyOf": [POINT, NULL], "default": None, "description": "a place"},
            "sep": TEXT | {"default": ", "},
            "odd": {},
        },
        "required": ["texts"],
        "additionalProperties": False,
    }
    assert found.convert([["a"], 1, 5], {"where": {"x": 1}, "sep": ""}) == ([["a"], 1, 5], {"where": Point(1), "sep": ""})


def test_other_callables() -> None:
    def named(a: int, **rest: str) -> None: ...

    def open_ended(**rest: Any) -> None: ...

    def broken(a: NoSuchName, b: int) -> int:  # type: ignore[name-defined]  # noqa: F821
        raise NotImplementedError(a, b)

    def items() -> abc.Iterator[int]:
        yield 1

    async def items_async() -> abc.AsyncIterator[str]:
        yield ""

    def bare_items():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield 1

    class Adder:
        def __call__(self, a: int) -> str:
            raise NotImplementedError(a)

    assert signature_of(named).input_schema["additionalProperties"] == TEXT
    assert signature_of(open_ended).input_schema == {"type": "object", "properties": {}, "additionalProperties": True}
    found = signature_of(broken)
    assert (found.input_schema["properties"], found.output_schema) == ({"a": {}, "b": {}}, {})
    assert [signature_of(it).output_schema for it in (items, items_async, bare_items)] == [INT, TEXT, {}]
    assert signature_of(Adder()).input_schema["properties"] == {"a": INT}
    assert signature_of(Adder()).output_schema == TEXT
    assert signature_of(functools.partial(everything, ["a"])).input_schema["properties"]["count"]["type"] == "integer"
    assert signature_of(Point).output_schema == POINT
    assert signature_of(min).input_schema == {}
    assert signature_of(str).positional == []
