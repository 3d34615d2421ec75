# SPDX-License-Identifier: Apache-2.0
"""int8 models: made once, kept whole, measured, refused below the floor. With NNCF itself: `-m torch`."""

from __future__ import annotations

import base64
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import numpy as np
import openvino as ov
import pytest
from conftest import CROSS_ENCODER, GOLDEN, Failure, ask
from test_layouts import WEIGHTS, with_outside

from ragbus import hosting, model, progress, quantize, tokenization
from ragbus.engines import EngineOptions, load_engine
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragbus.engines import Engine
    from ragbus.tokenization import Row

VERSION = "3.4.0"


class Quantizer:
    """Stands in for NNCF: the same graph again, its weights blurred by `noise`; counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.noise = 0.0
        self.before: Callable[[Sequence[Row]], None] = lambda _rows: None

    def __call__(self, weights: Path, rows: Sequence[Row]) -> ov.Model:
        self.calls += 1
        self.before(rows)
        graph = ov.Core().read_model(str(weights))
        chance = np.random.default_rng(7)
        for node in graph.get_ops():
            if node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32 and len(node.shape) == 2:
                value = node.data + self.noise * chance.standard_normal(node.data.shape)
                node.output(0).replace(ov.opset13.constant(value.astype(np.float32)).output(0))
        return graph


@pytest.fixture
def quantizer(monkeypatch: pytest.MonkeyPatch) -> Quantizer:
    made = Quantizer()
    monkeypatch.setattr(quantize, "quantized", made)
    monkeypatch.setattr(quantize, "_nncf_version", lambda: VERSION)
    return made


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Return a file of 50 of the default texts."""
    file = tmp_path / "texts.txt"
    lines = quantize.DEFAULT_TEXTS.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[:50]), encoding="utf-8")
    return file


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(hosting._process, "cache_folder", folder)
    return folder


def load(texts: Path | None, *, floor: float = 0.99, folder: Path = CROSS_ENCODER) -> Engine:
    read = model.read_folder(folder, model.types_of(folder)[0])
    tokens = tokenization.load(folder / "tokenizer.json", pad_id=read.pad_id)
    loaded, _ = load_engine("openvino", read, tokens, EngineOptions(precision="int8", calibration=texts, min_int8_cosine=floor))

    return loaded


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "int8").iterdir())


def test_a_model_is_made_once_and_kept(quantizer: Quantizer, texts: Path, cache: Path) -> None:
    first, again = load(texts), load(texts)
    assert quantizer.calls == 1
    assert first.precision == again.precision == "int8"
    assert first.quality == again.quality
    assert first.quality is not None
    assert (first.quality.statistic, first.quality.texts) == ("correlation", 10)
    assert first.quality.value > 0.99
    assert first.folder.weights == entries(cache)[0] / "model.xml"
    assert [it.name for it in sorted(entries(cache)[0].iterdir())] == ["manifest.json", "model.bin", "model.xml"]


def test_an_embedding_model_is_measured_by_cosine(quantizer: Quantizer, texts: Path, cache: Path, model_folder: Path) -> None:
    quality = load(texts, folder=model_folder).quality
    assert quality is not None
    assert quantizer.calls == len(entries(cache)) == 1
    assert (quality.statistic, quality.texts) == ("mean_cosine", 10)
    assert 0.9999 < quality.worst <= quality.value <= 1.00001


