# SPDX-License-Identifier: Apache-2.0
"""Rows behind each other in one line come to what they come to alone, or the model has a line for each."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import pytest
from conftest import CROSS_ENCODER, GOLDEN
from openvino import opset13 as op

from ragbus import pooling, registry, tokenization
from ragbus.engines import EngineOptions, graphs, load_engine, mapped, packing
from ragbus.engines import openvino as engine_module
from ragbus.errors import RagbusError
from ragbus.model import read_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ragbus.engines import Engine
    from ragbus.tokenization import Row

FAMILIES, HEADS = GOLDEN / "families", GOLDEN / "heads"
PACKED = {
    "bert": (FAMILIES / "bert", "embedding"),
    "bert-dense": (FAMILIES / "bert-dense", "embedding"),
    "bert-untyped": (FAMILIES / "bert-untyped", "embedding"),
    "bert-max-sqrt": (FAMILIES / "bert-max-sqrt", "embedding"),
    "distilbert": (FAMILIES / "distilbert", "embedding"),
    "mpnet": (FAMILIES / "mpnet", "embedding"),
    "roberta": (FAMILIES / "roberta", "embedding"),
    "xlm-roberta": (FAMILIES / "xlm-roberta", "embedding"),
    "cross-encoder": (CROSS_ENCODER, "cross-encoder"),
    "cross-encoder-labels": (FAMILIES / "cross-encoder-labels", "cross-encoder"),
    "classifier": (HEADS / "classifier", "classifier"),
    "classifier-topics": (HEADS / "classifier-topics", "classifier"),
}
UNPACKED = {"modernbert": (FAMILIES / "modernbert", "embedding"), "splade": (HEADS / "splade", "sparse")}
TEXTS = [
    "refund",
    "Who pays for the return of an opened item?",
    "policy",
    "",
    "<pad> the second [PAD] text <pad>",
    "a b c d e f g h",
]


def engine_of(folder: Path, model_type: str, precision: str = "f32") -> Engine:
    known = read_folder(folder, model_type)
    tokens = tokenization.load(known.folder / "tokenizer.json", pad_id=known.pad_id, lowercase=known.lowercase)
    return load_engine("openvino", known, tokens, EngineOptions(precision=precision))[0]


def rows_of(engine: Engine) -> list[Row]:
    pairs = engine.folder.model_type == "cross-encoder"
    return engine.tokenize(["who pays?", *TEXTS] if pairs else TEXTS, tokenization.Cut(engine.folder.max_tokens), pair=pairs)


def run(engine: Engine, rows: Sequence[Row], starts: Sequence[int], lines: int, width: int) -> Any:
    """Run rows where they are put."""
    ids, out = np.full((lines, width), engine.tokens.pad_id, np.int32), np.zeros((len(rows), engine.outputs), np.float32)
    table = pooling.table_of([len(row.ids) for row in rows], width, [row.boundary for row in rows])
    table[:, pooling.START] = starts
    for row, start in zip(rows, starts, strict=True):
        ids.reshape(-1)[start : start + len(row.ids)] = row.ids
    engine.finish(engine.forward(ids, table, out), table, out)
    return out


@pytest.mark.parametrize("name", PACKED)
def test_rows_of_a_line_come_to_what_they_come_to_alone(name: str) -> None:
    engine = engine_of(*PACKED[name])
    assert engine.packs
    rows = rows_of(engine)
    lengths = [len(row.ids) for row in rows]
    apart = run(engine, rows, [at * 64 for at in range(len(rows))], len(rows), 64)
    np.testing.assert_allclose(np.concatenate([run(engine, [row], [0], 1, 64) for row in rows]), apart, atol=1e-5)
    behind = [sum(lengths[:at]) for at in range(len(rows))]
    np.testing.assert_allclose(run(engine, rows, behind, 1, sum(lengths)), apart, atol=1e-5)
    # Two lines, with padding before, between and behind rows, in another order than that of the table.
    half = len(rows) // 2
    gaps = [200 + sum(lengths[:at]) + 3 * at + 2 for at in range(half)] + [sum(lengths[half:at]) for at in range(half, len(rows))]
    np.testing.assert_allclose(run(engine, rows, gaps, 2, 200), apart, atol=1e-5)


@pytest.mark.parametrize("name", UNPACKED)
def test_other_models_have_a_line_for_each_row(name: str) -> None:
    assert not engine_of(*UNPACKED[name]).packs


def test_the_packaged_model_packs_in_every_precision(load: Callable[..., dict[str, Any]]) -> None:
    for precision in ("f32", "bf16"):
        model = load(precision=precision)
        assert model["packs"]
        engine = registry.get(model["handle"]).engine
        rows = rows_of(engine)
        lengths = [len(row.ids) for row in rows]
        apart = run(engine, rows, [at * 32 for at in range(len(rows))], len(rows), 32)
        behind = run(engine, rows, [sum(lengths[:at]) for at in range(len(rows))], 1, sum(lengths))
        norms = np.linalg.norm(apart, axis=1) * np.linalg.norm(behind, axis=1)
        assert (np.einsum("ij,ij->i", apart, behind) / norms).min() > 0.9999


def places_in(model: ov.Model, folder: Path, model_type: str = "embedding") -> packing.Places | None:
    known = read_folder(folder, model_type)
    chosen = engine_module._output(model, known)
    return packing.places_of(engine_module._core(), model, known, chosen, pad_id=0)


def bert() -> ov.Model:
    return mapped.read(engine_module._core(), FAMILIES / "bert" / "onnx" / "model.onnx")


def node(model: ov.Model, kind: str, at: int = 0) -> ov.Node:
    return [it for it in model.get_ordered_ops() if it.get_type_name() == kind][at]


def test_places_are_found() -> None:
    places = places_in(bert(), FAMILIES / "bert")
    assert places is not None
    assert (len(places.masks), places.first, places.skipped, places.firsts) == (2, 0, None, ())


def test_positions_are_found_in_tables_of_bytes() -> None:
    model = bert()
    for lookup in [it for it in model.get_ordered_ops() if packing._is_table_lookup(it)]:
        table = lookup.input_value(0).get_node()
        rows, values = table.get_output_shape(0)
        packed = op.convert(op.constant(np.ones((rows, values), np.int8)), "f32")
        lookup.input(0).replace_source_output(op.multiply(packed, op.constant(np.ones((rows, 1), np.float32))).output(0))
    assert places_in(model, FAMILIES / "bert") is not None


def insert(model: ov.Model, after: Any, made: Callable[[Any], Any]) -> ov.Model:
    """Let all that reads an output read what is made of it."""
    readers = list(after.get_target_inputs())
    new = made(after).output(0)
    for reader in readers:
        reader.replace_source_output(new)
    model.validate_nodes_and_infer_types()
    return model


def test_an_attention_without_a_mask_is_not_told_apart() -> None:
    model = bert()
    added = node(model, "Softmax", 1).input_value(0).get_node()
    node(model, "Softmax", 1).input(0).replace_source_output(added.input_value(0))
    assert places_in(model, FAMILIES / "bert") is None


def test_a_mask_that_is_more_than_one_of_padding_is_not_replaced() -> None:
    model = bert()
    for at in range(2):
        added = node(model, "Softmax", at).input_value(0).get_node()
        source = _input(model, "attention_mask")
        (mask,) = (it for it in added.inputs() if packing._is_made_from(it.get_source_output().get_node(), source))
        biased = op.add(mask.get_source_output(), op.constant(np.float32(0.25)))
        mask.replace_source_output(biased.output(0))
    assert places_in(model, FAMILIES / "bert") is None


def _input(model: ov.Model, name: str) -> ov.Node:
    return next(it for it in model.get_parameters() if name in it.output(0).get_names())


def test_what_mixes_tokens_beside_attention_is_not_told_apart() -> None:
    model = bert()
    last = model.outputs[0].get_node().input_value(0)
    size = last.get_partial_shape()[-1].get_length()
    kernel = op.constant(np.ones((size, size, 1), np.float32))

    def convolved(value: Any) -> Any:
        turned = op.transpose(value, packing.ints([0, 2, 1]))
        return op.transpose(op.convolution(turned, kernel, [1], [0], [0], [1]), packing.ints([0, 2, 1]))

    assert places_in(insert(model, last, convolved), FAMILIES / "bert") is None


def test_a_graph_that_mixes_rows_unnoticed_is_found_out_by_running_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = bert()
    last = model.outputs[0].get_node().input_value(0)
    insert(model, last, lambda it: op.subtract(it, op.reduce_mean(it, packing.ints([1]), keep_dims=True)))
    shutil.copytree(FAMILIES / "bert", tmp_path / "model", ignore=shutil.ignore_patterns("onnx"))
    (tmp_path / "model" / "openvino").mkdir()
    ov.save_model(model, str(tmp_path / "model" / "openvino" / "openvino_model.xml"), compress_to_fp16=False)
    assert not engine_of(tmp_path / "model", "embedding").packs
    assert "has its rows in a line each" in caplog.text


def fail(*_arguments: Any) -> Any:
    raise ValueError("what a foreign graph may do")


def fail_where_rows_share_a_line(fill: Callable[..., None]) -> Callable[..., None]:
    def fill_but(inputs: Sequence[Any], ids: Any, table: Any) -> None:
        fill(inputs, ids, table)
        if len(table) > len(ids):
            fail()

    return fill_but


@pytest.mark.parametrize("place", ["finding", "rebuilding", "compiling", "running", "comparing"])
def test_a_graph_that_cannot_be_told_rows_apart_has_a_line_for_each(
    place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = engine_of(*PACKED["bert"])
    width = expected.folder.max_tokens
    lines = [at * width for at in range(len(TEXTS))]
    vectors = run(expected, rows_of(expected), lines, len(TEXTS), width)
    if place == "finding":
        monkeypatch.setattr(packing, "places_of", fail)
    elif place == "rebuilding":
        monkeypatch.setattr(packing.Places, "part", fail)
    elif place == "comparing":
        monkeypatch.setattr(packing.Batch, "fill", staticmethod(fail_where_rows_share_a_line(packing.Batch.fill)))
    else:
        part, wrong = packing.Places.part, packing.ints([1, 1]) if place == "compiling" else packing.ints([3])

        def part_wrongly(places: packing.Places, batch: packing.Batch) -> None:
            part(places, batch)
            at = places.positions[0]
            at.replace_source_output(op.reshape(at.get_source_output(), wrong, special_zero=False).output(0))

        monkeypatch.setattr(packing.Places, "part", part_wrongly)
    engine = engine_of(*PACKED["bert"])
    assert not engine.packs
    assert f"{engine.folder.weights} has its rows in a line each: " in caplog.text
    np.testing.assert_allclose(run(engine, rows_of(engine), lines, len(TEXTS), width), vectors, atol=1e-5)


def test_a_model_that_is_cancelled_or_no_model_is_not_built_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[bool] = []

    def rebuilt(*_arguments: Any, pack: bool) -> Any:
        built.append(pack)
        raise RagbusError("CANCELLED", "the load was cancelled")

    monkeypatch.setattr(engine_module, "_rebuilt", rebuilt)
    with pytest.raises(RagbusError, match="the load was cancelled"):
        engine_of(*PACKED["bert"])
    assert built == [True]


def test_what_is_a_softmax_of_unknown_rank_is_not_told_apart() -> None:
    model = bert()
    softmax = node(model, "Softmax")
    shape = op.parameter(ov.PartialShape([-1]), np.int64, name="shape")
    model.add_parameters([shape])
    insert(model, softmax.input_value(0), lambda it: op.reshape(it, shape, special_zero=False))
    assert node(model, "Softmax").get_output_partial_shape(0).rank.is_dynamic
    assert places_in(model, FAMILIES / "bert") is None


def test_rows_that_differ_are_not_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(*PACKED["bert"])
    assert graphs.packs_alike(engine)
    fill = packing.Batch.fill

    def fill_as_one_row(inputs: Sequence[Any], ids: Any, table: Any) -> None:
        fill(inputs, ids, table)
        np.minimum(inputs[1], 1, out=inputs[1])

    monkeypatch.setattr(packing.Batch, "fill", fill_as_one_row)
    assert not graphs.packs_alike(engine)
