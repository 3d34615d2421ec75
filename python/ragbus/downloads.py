# SPDX-License-Identifier: Apache-2.0
"""Models from a hub into the Hugging Face cache: which files, in which order, with what proof that they are the right ones.

Files are fetched one after another with `huggingface_hub`, each checked by its hash. An interrupted download is never taken for
a model: weights come after what describes them, `tokenizer.json` comes last, and a branch's name is noted in the cache when all
is there. The cache's layout is that of huggingface_hub's guide "Understand caching".
"""

from __future__ import annotations

import contextvars
import hashlib
import itertools
import logging
import os
import re
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ragbus import engines, progress
from ragbus.errors import RagbusError, message_of
from ragbus.model import ALL_FILES, ENGINE_FILES, SAFETENSORS_FILES, weights_among

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

# How long the hub may take to answer a question; for a file's bytes huggingface_hub has a limit of its own (10 s without any).
ANSWER_SECONDS = 10.0
CANCEL_SECONDS = 0.1  # how often a waiting load looks whether it has been cancelled
LOG_SECONDS = 5.0
# huggingface_hub goes on where a file broke off, unless the connection was reset: then the file begins again.
ATTEMPTS = 3

# What describes a model. Nothing that holds code or pickles is ever fetched.
_DESCRIPTIONS = re.compile(
    r"(config|config_sentence_transformers|sentence_bert_config|modules|tokenizer_config|special_tokens_map)\.json"
    r"|\d_[A-Za-z]+/(config\.json|model\.safetensors)",
    re.ASCII,
)
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors", re.ASCII)
_CREDENTIALS = re.compile(r"^\w+://([^/]*)@")
_TOKENIZER = "tokenizer.json"
_SHA1, _SHA256 = 40, 64  # hexadecimal digits
log = logging.getLogger("ragbus.downloads")
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of every request, with the signed addresses of files


class NotFetchedError(Exception):
    """Why a model could not be had from the hub."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a hub's listing: its size in bytes, and the hash of its content (SHA-256) or of its git blob (SHA-1)."""

    name: str
    size: int = 0
    digest: str | None = None


def needed(names: Collection[str], engine: str = "auto", precision: str = "auto") -> list[str]:
    """Return what to fetch of a repository's files, in order: descriptions, weights (data before graph), tokenizer.

    One set of weights is taken, and safetensors only for torch: where it was asked for, or where it is installed and
    there is nothing else. Raises NotFetchedError if there are none, or no tokenizer.
    """
    candidates = engines.candidates(engine)
    found = (weights_among(names, it, engines.stored_precision(it, precision)) for it in candidates)
    weights = next((it[0] for it in found if it is not None), None)
    if weights is None:
        wanted = dict.fromkeys(file for it in candidates for file in ENGINE_FILES[it])
        left_out = "torch" not in candidates and any(file in names for file in SAFETENSORS_FILES)
        raise NotFetchedError(f"has none of {', '.join(wanted)}{f'; {engines.TORCH_MISSING}' if left_out else ''}")
    if _TOKENIZER not in names:
        raise NotFetchedError(f"has no {_TOKENIZER}")
    described = sorted(name for name in names if _DESCRIPTIONS.fullmatch(name))
    return [*described, *_beside(weights, names), weights, _TOKENIZER]


def _beside(weights: str, names: Collection[str]) -> list[str]:
    """Return the files that hold the numbers: OpenVINO's `.bin`, an ONNX graph's external data, the shards of an index."""
    if weights.endswith(".xml"):
        return [name for name in (f"{weights.removesuffix('.xml')}.bin",) if name in names]
    if weights.endswith(".index.json"):
        return sorted(name for name in names if _SHARD.fullmatch(name))
    return sorted(name for name in names if re.fullmatch(rf"{re.escape(weights)}[._]data(_\d+)?", name))


