# SPDX-License-Identifier: Apache-2.0
"""Sources made callable once: compiled and run as modules, or imported, and kept by what they are."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import linecache
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from ragbus.errors import USER_MODULES, RagbusError, safe

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CACHED = 1_000
EXPRESSION = "<expression>"  # the attribute under which an expression's function is found


class Source(NamedTuple):
    """Where functions come from: a text with the module and file it stands for, or (without text) an installed module."""

    module: str
    file: str
    text: str | None
    sha256: str

    @classmethod
    def of_text(cls, text: str, module: str, file: str) -> Source:
        """Return the source of a text; `file` is what tracebacks name."""
        return cls(module, file, text, _sha256(text.encode("utf-8", "surrogatepass")))

    @classmethod
    def installed(cls, module: str) -> Source:
        """Import an installed module and return it as a source, with the hash of its file."""
        origin = getattr(_import(module).__spec__, "origin", None)
        file = Path(origin or "")
        return cls(module, str(file), None, _sha256(file.read_bytes() if file.is_file() else module.encode()))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Compiled:
    """A source made callable. An expression is a function of `args` and `kwargs` under the attribute `EXPRESSION`."""

    __slots__ = ("module", "targets")

    def __init__(self, module: ModuleType, targets: dict[str, Callable[..., Any]] | None = None) -> None:
        """Keep a module; `targets` are attributes already found."""
        self.module = module
        self.targets = targets or {}

    def find(self, attribute: str) -> Callable[..., Any]:
        """Return a callable by its dotted attribute, or raise FUNCTION_NOT_FOUND."""
        found = self.targets.get(attribute)
        if found is None:
            found = self.targets[attribute] = self._look_up(attribute)
        return found

    def _look_up(self, attribute: str) -> Callable[..., Any]:
        name = self.module.__name__.removeprefix(USER_MODULES)
        try:
            found = functools.reduce(getattr, attribute.split("."), self.module)
        except AttributeError:
            raise RagbusError("FUNCTION_NOT_FOUND", f"module {name!r} defines no {attribute!r}") from None
        if not callable(found):
            raise RagbusError("FUNCTION_NOT_FOUND", f"{attribute!r} in module {name!r} is no function but {type(found).__name__}")
        return found


class Cache:
    """The last sources used, compiled; any thread may ask. Code runs outside its lock: two threads may compile the same once."""

    def __init__(self, limit: int = MAX_CACHED) -> None:
        """Keep at most `limit` sources."""
        self._limit = limit
        self._lock = threading.Lock()
        self._compiled: OrderedDict[Source, Compiled] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        """Return how many sources are kept."""
        return len(self._compiled)

    def get_or_compile(self, source: Source) -> Compiled:
        """Return a source's compiled form, made now if it is not kept. Raises what compiling, importing or running it raises."""
        with self._lock:
            compiled = self._compiled.get(source)
            if compiled is not None:
                self.hits += 1
                self._compiled.move_to_end(source)
                return compiled
            self.misses += 1
        made = _make(source)
        with self._lock:
            compiled = self._compiled.setdefault(source, made)
            evicted = self._compiled.popitem(last=False) if len(self._compiled) > self._limit else None
        if evicted is not None:
            _forget(*evicted)
        return compiled

    def has(self, source: Source) -> bool:
        """Say whether a source is kept."""
        return source in self._compiled


def _forget(source: Source, compiled: Compiled) -> None:
    module = compiled.module
    if source.text is not None:
        linecache.cache.pop(source.file, None)
        if sys.modules.get(module.__name__) is module:
            del sys.modules[module.__name__]


def _make(source: Source) -> Compiled:
    if source.text is None:
        return Compiled(_import(source.module))
    return _run(source, source.text)


def _run(source: Source, text: str) -> Compiled:
    """Run a text as a module of its own name space; an expression becomes a function that gives its value."""
    linecache.cache[source.file] = (len(text), None, text.splitlines(keepends=True), source.file)
    module = ModuleType(USER_MODULES + source.module)
    module.__file__ = source.file
    expression = _expression(text, source.file)
    if expression is not None:
        return Compiled(module, {EXPRESSION: eval(expression, vars(module))})  # noqa: S307 - running code is what this is for
    code = _compile(text, source.file)
    shadowed = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    try:
        exec(code, vars(module))  # noqa: S102
    except BaseException:
        if shadowed is None:
            sys.modules.pop(module.__name__, None)
        else:
            sys.modules[module.__name__] = shadowed
        raise
    return Compiled(module)


def _expression(text: str, file: str) -> Any:
    """Return the code of `lambda args, kwargs: TEXT`, None if the text is no expression."""
    try:
        tree = ast.parse(text.strip(), file, "eval")
        function = ast.parse("lambda args, kwargs: 0", file, "eval")
        vars(function.body)["body"] = tree.body
        return compile(function, file, "eval", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # `_compile` says what is wrong


def _compile(text: str, file: str) -> Any:
    try:
        return compile(text, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"line {error.lineno}, column {error.offset}: " if error.lineno else ""
        line = f": {error.text.strip()}" if error.text else ""
        raise RagbusError("INVALID", safe(f"code: {where}{error.msg}{line}")) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise RagbusError("INVALID", safe(f"code: {str(error) or 'too deeply nested'}")) from error


def _import(name: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise RagbusError("MODULE_NOT_FOUND", f"no module {error.name!r}") from error
        raise
