# SPDX-License-Identifier: Apache-2.0
"""The seam: buffers, failures as values, threads, and models that go while they run."""

from __future__ import annotations

import gc
import json
import queue
import random
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import CROSS_ENCODER, Failure, Lane, ask

from ragbus import bridge, hosting, registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError(), ValueError("é \ud83d 😀")])
def test_nothing_leaves_the_bridge(error: BaseException, monkeypatch: pytest.MonkeyPatch, lane: Lane) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise error

    monkeypatch.setitem(bridge._OPERATIONS, "ping", fail)
    monkeypatch.setattr(registry, "get", fail)
    ok, reply = bridge.call("ping", None)
    assert ok is False
    count = lane.put(["a"])
    for failure in (
        reply,
        bridge.forward(1, 1, 1, 1, 1),
        bridge.tokenize(1, count, pair=False, max_tokens=0, max_chunks=1, truncate_left=False),
    ):
        assert isinstance(failure, bytes)
        assert json.loads(failure)["type"] == type(error).__name__


def test_bind_refuses_what_is_no_array() -> None:
    failure = bridge.bind(None, None, None)  # type: ignore[arg-type]
    assert failure is not None
    assert json.loads(failure)["type"] == "AttributeError"
    Lane()


def test_unknown_operations_and_bodies() -> None:
    with pytest.raises(Failure, match="INVALID: operation 'nope' is not one of start, load"):
        ask("nope")
    ok, reply = bridge.call("ping", b"[1]")
    assert (ok, json.loads(reply)["kind"]) == (False, "INVALID")
    ok, reply = bridge.call("ping", b"{")
    assert (ok, json.loads(reply)["kind"]) == (False, "SERIALIZATION")
    with pytest.raises(Failure, match="unexpected keyword argument 'extra'"):
        ask("ping", extra=1)


def test_ping_stats_collect(embedder: dict[str, Any]) -> None:
    assert ask("ping") == {"thread": "MainThread"}
    with ThreadPoolExecutor(1) as lane_thread:
        assert lane_thread.submit(ask, "enter", thread="lane-0", niceness=0).result() == {}
        assert lane_thread.submit(ask, "ping").result() == {"thread": "lane-0"}
    stats = ask("stats")
    assert {"handle": embedder["handle"], "name": "m", "memory_bytes": embedder["memory_bytes"]} in stats["models"]
    assert stats["resident_bytes"] > 50_000_000
    assert stats["allocated_blocks"] > 0
    loop: list[Any] = []
    loop.append(loop)
    del loop
    collected = ask("collect")
    assert collected["collected"] > 0
    assert collected["resident_bytes_after"] > 0


def test_what_load_says(embedder: dict[str, Any], reranker: dict[str, Any]) -> None:
    assert embedder["memory_bytes"] >= 90_000_000
    said = {
        key: embedder[key] for key in ("type", "dimensions", "outputs", "max_tokens", "pad_id", "vocab_size", "engine", "precision")
    }
    assert said == {
        "type": "embedding", "dimensions": 384, "outputs": 384, "max_tokens": 256, "pad_id": 0, "vocab_size": 30_522,
        "engine": "openvino", "precision": "f32",
    }  # fmt: skip
    assert (embedder["normalize"], embedder["activation"], embedder["labels"], embedder["device"]) == (True, None, None, "cpu")
    assert (reranker["dimensions"], reranker["outputs"], reranker["max_tokens"]) == (None, 1, 96)
    assert (reranker["normalize"], reranker["activation"], reranker["labels"]) == (False, "sigmoid", ["LABEL_0"])


def test_bad_utf8_and_too_small_buffers(embedder: dict[str, Any], lane: Lane) -> None:
    with pytest.raises(Failure, match="SERIALIZATION: a text is no UTF-8"):
        lane.tokenize(embedder["handle"], ["fine", b"\xff\xfe"])
    lane.ints[0] = lane.bytes.size + 1
    failure = bridge.tokenize(embedder["handle"], 1, pair=False, max_tokens=0, max_chunks=1, truncate_left=False)
    assert isinstance(failure, bytes)
    assert json.loads(failure)["kind"] == "RUNTIME"
    for rows, width in ((1, lane.ints.size), (5_000, 1)):
        refused = bridge.forward(embedder["handle"], rows, rows, width, 1)
        assert refused is not None
        assert json.loads(refused)["kind"] == "RUNTIME"