@pytest.mark.parametrize("broken", ["cut", "longer", "gone", "no manifest", "half a manifest", "no object", "another NNCF"])
def test_an_entry_that_is_not_whole_is_made_again(quantizer: Quantizer, texts: Path, cache: Path, broken: str) -> None:
    load(texts)
    (entry,) = entries(cache)
    weights, manifest = entry / "model.bin", entry / "manifest.json"
    whole = manifest.read_text(encoding="utf-8")
    match broken:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-1])
        case "longer":
            weights.write_bytes(weights.read_bytes() + b"x")
        case "gone":
            (entry / "model.xml").unlink()
        case "no manifest":
            manifest.unlink()
        case "half a manifest":
            manifest.write_text(whole[:50], encoding="utf-8")
        case "no object":
            manifest.write_text("[]", encoding="utf-8")
        case _:
            manifest.write_text(whole.replace(VERSION, "3.5.0"), encoding="utf-8")
    assert load(texts).precision == "int8"
    assert quantizer.calls == 2
    assert entries(cache) == [entry]
    assert load(texts).quality is not None
    assert quantizer.calls == 2


def test_another_process_may_be_first(quantizer: Quantizer, texts: Path, cache: Path) -> None:
    def other_process(_rows: Sequence[Row]) -> None:
        quantizer.before = lambda _rows: None
        load(texts)

    quantizer.before = other_process
    assert load(texts).quality == load(texts).quality
    assert quantizer.calls == 2
    assert len(entries(cache)) == 1


def test_what_it_is_made_of_decides_which_it_is(quantizer: Quantizer, texts: Path, cache: Path, tmp_path: Path) -> None:
    load(texts)
    lines = texts.read_text(encoding="utf-8")
    texts.write_text(f"{lines}\nOne more.", encoding="utf-8")
    load(texts)
    folder = tmp_path / "model"
    for file in ("onnx/model.onnx", "tokenizer.json", "config.json", "tokenizer_config.json"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes((CROSS_ENCODER / file).read_bytes())
    load(texts, folder=folder)
    assert quantizer.calls == len(entries(cache)) == 2
    (folder / "onnx/model.onnx.data").write_bytes(b"other weights")
    load(texts, folder=folder)
    assert quantizer.calls == len(entries(cache)) == 3


def test_without_a_cache_it_lives_as_long_as_the_process(
    quantizer: Quantizer, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting._process, "cache_folder", None)
    monkeypatch.setattr(quantize, "_own_cache", lambda: tmp_path / "own")
    load(texts)
    load(texts)
    assert quantizer.calls == len(entries(tmp_path / "own")) == 1


def test_without_nncf_only_what_is_kept_serves(
    quantizer: Quantizer, texts: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "_nncf_version", lambda: None)
    with pytest.raises(RagbusError, match=r'python.extras = \["quantize"\]') as caught:
        load(texts)
    assert caught.value.kind == "INVALID"
    assert not cache.exists() or not (cache / "int8").exists()
    monkeypatch.setattr(quantize, "_nncf_version", lambda: VERSION)
    load(texts)
    monkeypatch.setattr(quantize, "_nncf_version", lambda: None)
    assert load(texts).precision == "int8"
    assert quantizer.calls == 1


def test_a_model_below_the_floor_does_not_serve(quantizer: Quantizer, texts: Path, cache: Path) -> None:
    quantizer.noise = 0.3
    for _ in range(2):
        with pytest.raises(RagbusError, match=r"correlation with float32 -?0\.\d{4}.*below models.min_int8_cosine 0.99") as caught:
            load(texts)
        assert caught.value.kind == "INVALID"
    assert quantizer.calls == len(entries(cache)) == 1
    assert load(texts, floor=-1).precision == "int8"


def test_a_load_is_cancelled_between_two_samples(quantizer: Quantizer, texts: Path, cache: Path) -> None:
    seen: list[int] = []

    def feed(rows: Sequence[Row]) -> None:
        for at, row in enumerate(rows):
            if at == 3:
                assert progress.read("c1")["phase"] == "quantizing"
                progress.cancel("c1")
            quantize._inputs({"input_ids": np.int64}, row)
            seen.append(at)

    quantizer.before = feed
    with pytest.raises(RagbusError) as caught, progress.of("c1", "loading"):
        load(texts)
    assert caught.value.kind == "CANCELLED"
    assert seen == [0, 1, 2]
    assert entries(cache) == []


def test_a_failure_names_the_weights(quantizer: Quantizer, texts: Path, cache: Path) -> None:
    def fail(_rows: Sequence[Row]) -> None:
        raise ValueError("no quantisable operations")

    quantizer.before = fail
    with pytest.raises(RagbusError, match=r"int8 model of .*model\.onnx: no quantisable") as caught:
        load(texts)
    assert caught.value.kind == "RUNTIME"
    assert entries(cache) == []


def test_the_bridge_tells_the_quality(quantizer: Quantizer, texts: Path, cache: Path) -> None:
    body = {"name": "ce", "path": str(CROSS_ENCODER), "type": "cross-encoder", "precision": "int8", "calibration": str(texts)}
    loaded = ask("load", **body)
    assert loaded["precision"] == "int8"
    assert loaded["quality"].keys() == {"statistic", "value", "worst", "texts"}
    ask("unload", handle=loaded["handle"])
    with pytest.raises(Failure, match=r"INVALID: .* below models.min_int8_cosine 1.5"):
        ask("load", **body, min_int8_cosine=1.5)
    plain = ask("load", **(body | {"precision": "f32"}))
    assert plain["quality"] is None
    ask("unload", handle=plain["handle"])
    assert quantizer.calls == len(entries(cache)) == 1


# Texts


def test_texts_are_taken_once_each_and_evenly(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text("\n".join(f" text {at // 2} \n" for at in range(2_000)), encoding="utf-8")
    texts = quantize.read_texts(file)
    assert len(texts) == quantize.MAX_TEXTS == 400
    assert texts[:3] == ["text 0", "text 2", "text 5"]
    assert texts[-1] == "text 997"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"\xff\n" * 50, "cannot be read as UTF-8"),
        (b"a\n\nb\na\n", "has 2 different texts, one a line; 40"),
    ],
)
def test_a_file_of_texts_that_cannot_be_used(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "texts"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RagbusError, match=reason) as caught:
        quantize.read_texts(file)
    assert caught.value.kind == "INVALID"
    assert str(caught.value).startswith(f"models.calibration {file}")