def fetch(endpoint: str, name: str, revision: str, cache: Path, engine: str = "auto", precision: str = "auto") -> Path:
    """Fetch a model's files into the cache and return its folder there.

    Works on a thread of its own, so that a load that is cancelled ends at once whatever the hub does; the thread ends at the
    next bytes that come. Raises NotFetchedError with a reason that never holds the token, or what else proves who is asking.
    """
    outcome: list[Path | BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            outcome.append(_Download(endpoint, name, revision, cache, engine, precision).run())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            outcome.append(error)
        done.set()

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=f"ragbus-download-{name}", daemon=True).start()
    while not done.wait(CANCEL_SECONDS):
        progress.checkpoint()
    result = outcome[0]
    if isinstance(result, Path):
        return result
    if isinstance(result, RagbusError | NotFetchedError):
        raise result
    raise NotFetchedError(without_credentials(_reason(result, name, revision), endpoint)) from result


class _Download:
    """One model being fetched: what is done and what is left."""

    def __init__(self, endpoint: str, name: str, revision: str, cache: Path, engine: str, precision: str) -> None:
        self.endpoint, self.name, self.revision, self.cache = endpoint, name, revision, cache
        self.engine, self.precision = engine, precision
        self.done_bytes = self.total_bytes = 0
        self.file = ""
        self.logged = time.monotonic()

    def run(self) -> Path:
        from huggingface_hub import HfApi  # noqa: PLC0415 - slow

        info = HfApi(endpoint=self.endpoint).model_info(
            self.name, revision=self.revision, files_metadata=True, timeout=ANSWER_SECONDS
        )
        if not re.fullmatch(r"[0-9a-f]{40}", info.sha or ""):
            raise NotFetchedError(f"names no commit for {self.name}")
        commit = str(info.sha)
        listing = {
            it.rfilename: File(it.rfilename, it.size or 0, it.lfs.sha256 if it.lfs else it.blob_id) for it in info.siblings or ()
        }
        try:
            files = [listing[name] for name in needed(listing, self.engine, self.precision)]
        except NotFetchedError as missing:
            raise NotFetchedError(f"{self.name} {missing}") from None
        self.total_bytes = sum(file.size for file in files)
        started = time.monotonic()
        log.info("downloading %s: %d files, %.1f MB", self.name, len(files), self.total_bytes / 1e6)
        for file in files:
            self._fetch(file, commit)
        _note(self.repository / "refs", self.revision, commit)
        log.info("downloaded %s in %.1f s", self.name, time.monotonic() - started)
        return self.repository / "snapshots" / commit

    @property
    def repository(self) -> Path:
        return self.cache / repository_folder(self.name)

    def _fetch(self, file: File, commit: str) -> None:
        import httpx2  # noqa: PLC0415 - slow
        from huggingface_hub import hf_hub_download  # noqa: PLC0415

        before = self.done_bytes
        self.file = file.name
        for attempt in itertools.count(1):
            self.done_bytes = before
            self.advance(0)
            try:
                path = hf_hub_download(
                    self.name,
                    file.name,
                    revision=commit,
                    endpoint=self.endpoint,
                    cache_dir=self.cache,
                    etag_timeout=ANSWER_SECONDS,
                    tqdm_class=self._bar(),
                )
                break
            except httpx2.ReadError as error:
                if attempt == ATTEMPTS:
                    raise
                reason = without_credentials(message_of(error), self.endpoint) or type(error).__name__
                log.warning("downloading %s of %s again: %s", file.name, self.name, reason)
        _check(Path(path), file)
        self.done_bytes = before + file.size

    def _bar(self) -> Any:
        """Return the class that huggingface_hub tells of bytes, in the place of a progress bar."""
        download = self

        class Bar:
            def __init__(self, *_args: Any, initial: int = 0, **_options: Any) -> None:
                download.advance(initial)

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
                pass

            def update(self, count: float = 1) -> None:
                download.advance(int(count))

        return Bar

    def advance(self, count: int) -> None:
        self.done_bytes += count
        progress.fetching(self.file, self.done_bytes, self.total_bytes)
        if time.monotonic() - self.logged >= LOG_SECONDS:
            self.logged = time.monotonic()
            percent = 100 * self.done_bytes // max(1, self.total_bytes)
            log.info(
                "downloading %s: %.1f of %.1f MB (%d %%), %s",
                self.name,
                self.done_bytes / 1e6,
                self.total_bytes / 1e6,
                percent,
                self.file,
            )


