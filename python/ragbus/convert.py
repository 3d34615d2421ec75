"""Values between Python and JSON: `to_java` gives any result a JSON shape or says which type has none."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ragbus.errors import RagbusError, safe, type_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

MAX_DEPTH = 32
_NUMERIC_KINDS = "biuf"


def to_java(value: object) -> Json:
    """Return the JSON form of a value: NumPy scalars and arrays, sets and datetimes included.

    A set becomes a list (sorted, where its items can be), a date its ISO text, a masked item of an array null. NaN and
    infinities stay as they are: whether they are allowed is the caller's choice. Raises TypeError that names the type for a
    value without a JSON form, one that contains itself, or one nested deeper than 32.
    """
    return _convert(value, ())


def _convert(value: object, path: tuple[int, ...]) -> Json:
    if value is None or value is True or value is False:
        return value
    for types, convert in _SCALARS:
        if isinstance(value, types):
            return convert(value)
    for types, members in _CONTAINERS:
        if isinstance(value, types):
            if id(value) in path:
                raise TypeError(f"{type_name(value)} contains itself and has no JSON form")
            if len(path) >= MAX_DEPTH:
                raise TypeError(f"{type_name(value)} nested deeper than {MAX_DEPTH}")
            inner = (*path, id(value))
            if isinstance(value, Mapping):
                return {_key(key): _convert(item, inner) for key, item in value.items()}
            return [_convert(item, inner) for item in members(value)]
    return _no_form(value)


def _key(key: object) -> str:
    match _convert(key, ()):
        case str(text):
            return text
        case None | bool() | int() | float() as scalar:
            return json.dumps(scalar)
        case _:
            raise TypeError(f"{type_name(key)} cannot be a key of a JSON object")


def _no_form(value: Any) -> Json:
    raise TypeError(f"{type_name(value)} has no JSON form")


def _members_of_set(value: Any) -> Iterable[Any]:
    try:
        return sorted(value)
    except TypeError:
        return list(value)


def _members_of_array(array: Any) -> Iterable[Any]:
    if array.dtype.kind == "M":
        return np.datetime_as_string(array).tolist() if array.ndim else [str(array)]
    if array.dtype.kind in _NUMERIC_KINDS + "UO":
        return array.tolist() if array.ndim else [array.item()]
    raise TypeError(f"numpy.ndarray of {array.dtype.name} has no JSON form")


_SCALARS: tuple[tuple[Any, Callable[[Any], Json]], ...] = (
    (str, lambda value: safe(str.__str__(value))),
    (np.bool_, bool),
    (np.timedelta64, _no_form),  # a subclass of np.integer
    ((int, np.integer), int),
    ((float, np.floating), float),
    (np.datetime64, str),
    ((dt.date, dt.time), lambda value: value.isoformat()),
)
_CONTAINERS: tuple[tuple[Any, Callable[[Any], Iterable[Any]]], ...] = (
    (Mapping, iter),
    ((list, tuple), iter),
    ((set, frozenset), _members_of_set),
    (np.ndarray, _members_of_array),
)


def to_json(value: object) -> bytes:
    """Return a value as UTF-8 JSON through `to_java`; NaN and infinities are a SERIALIZATION failure."""
    try:
        return json.dumps(to_java(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise RagbusError("SERIALIZATION", f"a result with no JSON form: {error}") from error


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def to_py(body: NDArray[Any] | bytes | None) -> Any:
    """Read a JSON body (UTF-8 bytes, or an array over them, which is copied) as plain Python; None stands for `{}`."""
    if body is None:
        return {}
    try:
        return json.loads(body if isinstance(body, bytes) else body.tobytes(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RagbusError("SERIALIZATION", f"a body that is no JSON: {error}") from error
