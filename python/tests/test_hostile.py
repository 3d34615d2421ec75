# SPDX-License-Identifier: Apache-2.0
"""Values that nobody should send: each is read, converted or refused by the error it should have, and nothing else changes."""

# ruff: noqa: PT017 - some of these values are refused: only then is there an error to look at

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
from types import GenericAlias
from typing import Any, Literal, TypedDict

import numpy as np
import pytest
from functions import pack
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from ragbus import convert, pooling
from ragbus.errors import RagbusError, describe, safe
from ragbus.functions import declaration, hints, payload

texts = st.text(st.characters(codec=None, categories=None)) | st.sampled_from(
    ["\ud83d", "\udc00\ud800", "\ufeffa", "\ufffe", "\0", "a" + "\u0301" * 500, "\u202e\u05d0", "😀\ud83d"],
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=15,
)


class Colour(enum.Enum):
    RED = "red"
    ODD = (1, "\ud83d")


@dataclasses.dataclass
class Point:
    x: float = 0.0
    tag: Any = None


class Row(TypedDict, total=False):
    name: str
    at: dt.datetime


arrays = st_numpy.arrays(
    st_numpy.scalar_dtypes() | st_numpy.datetime64_dtypes() | st_numpy.timedelta64_dtypes() | st_numpy.byte_string_dtypes(),
    st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
leaves = (
    json_values
    | st.binary(max_size=8)
    | st.complex_numbers()
    | st.decimals()
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.sampled_from([*Colour, object(), int, len, ..., NotImplemented, np.float16(1), np.bool_(1), 10**400, -(2**64), math.nan])
    | arrays
    | st.builds(Point, st.floats(), texts)
)
python_values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(st.integers() | texts | st.dates(), max_size=4)
        | st.dictionaries(st.integers() | texts | st.dates() | st.just(10**400) | st.tuples(st.integers()), inner, max_size=4)
    ),
    max_leaves=12,
)


def _same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


@given(python_values)
def test_any_value_has_a_json_form_or_a_type_that_has_none(value: Any) -> None:
    before = repr(value)
    found: convert.Arrays = []
    with contextlib.suppress(convert.NoJsonFormError):
        form = convert.to_java(value)
        assert _same(convert.to_java(form), form)
        assert "\ud83d" not in repr(form)
        convert.to_java(value, found)
    assert repr(value) == before


@given(python_values, st.booleans())
def test_any_result_is_written_or_refused(value: Any, raw: bool) -> None:
    before = repr(value)
    try:
        written = payload.write("result", value, arrays=raw)
    except RagbusError as error:
        assert error.kind in {"TYPE_CONVERSION", "SERIALIZATION"}
        assert describe(error)
    else:
        end = 4 + int.from_bytes(written[:4], "little")
        assert set(json.loads(written[4:end])) == {"result", "arrays"}
    assert repr(value) == before


described = st.fixed_dictionaries(
    {},
    optional={
        "path": json_values | st.just(["args", 0]) | st.just(["kwargs", "a"]),
        "dtype": json_values | st.sampled_from(["float32", "bool", "object", "<f4"]),
        "shape": json_values | st.lists(st.sampled_from([0, 1, 2, -1, 2**31, 2**63, 2**70, 1.5, True]), max_size=70),
        "offset": json_values | st.integers(-9, 9) | st.just(2**70),
    },
)
bodies = json_values | st.fixed_dictionaries(
    {},
    optional={
        "args": json_values | st.just([None]),
        "kwargs": json_values | st.just({"a": None}),
        "arrays": json_values | st.lists(described | json_values, max_size=3),
    },
)


@given(bodies, st.binary(max_size=16))
def test_any_call_is_read_or_refused(body: Any, raw: bytes) -> None:
    with contextlib.suppress(RagbusError):
        args, kwargs = payload.read(pack(body, raw))
        assert isinstance(args, list)
        assert isinstance(kwargs, dict)


@given(st.binary(max_size=64) | st.binary(max_size=32).map(lambda it: len(it).to_bytes(4, "little") + it))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(RagbusError):
        payload.read(data)
    with contextlib.suppress(RagbusError):
        convert.to_py(data)


@given(st.none() | st.text() | st.integers() | st.floats() | st.just(10**400) | st.from_regex(r"\d+(\.\d+)? ?(ns|us|ms|s|m|h)"))
def test_any_timeout_is_a_time_or_a_value_error(timeout: Any) -> None:
    try:
        seconds = declaration.seconds(timeout)
    except ValueError as error:
        assert "timeout" in str(error)
    else:
        assert seconds is None or 0 < seconds < math.inf