def test_unknown_handles(lane: Lane) -> None:
    assert ask("unload", handle=10**6) == {}
    with pytest.raises(Failure, match="MODEL_NOT_FOUND"):
        lane.tokenize(10**6, ["a"])


def test_padding_and_neighbours_change_nothing(embedder: dict[str, Any], lane: Lane) -> None:
    texts = ["one", "a longer text about the price of fish in the harbour", ""]
    alone = np.concatenate([lane.embed(embedder, [text]) for text in texts])
    np.testing.assert_allclose(lane.embed(embedder, texts), alone, atol=2e-6)
    np.testing.assert_allclose(lane.embed(embedder, texts, pad=37), alone, atol=2e-6)


def test_dimensions_and_flags(embedder: dict[str, Any], lane: Lane) -> None:
    raw = lane.embed(embedder, ["some text"], flags=0)
    assert np.linalg.norm(raw) > 1.5
    sliced = lane.embed(embedder, ["some text"], dimensions=64)
    np.testing.assert_allclose(sliced[0, :64], raw[0, :64] / np.linalg.norm(raw[0, :64]), atol=1e-6)
    assert not sliced[0, 64:].any()
    with pytest.raises(Failure, match="TYPE_CONVERSION: dimensions 385"):
        lane.embed(embedder, ["some text"], dimensions=385)


def test_two_threads_at_once(embedder: dict[str, Any], reranker: dict[str, Any], lane: Lane) -> None:
    texts = [f"text number {number} {'and more ' * number}" for number in range(12)]
    vectors = lane.embed(embedder, texts)
    scores = lane.forward(reranker, lane.tokenize(reranker["handle"], texts, pair=True))
    together = threading.Barrier(2)

    def work(seed: int) -> None:
        own = Lane()
        order = np.random.default_rng(seed)
        together.wait()
        for _ in range(6):
            some = order.permutation(12)[: order.integers(1, 6)]
            np.testing.assert_allclose(own.embed(embedder, [texts[at] for at in some]), vectors[some], atol=2e-6)
            pairs = own.tokenize(reranker["handle"], texts, pair=True)
            np.testing.assert_allclose(own.forward(reranker, pairs), scores, atol=1e-5)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))


def test_a_model_unloaded_while_it_runs_runs_to_its_end(
    load: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, lane: Lane
) -> None:
    model = load(type="cross-encoder", path=str(CROSS_ENCODER), lanes=1)
    tokens = lane.tokenize(model["handle"], ["query", "one", "two"], pair=True)
    expected = lane.forward(model, tokens)
    engine_type = type(registry.get(model["handle"]).engine)
    run = engine_type.forward

    def unload_within(self: Any, *args: Any, **options: Any) -> Any:
        ask("unload", handle=model["handle"])
        return run(self, *args, **options)

    monkeypatch.setattr(engine_type, "forward", unload_within)
    np.testing.assert_array_equal(lane.forward(model, tokens), expected)
    with pytest.raises(Failure, match="MODEL_NOT_FOUND"):
        lane.forward(model, tokens)


def test_memory_is_given_back_every_so_many_passes(embedder: dict[str, Any], lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[int] = []
    monkeypatch.setattr(hosting, "trim", lambda: trims.append(1))
    monkeypatch.setattr(bridge, "_PASSES_A_TRIM", 4)
    for _ in range(8):
        lane.embed(embedder, ["short"])
    assert len(trims) == 2


def test_buffers_may_grow(embedder: dict[str, Any]) -> None:
    first = Lane(size=16)
    before = first.embed(embedder, ["short"])
    second = Lane(size=64)
    np.testing.assert_array_equal(second.embed(embedder, ["short"]), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "abacus"}, "INVALID: engine 'abacus' is not one of auto, openvino, onnx, torch"),
        ({"engine": "torch"}, r"INVALID: engine 'torch' has no weights in .*, which has none of model\.safetensors"),
        ({"precision": "f16"}, "INVALID: precision 'f16' is not one of auto, f32, bf16, int8"),
        ({"device": "abacus"}, "INVALID: device 'abacus' is not one of auto, cpu"),
        ({"type": "teapot"}, "INVALID: Unknown model type: teapot"),
        ({"pooling": "sum"}, "INVALID: pooling 'sum' is not one of mean"),
        ({"max_tokens": 513}, "INVALID: max_tokens 513: this model has 1 to 512 positions"),
        ({"type": "cross-encoder"}, "INVALID: .*modules.json needs Normalize, Pooling"),
        ({"path": "no/such/folder"}, "MODEL_NOT_FOUND: no/such/folder is no folder"),
        ({"path": str(CROSS_ENCODER)}, "TYPE_CONVERSION: .*gives no token vectors: it is no embedding model"),
    ],
)
def test_options_that_cannot_be_had(options: dict[str, Any], message: str, model_folder: Path) -> None:
    before = len(registry.loaded())
    with pytest.raises(Failure, match=message):
        ask("load", **({"name": "m", "path": str(model_folder)} | options))
    assert len(registry.loaded()) == before


