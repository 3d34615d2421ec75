# SPDX-License-Identifier: Apache-2.0
"""Graphs of several shapes: with and without type ids, several poolings, IR, and files that are broken."""

from __future__ import annotations

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import pytest
from conftest import CROSS_ENCODER, Failure, Lane, ask
from openvino import opset13 as op

from ragbus import pooling, registry
from ragbus.engines import openvino as engine_module
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HIDDEN = 6


def graph(*inputs: str, outputs: tuple[str, ...] = ("last_hidden_state",), kind: Any = np.int64) -> ov.Model:
    """Return a model whose token vectors are [id, mask, type, position, 1, -id] at every token."""
    named = {name: op.parameter(ov.PartialShape([-1, -1]), kind, name=name) for name in inputs}
    for name, parameter in named.items():
        parameter.output(0).set_names({name})
    ids = op.convert(named["input_ids"], "f32")
    one = op.add(op.multiply(ids, np.float32(0)), np.float32(1))
    mask = op.convert(named["attention_mask"], "f32") if "attention_mask" in named else one
    types = op.convert(named["token_type_ids"], "f32") if "token_type_ids" in named else one
    position = op.cum_sum(one, np.int32(1))
    columns = [op.unsqueeze(column, np.int32(2)) for column in (ids, mask, types, position, one, op.negative(ids))]
    hidden = op.concat(columns, 2)
    made = {
        "last_hidden_state": lambda: hidden,
        "token_embeddings": lambda: op.multiply(hidden, np.float32(2)),
        "sentence_embedding": lambda: op.reduce_mean(hidden, np.array([1], np.int32)),
        "logits": lambda: op.reduce_mean(hidden, np.array([1], np.int32)),
    }
    results = []
    for name in outputs:
        result = op.result(made[name]())
        result.output(0).set_names({name})
        results.append(result)
    return ov.Model(results, list(named.values()), "made")


@pytest.fixture
def save(tmp_path: Path) -> Callable[[ov.Model], str]:
    """Return a function that lays a model folder out in OpenVINO's own format."""

    def save_to(model: ov.Model, **config: Any) -> str:
        (tmp_path / "openvino").mkdir()
        ov.save_model(model, str(tmp_path / "openvino" / "openvino_model.xml"), compress_to_fp16=False)
        shutil.copy(CROSS_ENCODER / "tokenizer.json", tmp_path)
        (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 96} | config), encoding="utf-8")
        return str(tmp_path)

    return save_to


ALL = ("input_ids", "attention_mask", "token_type_ids")


@pytest.mark.parametrize("inputs", [ALL, ALL[:2], ALL[:1]], ids=len)
@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_ir_with_the_inputs_it_has(inputs: tuple[str, ...], kind: Any, save: Callable[..., str], lane: Lane) -> None:
    model = ask("load", name="made", path=save(graph(*inputs, kind=kind)), precision="f32", pooling="max")
    assert (model["outputs"], model["normalize"]) == (HIDDEN, False)
    tokens = lane.tokenize(model["handle"], ["refund policy", "refund"])
    rows = lane.forward(model, tokens, flags=0)
    for row, length, ids in zip(rows, tokens.length, tokens.ids, strict=True):
        types = 0 if len(inputs) == 3 else 1
        assert row.tolist() == [max(ids), 1, types, length, 1, -min(ids)]
    ask("unload", handle=model["handle"])


def test_type_ids_follow_the_boundary(save: Callable[..., str], lane: Lane) -> None:
    model = ask("load", name="made", path=save(graph(*ALL)), precision="f32", pooling="mean")
    engine = registry.get(model["handle"]).engine
    out = np.zeros((3, HIDDEN), np.float32)
    table = pooling.table_of([4, 4, 2], 5, [4, 1, 0])
    engine.finish(engine.forward(np.full((3, 5), 7, np.int32), table, out), table, out)
    np.testing.assert_allclose(out[:, :3], np.array([[7, 1, 0], [7, 1, 0.75], [7, 1, 1]]))
    ask("unload", handle=model["handle"])
    assert lane is not None


def test_token_vectors_are_found_among_several_outputs(save: Callable[..., str], lane: Lane) -> None:
    outputs = ("sentence_embedding", "last_hidden_state", "token_embeddings")
    model = ask("load", name="made", path=save(graph(*ALL, outputs=outputs)), precision="f32")
    assert lane.embed(model, ["refund"], flags=0)[0, 4] == 1
    ask("unload", handle=model["handle"])


