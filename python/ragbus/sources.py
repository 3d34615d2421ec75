# SPDX-License-Identifier: Apache-2.0
"""Where a model is: a named folder, packaged, under the models folder, in the Hugging Face cache, or on the hub."""

from __future__ import annotations

import base64
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ragbus import downloads
from ragbus.engines import ENGINES, candidates, stored_precision
from ragbus.errors import RagbusError, message_of
from ragbus.model import missing_from, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_ENDPOINT = "https://huggingface.co"
DEFAULT_ORGANISATION = "sentence-transformers"
DEFAULT_REVISION = "main"
PROBE_SECONDS = 2.0
MAX_NAME_CHARS = 300
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)
_TRUE = frozenset({"1", "on", "true", "yes"})
_SOURCES = ("auto", "packaged", "local", "hub")


class _PassedOverError(Exception):
    """Why a source does not have the model."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model asked for by name, and where it may be looked for."""

    name: str
    revision: str | None = None
    allow_hub: bool = False
    models_dir: str | None = None
    packaged: Mapping[str, str] = field(default_factory=dict)
    engine: str = "auto"
    precision: str = "auto"

    @property
    def hub_name(self) -> str:
        """The name on the hub: a bare one belongs to sentence-transformers."""
        name = self.name if "/" in self.name else f"{DEFAULT_ORGANISATION}/{self.name}"
        if not _HUB_NAME.fullmatch(name) or ".." in name:
            raise _PassedOverError(f"{self.name!r} is no name of a hub model")
        return name

    @property
    def hub_revision(self) -> str:
        """The branch, tag or commit on the hub."""
        revision = self.revision or DEFAULT_REVISION
        if not _REVISION.fullmatch(revision) or ".." in revision:
            raise _PassedOverError(f"{revision!r} is no revision")
        return revision


def locate(
    *,
    name: str,
    revision: str | None = None,
    allow_hub: bool = False,
    models_dir: str | None = None,
    packaged: Mapping[str, str] | None = None,
    source: str = "auto",
    path: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
) -> dict[str, str]:
    """Return the first source that has the model, and its folder there.

    An explicit `path` is taken or refused, nothing else is tried; `engine` and `precision` decide which weights are
    fetched. Raises MODEL_NOT_FOUND with every source that was tried and why it was passed over, INVALID for an unknown `source`
    or engine and for a name of more than 300 characters, CANCELLED.
    """
    if len(name) > MAX_NAME_CHARS:
        raise RagbusError("INVALID", f"a model's name has at most {MAX_NAME_CHARS} characters, not {len(name)}")
    if engine != "auto" and engine not in ENGINES:
        raise RagbusError("INVALID", f"engine {engine!r} is not one of auto, {', '.join(ENGINES)}")
    if source not in _SOURCES:
        raise RagbusError("INVALID", f"source {source!r} is not one of {', '.join(_SOURCES)}")
    wanted = Wanted(name, revision, allow_hub, models_dir, packaged or {}, engine, precision)
    steps = [("local", lambda _: _usable(_resolved(path)))] if path is not None else _STEPS[source]
    passed_over = []
    for step, find in steps:
        try:
            return {"source": step, "path": str(find(wanted))}
        except (_PassedOverError, OSError) as reason:
            passed_over.append(f"{step}: {reason}")
    raise RagbusError("MODEL_NOT_FOUND", f"no model {name!r}. Tried {'; '.join(passed_over)}")


def _usable(folder: Path) -> Path:
    if reason := missing_from(folder):
        raise _PassedOverError(reason)
    return folder


def _resolved(path: str) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:  # NUL, a loop of links, no home
        raise _PassedOverError(f"{path!r} is no path: {error}") from error


def _packaged(wanted: Wanted) -> Path:
    bare = wanted.name.removeprefix(f"{DEFAULT_ORGANISATION}/")
    names = (wanted.name, bare, f"{DEFAULT_ORGANISATION}/{bare}")
    folder = next((wanted.packaged[name] for name in names if name in wanted.packaged), None)
    if folder is None:
        raise _PassedOverError(f"not among {', '.join(wanted.packaged) or 'none'}")
    return _usable(_resolved(folder))