hint = st.recursive(
    st.sampled_from(
        [int, float, str, bool, None, Any, list, dict, set, tuple, Colour, Point, Row, dt.date, dt.datetime, dt.time, object,
         np.ndarray, NDArray[np.float32], NDArray[np.int64], Literal["a", 1], decimal.Decimal, "unknown", bytes, frozenset],
    ),
    lambda inner: (
        st.sampled_from([list, set]).flatmap(lambda kind: inner.map(lambda it: GenericAlias(kind, (it,))))
        | inner.map(lambda it: GenericAlias(dict, (str, it)))
        | inner.map(lambda it: GenericAlias(tuple, (it, ...)))
        | st.tuples(inner, inner).map(lambda both: GenericAlias(tuple, both))
    ),
    max_leaves=5,
)  # fmt: skip


@given(hint, json_values)
def test_any_argument_fits_its_hint_or_is_refused(wanted: Any, value: Any) -> None:
    def target(x: Any) -> Any:
        return x

    target.__annotations__ = {"x": wanted}
    signature = hints.signature_of(target)
    schema = json.dumps(signature.input_schema)
    before = copy.deepcopy(value)
    try:
        signature.convert([value], {})
    except RagbusError as error:
        assert error.kind == "TYPE_CONVERSION"
        assert "argument 'x'" in str(error)
    assert _same(value, before)
    assert json.dumps(hints.signature_of(target).input_schema) == schema


rows = st.integers(1, 4)
finite = st.floats(-1e3, 1e3, width=32)


@given(st.data(), rows, st.integers(1, 6), st.integers(1, 5), st.lists(st.sampled_from(sorted(pooling.POOLINGS)), min_size=1))
def test_pooling_any_tokens(data: st.DataObject, count: int, width: int, outputs: int, names: list[str]) -> None:
    hidden = data.draw(st_numpy.arrays(np.float32, (count, width, outputs), elements=finite))
    lengths = data.draw(st_numpy.arrays(np.int32, count, elements=st.integers(1, width)))
    table = pooling.table_of(lengths.tolist(), width)
    before = hidden.copy(), table.copy()
    pooled, again = np.empty((2, count, outputs * len(names)), np.float32)
    pooling.pool("+".join(names), hidden, table, pooled)
    assert np.isfinite(pooled).all()
    np.testing.assert_array_equal(hidden, before[0])
    np.testing.assert_array_equal(table, before[1])
    # What is behind a row's tokens has no part in it.
    hidden[~(np.arange(width) < lengths[:, None])] = 1e30
    pooling.pool("+".join(names), hidden, table, again)
    np.testing.assert_array_equal(again, pooled)


@given(st.data(), rows, st.integers(1, 6))
def test_finishing_any_rows(data: st.DataObject, count: int, outputs: int) -> None:
    table = data.draw(st_numpy.arrays(np.int32, (count, pooling.COLUMNS), elements=st.integers(-2, 8)))
    out = data.draw(st_numpy.arrays(np.float32, (count, outputs), elements=finite))
    before = table.copy(), out.copy()
    try:
        pooling.finish_embeddings(table, out)
    except RagbusError as error:
        assert error.kind == "TYPE_CONVERSION"
    else:
        untouched = (table[:, pooling.DIMENSIONS] == 0) & (table[:, pooling.FLAGS] & pooling.FINISH == 0)
        np.testing.assert_array_equal(out[untouched], before[1][untouched])
        assert np.isfinite(out).all()
    np.testing.assert_array_equal(table, before[0])


@given(texts)
def test_any_text_is_safe_at_once(text: str) -> None:
    once = safe(text)
    assert safe(once) == once
    assert once.encode().decode() == once


@pytest.mark.parametrize("arrays", [5, True, "abc", {"a": 1}, [[]], [None]])
def test_arrays_that_are_none(arrays: Any) -> None:
    with pytest.raises(RagbusError) as refused:
        payload.read(pack({"args": [None], "arrays": arrays}))
    assert refused.value.kind == "TYPE_CONVERSION"


def test_an_axis_beyond_any_memory() -> None:
    array = {"path": ["args", 0], "dtype": "float32", "shape": [2**70, 0], "offset": 0}
    with pytest.raises(RagbusError) as refused:
        payload.read(pack({"args": [None], "arrays": [array]}))
    assert refused.value.kind == "TYPE_CONVERSION"


def test_a_key_of_thousands_of_digits() -> None:
    with pytest.raises(convert.NoJsonFormError):
        convert.to_java({10**5000: 1})
    with pytest.raises(RagbusError) as refused:
        payload.write("result", 10**5000, arrays=False)
    assert refused.value.kind == "SERIALIZATION"
