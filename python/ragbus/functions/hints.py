# SPDX-License-Identifier: Apache-2.0
"""Type hints and docstrings as JSON Schema (draft 2020-12), and JSON arguments as the values that the hints ask for."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import inspect
import re
import types
import typing
from collections import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ragbus.convert import NoJsonFormError, to_java
from ragbus.errors import RagbusError, message_of

Schema: TypeAlias = dict[str, Any]
Convert: TypeAlias = Callable[[Any], Any]
_Arguments: TypeAlias = tuple[Any, ...]

_PLAIN: dict[Any, Schema] = {
    type(None): {"type": "null"},
    None: {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
}
_DATES: dict[Any, str] = {dt.datetime: "date-time", dt.date: "date", dt.time: "time"}
_LISTS = (
    list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection, abc.Iterator, abc.Generator,
    abc.AsyncIterable, abc.AsyncIterator, abc.AsyncGenerator,
)  # fmt: skip
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_OBJECTS = (dict, abc.Mapping, abc.MutableMapping)


@dataclass(frozen=True, slots=True)
class Shape:
    """What JSON a hint allows, and how the value is made of it; None where the JSON value is what the function gets."""

    schema: Schema = field(default_factory=dict)
    convert: Convert | None = None


def shape_of(hint: Any, seen: tuple[Any, ...] = ()) -> Shape:
    """Return the shape of a hint; one that has no JSON form allows anything, as does a class inside itself (`seen`)."""
    if isinstance(hint, abc.Hashable) and hint in _PLAIN:
        return Shape(dict(_PLAIN[hint]))
    kind = typing.NewType if isinstance(hint, typing.NewType) else typing.get_origin(hint) or hint
    if kind in seen:
        return Shape()
    for matches, make in _RULES:
        if matches(kind):
            return make(hint, typing.get_args(hint), (*seen, kind) if kind is hint else seen)
    return Shape()


def _new_type(hint: Any, _: _Arguments, seen: _Arguments) -> Shape:
    return shape_of(hint.__supertype__, seen)


def _literal(_: Any, arguments: _Arguments, _seen: _Arguments) -> Shape:
    return Shape({"enum": [to_java(value) for value in arguments]})


def _enum(hint: Any, _: _Arguments, _seen: _Arguments) -> Shape:
    return Shape({"enum": [to_java(member.value) for member in hint]}, hint)


def _date(hint: Any, _: _Arguments, _seen: _Arguments) -> Shape:
    return Shape({"type": "string", "format": _DATES[hint]}, hint.fromisoformat)


def _list(_: Any, arguments: _Arguments, seen: _Arguments) -> Shape:
    items = shape_of(arguments[0], seen) if arguments else Shape()
    return Shape(_with("array", items=items.schema), _each(items.convert, list))


def _set(_: Any, arguments: _Arguments, seen: _Arguments) -> Shape:
    items = shape_of(arguments[0], seen) if arguments else Shape()
    return Shape(_with("array", items=items.schema) | {"uniqueItems": True}, _each(items.convert or _same, set))


def _mapping(_: Any, arguments: _Arguments, seen: _Arguments) -> Shape:
    values = shape_of(arguments[1], seen) if len(arguments) == 2 else Shape()  # noqa: PLR2004
    return Shape(_with("object", additionalProperties=values.schema), _each_value(values.convert))


def _with(kind: str, **more: Schema) -> Schema:
    return {"type": kind} | {key: schema for key, schema in more.items() if schema}


def _same(value: Any) -> Any:
    return value


_JSON_ARRAYS = (list, np.ndarray)


def _wanted(value: Any, what: str, *classes: type) -> Any:
    if not isinstance(value, classes):
        raise TypeError(f"{what} is wanted, not {type(value).__name__}")
    return value


def _each(convert: Convert | None, make: Callable[[Any], Any]) -> Convert | None:
    return None if convert is None else lambda value: make([convert(item) for item in _wanted(value, "an array", *_JSON_ARRAYS)])


def _each_value(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: {key: convert(item) for key, item in _wanted(value, "an object", dict).items()}


def _array(_: Any, arguments: _Arguments, _seen: _Arguments) -> Shape:
    """Make an array of the scalar type that the hint names (`NDArray[np.float32]`), else of what the values are."""
    scalars = typing.get_args(arguments[1]) if len(arguments) == 2 else ()  # noqa: PLR2004 - ndarray[shape, dtype[scalar]]
    scalar = next((it for it in scalars if _is_class(np.generic)(it) and not it.__subclasses__()), None)
    return Shape({"type": "array"}, lambda value: np.asarray(value, scalar))


def _annotated(_: Any, arguments: _Arguments, seen: _Arguments) -> Shape:
    inner = shape_of(arguments[0], seen)
    text = next((note for note in arguments[1:] if isinstance(note, str)), None)
    return inner if text is None else Shape(inner.schema | {"description": text}, inner.convert)


def _union(_: Any, arguments: _Arguments, seen: _Arguments) -> Shape:
    """Convert only where one kind of value beside None is possible; else the function gets the JSON value."""
    shapes = {argument: shape_of(argument, seen) for argument in arguments}
    if any(not shape.schema for shape in shapes.values()):
        schema: Schema = {}
    else:
        schema = {"anyOf": [shape.schema for shape in shapes.values()]}
    converts = [shape.convert for argument, shape in shapes.items() if argument is not type(None)]
    if len(converts) != 1 or converts[0] is None:
        return Shape(schema)
    convert = converts[0]
    return Shape(schema, lambda value: None if value is None else convert(value))


def _tuple(_: Any, arguments: _Arguments, seen: _Arguments) -> Shape:
    if not arguments:
        return Shape({"type": "array"}, _each(_same, tuple))
    if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004
        items = shape_of(arguments[0], seen)
        return Shape(_with("array", items=items.schema), _each(items.convert or _same, tuple))
    shapes = [shape_of(argument, seen) for argument in arguments]
    count = len(shapes)
    schema = {"type": "array", "prefixItems": [shape.schema for shape in shapes], "minItems": count, "maxItems": count}
    converts = [shape.convert or _same for shape in shapes]

    def convert(value: Any) -> tuple[Any, ...]:
        items = _wanted(value, "an array", *_JSON_ARRAYS)
        return tuple(convert(item) for convert, item in zip(converts, items, strict=True))

    return Shape(schema, convert)


def _typed_dict(cls: Any, _: _Arguments, seen: _Arguments) -> Shape:
    hints = _hints(cls)
    marks = {name: typing.get_origin(hint) for name, hint in hints.items()}
    marked = {name for name, mark in marks.items() if mark in {typing.Required, typing.NotRequired}}
    shapes = {name: shape_of(typing.get_args(hint)[0] if name in marked else hint, seen) for name, hint in hints.items()}
    required = [
        name
        for name, mark in marks.items()
        if mark is typing.Required or (mark is not typing.NotRequired and name in cls.__required_keys__)
    ]
    return Shape(_object(shapes, required, closed=False), _each_field(shapes, dict))


def _dataclass(cls: Any, _: _Arguments, seen: _Arguments) -> Shape:
    hints = _hints(cls)
    taken = [it for it in dataclasses.fields(cls) if it.init]
    shapes = {it.name: shape_of(hints.get(it.name, Any), seen) for it in taken}
    required = [it.name for it in taken if it.default is dataclasses.MISSING and it.default_factory is dataclasses.MISSING]
    return Shape(_object(shapes, required, closed=True), _each_field(shapes, cls))


def _object(shapes: dict[str, Shape], required: list[str], *, closed: bool) -> Schema:
    schema: Schema = {"type": "object", "properties": {name: shape.schema for name, shape in shapes.items()}}
    return schema | ({"required": required} if required else {}) | ({"additionalProperties": False} if closed else {})


def _each_field(shapes: dict[str, Shape], make: Callable[..., Any]) -> Convert | None:
    converts = {name: shape.convert for name, shape in shapes.items() if shape.convert is not None}
    if not converts and make is dict:
        return None

    def convert(value: Any) -> Any:
        given = _wanted(value, "an object", dict)
        return make(**{name: converts[name](item) if name in converts else item for name, item in given.items()})

    return convert


def _hints(target: Any) -> dict[str, Any]:
    """Return the hints of a function or class; one that cannot be evaluated allows anything."""
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating an annotation runs its author's code
        found = inspect.get_annotations(target) if callable(target) else {}
        return {name: Any if isinstance(hint, str) else hint for name, hint in found.items()}


def _is_class(*classes: type) -> Callable[[Any], bool]:
    return lambda kind: isinstance(kind, type) and issubclass(kind, classes)


_RULES: tuple[tuple[Callable[[Any], bool], Callable[[Any, _Arguments, _Arguments], Shape]], ...] = (
    (lambda kind: kind is typing.Annotated, _annotated),
    (lambda kind: kind in {typing.Union, types.UnionType}, _union),
    (lambda kind: kind is typing.Literal, _literal),
    (lambda kind: kind is typing.NewType, _new_type),
    (_is_class(np.ndarray), _array),
    (_is_class(enum.Enum), _enum),
    (lambda kind: kind is tuple, _tuple),
    (lambda kind: kind in _DATES, _date),
    (lambda kind: kind in _LISTS, _list),
    (lambda kind: kind in _SETS, _set),
    (lambda kind: kind in _OBJECTS, _mapping),
    (typing.is_typeddict, _typed_dict),
    (dataclasses.is_dataclass, _dataclass),
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and gives: schemas, the names that may be given by position, and how arguments are converted."""

    description: str
    input_schema: Schema
    output_schema: Schema
    positional: list[str]
    converts: dict[str, Convert]

    def convert(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments as the hints ask for them; TYPE_CONVERSION names the one that is none."""
        if not self.converts:
            return args, kwargs
        names = self.positional[: len(args)]
        rest = args[len(names) :]
        return (
            [self._one(name, value) for name, value in zip(names, args, strict=False)] + rest,
            {name: self._one(name, value) for name, value in kwargs.items()},
        )

    def _one(self, name: str, value: Any) -> Any:
        convert = self.converts.get(name)
        if convert is None:
            return value
        try:
            return convert(value)
        except Exception as error:
            message = f"argument {name!r}: {type(error).__name__}: {message_of(error)}"
            raise RagbusError("TYPE_CONVERSION", message) from error


def _annotated_part(target: Any) -> Any:
    if isinstance(target, functools.partial):
        return _annotated_part(target.func)
    if isinstance(target, type):
        return target.__init__  # type: ignore[misc]
    return target if inspect.isroutine(target) else type(target).__call__


def signature_of(target: Callable[..., Any]) -> Signature:
    """Read a callable's signature, hints and docstring (Google style). One without a signature takes anything.

    The output of a generator is one of its items.
    """
    description, documented = _documentation(inspect.getdoc(target) or "")
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (ValueError, TypeError):
        return Signature(description, {}, {}, [], {})
    hints = _hints(_annotated_part(target))
    shapes: dict[str, Shape] = {}
    required: list[str] = []
    more: Any = False
    for it in parameters:
        shape = shape_of(hints.get(it.name, Any))
        if it.kind is it.VAR_KEYWORD:
            more = shape.schema or True
        elif it.kind is not it.VAR_POSITIONAL:
            shapes[it.name] = Shape(shape.schema | _notes(it, documented), shape.convert)
            if it.default is it.empty:
                required.append(it.name)
    schema = _object(shapes, required, closed=False) | {"additionalProperties": more}
    positional = [it.name for it in parameters if it.kind in {it.POSITIONAL_ONLY, it.POSITIONAL_OR_KEYWORD}]
    converts = {name: shape.convert for name, shape in shapes.items() if shape.convert is not None}
    return Signature(description, schema, shape_of(_output(target, hints)).schema, positional, converts)


def _output(target: Any, hints: dict[str, Any]) -> Any:
    result = target if isinstance(target, type) else hints.get("return", Any)
    if not inspect.isgeneratorfunction(target) and not inspect.isasyncgenfunction(target):
        return result
    items = typing.get_args(result)
    return items[0] if items else Any


def _notes(parameter: inspect.Parameter, documented: dict[str, str]) -> Schema:
    notes: Schema = {}
    if parameter.name in documented:
        notes["description"] = documented[parameter.name]
    if parameter.default is not parameter.empty:
        with contextlib.suppress(NoJsonFormError):
            notes["default"] = to_java(parameter.default)
    return notes


_SECTION = re.compile(r"(?:Args|Arguments|Parameters):\s*")
_PARAMETER = re.compile(r"\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


def _documentation(text: str) -> tuple[str, dict[str, str]]:
    """Return a docstring's first paragraph, and what its section "Args:" says of each parameter."""
    description = " ".join(re.split(r"\n\s*\n", text, maxsplit=1)[0].split())
    found: dict[str, str] = {}
    inside, name, indent = False, "", 0
    for line in text.splitlines():
        if not line[:1].isspace() and line.strip():
            inside = _SECTION.fullmatch(line) is not None
        elif inside and line.strip():
            depth = len(line) - len(line.lstrip())
            match = _PARAMETER.match(line)
            if match is not None and (not found or depth <= indent):
                name, indent = match[1], depth
                found[name] = match[2]
            elif name:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return description, found