def test_several_labels_are_not_activated_by_default(save: Callable[..., str], lane: Lane) -> None:
    path = save(graph(*ALL, outputs=("logits",)), id2label={str(at): f"label {at}" for at in range(HIDDEN)})
    model = ask("load", name="made", type="cross-encoder", path=path, precision="f32")
    assert (model["activation"], model["outputs"]) == ("identity", HIDDEN)
    assert model["labels"] == [f"label {at}" for at in range(HIDDEN)]
    tokens = lane.tokenize(model["handle"], ["refund", "refund"], pair=True)
    assert lane.forward(model, tokens)[0, 4] == 1
    ask("unload", handle=model["handle"])


def test_an_unknown_input_is_named(save: Callable[..., str]) -> None:
    with pytest.raises(Failure, match=r"INVALID: .*openvino_model.xml wants the input pixel_values"):
        ask("load", name="made", path=save(graph("input_ids", "pixel_values")))


def run(engine: Any, rows: int, width: int, *, alone: bool = False) -> Any:
    """Run a batch of rows that are alike."""
    table = pooling.table_of([width] * rows, width, flags=1)
    out = np.zeros((rows, engine.outputs), np.float32)
    engine.finish(engine.forward(np.full((rows, width), 2000, np.int32), table, out, alone=alone), table, out)
    return out


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_run_that_is_alone_comes_to_the_same(precision: str, load: Callable[..., Any]) -> None:
    engine: Any = registry.get(load(precision=precision)["handle"]).engine
    assert engine.graph_alone is not engine.graph
    for rows, width in ((1, 8), (3, 40), (1, 256)):
        beside, alone = run(engine, rows, width), run(engine, rows, width, alone=True)
        np.testing.assert_allclose(alone, beside, atol=1e-6 if precision == "f32" else 4e-3)