def test_importing_the_bridge_imports_nothing_heavy() -> None:
    heavy = ["openvino", "huggingface_hub", "tokenizers", "urllib.request"]
    script = f"import sys, ragbus.bridge; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_openvino_starts_no_process() -> None:
    script = (
        "import multiprocessing.process as p, ragbus, time\n"
        "p.BaseProcess.start = lambda self: print('started', flush=True)\n"
        "import openvino, concurrent.futures.thread as t\n"
        "t._python_exit()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_only_the_run_that_was_meant_is_cancelled(embedder: dict[str, Any]) -> None:
    """Some 500 runs on two lanes, cancelled at random moments; the others come to what they always come to."""
    texts = [["one"], ["two and two", "three"], ["four " * 20]]
    own = Lane()
    expected = [own.embed(embedder, each) for each in texts]
    started: queue.Queue[int] = queue.Queue()
    meant: set[int] = set()
    hit: list[tuple[int, str]] = []

    def work(seed: int) -> None:
        lane, randoms = Lane(), random.Random(seed)
        for run in range(seed * 1_000, seed * 1_000 + 250):
            which = randoms.randrange(len(texts))
            tokens = lane.tokenize(embedder["handle"], texts[which])
            started.put(run)
            try:
                vectors = lane.forward(embedder, tokens, run=run)
            except Failure as failure:
                hit.append((run, failure.kind))
            else:
                np.testing.assert_allclose(vectors, expected[which], atol=1e-6)
        started.put(-1)

    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(work, seed) for seed in (1, 2)]
        randoms, ended = random.Random(3), 0
        while ended < len(workers):
            run = started.get()
            ended += run == -1
            if run > 0 and randoms.random() < 0.5:
                meant.add(run)
                ask("cancel_run", run=run)
        for worker in workers:
            worker.result()
    assert {kind for _, kind in hit} <= {"CANCELLED"}
    assert {run for run, _ in hit} <= meant
    assert not bridge._runs
    assert ask("cancel_run", run=1_000) == {"found": False}


def test_a_long_run_is_cut(embedder: dict[str, Any], lane: Lane) -> None:
    short = lane.embed(embedder, ["short"])
    tokens = lane.tokenize(embedder["handle"], ["word " * 400] * 200)

    def cancel() -> None:
        while not ask("cancel_run", run=-7)["found"]:
            time.sleep(0.001)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(Failure, match="CANCELLED"):
        lane.forward(embedder, tokens, run=-7)
    canceller.join()
    np.testing.assert_allclose(lane.embed(embedder, ["short"]), short, atol=1e-6)


def test_an_unloaded_model_is_gone_with_the_last_that_ran_it() -> None:
    model = ask("load", name="gone", type="cross-encoder", path=str(CROSS_ENCODER), lanes=2)
    engine = weakref.ref(registry.get(model["handle"]).engine)

    def run() -> None:
        own = Lane()
        own.forward(model, own.tokenize(model["handle"], ["query", "one"], pair=True))

    gc.disable()
    try:
        with ThreadPoolExecutor(2) as lanes:
            for done in [lanes.submit(run) for _ in range(2)]:
                done.result()
            ask("unload", handle=model["handle"])
            assert engine() is None
            with pytest.raises(Failure, match="MODEL_NOT_FOUND"):
                lanes.submit(run).result()
    finally:
        gc.enable()


def test_buffers_are_taken_all_or_none(lane: Lane) -> None:
    no_bytes: Any = "no buffer"
    failure = bridge.bind(np.zeros(9, np.int32), np.zeros(9, np.float32), no_bytes)
    assert failure is not None
    assert (bridge._lane.ints.size, bridge._lane.floats.size) == (lane.ints.size, lane.floats.size)
