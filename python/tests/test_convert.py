# SPDX-License-Identifier: Apache-2.0
"""Values that have a JSON form, and the errors of those that have none."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from collections import OrderedDict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragbus.convert import MAX_DEPTH, to_java, to_json, to_py
from ragbus.errors import RagbusError

HALF = np.float16(0.1)
CASES: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (2**70, 2**70),
    ("é 😀", "é 😀"),
    ("lone \ud83d half", "lone \ufffd half"),
    (np.str_("text"), "text"),
    (np.bool_(1), True),
    (np.uint8(200), 200),
    (np.int64(-3), -3),
    (HALF, float(HALF)),
    (np.float32(0.5), 0.5),
    (np.float64(0.25), 0.25),
    (np.array([1, 2], np.uint8), [1, 2]),
    (np.array([[0.5], [2]], np.float16), [[0.5], [2.0]]),
    (np.array([True, False]), [True, False]),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array([{"a": 1}, None], object), [{"a": 1}, None]),
    (np.array(7), [7]),
    (np.zeros((0, 384)), []),
    (np.array([1, 2, 3], ">i4")[::2], [1, 3]),
    (np.ma.masked_array([1, 2], [False, True]), [1, None]),
    (np.array(["2026-11-22"], "M8[D]"), ["2026-11-22"]),
    (np.datetime64("2026-11-22T10:00"), "2026-11-22T10:00"),
    ((1, (2,)), [1, [2]]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset({"a"}), ["a"]),
    ({1: "a", None: "b", 1.5: "c", np.int8(4): "d"}, {"1": "a", "null": "b", "1.5": "c", "4": "d"}),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (MappingProxyType({"a": (1,)}), {"a": [1]}),
    (dt.date(2026, 11, 22), "2026-11-22"),
    (dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC), "2026-11-22T10:00:00+00:00"),
    (dt.time(10, 30), "10:30:00"),
]


@pytest.mark.parametrize(("value", "expected"), CASES, ids=lambda value: type(value).__name__)
def test_json_form(value: Any, expected: Any) -> None:
    converted = to_java(value)
    assert converted == expected
    assert type(converted) is type(expected)
    json.dumps(converted)


def test_a_set_of_unlike_items_is_a_list() -> None:
    converted = to_java({1, "a"})
    assert isinstance(converted, list)
    assert set(map(str, converted)) == {"1", "a"}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        (b"bytes", "bytes"),
        (1j, "complex"),
        (np.array([1j]), "complex128"),
        (np.complex64(1), "numpy.complex64"),
        (np.timedelta64(1, "s"), "numpy.timedelta64"),
        (dt.timedelta(1), "datetime.timedelta"),
        (decimal.Decimal(1), "decimal.Decimal"),
        (Path("x"), "pathlib"),
        ((at for at in range(1)), "generator"),
        ([1, {"a": {1, object()}}], "object"),
        ({(1, 2): 3}, "tuple"),
        (len, "builtin_function_or_method"),
    ],
)
def test_a_value_without_json_form_is_named(value: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        to_java(value)


def test_depth_is_limited() -> None:
    nested: Any = 0
    for _ in range(MAX_DEPTH):
        nested = [nested]
    to_java(nested)
    with pytest.raises(TypeError, match=r"list nested deeper than 32"):
        to_java([nested])


def test_a_value_that_contains_itself_is_refused_and_one_that_repeats_is_not() -> None:
    shared = [1]
    assert to_java([shared, shared]) == [[1], [1]]
    loop: dict[str, Any] = {}
    loop["self"] = [loop]
    with pytest.raises(TypeError, match="dict contains itself"):
        to_java(loop)


def test_nan_is_kept_by_to_java_and_refused_by_to_json() -> None:
    converted = to_java([np.nan])
    assert isinstance(converted, list)
    assert isinstance(converted[0], float)
    assert math.isnan(converted[0])
    with pytest.raises(RagbusError) as raised:
        to_json([np.inf])
    assert raised.value.kind == "SERIALIZATION"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_survives_the_way_there_and_back(value: Any) -> None:
    assert to_py(to_json(value)) == value
    assert to_py(np.frombuffer(to_json(value), np.int8)) == value


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[NaN]", b"[" * 200_000], ids=["empty", "open", "utf8", "nan", "deep"])
def test_a_body_that_is_no_json(body: bytes) -> None:
    with pytest.raises(RagbusError) as raised:
        to_py(body)
    assert raised.value.kind == "SERIALIZATION"


def test_no_body_is_an_empty_object() -> None:
    assert to_py(None) == {}
