# SPDX-License-Identifier: Apache-2.0
"""Values between Python and JSON: `to_java` gives any result a JSON shape or says which type has none."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np

from ragbus.errors import RagbusError, safe, type_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

MAX_DEPTH = 32
_NUMERIC_KINDS = "biuf"
_RAW_FLOATS = ("float16", "float32", "float64")


class NoJsonFormError(TypeError):
    """A value without a JSON form: which type, and where in the value it is (`.rows[2]`, empty at the top)."""

    def __init__(self, reason: str, path: str = "") -> None:
        """Keep both apart."""
        super().__init__(f"{reason}, at {path}" if path else reason)
        self.reason = reason
        self.path = path


Arrays: TypeAlias = list[tuple[tuple[str | int, ...], "NDArray[Any]"]]


def to_java(value: object, arrays: Arrays | None = None) -> Json:
    """Return the JSON form of a value: NumPy scalars and arrays, sets, datetimes, enums and dataclasses included.

    A set becomes a list (sorted, where its items can be), a date its ISO text, a masked item of an array null, an enum its
    value, a dataclass an object of its fields. NaN and infinities stay as they are: whether they are allowed is the caller's
    choice. With a list of `arrays`, boolean and numeric NumPy arrays are put there with their paths, and null in their place.
    Raises NoJsonFormError (a TypeError) that names the type for a value without a JSON form, one that contains itself, or one
    nested deeper than 32.
    """
    return _Conversion(arrays).form(value)


class _Conversion:
    """One conversion: where it is, and in which containers."""

    def __init__(self, arrays: Arrays | None) -> None:
        self._arrays = arrays
        self._path: list[str | int] = []
        self._parents: list[int] = []

    def form(self, value: object) -> Json:
        if value is None or value is True or value is False:
            return value
        for types, convert in _SCALARS:
            if isinstance(value, types):
                try:
                    return convert(value)
                except NoJsonFormError as error:
                    raise self._no_form(error.reason) from None
        if isinstance(value, enum.Enum):
            return self.form(value.value)
        if self._arrays is not None and _travels_raw(value):
            self._arrays.append((tuple(self._path), value))
            return None
        for types, members in _CONTAINERS:
            if isinstance(value, types):
                return self._container(value, members)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._container(value, _members_of_dataclass)
        raise self._no_form(f"{type_name(value)} has no JSON form")

    def _container(self, value: object, members: Callable[[Any], Iterable[Any]]) -> Json:
        if id(value) in self._parents:
            raise self._no_form(f"{type_name(value)} contains itself and has no JSON form")
        if len(self._parents) >= MAX_DEPTH:
            raise self._no_form(f"{type_name(value)} nested deeper than {MAX_DEPTH}")
        self._parents.append(id(value))
        try:
            items = members(value)
        except NoJsonFormError as error:
            raise self._no_form(error.reason) from None
        found: Json
        if isinstance(items, Mapping):
            keyed = [(self._key(key), item) for key, item in items.items()]
            found = {key: self._member(key, item) for key, item in keyed}
        else:
            found = [self._member(at, item) for at, item in enumerate(items)]
        self._parents.pop()
        return found

    def _member(self, at: str | int, item: object) -> Json:
        self._path.append(at)
        found = self.form(item)
        self._path.pop()
        return found

    def _key(self, key: object) -> str:
        match self.form(key):
            case str(text):
                return text
            case None | bool() | int() | float() as scalar:
                try:
                    return json.dumps(scalar)
                except ValueError as error:  # more digits than Python writes
                    raise self._no_form(f"a key that cannot be written: {error}") from None
            case _:
                raise self._no_form(f"{type_name(key)} cannot be a key of a JSON object")

    def _no_form(self, reason: str) -> NoJsonFormError:
        return NoJsonFormError(reason, path_text(self._path))


def path_text(path: Iterable[str | int]) -> str:
    """Return a path as text: `.rows[2]["odd key"]`."""
    return "".join(f".{at}" if isinstance(at, str) and at.isidentifier() else f"[{json.dumps(at)}]" for at in path)


def _travels_raw(value: object) -> TypeGuard[NDArray[Any]]:
    return (
        isinstance(value, np.ndarray)
        and not isinstance(value, np.ma.MaskedArray)
        and (value.dtype.kind in "biu" or value.dtype.name in _RAW_FLOATS)
    )


def _no_form(value: Any) -> Json:
    raise NoJsonFormError(f"{type_name(value)} has no JSON form")


def _members_of_dataclass(value: Any) -> dict[str, Any]:
    return {it.name: getattr(value, it.name) for it in dataclasses.fields(value)}


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
    raise NoJsonFormError(f"numpy.ndarray of {array.dtype.name} has no JSON form")


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
    (Mapping, lambda value: value),
    ((list, tuple), iter),
    ((set, frozenset), _members_of_set),
    (np.ndarray, _members_of_array),
)


def to_json(value: object) -> bytes:
    """Return a value as UTF-8 JSON through `to_java`; NaN and infinities are a SERIALIZATION failure."""
    try:
        return plain_json(to_java(value))
    except ValueError as error:
        raise RagbusError("SERIALIZATION", f"a result with no JSON form: {error}") from error


def plain_json(value: object) -> bytes:
    """Return as UTF-8 JSON what holds nothing but JSON's own types; faster, since no value is looked at."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def no_constant(name: str) -> Json:
    """Refuse NaN and infinities in JSON that is read: `parse_constant` of a decoder."""
    raise ValueError(f"{name} is not JSON")


def to_py(body: NDArray[Any] | bytes | None) -> Any:
    """Read a JSON body (UTF-8 bytes, or an array over them, which is copied) as plain Python; None stands for `{}`."""
    if body is None:
        return {}
    try:
        return json.loads(body if isinstance(body, bytes) else body.tobytes(), parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise RagbusError("SERIALIZATION", f"a body that is no JSON: {error}") from error
