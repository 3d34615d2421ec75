# SPDX-License-Identifier: Apache-2.0
"""Functions called as Java calls them: payloads packed and unpacked, failures raised."""

from __future__ import annotations

import itertools
import json
import math
import textwrap
from typing import Any

import numpy as np
from conftest import Failure, ask

from ragbus import bridge

_numbers = itertools.count(1)


def number() -> int:
    """Return a call's number that no other call has."""
    return next(_numbers)


def register(name: str, code: str | None = None, **more: Any) -> dict[str, Any]:
    """Register a function and return its description."""
    body = {"name": name} | ({} if code is None else {"code": textwrap.dedent(code)}) | more
    described: dict[str, Any] = ask("function_register", **body)
    return described


def pack(body: dict[str, Any], raw: bytes = b"") -> Any:
    """Return a payload as Java hands it over."""
    text = json.dumps(body).encode()
    return np.frombuffer(len(text).to_bytes(4, "little") + text + raw, np.int8)


def pack_arrays(**named: Any) -> Any:
    """Return a payload whose named arguments are arrays, one after another without gaps."""
    described, raw = [], b""
    for name, array in named.items():
        described.append(
            {"path": ["kwargs", name], "dtype": array.dtype.name, "shape": list(array.shape), "offset": len(raw)},
        )
        raw += array.tobytes()
    return pack({"kwargs": dict.fromkeys(named), "arrays": described}, raw)


def unpack(payload: bytes) -> dict[str, Any]:
    """Return a payload's JSON, with its raw arrays put in their places."""
    end = 4 + int.from_bytes(payload[:4], "little")
    body: dict[str, Any] = json.loads(payload[4:end])
    for it in body.pop("arrays"):
        count = math.prod(it["shape"])
        array = np.frombuffer(payload, it["dtype"], count, end + it["offset"]).reshape(it["shape"])
        *parents, last = it["path"]
        node: Any = body
        for key in parents:
            node = node[key]
        assert node[last] is None
        node[last] = array
    return body


def taken(answer: list[Any]) -> Any:
    """Return a call's payload, or raise its failure."""
    ok, payload = answer
    assert isinstance(payload, bytes)
    if not ok:
        raise Failure(payload)
    return payload


def run(function: dict[str, Any], body: Any = None, *, arrays: bool = False, seconds: float = math.inf, **arguments: Any) -> Any:
    """Call a function with `args` and `kwargs`, or with a payload; return its result."""
    packed = pack(arguments) if body is None else body
    return unpack(taken(bridge.run_function(function["id"], number(), seconds, packed, arrays)))["result"]


class Stream:
    """A function's items, pulled."""

    def __init__(self, function: dict[str, Any], *, arrays: bool = False, seconds: float = math.inf, **arguments: Any) -> None:
        """Open it."""
        self.number = number()
        assert taken(bridge.open_stream(function["id"], self.number, seconds, pack(arguments), arrays)) == b""

    def pull(self, most: int = 1_000, millis: float = 60_000) -> tuple[list[Any], bool]:
        """Return the next items and whether they were the last."""
        body = unpack(taken(bridge.next_items(self.number, most, millis)))
        assert set(body) == {"items", "done"}
        return body["items"], body["done"]

    def close(self) -> None:
        """Close it."""
        assert taken(bridge.close_stream(self.number)) == b""