def test_one_lane_and_large_models_have_one_graph(load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    single: Any = registry.get(load(lanes=1)["handle"]).engine
    assert single.graph_alone is single.graph
    monkeypatch.setattr(engine_module, "_BYTES_TWICE", range(1 << 20))
    large: Any = registry.get(load(name="large")["handle"]).engine
    assert large.graph_alone is large.graph
    np.testing.assert_array_equal(run(large, 1, 8, alone=True), run(large, 1, 8))


def test_half_the_weights_in_bfloat16_lose_nothing_of_it(load: Callable[..., Any], lane: Lane) -> None:
    texts = ["refund policy", "How tall is Mont Blanc?", "word " * 60]
    exact, less = lane.embed(load(), texts), lane.embed(load(precision="bf16"), texts)
    assert (exact * less).sum(axis=1).min() > 0.9998


LONG = 512, 256  # some ten seconds of work


def ready_to_end_runs(load: Callable[..., Any]) -> Any:
    """Load; runs may be ended from their begin on, however long this machine took to compile the model."""
    engine: Any = registry.get(load()["handle"]).engine
    engine.graph._compile_seconds = engine.graph_alone._compile_seconds = 0.0
    return engine


def test_a_run_is_ended_and_nobody_else_is_harmed(load: Callable[..., Any]) -> None:
    engine = ready_to_end_runs(load)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        expected = first.submit(run, engine, 2, 16).result()
        cancel = first.submit(engine.cancellation).result()
        cut = first.submit(run, engine, *LONG)
        beside = second.submit(run, engine, 2, 16)
        cancel()  # before it begins, while it may not yet be ended, or while it may
        with pytest.raises(RagbusError, match="the run was cancelled") as failure:
            cut.result()
        assert failure.value.kind == "CANCELLED"
        np.testing.assert_array_equal(beside.result(), expected)
        for lane in (first, second) * 3:  # the shape of before, on every stream: nothing of the long run is left there
            np.testing.assert_array_equal(lane.submit(run, engine, 2, 16).result(), expected)


@pytest.mark.parametrize("alone", [False, True])
def test_a_run_is_ended_in_its_middle(alone: bool, load: Callable[..., Any]) -> None:
    engine = ready_to_end_runs(load)
    expected = run(engine, 2, 16, alone=alone)
    cancel = engine.cancellation()
    timer = threading.Timer(1.5, cancel)
    timer.start()
    with pytest.raises(RagbusError, match=r"the run was cancelled$"):
        run(engine, *LONG, alone=alone)
    timer.join()
    for _ in range(4):
        np.testing.assert_array_equal(run(engine, 2, 16, alone=alone), expected)
    cancel()  # of a run that has ended
    np.testing.assert_array_equal(run(engine, 2, 16, alone=alone), expected)


@pytest.mark.parametrize(("lanes", "ends_infer"), [(1, False), (2, True)])
def test_cancel_always_ends_start_async_and_infer_only_with_several_lanes(
    lanes: int, ends_infer: bool, load: Callable[..., Any]
) -> None:
    """Why runs are begun apart and waited for; where this fails, `infer` may do."""
    handle = load(lanes=lanes, name="cancelled")["handle"]  # whose graph is left as no other test wants it
    request = registry.get(handle).engine.graph._compiled.create_infer_request()  # type: ignore[attr-defined]
    ids, table = np.full((32, 128), 2000, np.int32), pooling.table_of([128] * 32, 128)
    lane = engine_module._Request(request)
    lane.feed(ids, table)
    started = time.monotonic()
    request.infer()
    timer = threading.Timer((time.monotonic() - started) / 4, request.cancel)
    timer.start()
    with pytest.raises(RuntimeError, match="canceled") if ends_infer else nullcontext():
        request.infer()
    timer.join()
    request.start_async()
    request.cancel()
    with pytest.raises(RuntimeError, match="canceled"):
        request.wait()


class Compiled:
    """A compiled model whose runs are over at once, or last until they are ended."""

    def __init__(self, *, endless: bool) -> None:
        self.endless, self.patience_millis = endless, 0
        self.ended = threading.Event()

    def create_infer_request(self) -> Compiled:
        return Compiled(endless=self.endless)

    def set_input_tensor(self, _at: int, _tensor: ov.Tensor) -> None: ...

    def start_async(self) -> None: ...

    def wait_for(self, millis: int) -> bool:
        self.patience_millis = max(millis, self.patience_millis)
        return not self.endless or self.ended.wait(millis / 1000)

    def wait(self) -> None:
        if self.ended.is_set():
            raise RuntimeError("cancelled")

    def cancel(self) -> None:
        self.ended.set()

    def get_output_tensor(self, _at: int) -> Any:
        return ov.Tensor(np.zeros(1, np.float32))


def test_runs_that_are_ended_have_the_model_compiled_anew_once_and_not_soon_again() -> None:
    made: list[Compiled] = []

    def compile_model() -> Any:
        time.sleep(0.05)  # what compiling takes
        made.append(Compiled(endless=not made))
        return made[-1]

    started = time.monotonic()
    graph = engine_module._Graph(compile_model)
    batch = np.zeros((1, 8), np.int32), pooling.table_of([8], 8)
    runs = [engine_module._Run(), engine_module._Run()]
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        cut = [lane.submit(graph.infer, run, *batch, None) for lane, run in zip((first, second), runs, strict=True)]
        while len(graph._requests) < len(runs):
            time.sleep(0.001)
        for run, ended in zip(runs, cut, strict=True):
            run.cancel()
            assert isinstance(ended.exception(), RagbusError)
            graph.infer(engine_module._Run(), *batch, None)
    assert len(made) == 2  # the second run was one of the model that had been given up already
    request: Any = graph._request().infer_request
    assert request.patience_millis >= 50
    assert graph._rested >= started + 4 * 0.05


def test_a_cancel_before_and_after_a_run(load: Callable[..., Any]) -> None:
    engine = registry.get(load()["handle"]).engine
    expected = run(engine, 2, 16)
    early = engine.cancellation()
    early()
    with pytest.raises(RagbusError, match="before it began"):
        run(engine, 2, 16)
    late = engine.cancellation()
    np.testing.assert_array_equal(run(engine, 2, 16), expected)
    late()
    np.testing.assert_array_equal(run(engine, 2, 16), expected)


def test_precision_auto_is_what_the_processor_has(load: Callable[..., Any], lane: Lane) -> None:
    capable = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    model = load(precision="auto", device="auto")
    assert model["precision"] == ("bf16" if capable else "f32")
    assert lane.embed(model, ["a"]).shape == (1, 384)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("onnx/model.onnx", b""),
        ("onnx/model.onnx", b"\x08\x08garbage"),
        ("onnx/model.onnx", None),
        ("tokenizer.json", b"{}"),
        ("config.json", b"{"),
        ("config.json", b"[]"),
    ],
)
def test_a_broken_file_is_named_and_nothing_stays(file: str, content: bytes | None, tmp_path: Path) -> None:
    shutil.copytree(CROSS_ENCODER, tmp_path, dirs_exist_ok=True)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2] if content is None else content)
    before = registry.loaded()
    with pytest.raises(Failure, match=f"RUNTIME: .*{file}"):
        ask("load", name="broken", type="cross-encoder", path=str(tmp_path))
    assert registry.loaded() == before