def without_credentials(text: str, endpoint: str) -> str:
    """Leave out of a message the user and the password that the hub's address has."""
    text = re.sub(r"//[^/\s]*@", "//", text)
    if found := _CREDENTIALS.search(endpoint):
        user, _, password = found[1].partition(":")
        for secret, name in ((password, "<password>"), (user, "<user>")):
            for it in {secret, unquote(secret)} - {""}:
                text = re.sub(rf"(?<!\w){re.escape(it)}(?!\w)" if secret is user else re.escape(it), name, text)
    return text


def repository_folder(name: str) -> str:
    """Return the name of a model's folder in the cache."""
    return f"models--{name.replace('/', '--')}"


def missing_from_snapshot(cache: Path, name: str, commit: str, engine: str = "auto", precision: str = "auto") -> list[str]:
    """Return what a snapshot in the cache lacks besides weights, by the listing that huggingface_hub keeps of those it fetched.

    Without a listing nothing is known to be missing: programs that fetch single files leave none.
    """
    repository = cache / repository_folder(name)
    if not (repository / "trees" / f"{commit}.json").is_file():
        return []
    from huggingface_hub import get_cached_repo_tree  # noqa: PLC0415
    from huggingface_hub.errors import CachedRepoTreeNotFoundError  # noqa: PLC0415

    snapshot = repository / "snapshots" / commit
    try:
        listing = get_cached_repo_tree(name, revision=commit, cache_dir=cache)
        names = {it.path for it in listing if it.path not in ALL_FILES or (snapshot / it.path).is_file()}
        return [file for file in needed(names, engine, precision) if not (snapshot / file).is_file()]
    except (CachedRepoTreeNotFoundError, NotFetchedError):
        return []


def _check(path: Path, file: File) -> None:
    """Compare a fetched file with the hub's hash of it (of the listing, else of its ETag); one that differs is removed."""
    blob = path.resolve()
    expected = file.digest or blob.name
    if len(expected) not in {_SHA1, _SHA256} or not re.fullmatch(r"[0-9a-f]+", expected):
        log.warning("the hub gives no hash of %s: it is taken as it came", file.name)
        return
    digest = (
        hashlib.sha256()
        if len(expected) == _SHA256
        else hashlib.sha1(f"blob {blob.stat().st_size}\0".encode(), usedforsecurity=False)
    )
    with blob.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        path.unlink()
        blob.unlink(missing_ok=True)
        raise NotFetchedError(f"{file.name} came with the hash {digest.hexdigest()}, not {expected}; it was removed")


def _note(references: Path, revision: str, commit: str) -> None:
    """Note in the cache which commit a branch or tag is, as huggingface_hub does; others never see half a name."""
    if revision == commit:
        return
    reference = references / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=reference.parent, prefix=".ragbus-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(commit)
    Path(temporary).replace(reference)


def _reason(error: BaseException, name: str, revision: str) -> str:
    """Say what the hub or the way there refused."""
    from huggingface_hub import get_token  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError  # noqa: PLC0415

    token = get_token()
    if isinstance(error, RevisionNotFoundError):
        return f"{name} has no revision {revision!r}"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if status in {401, 403}:
        whose = "the token given may not read it" if token else "it takes a token (HF_TOKEN) that may read it"
        return f"{name} is gated, private or not there (HTTP {status}): {whose}"
    if status == 404:  # noqa: PLR2004 - HTTP's
        return f"there is no {name} (HTTP 404)"
    said = f"{name}: {type(error).__name__}: {message_of(error)}"
    return said.replace(token, "<token>") if token else said
