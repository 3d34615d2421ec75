# SPDX-License-Identifier: Apache-2.0
"""One contract for every engine: the same models, texts and golden values of sentence-transformers on torch.

The torch part needs the extra `torch` and is run by `-m torch`.
"""

from __future__ import annotations

import base64
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import CROSS_ENCODER, GOLDEN, Failure, Lane, ask

from ragbus import pooling, registry
from ragbus.errors import RagbusError
from ragbus.model import ENGINE_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ragbus.engines import Engine

FAMILIES = GOLDEN / "families"
GRAPHS = ["openvino", "onnx"]
TORCH = pytest.param("torch", marks=pytest.mark.torch)
EMBEDDERS = (
    "bert",
    "bert-untyped",
    "bert-max-sqrt",
    "bert-dense",
    "roberta",
    "xlm-roberta",
    "mpnet",
    "distilbert",
    "modernbert",
)
CROSS_ENCODERS = ("cross-encoder-raw", "cross-encoder-labels")


@pytest.fixture(scope="module", params=[*GRAPHS, TORCH])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=GRAPHS)
def graph_engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def families() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((GOLDEN / "families.json").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def family(engine: str) -> Iterator[Callable[..., dict[str, Any]]]:
    """Return a function that loads a tiny model on this engine, in float32."""
    loaded: dict[str, dict[str, Any]] = {}

    def load_once(name: str, **options: Any) -> dict[str, Any]:
        type_ = "cross-encoder" if name.startswith("cross-encoder") else "embedding"
        body = {"name": name, "path": str(FAMILIES / name), "type": type_, "engine": engine, "precision": "f32"} | options
        key = json.dumps(body)
        if key not in loaded:
            loaded[key] = ask("load", **body)
        return loaded[key]

    yield load_once
    for model in loaded.values():
        ask("unload", handle=model["handle"])


def unpacked(rows: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(rows["values"]), "<f4").reshape(rows["shape"])


def cosines(a: Any, b: Any) -> Any:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("name", EMBEDDERS)
def test_vectors_of_every_family(name: str, family: Callable[..., Any], families: dict[str, Any], lane: Lane) -> None:
    model, expected = family(name), families["families"][name]
    tokens = lane.tokenize(model["handle"], families["texts"])
    assert tokens.ids == expected["ids"]
    vectors = unpacked(expected["vectors"])
    rows = lane.forward(model, tokens, flags=int(model["normalize"]))
    assert cosines(rows, vectors).min() >= 0.99999
    np.testing.assert_allclose(rows, vectors, atol=1e-4 * np.abs(vectors).max())
    padded = lane.embed(model, families["texts"][:3], flags=int(model["normalize"]), pad=9)
    np.testing.assert_allclose(padded, rows[:3], atol=1e-4 * np.abs(vectors).max())
    assert (model["outputs"], model["dimensions"]) == (vectors.shape[1], vectors.shape[1])


@pytest.mark.parametrize("name", EMBEDDERS)
def test_dimensions_are_cut_and_then_normalised(
    name: str, family: Callable[..., Any], families: dict[str, Any], lane: Lane
) -> None:
    model, half = family(name), unpacked(families["families"][name]["half"])
    rows = lane.embed(model, families["texts"], dimensions=half.shape[1])
    np.testing.assert_allclose(rows[:, : half.shape[1]], half, atol=1e-5)
    assert not rows[:, half.shape[1] :].any()


@pytest.mark.parametrize("name", EMBEDDERS)
def test_prompts_stand_before_the_text(name: str, family: Callable[..., Any], families: dict[str, Any], lane: Lane) -> None:
    model = family(name)
    assert model["prompts"] == families["prompts"]
    texts = [model["prompts"]["query"] + text for text in families["texts"][:3]]
    rows = lane.embed(model, texts, flags=int(model["normalize"]))
    assert cosines(rows, unpacked(families["families"][name]["prompted"])).min() >= 0.99999


@pytest.mark.parametrize("name", CROSS_ENCODERS)
def test_scores_of_cross_encoders(name: str, family: Callable[..., Any], families: dict[str, Any], lane: Lane) -> None:
    model, expected = family(name), families["families"][name]
    tokens = lane.tokenize(model["handle"], [families["query"], *families["texts"]], pair=True)
    assert tokens.ids == expected["ids"]
    raw, scores = unpacked(expected["raw"]), unpacked(expected["scores"])
    assert (model["outputs"], model["dimensions"]) == (raw.shape[1], None)
    np.testing.assert_allclose(lane.forward(model, tokens, flags=0), raw, atol=1e-4)
    np.testing.assert_allclose(lane.forward(model, tokens, flags=1), scores, atol=1e-4)


def test_the_tiny_models_tell_texts_apart(families: dict[str, Any]) -> None:
    for name in EMBEDDERS:
        vectors = unpacked(families["families"][name]["vectors"])
        alike = vectors @ vectors.T / np.outer(*2 * [np.linalg.norm(vectors, axis=1)])
        assert alike.min() < 0.9
    for name in CROSS_ENCODERS:
        assert np.ptp(unpacked(families["families"][name]["raw"]), axis=0).min() > 0.5


def test_truncation_from_either_end(family: Callable[..., Any], families: dict[str, Any], lane: Lane) -> None:
    model = family("bert")
    long = max(families["texts"], key=len)
    right = lane.tokenize(model["handle"], [long], most=9)
    left = lane.tokenize(model["handle"], [long], most=9, left=True)
    assert (right.length, left.length) == ([9], [9])
    assert right.ids != left.ids
    assert right.total == left.total == lane.tokenize(model["handle"], [long]).total
    assert cosines(lane.forward(model, right), lane.forward(model, left)).max() < 0.999


def test_windows_of_a_long_document(family: Callable[..., Any], families: dict[str, Any], lane: Lane) -> None:
    model = family("cross-encoder-raw")
    long = max(families["texts"], key=len)
    rows = lane.tokenize(model["handle"], [families["query"], "refund", long], pair=True, chunks=3)
    assert rows.text == [0, 1, 1, 1]
    assert [total > length for total, length in zip(rows.total, rows.length, strict=True)] == [False, False, False, True]
    every = lane.tokenize(model["handle"], [families["query"], long], pair=True, chunks=50)
    assert every.total == every.length
    alone = [lane.forward(model, lane.tokenize(model["handle"], [families["query"], "refund"], pair=True))]
    np.testing.assert_allclose(lane.forward(model, rows)[:1], alone[0], atol=1e-5)


def test_precision_auto_is_close(engine: str, families: dict[str, Any], lane: Lane) -> None:
    model = ask("load", name="auto", path=str(FAMILIES / "bert"), engine=engine)
    assert model["precision"] in {"f32", "bf16"}
    rows = lane.embed(model, families["texts"])
    assert cosines(rows, unpacked(families["families"]["bert"]["vectors"])).min() >= 0.999
    ask("unload", handle=model["handle"])


def test_lanes_run_side_by_side(family: Callable[..., Any], families: dict[str, Any]) -> None:
    model = family("roberta", lanes=4)
    expected = unpacked(families["families"]["roberta"]["vectors"])

    def work(at: int) -> None:
        lane = Lane()
        for turn in range(10):
            first = (at + turn) % 6
            rows = lane.embed(model, families["texts"][first : first + 1 + turn % 4])
            np.testing.assert_allclose(rows, expected[first : first + 1 + turn % 4], atol=1e-4)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def run(runs: Engine, rows: int, width: int) -> Any:
    """Run a batch of rows that are alike."""
    table, out = pooling.table_of([width] * rows, width, flags=1), np.zeros((rows, runs.outputs), np.float32)
    runs.finish(runs.forward(np.full((rows, width), 30, np.int32), table, out), table, out)
    return out


def test_a_cancel_before_and_after_a_run(family: Callable[..., Any], engine: str) -> None:
    runs = registry.get(family("bert")["handle"]).engine
    expected = run(runs, 2, 16)
    late = runs.cancellation()
    np.testing.assert_array_equal(run(runs, 2, 16), expected)
    late()
    runs.cancellation()()
    if engine != "torch":  # which has no way to end a run
        with pytest.raises(RagbusError, match="the run was cancelled"):
            run(runs, 2, 16)
    np.testing.assert_array_equal(run(runs, 2, 16), expected)


def test_a_run_is_ended_in_its_middle(graph_engine: str, load: Callable[..., Any], lane: Lane) -> None:
    model = load(engine=graph_engine)
    runs = registry.get(model["handle"]).engine
    expected = lane.embed(model, ["one", "two and three"])
    timer = threading.Timer(1.5, runs.cancellation())
    timer.start()
    with pytest.raises(RagbusError, match=r"the run was cancelled$") as failure:
        run(runs, 512, 256)  # some ten seconds of work
    assert failure.value.kind == "CANCELLED"
    timer.join()
    for _ in range(4):
        np.testing.assert_array_equal(lane.embed(model, ["one", "two and three"]), expected)


def test_all_minilm(engine: str, load: Callable[..., Any], model_folder: Path, lane: Lane, golden: dict[str, Any]) -> None:
    if not any((model_folder / name).is_file() for name in ENGINE_FILES[engine]):
        pytest.skip(f"{model_folder} has no weights for {engine}")
    model = load(engine=engine)
    texts = [item["text"] for item in golden["items"]]
    vectors = np.concatenate([lane.embed(model, texts[start : start + 8]) for start in range(0, len(texts), 8)])
    assert cosines(vectors, golden["vectors"]).min() >= 0.99999


@pytest.mark.parametrize("number", [0, 1])
def test_the_golden_cross_encoder(
    number: int, graph_engine: str, load: Callable[..., Any], lane: Lane, golden_scores: dict[str, Any]
) -> None:
    model, expected = load(engine=graph_engine, type="cross-encoder", path=str(CROSS_ENCODER)), golden_scores["queries"][number]
    tokens = lane.tokenize(model["handle"], [expected["query"], *golden_scores["documents"]], pair=True)
    np.testing.assert_allclose(lane.forward(model, tokens)[:, 0], expected["sigmoid"], atol=1e-4)
    np.testing.assert_allclose(lane.forward(model, tokens, flags=0)[:, 0], expected["raw"], atol=1e-4)


@pytest.mark.torch
def test_safetensors_that_lack_weights_are_refused(tmp_path: Path, lane: Lane) -> None:
    from safetensors.numpy import load_file, save_file

    def without(part: str) -> str:
        folder = Path(shutil.copytree(FAMILIES / "bert", tmp_path / part))
        tensors = load_file(folder / "model.safetensors")
        kept = {name: value for name, value in tensors.items() if part not in name}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})
        return str(folder)

    with pytest.raises(
        Failure, match=r"RUNTIME: .*model\.safetensors lacks .* weights, such as encoder\.layer\.0\.attention\.output"
    ):
        ask("load", name="m", path=without("layer.0.attention.output"), engine="torch")
    model = ask("load", name="m", path=without("pooler"), engine="torch")  # which no embedding is made of
    assert np.isfinite(lane.embed(model, ["refund"])).all()
    ask("unload", handle=model["handle"])