def test_a_file_of_texts_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "texts"
    file.write_text("x" * 11, encoding="utf-8")
    monkeypatch.setattr(quantize, "MAX_FILE_BYTES", 10)
    with pytest.raises(RagbusError, match="larger than 10 bytes"):
        quantize.read_texts(file)


def test_the_default_texts_are_those_of_the_script() -> None:
    script = runpy.run_path(str(Path(__file__).parents[1] / "make_calibration.py"))
    texts = quantize.read_texts(quantize.DEFAULT_TEXTS)
    assert texts == list(script["texts"]())
    assert len(texts) == quantize.MAX_TEXTS


def test_pairs_are_of_both_kinds_on_both_sides() -> None:
    texts = quantize.read_texts(quantize.DEFAULT_TEXTS)
    made = quantize.pairs(texts)
    own = [document.startswith(query) for query, document in made]
    assert [document for _, document in made] == texts
    for side in (own[:: quantize.HELD_BACK], [it for at, it in enumerate(own) if at % quantize.HELD_BACK]):
        assert 0.4 < sum(side) / len(side) < 0.6


# Comparing


def test_cosines() -> None:
    expected = np.array([[1, 0], [3, 4]], np.float32)
    got = np.array([[2, 0], [4, 3]], np.float32)
    quality = quantize.compare("embedding", expected, got)
    assert [quality.value, quality.worst] == pytest.approx([0.98, 0.96])
    assert quality.texts == 2
    assert str(quality) == "cosine to float32 0.9800 on average and 0.9600 at worst over 2 texts"


def test_scores() -> None:
    expected = np.array([[1], [2], [3], [4]], np.float32)
    quality = quantize.compare("cross-encoder", expected, 2 * expected + 1)
    assert [quality.value, quality.worst] == pytest.approx([1, 5])
    assert quantize.compare("cross-encoder", expected, -expected).value == pytest.approx(-1)
    assert quantize.compare("cross-encoder", expected, np.ones_like(expected)).value == 0


