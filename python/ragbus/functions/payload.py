# SPDX-License-Identifier: Apache-2.0
"""Arguments and results as bytes: a uint32 (little-endian) with the length of a JSON text, the text in UTF-8, then raw arrays.

In the text, `arrays` lists the raw ones: `{"path": ["args", 0], "dtype": "float32", "shape": [2, 3], "offset": 0}`. The value at
`path` is replaced by the array; `offset` counts from the first byte after the text; items are little-endian in C order.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ragbus.convert import MAX_DEPTH, Arrays, NoJsonFormError, no_constant, path_text, to_java
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_HEAD = 4
_ALIGNMENT = 8
_DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    )
}  # fmt: skip
_ATOMS = frozenset({str, int, float, bool, type(None)})

_decode = json.JSONDecoder(parse_constant=no_constant).decode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode


def read(payload: NDArray[Any] | bytes) -> tuple[list[Any], dict[str, Any]]:
    """Return a call's positional and named arguments; arrays are copies that the function may write to."""
    data = payload if isinstance(payload, bytes) else payload.tobytes()
    end = _HEAD + int.from_bytes(data[:_HEAD], "little")
    try:
        if len(data) < end or end == _HEAD:
            raise ValueError(f"{len(data)} bytes")
        body = _decode(data[_HEAD:end].decode())
    except (ValueError, RecursionError) as error:
        raise RagbusError("SERIALIZATION", f"a call that cannot be read: {error}") from error
    if not isinstance(body, dict):
        raise RagbusError("INVALID", "a call is no JSON object")
    arrays = body.get("arrays") or ()
    if not isinstance(arrays, (list, tuple)):
        raise RagbusError("TYPE_CONVERSION", "arrays is no list")
    for array in arrays:
        _place(array, body, memoryview(data)[end:])
    args, kwargs = body.get("args", _ABSENT), body.get("kwargs")
    if kwargs is None:
        kwargs = {}
    elif not isinstance(kwargs, dict):
        raise RagbusError("INVALID", "kwargs is no object")
    if isinstance(args, list):
        return args, kwargs
    return [] if args is _ABSENT else [args], kwargs


_ABSENT = object()


def _place(described: Any, body: dict[str, Any], raw: memoryview) -> None:
    try:
        path, name, shape, offset = (described[key] for key in ("path", "dtype", "shape", "offset"))
        dtype = _DTYPES[name]
        size = math.prod(shape) * dtype.itemsize
        if offset < 0 or any(side < 0 for side in shape) or offset + size > len(raw):
            raise ValueError(f"{shape} of {name} at {offset} is more than {len(raw)} bytes")
        flat = np.frombuffer(raw[offset : offset + size], np.uint8 if name == "bool" else dtype)
        array = (flat != 0 if name == "bool" else flat.astype(dtype.newbyteorder("="))).reshape(shape)
        *parents, last = path
        node: Any = body
        for key in parents:
            node = node[key]
        _ = node[last]  # it must be there to be replaced
        node[last] = array
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise RagbusError("TYPE_CONVERSION", f"an array that cannot be read: {type(error).__name__}: {error}") from error


def write(key: str, value: Any, *, arrays: bool, **more: Any) -> bytes:
    """Return `{key: value, …more}` as a payload. With `arrays`, NumPy's numeric arrays travel raw, else as nested lists.

    Raises TYPE_CONVERSION for a value without a JSON form or nested deeper than 32, SERIALIZATION for NaN and infinities; both
    name the path.
    """
    found: Arrays | None = [] if arrays else None
    form = value if _is_plain(value, MAX_DEPTH) else _form(key, value, found)
    described, raw = _raw(key, found or ())
    try:
        text = _encode({key: form, **more, "arrays": described}).encode()
    except UnicodeEncodeError:  # a lone surrogate
        text = _encode({key: to_java(form), **more, "arrays": described}).encode()
    except ValueError as error:
        raise RagbusError("SERIALIZATION", f"{key}{_non_finite(form) or ''}: {error}") from error
    return b"".join((len(text).to_bytes(_HEAD, "little"), text, *raw))


def _form(key: str, value: Any, arrays: Arrays | None) -> Any:
    try:
        return to_java(value, arrays)
    except NoJsonFormError as error:
        raise RagbusError("TYPE_CONVERSION", f"{key}{error.path}: {error.reason}") from error


def _raw(key: str, arrays: Iterable[tuple[tuple[str | int, ...], NDArray[Any]]]) -> tuple[list[Any], list[bytes]]:
    described: list[Any] = []
    blobs: list[bytes] = []
    offset = 0
    for path, array in arrays:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RagbusError("SERIALIZATION", f"{key}{path_text(path)}: the array has values that are not finite")
        name = array.dtype.name
        blob = np.ascontiguousarray(array, _DTYPES[name]).tobytes()
        padding = -len(blob) % _ALIGNMENT
        described.append({"path": [key, *path], "dtype": name, "shape": array.shape, "offset": offset})
        blobs += (blob, bytes(padding))
        offset += len(blob) + padding
    return described, blobs


def _is_plain(value: Any, depth: int) -> bool:
    """Say whether a value is made of nothing but JSON's own types, at most `depth` deep: then it needs no conversion."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if depth == 0:
        return False
    if kind is dict:
        return all(type(key) is str for key in value) and all(
            type(item) in _ATOMS or _is_plain(item, depth - 1) for item in value.values()
        )
    return (kind is list or kind is tuple) and all(type(item) in _ATOMS or _is_plain(item, depth - 1) for item in value)


def _non_finite(form: Any) -> str | None:
    """Return the path of the first NaN or infinity."""
    if isinstance(form, float):
        return None if math.isfinite(form) else ""
    members = form.items() if isinstance(form, dict) else enumerate(form) if isinstance(form, (list, tuple)) else ()
    for key, item in members:
        inner = _non_finite(item)
        if inner is not None:
            return path_text([key]) + inner
    return None
