# SPDX-License-Identifier: Apache-2.0
"""What an author says about a function, beside its name and its hints."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

ATTRIBUTE = "__ragbus_function__"
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})")


@dataclass(frozen=True, slots=True)
class Declaration:
    """The arguments of `function`; None where the author left one out."""

    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    timeout_seconds: float | None = None
    hard_cancel: bool = False


def seconds(timeout: str | float | None) -> float | None:
    """Return a duration in seconds: a number of seconds, or a text such as "30s" or "500ms". Raises ValueError."""
    if timeout is None:
        return None
    match = _DURATION.fullmatch(timeout.strip()) if isinstance(timeout, str) else None
    if match is not None:
        value = float(match[1]) * _UNITS[match[2]]
    else:
        value = timeout if isinstance(timeout, (int, float)) and not isinstance(timeout, bool) else math.nan
    if not 0 < value <= sys.float_info.max:
        raise ValueError(f"timeout {timeout!r} is no time above 0: a number of seconds, or a text as '30s' in {', '.join(_UNITS)}")
    return float(value)


@overload
def function(declared: F) -> F: ...
@overload
def function(
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: dict[str, Any] | None = None,
    output_schema: dict[str, Any] | None = None,
    timeout: str | float | None = None,
    hard_cancel: bool = False,
) -> Callable[[F], F]: ...
def function(
    declared: Any = None,
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: dict[str, Any] | None = None,
    output_schema: dict[str, Any] | None = None,
    timeout: str | float | None = None,
    hard_cancel: bool = False,
) -> Any:
    """Declare a function of a file in the functions folder; the file's other functions are then its own affair.

    Everything may be left out: the name is the function's, the description its docstring's first paragraph, the schemas (JSON
    Schema 2020-12) follow from its type hints. `timeout` is what a call has when it brings none, in seconds or as "30s".
    `hard_cancel` allows an exception to be raised anywhere in the function when its time is over: only for functions that hold
    no lock and leave nothing half done.
    """
    declaration = Declaration(name, description, input_schema, output_schema, seconds(timeout), hard_cancel)

    def declare(target: F) -> F:
        setattr(target, ATTRIBUTE, declaration)
        return target

    return declare if declared is None else declare(declared)


def of(target: object) -> Declaration | None:
    """Return what the author declared, None if nothing."""
    found = getattr(target, ATTRIBUTE, None)
    return found if isinstance(found, Declaration) else None