# With NNCF itself


def test_external_data_in_the_cache_of_the_hub_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There both files are links into one folder of blobs, out of the folder of the model."""
    folder, blobs = with_outside(tmp_path / "snapshots" / "abc", "model.onnx_data"), tmp_path / "blobs"
    WEIGHTS.tofile(folder / "onnx" / "model.onnx_data")
    blobs.mkdir()
    for file in list((folder / "onnx").iterdir()):
        file.rename(blobs / file.name)
        file.symlink_to(blobs / file.name)
    nncf = MagicMock()
    nncf.quantize = lambda graph, *_arguments, **_options: graph
    for name, module in (("nncf", nncf), ("rich", MagicMock())):
        monkeypatch.setitem(sys.modules, name, module)
    graph = quantize.quantized(folder / "onnx" / "model.onnx", [])
    constants = [it.data.ravel().tolist() for it in graph.get_ops() if it.get_type_name() == "Constant" and it.data.size == 8]
    assert constants == [WEIGHTS.tolist()]


@pytest.mark.torch
def test_nncf_keeps_the_golden_vectors(cache: Path, model_folder: Path) -> None:
    golden = json.loads((GOLDEN / "all-minilm-l6-v2.json").read_bytes())["items"]
    engine = load(None, folder=model_folder)
    assert engine.quality is not None
    assert engine.quality.value >= 0.99
    assert engine.packs
    assert (engine.folder.weights.parent / "model.bin").stat().st_size < 30_000_000
    rows = tokenization.rows_of_texts(engine.tokens, [it["text"] for it in golden], tokenization.Cut(engine.folder.max_tokens))
    expected = np.array([np.frombuffer(base64.b64decode(it["vector"]), "<f4") for it in golden])
    reached = quantize.compare("embedding", expected, quantize.outputs_of(engine, rows))
    assert reached.value >= 0.985  # 0.990: they are odd texts, empty ones, symbols, many scripts; paragraphs reach 0.998
    wide = [row for row in rows if len(row.ids) == 32]  # as wide as an attention head: see `quantize._products`
    assert wide
    plain = np.array([expected[row.text] for row in wide])
    assert quantize.compare("embedding", plain, quantize.outputs_of(engine, wide)).worst >= 0.95
    assert len(entries(cache)) == 1


@pytest.mark.torch
def test_nncf_is_cancelled_between_two_samples(cache: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    inputs = quantize._inputs

    def counting(wanted: dict[str, Any], row: Row) -> dict[str, Any]:
        seen.append(row.text)
        if len(seen) == 5:
            progress.cancel("c2")
        return inputs(wanted, row)

    monkeypatch.setattr(quantize, "_inputs", counting)
    with pytest.raises(RagbusError) as caught, progress.of("c2", "loading"):
        load(texts)
    assert caught.value.kind == "CANCELLED"
    assert len(seen) == 5
    assert entries(cache) == []


_TRAPPED = """
import socket, sys
def refuse(*args):
    print("CONNECTION", args)
    raise OSError("trapped")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = socket.getaddrinfo = refuse
from pathlib import Path
from ragbus import model, quantize, tokenization
folder = model.read_folder(Path(sys.argv[1]), "cross-encoder")
tokens = tokenization.load(folder.folder / "tokenizer.json", pad_id=folder.pad_id)
quantize.quantized(folder.weights, quantize._samples(folder, tokens, None).calibrated[:8])
import nncf.telemetry.wrapper
print(type(nncf.telemetry.wrapper.telemetry).__name__)
"""


@pytest.mark.torch
def test_nncf_tells_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ran = subprocess.run(
        [sys.executable, "-c", _TRAPPED, str(CROSS_ENCODER)], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.stdout.splitlines() == ["MagicMock"], ran.stderr
    assert list(tmp_path.rglob("*telemetry*")) == []
