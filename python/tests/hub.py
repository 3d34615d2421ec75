# SPDX-License-Identifier: Apache-2.0
"""A hub on this machine: what `huggingface_hub` asks of huggingface.co, with the faults that a test wants.

Large files (`large`) are answered with a redirect to another host, as the real hub does with its CDN. As a program,
`python hub.py NAME FOLDER` serves a folder as the model NAME, and prints its address.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 100_000


@dataclass
class Request:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Hub:
    """What a hub has, how it fails, and what it was asked. `cdn` is the address that large files are redirected to."""

    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=lambda: {"main": COMMIT, "v1.0": COMMIT, "refs/pr/3": COMMIT})
    asked: list[Request] = field(default_factory=list)
    address: str = ""
    cdn: str = ""
    token: str | None = None  # without it, a model is gated
    refusal: int = 401  # how
    credentials: str | None = None  # `user:password`, as a mirror may want them
    cut: dict[str, list[int]] = field(default_factory=dict)  # bytes after which the next answers for a file break off
    abrupt: bool = False  # they end in a reset, not in an orderly close
    tampered: dict[str, bytes] = field(default_factory=dict)  # what comes instead of a file's content
    gate: threading.Event | None = None  # large files stop at half their bytes until it is set
    halfway: threading.Event = field(default_factory=threading.Event)  # set when one has
    silent: threading.Event | None = None  # the questions for listings wait for it
    bare: bool = False  # listings without sizes and hashes, as mirrors give
    xet: bool = False  # files are said to be had from xet, too

    def add(self, name: str, folder: Path) -> None:
        self.models[name] = {str(it.relative_to(folder)): it.read_bytes() for it in folder.rglob("*") if it.is_file()}

    def requests(self, method: str, ending: str) -> list[Request]:
        return [it for it in self.asked if it.method == method and urlsplit(it.path).path.endswith(ending)]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(Request(self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
        if found := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self._content(found[1], found[2])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(/(revision|tree)/(.+))?", path):
            self._about(found[1], found[3], found[4] or "main")
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+|refs/pr/\d+)/(.+)", path):
            self._resolve(*found.groups())
        else:
            self._refuse(404, "unknown path")

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, json.dumps({"error": code}).encode(), {"X-Error-Code": code, "Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _commit(self, name: str, revision: str) -> str | None:
        """Return the commit of a revision; refuse what is not there or not for this caller."""
        known = "Basic " + base64.b64encode((self.hub.credentials or "").encode()).decode()
        if self.hub.credentials is not None and self.headers.get("Authorization") != known:
            self._refuse(401, "Unauthorized")
        elif self.hub.token is not None and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._refuse(self.hub.refusal, "GatedRepo" if self.hub.refusal == 403 else "Unauthorized")
        elif name not in self.hub.models:
            self._refuse(404, "RepoNotFound")
        elif revision not in self.hub.references and revision != COMMIT:
            self._refuse(404, "RevisionNotFound")
        else:
            return self.hub.references.get(revision, revision)
        return None

    def _about(self, name: str, what: str | None, revision: str) -> None:
        if self.command == "GET" and self.hub.silent is not None:
            self.hub.silent.wait()
        commit = self._commit(name, revision)
        if commit is None:
            return
        files = self.hub.models[name].items()
        if what == "tree":
            listing: Any = [
                {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content), **self._lfs(content, "oid")}
                for path, content in files
            ]
        elif self.hub.bare:
            listing = {"id": name, "sha": commit, "siblings": [{"rfilename": path} for path, _ in files]}
        else:
            siblings = [
                {"rfilename": path, "size": len(content), "blobId": git_sha1(content), **self._lfs(content, "sha256")}
                for path, content in files
            ]
            listing = {"id": name, "sha": commit, "siblings": siblings}
        self._answer(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})

    @staticmethod
    def _lfs(content: bytes, key: str) -> dict[str, Any]:
        return {"lfs": {key: sha256(content), "size": len(content), "pointerSize": 130}} if len(content) >= LARGE_BYTES else {}

    def _resolve(self, name: str, revision: str, path: str) -> None:
        commit = self._commit(name, revision)
        if commit is None:
            return
        content = self.hub.models[name].get(path)
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if self.hub.xet:
            headers |= {"X-Xet-Hash": sha256(content), "X-Xet-Refresh-Route": f"{self.hub.cdn}/xet"}
        if len(content) < LARGE_BYTES:
            self._send(path, content, headers | {"ETag": f'"{git_sha1(content)}"'})
            return
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{sha256(content)}"'}
        self._answer(302, b"", headers | {"Location": f"{self.hub.cdn}/cdn/{name}/{path}"})

    def _content(self, name: str, path: str) -> None:
        content = self.hub.models[name][path]
        self._send(path, content, {"ETag": f'"{sha256(content)}"', "Accept-Ranges": "bytes"})

    def _send(self, path: str, content: bytes, headers: dict[str, str]) -> None:
        content = self.hub.tampered.get(path, content)
        start = 0
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(found[1])
            headers |= {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        body = content[start:]
        self.send_response(206 if start else 200)
        for key, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cuts = self.hub.cut.get(path, [])
        if cuts:
            self.wfile.write(body[: cuts.pop(0)])
            self.close_connection = True
            if self.hub.abrupt:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            return
        half = len(body) // 2 if self.hub.gate is not None and len(content) >= LARGE_BYTES else 0
        try:
            self.wfile.write(body[:half])
            if half and self.hub.gate is not None:
                self.hub.halfway.set()
                self.hub.gate.wait()
            self.wfile.write(body[half:])
        except OSError:
            self.close_connection = True

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on a free port of the loopback address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_OneHub", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    hub.cdn = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        for held in (hub.gate, hub.silent):
            if held is not None:
                held.set()
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    served = Hub()
    served.add(sys.argv[1], Path(sys.argv[2]))
    with serving(served):
        print(served.address, flush=True)
        sys.stdin.read()
