# SPDX-License-Identifier: Apache-2.0
"""Failures as they cross to Java: one exception with a kind, and any exception as bounded, safe UTF-8 JSON."""

from __future__ import annotations

import builtins
import json
import os
import traceback
from typing import Literal

Kind = Literal[
    "INVALID",
    "MODEL_NOT_FOUND",
    "MODULE_NOT_FOUND",
    "FUNCTION_NOT_FOUND",
    "CONFLICT",
    "TOO_LARGE",
    "TYPE_CONVERSION",
    "CANCELLED",
    "PYTHON",
    "RUNTIME",
    "SERIALIZATION",
    "NOT_INITIALIZED",
    "UNAVAILABLE",
    "TIMEOUT",
]

MAX_MESSAGE_CHARS = 2_000
MAX_TRACEBACK_CHARS = 8_000
_CALLING = os.path.join(os.path.dirname(__file__), "functions", "")  # noqa: PTH118, PTH120 - a prefix of file names
USER_MODULES = "ragbus_functions."  # what the modules of registered sources are named under, so that none shadows another


class RagbusError(Exception):
    """A failure that Ragbus itself found, with the kind its caller is told."""

    def __init__(self, kind: Kind, message: str) -> None:
        """Keep the kind beside the message."""
        super().__init__(message)
        self.kind: Kind = kind


def type_name(value: object) -> str:
    """Name the class of a value: builtins bare, else qualified by its module (a registered source's as its author named it)."""
    cls = type(value)
    module = cls.__module__.removeprefix(USER_MODULES)
    return cls.__qualname__ if module == builtins.__name__ else f"{module}.{cls.__qualname__}"


def message_of(error: BaseException) -> str:
    """Return what an exception says, even if its own `__str__` raises."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - a user's __str__ may raise anything, SystemExit too
        return f"<{type(error).__qualname__} whose message cannot be shown>"


def _traceback_of(error: BaseException) -> str:
    try:
        shown = traceback.TracebackException.from_exception(error)
        part: traceback.TracebackException | None = shown
        while part is not None:
            own = [at for at, frame in enumerate(part.stack, 1) if frame.filename.startswith(_CALLING)]
            if own and own[-1] < len(part.stack):
                del part.stack[: own[-1]]  # a user's function: what called it says nothing
            part = part.__cause__ or part.__context__
        return "".join(shown.format())
    except BaseException as broken:  # noqa: BLE001 - as above
        return f"<traceback cannot be shown: {type(broken).__qualname__}>"


def safe(text: str) -> str:
    """Replace what UTF-8 cannot carry (lone surrogates) by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def fields(error: BaseException) -> dict[str, str]:
    """Return what crosses of a failure: kind, type, message (its first 2,000 characters), traceback (its last 8,000)."""
    return {
        "kind": error.kind if isinstance(error, RagbusError) else "PYTHON",
        "type": safe(type_name(error)),
        "message": safe(message_of(error))[:MAX_MESSAGE_CHARS],
        "traceback": safe(_traceback_of(error))[-MAX_TRACEBACK_CHARS:],
    }


def describe(error: BaseException) -> bytes:
    """Return a failure's `fields` as UTF-8 JSON."""
    return json.dumps(fields(error), ensure_ascii=False).encode("utf-8", "replace")