def _local(wanted: Wanted) -> Path:
    if not wanted.models_dir:
        raise _PassedOverError("no models folder is configured")
    root = _resolved(wanted.models_dir)
    parts = wanted.name.replace("\\", "/").split("/")
    if "\0" in wanted.name or any(part in {"", ".", ".."} for part in parts) or ":" in parts[0]:
        raise _PassedOverError(f"{wanted.name!r} is no name of a folder in {root}")
    folder = _resolved(str(root.joinpath(*parts)))
    if not folder.is_relative_to(root):
        raise _PassedOverError(f"{wanted.name!r} leads out of {root}")
    return _usable(folder)


def _hub_cache_folder() -> Path:
    """Return the hub's cache as huggingface_hub finds it (`constants.py`), without importing that."""
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or str(Path(home) / "hub")
    return _resolved(os.path.expandvars(named))


def _hub_cache(wanted: Wanted) -> Path:
    cache, revision = _hub_cache_folder(), wanted.hub_revision
    repository = cache / downloads.repository_folder(wanted.hub_name)
    if not repository.is_dir():
        raise _PassedOverError(f"no {repository}")
    reference = repository / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    if not re.fullmatch(r"[\w.-]+", commit, re.ASCII) or ".." in commit or not (repository / "snapshots" / commit).is_dir():
        raise _PassedOverError(f"{repository} has no snapshot of {revision}")
    if missing := downloads.missing_from_snapshot(cache, wanted.hub_name, commit, wanted.engine, wanted.precision):
        raise _PassedOverError(f"{repository} has only a part of {revision}: {', '.join(missing)} is missing")
    snapshot = _usable(repository / "snapshots" / commit)
    if not any(weights_of(snapshot, it, stored_precision(it, wanted.precision)) for it in candidates(wanted.engine)):
        raise _PassedOverError(f"{snapshot} has no weights for {', '.join(candidates(wanted.engine))} in {wanted.precision}")
    return snapshot


def _hub(wanted: Wanted) -> Path:
    if not wanted.allow_hub:
        raise _PassedOverError("not allowed for this request")
    if any(os.environ.get(switch, "").lower() in _TRUE for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        raise _PassedOverError("offline")
    endpoint = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    if silence := probe(f"{endpoint}/api/models/{wanted.hub_name}"):
        raise _PassedOverError(downloads.without_credentials(f"{endpoint}{silence}", endpoint))
    try:
        fetched = downloads.fetch(
            endpoint, wanted.hub_name, wanted.hub_revision, _hub_cache_folder(), wanted.engine, wanted.precision
        )
    except downloads.NotFetchedError as reason:
        raise _PassedOverError(f"{downloads.without_credentials(endpoint, endpoint)}: {reason}") from reason
    return _usable(fetched)


def probe(url: str) -> str | None:
    """Ask once whether anything answers at `url`, for at most 2 s in all; return the reason if not.

    On a thread of its own, since looking a name up has no timeout.
    """
    answered = threading.Event()
    outcome: list[str | None] = []

    def ask() -> None:
        outcome.append(_ask(url))
        answered.set()

    threading.Thread(target=ask, name="ragbus-hub-probe", daemon=True).start()
    return outcome[0] if answered.wait(PROBE_SECONDS) else f" did not answer within {PROBE_SECONDS:g} s"


def _ask(url: str) -> str | None:
    """Return why `url` cannot be used, or None if anything answers there: what it says is for the download to judge.

    A user and a password in it are told to its host alone, not to another that it leads to.
    """
    import urllib.error  # noqa: PLC0415 - slow
    import urllib.request  # noqa: PLC0415

    if not url.startswith(("https://", "http://")):
        return ": no http address"
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    credentials, _, host = authority.rpartition("@")
    try:
        request = urllib.request.Request(f"{scheme}://{host}{slash}{path}", method="HEAD")  # noqa: S310 - checked
        if credentials:
            proof = base64.b64encode(unquote(credentials).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {proof}")
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):  # noqa: S310 - checked
            return None
    except urllib.error.HTTPError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, the hub is passed over
        return f": {type(error).__name__}: {message_of(error)}"


_Step = tuple[str, "Callable[[Wanted], Path]"]
_HUB_STEPS: list[_Step] = [("hub-cache", _hub_cache), ("hub", _hub)]
_STEPS: dict[str, list[_Step]] = {
    "auto": [("packaged", _packaged), ("local", _local), *_HUB_STEPS],
    "packaged": [("packaged", _packaged)],
    "local": [("local", _local)],
    "hub": _HUB_STEPS,
}
