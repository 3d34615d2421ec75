# SPDX-License-Identifier: Apache-2.0
"""The functions that can be called, by id, and how they get here: from a text, a file, or an installed module."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import json
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragbus import errors
from ragbus.convert import NoJsonFormError, to_java
from ragbus.errors import RagbusError
from ragbus.functions import declaration
from ragbus.functions.compiled import EXPRESSION, Cache, Compiled, Source
from ragbus.functions.declaration import Declaration
from ragbus.functions.hints import Signature, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Kind = Literal["function", "async", "generator", "async_generator", "expression"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_UNTYPED = Signature("", {}, {}, [], {})


@dataclass(frozen=True, slots=True)
class Function:
    """A registered function: where its callable comes from, what kind it is, and what is said of it."""

    id: int
    name: str
    source: Source
    attribute: str
    kind: Kind
    signature: Signature
    hard_cancel: bool

    def target(self) -> Callable[..., Any]:
        """Return the callable, compiled or imported again if it is no longer kept."""
        return cache.get_or_compile(self.source).find(self.attribute)


cache = Cache()
_ids = itertools.count(1)
_functions: dict[int, Function] = {}
_lock = threading.Lock()


def get(function_id: int) -> Function:
    """Return the function of an id, or raise FUNCTION_NOT_FOUND."""
    try:
        return _functions[function_id]
    except KeyError:
        raise RagbusError("FUNCTION_NOT_FOUND", f"no registered function has the id {function_id}") from None


def register(
    *,
    name: str,
    module: str | None = None,
    code: str | None = None,
    file: str | None = None,
    input_schema: dict[str, Any] | None = None,
    output_schema: dict[str, Any] | None = None,
    timeout: str | float | None = None,
    hard_cancel: bool = False,
) -> dict[str, Any]:
    """Compile or import a function and keep it under a new id; return its description.

    The source is `code`, or the text of `file`, or the installed `module`, as "package.module:attribute" (the attribute's default
    is the name). Raises INVALID for bad arguments and syntax errors, MODULE_NOT_FOUND, FUNCTION_NOT_FOUND, and whatever the
    module raises when it is run.
    """
    _check_name(name)
    for field, value in (("module", module), ("code", code), ("file", file)):
        if value is not None and not isinstance(value, str):
            raise RagbusError("INVALID", f"{field} is no string")
    declared = Declaration(None, None, input_schema, output_schema, _seconds(timeout), hard_cancel)
    if code is not None:
        source, attribute = Source.of_text(code, _module(module or name), f"<fn:{name}>"), name
    elif file is not None:
        source, attribute = _of_file(Path(file)), name
    elif module is not None:
        package, _, attribute = module.partition(":")
        source, attribute = Source.installed(_module(package)), attribute or name
    else:
        raise RagbusError("INVALID", "module, code or file must say where the function is")
    return _add(name, source, attribute, declared)


def scan(*, dir: str) -> dict[str, Any]:  # noqa: A002 - the name in the message
    """Register the functions of every `*.py` in a folder whose name does not begin with `_`, in order of their names.

    A file's functions are those declared with `ragbus.function`, or, if there is none, the public ones that it defines. One
    that cannot be registered is answered as `{"file", "error": {"kind", "type", "message", "traceback"}}` and stops no other.
    A folder that does not exist has no functions; one that does is put last on `sys.path`, so that its files can share modules.
    """
    found: list[dict[str, Any]] = []
    if dir not in sys.path and Path(dir).is_dir():
        sys.path.append(dir)
    for file in sorted(Path(dir).glob("[!_]*.py")):
        try:
            source = _of_file(file)
            for attribute, declared in _declared(cache.get_or_compile(source)):
                name = declared.name or attribute
                _check_name(name)
                if any(other.get("name") == name for other in found):
                    raise RagbusError("CONFLICT", f"another file has a function {name!r}")
                found.append(_add(name, source, attribute, declared))
        except BaseException as error:  # noqa: BLE001 - SystemExit too: one file's failure is its own
            found.append({"file": str(file), "error": errors.fields(error)})
    return {"functions": found}


def unregister(*, id: int) -> dict[str, Any]:  # noqa: A002
    """Forget a function; calls under way go on. An unknown id is fine."""
    with _lock:
        _functions.pop(id, None)
    return {}


def source_of(*, id: int) -> dict[str, Any]:  # noqa: A002
    """Return a function's source text, None where it is installed without one."""
    source = get(id).source
    if source.text is not None:
        return {"code": source.text}
    file = Path(source.file)
    return {"code": importlib.util.decode_source(file.read_bytes()) if file.suffix == ".py" and file.is_file() else None}


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RagbusError("INVALID", f"name {name!r} must match {_NAME.pattern}")


