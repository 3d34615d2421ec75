# SPDX-License-Identifier: Apache-2.0
"""Arguments and results as bytes: exact both ways, and clear about what cannot travel."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any

import numpy as np
import pytest
from conftest import Failure
from functions import pack, pack_arrays, register, run, unpack
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from ragbus.errors import RagbusError
from ragbus.functions import payload

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda name: st_numpy.arrays(
        np.dtype(name),
        st_numpy.array_shapes(min_dims=0, min_side=0, max_side=4),
        elements=st_numpy.from_dtype(np.dtype(name), allow_nan=False, allow_infinity=False),
    ),
)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    colour: Colour


@given(args=st.lists(values), kwargs=st.dictionaries(st.text(), values))
def test_arguments_arrive_as_they_are(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert payload.read(pack({"args": args, "kwargs": kwargs})) == (args, kwargs)
    assert payload.read(pack({"args": args, "kwargs": kwargs}).tobytes()) == (args, kwargs)


@given(values, st.booleans())
def test_results_arrive_as_they_are(value: Any, raw: bool) -> None:
    assert unpack(payload.write("result", value, arrays=raw)) == {"result": value}
    assert unpack(payload.write("result", (value, {1: value}), arrays=raw))["result"] == [value, {"1": value}]


@given(st.dictionaries(st.sampled_from("abc"), arrays))
def test_arrays_arrive_as_they_are(named: dict[str, Any]) -> None:
    _, got = payload.read(pack_arrays(**named))
    assert got.keys() == named.keys()
    for name, array in named.items():
        assert (got[name].dtype, got[name].shape, got[name].tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert got[name].flags.writeable
        assert got[name].flags.aligned
    back = unpack(payload.write("result", {"deep": [named]}, arrays=True))["result"]["deep"][0]
    for name, array in named.items():
        assert (back[name].dtype, back[name].shape, back[name].tobytes()) == (array.dtype, array.shape, array.tobytes())
    lists = unpack(payload.write("result", named, arrays=False))["result"]
    assert lists == {name: array.tolist() if array.ndim else [array.item()] for name, array in named.items()}


def test_arrays_that_lie_otherwise_in_memory() -> None:
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    for array in (base.T, base[::2, ::-1], base.astype(">f4"), np.asfortranarray(base)):
        raw = unpack(payload.write("result", [array], arrays=True))["result"][0]
        assert (raw.dtype, raw.tolist()) == (np.dtype("<f4"), array.tolist())
    mixed = [np.ma.masked_array([1, 2], [False, True]), np.array(["a"]), np.array([None, {"a": 1}], object)]
    assert unpack(payload.write("result", mixed, arrays=True))["result"] == [[1, None], ["a"], [None, {"a": 1}]]


def test_an_array_is_the_whole_of_the_arguments() -> None:
    described = {"path": ["args"], "dtype": "uint8", "shape": [3], "offset": 1}
    args, kwargs = payload.read(pack({"args": 0, "arrays": [described]}, b"\x09\x01\x02\x03"))
    assert (len(args), args[0].tolist(), kwargs) == (1, [1, 2, 3], {})


def test_a_bool_of_any_byte_is_one_or_zero() -> None:
    described = {"path": ["args", 0], "dtype": "bool", "shape": [3], "offset": 0}
    args, _ = payload.read(pack({"args": [None], "arrays": [described]}, b"\x00\x01\xff"))
    assert args[0].tobytes() == b"\x00\x01\x01"


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "complex64"}, {"dtype": ["float32"]}, {"shape": [-1]}, {"shape": [3]}, {"shape": [2**62, 2**62]}, {"shape": None},
        {"shape": [1.5]}, {"offset": -1}, {"offset": 5}, {"offset": None}, {"path": []}, {"path": ["args", 1]},
        {"path": ["args", "x"]}, {"path": ["nothing"]}, {"path": ["kwargs", "a", "b"]},
    ],
    ids=str,
)  # fmt: skip
def test_an_array_that_cannot_be_read(change: dict[str, Any]) -> None:
    described = {"path": ["args", 0], "dtype": "float32", "shape": [2], "offset": 0} | change
    with pytest.raises(RagbusError, match="an array that cannot be read") as raised:
        payload.read(pack({"args": [None], "kwargs": {"a": "text"}, "arrays": [described]}, bytes(8)))
    assert raised.value.kind == "TYPE_CONVERSION"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "SERIALIZATION"),
        (b"\x05\0\0\0{}", "SERIALIZATION"),
        (b"\x00\0\0\0", "SERIALIZATION"),
        (b"\x03\0\0\0{\xff}", "SERIALIZATION"),
        (b"\x02\0\0\0{]", "SERIALIZATION"),
        (b"\x0d\0\0\0" + b'{"args": NaN}', "SERIALIZATION"),
        ((60_000).to_bytes(4, "little") + b"[" * 60_000, "SERIALIZATION"),
        (b"\x02\0\0\0[]", "INVALID"),
        (b"\x0e\0\0\0" + b'{"kwargs": []}', "INVALID"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_call_that_cannot_be_read(body: bytes, kind: str) -> None:
    function = register("one", "1")
    for packed in (body, np.frombuffer(body, np.int8)):
        with pytest.raises(Failure) as raised:
            run(function, packed)
        assert raised.value.kind == kind


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (float("nan"), "SERIALIZATION", "result: "),
        ([1, {"a": [0.5, float("inf")]}], "SERIALIZATION", "result[1].a[1]: "),
        ({"odd key": np.float16("nan")}, "SERIALIZATION", 'result["odd key"]: '),
        ((1, -np.inf), "SERIALIZATION", "result[1]: "),
        ({1, 2.5, float("-inf")}, "SERIALIZATION", "result[0]: "),
        (object(), "TYPE_CONVERSION", "result: object has no JSON form"),
        ({"a": [b"x"]}, "TYPE_CONVERSION", "result.a[0]: bytes has no JSON form"),
        ([1j], "TYPE_CONVERSION", "result[0]: complex has no JSON form"),
        ([np.array([1j])], "TYPE_CONVERSION", "result[0]: numpy.ndarray of complex128 has no JSON form"),
        ({(1, 2): 3}, "TYPE_CONVERSION", "result: tuple cannot be a key of a JSON object"),
        ([Colour], "TYPE_CONVERSION", "result[0]: enum.EnumType has no JSON form"),
        (Point(1, object()), "TYPE_CONVERSION", "result.colour: object has no JSON form"),  # type: ignore[arg-type]
        (nested(33), "TYPE_CONVERSION", "result" + "[0]" * 32 + ": list nested deeper than 32"),
        (nested(5_000), "TYPE_CONVERSION", ": list nested deeper than 32"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:30],
)
@pytest.mark.parametrize("raw", [False, True], ids=["lists", "raw"])
def test_a_result_that_cannot_travel(value: Any, kind: str, message: str, *, raw: bool) -> None:
    with pytest.raises(RagbusError) as raised:
        payload.write("result", value, arrays=raw)
    assert raised.value.kind == kind
    assert message in str(raised.value)


def test_arrays_that_are_not_finite_do_not_travel() -> None:
    for raw, message in ((True, r"result\.a: the array has values that are not finite"), (False, r"result\.a\[1\]: ")):
        with pytest.raises(RagbusError, match=message) as raised:
            payload.write("result", {"a": np.array([1, np.nan], np.float32)}, arrays=raw)
        assert raised.value.kind == "SERIALIZATION"


def test_a_result_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RagbusError, match=r"result\[0\]: list contains itself"):
        payload.write("result", loop, arrays=False)


def test_what_else_has_a_json_form() -> None:
    value = {
        "point": Point(0.5, Colour.RED),
        3: (1,),
        "deep": nested(30),
        "lone": "\ud83d",
        "big": 2**200,
        "shared": [nested(1)] * 2,
    }
    assert unpack(payload.write("result", value, arrays=True))["result"] == {
        "point": {"x": 0.5, "colour": "red"}, "3": [1], "deep": nested(30), "lone": "\ufffd", "big": 2**200, "shared": [[0], [0]]
    }  # fmt: skip
    assert unpack(payload.write("result", ["lone \ud83d half", {"\ud83d": 1}], arrays=False))["result"] == [
        "lone \ufffd half",
        {"\ufffd": 1},
    ]
    assert json.loads(payload.write("items", [], arrays=False, done=True)[4:]) == {"items": [], "done": True, "arrays": []}