def _module(name: str) -> str:
    if not _MODULE.fullmatch(name):
        raise RagbusError("INVALID", f"module {name!r} is no dotted module name")
    return name


def _seconds(timeout: str | float | None) -> float | None:
    try:
        return declaration.seconds(timeout)
    except ValueError as error:
        raise RagbusError("INVALID", str(error)) from None


def _of_file(file: Path) -> Source:
    try:
        text = importlib.util.decode_source(file.read_bytes())
    except OSError as error:
        raise RagbusError("INVALID", f"file {file} cannot be read: {error.strerror}") from error
    except (SyntaxError, UnicodeDecodeError) as error:
        raise RagbusError("INVALID", f"file {file} is no Python text: {error}") from error
    return Source.of_text(text, file.stem, str(file))


def _declared(compiled: Compiled) -> Iterator[tuple[str, Declaration]]:
    public = {
        name: value
        for name, value in vars(compiled.module).items()
        if inspect.isfunction(value) and value.__module__ == compiled.module.__name__ and not name.startswith("_")
    }
    declared = {name: found for name, value in public.items() if (found := declaration.of(value)) is not None}
    return iter((declared or dict.fromkeys(public, Declaration())).items())


def _add(name: str, source: Source, attribute: str, asked: Declaration) -> dict[str, Any]:
    hit = cache.has(source)
    compiled = cache.get_or_compile(source)
    expression = EXPRESSION in compiled.targets
    attribute = EXPRESSION if expression else attribute
    target = compiled.find(attribute)
    declared = declaration.of(target) or asked
    signature = _UNTYPED if expression else signature_of(target)
    kind: Kind = "expression" if expression else _kind(target)
    function = Function(next(_ids), name, source, attribute, kind, signature, asked.hard_cancel or declared.hard_cancel)
    timeout = asked.timeout_seconds or declared.timeout_seconds
    with _lock:
        _functions[function.id] = function
    return {
        "id": function.id,
        "name": name,
        "module": source.module,
        "file": source.file,
        "description": declared.description if declared.description is not None else signature.description,
        "input_schema": _schema("input_schema", asked.input_schema, declared.input_schema, signature.input_schema),
        "output_schema": _schema("output_schema", asked.output_schema, declared.output_schema, signature.output_schema),
        "positional": signature.positional,
        "source_sha256": source.sha256,
        "timeout_seconds": timeout,
        "hard_cancel": function.hard_cancel,
        "kind": kind,
        "cache": "hit" if hit else "miss",
    }


def _schema(field: str, *choices: Any) -> dict[str, Any]:
    chosen: Any = next((it for it in choices if it is not None), {})
    if not isinstance(chosen, dict):
        raise RagbusError("INVALID", f"{field} is no object")
    try:
        schema = to_java(chosen)
        json.dumps(schema, allow_nan=False)
    except (NoJsonFormError, ValueError) as error:
        raise RagbusError("INVALID", f"{field}: {error}") from None
    return schema  # type: ignore[return-value]


def _kind(target: Callable[..., Any]) -> Kind:
    for kind, holds in _KINDS:
        if holds(target) or holds(getattr(target, "__call__", None)):  # noqa: B004 - an object's own __call__ may be async
            return kind
    return "function"


_KINDS: tuple[tuple[Kind, Callable[[Any], bool]], ...] = (
    ("async_generator", inspect.isasyncgenfunction),
    ("async", inspect.iscoroutinefunction),
    ("generator", inspect.isgeneratorfunction),
)
