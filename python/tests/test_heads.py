# SPDX-License-Identifier: Apache-2.0
"""Sparse encoders and classifiers: on every engine against sentence-transformers' SparseEncoder and transformers' pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import GOLDEN, Failure, Lane, ask
from test_engines import GRAPHS, TORCH, cosines, unpacked

from ragbus import model, registry
from ragbus.engines import openvino
from ragbus.model import read_folder, types_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADS = GOLDEN / "heads"
SPARSE = ("splade", "splade-sum")
CLASSIFIERS = ("classifier", "classifier-topics")


@pytest.fixture(scope="module", params=[*GRAPHS, TORCH])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def heads() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((GOLDEN / "heads.json").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def head(engine: str) -> Iterator[Callable[..., dict[str, Any]]]:
    """Return a function that loads a tiny model on this engine, in float32 unless told otherwise."""
    loaded: dict[str, dict[str, Any]] = {}

    def load_once(name: str, **options: Any) -> dict[str, Any]:
        type_ = "classifier" if name.startswith("classifier") else "sparse"
        body = {"name": name, "path": str(HEADS / name), "type": type_, "engine": engine, "precision": "f32"} | options
        key = json.dumps(body)
        if key not in loaded:
            loaded[key] = ask("load", **body)
        return loaded[key]

    yield load_once
    for each in loaded.values():
        ask("unload", handle=each["handle"])


@pytest.mark.parametrize("name", SPARSE)
def test_sparse_vectors(name: str, head: Callable[..., Any], heads: dict[str, Any], lane: Lane) -> None:
    loaded, expected = head(name), heads["heads"][name]
    vectors = unpacked(expected["vectors"])
    assert (loaded["sparse"], loaded["outputs"], loaded["dimensions"], loaded["labels"]) == (True, *2 * (vectors.shape[1],), None)
    tokens = lane.tokenize(loaded["handle"], heads["texts"])
    assert tokens.ids == expected["ids"]
    rows = lane.forward(loaded, tokens)
    np.testing.assert_allclose(rows, vectors, atol=1e-4)
    np.testing.assert_array_equal(rows > 1e-4, vectors > 1e-4)
    np.testing.assert_allclose(lane.embed(loaded, heads["texts"][:3], pad=9), vectors[:3], atol=1e-4)
    assert loaded["prompts"] == heads["prompts"]
    asked = lane.embed(loaded, [heads["prompts"]["query"] + text for text in heads["texts"][:3]])
    np.testing.assert_allclose(asked, unpacked(expected["prompted"]), atol=1e-4)


@pytest.mark.parametrize("name", SPARSE)
def test_the_largest_values_alone(name: str, head: Callable[..., Any], heads: dict[str, Any], lane: Lane) -> None:
    loaded, best = head(name), unpacked(heads["heads"][name]["top"])
    rows = lane.embed(loaded, heads["texts"], dimensions=heads["top_k"])
    np.testing.assert_allclose(rows, best, atol=1e-4)
    assert np.count_nonzero(rows, axis=1).max() == heads["top_k"]
    np.testing.assert_array_equal(lane.embed(loaded, heads["texts"], dimensions=10_000), lane.embed(loaded, heads["texts"]))


@pytest.mark.parametrize("name", SPARSE)
def test_precision_auto_is_close(name: str, head: Callable[..., Any], heads: dict[str, Any], lane: Lane) -> None:
    rows = lane.embed(head(name, precision="auto"), heads["texts"])
    assert cosines(rows, unpacked(heads["heads"][name]["vectors"])).min() >= 0.999


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_scores(name: str, head: Callable[..., Any], heads: dict[str, Any], lane: Lane) -> None:
    loaded, expected = head(name), heads["heads"][name]
    assert (loaded["labels"], loaded["outputs"], loaded["dimensions"]) == (expected["labels"], len(expected["labels"]), None)
    couples = [(first, second) for first, second in heads["pairs"]]
    for given, kind in ((heads["texts"], ""), (couples, "pair_")):
        tokens = lane.tokenize(loaded["handle"], given)
        assert tokens.ids == expected[f"{kind}ids"]
        np.testing.assert_allclose(lane.forward(loaded, tokens), unpacked(expected[f"{kind}scores"]), atol=1e-5)
        np.testing.assert_allclose(lane.forward(loaded, tokens, flags=0), unpacked(expected[f"{kind}raw"]), atol=1e-4)


def test_texts_and_couples_in_one_call(head: Callable[..., Any], heads: dict[str, Any], lane: Lane) -> None:
    loaded, expected = head("classifier"), heads["heads"]["classifier"]
    couples = [(first, second) for first, second in heads["pairs"][:2]]
    mixed = lane.tokenize(loaded["handle"], [heads["texts"][0], *couples, heads["texts"][1]])
    assert mixed.text == [0, 1, 2, 3]
    assert mixed.ids == [expected["ids"][0], *expected["pair_ids"][:2], expected["ids"][1]]
    rows = lane.forward(loaded, mixed)
    np.testing.assert_allclose(rows[[0, 3]], unpacked(expected["scores"])[:2], atol=1e-5)
    np.testing.assert_allclose(rows[[1, 2]], unpacked(expected["pair_scores"])[:2], atol=1e-5)


def test_the_tiny_models_tell_texts_apart(heads: dict[str, Any]) -> None:
    for name in SPARSE:
        vectors = unpacked(heads["heads"][name]["vectors"])
        assert 0.02 < np.count_nonzero(vectors) / vectors.size < 0.7
        alike = vectors @ vectors.T / np.outer(*2 * [np.linalg.norm(vectors, axis=1)])
        assert alike.min() < 0.9
    for name in CLASSIFIERS:
        assert np.ptp(unpacked(heads["heads"][name]["raw"]), axis=0).min() > 0.3


def test_a_cross_encoder_has_its_label(lane: Lane) -> None:
    loaded = ask("load", name="m", path=str(GOLDEN / "families" / "cross-encoder-raw"), type="classifier", engine="onnx")
    assert (loaded["labels"], loaded["activation"]) == (["LABEL_0"], "sigmoid")
    (alone, paired) = lane.forward(loaded, lane.tokenize(loaded["handle"], ["refund", ("refund", "policy")]))
    assert 0 < alone[0] < 1
    assert alone[0] != paired[0]
    ask("unload", handle=loaded["handle"])


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies a tiny model without its safetensors and changes its files; None removes one."""

    def copied(name: str, **files: Any) -> Path:
        folder = Path(shutil.copytree(HEADS / name, tmp_path / name, ignore=shutil.ignore_patterns("model.safetensors")))
        for file, content in files.items():
            path = next(it for it in folder.rglob("*.json") if it.stem == file)
            known = json.loads(path.read_text(encoding="utf-8"))
            path.unlink()
            if content is not None:
                changed = known | content if isinstance(known, dict) else content
                path.write_text(json.dumps(changed), encoding="utf-8")
        return folder

    return copied


LEGACY = [
    {"path": "", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer.MLMTransformer"},
    {"path": "1_SpladePooling", "type": "sentence_transformers.sparse_encoder.models.SpladePooling.SpladePooling"},
]


def test_what_a_folder_may_be(copy: Callable[..., Path]) -> None:
    assert types_of(HEADS / "splade") == ("sparse",)
    assert types_of(copy("splade", modules=LEGACY)) == ("sparse",)
    assert types_of(copy("splade-sum", modules=None)) == ("embedding", "sparse")
    assert types_of(HEADS / "classifier") == ("classifier", "cross-encoder")
    assert types_of(copy("classifier", config={"id2label": None})) == ("classifier", "cross-encoder")
    assert types_of(copy("classifier-topics", config={"id2label": None, "num_labels": 1})) == ("cross-encoder", "classifier")
    assert types_of(GOLDEN / "families" / "cross-encoder-raw") == ("cross-encoder", "classifier")
    assert types_of(GOLDEN / "families" / "mpnet") == ("embedding",)


def test_an_embedding_model_that_was_saved_with_a_head_stays_one(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "families" / "mpnet", tmp_path / "m"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["MPNetForMaskedLM"]}), encoding="utf-8")
    assert types_of(folder) == ("embedding",)
    (folder / "modules.json").unlink()
    assert types_of(folder) == ("embedding", "sparse")
    assert read_folder(folder, "embedding").pooling == "mean"


def test_what_a_sparse_folder_says(copy: Callable[..., Path]) -> None:
    known = read_folder(copy("splade", modules=LEGACY), "sparse")
    assert (known.pooling, known.activation, known.normalize, known.max_tokens) == ("max", "relu", False, 48)
    known = read_folder(copy("splade-sum"), "sparse", pooling="max")
    assert (known.pooling, known.activation) == ("max", "log1p_relu")
    bare = read_folder(copy("classifier", config={"architectures": ["BertForMaskedLM"]}), "sparse")
    assert (bare.pooling, bare.activation) == ("max", None)


@pytest.mark.parametrize(
    ("problem", "activation"),
    [
        (None, "softmax"),
        ("single_label_classification", "softmax"),
        ("multi_label_classification", "sigmoid"),
        ("regression", "identity"),
    ],
)
def test_what_the_problem_makes_of_scores(problem: str | None, activation: str, copy: Callable[..., Path]) -> None:
    loaded = ask("load", name="m", path=str(copy("classifier", config={"problem_type": problem})), type="classifier")
    assert loaded["activation"] == activation
    ask("unload", handle=loaded["handle"])


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize(
    ("name", "type_", "files", "message"),
    [
        ("splade", "embedding", {}, r"INVALID: .*modules\.json needs SpladePooling; a embedding model may have"),
        ("splade", "classifier", {}, r"INVALID: .*modules\.json needs SpladePooling"),
        ("splade", "embedding", {"modules": None}, r"RUNTIME: .*config\.json says 32 dimensions, but .*model\.onnx gives 193"),
        ("splade", "classifier", {"modules": None}, r"TYPE_CONVERSION: .*model\.onnx gives no logits: it is no classifier model"),
        ("classifier", "sparse", {}, r"TYPE_CONVERSION: .*model\.onnx gives no logits: it is no sparse model"),
        ("classifier", "embedding", {}, r"TYPE_CONVERSION: .*model\.onnx gives no token vectors"),
        ("classifier", "classifier", {"config": {"id2label": {"0": "a", "1": "b"}}}, r"RUNTIME: .*config\.json names 2 labels"),
        ("splade", "sparse", {"config": {"vocab_size": 30_522}}, r"RUNTIME: .*config\.json says 30522 dimensions, but .*gives 193"),
        (
            "splade-sum",
            "sparse",
            {"modules": LEGACY, "config": {"pooling_strategy": "mean"}},
            r"RUNTIME: .*1_SpladePooling/config\.json says",
        ),
        ("splade", "sparse", {"modules": [*LEGACY, LEGACY[1]]}, r"INVALID: .*supported is Transformer, SpladePooling"),
    ],
)
def test_bad_folders_are_named(
    name: str, type_: str, files: dict[str, Any], message: str, graph: str, copy: Callable[..., Path]
) -> None:
    before = registry.loaded()
    folder = copy(name, **files)
    if "pooling_strategy" in str(files):
        (folder / "1_SpladePooling" / "config.json").write_text(json.dumps({"embedding_dimension": 7}), encoding="utf-8")
    with pytest.raises(Failure, match=message):
        ask("load", name="m", path=str(folder), engine=graph, type=type_)
    assert registry.loaded() == before


@pytest.mark.parametrize(("key", "value"), [("pooling_strategy", "mean"), ("activation_function", "gelu")])
def test_poolings_of_others_are_refused(key: str, value: str, copy: Callable[..., Path]) -> None:
    folder = copy("splade")
    (folder / "1_SpladePooling" / "config.json").write_text(json.dumps({key: value}), encoding="utf-8")
    with pytest.raises(Failure, match=rf"INVALID: .*'{value}' is not one of"):
        ask("load", name="m", path=str(folder), type="sparse")
    with pytest.raises(Failure, match="INVALID: pooling 'cls' is not one of max, sum"):
        ask("load", name="m", path=str(HEADS / "splade"), type="sparse", pooling="cls")


def test_buffers_that_hold_no_sparse_rows_are_refused(head: Callable[..., Any], engine: str) -> None:
    loaded = head("splade")
    small = Lane(ints=150)
    with pytest.raises(Failure, match=r"RUNTIME: the buffers are too small for 1 x .* ids or 1 x 193 values"):
        small.embed(loaded, ["refund"])
    assert engine in model.ENGINE_FILES


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_what_is_no_number_is_not_lost_in_the_graph(pooling: str, copy: Callable[..., Path]) -> None:
    from openvino import Core, Model
    from openvino import opset13 as op

    folder = copy("splade", config={"vocab_size": 3})
    (folder / "1_SpladePooling" / "config.json").write_text(json.dumps({"pooling_strategy": pooling}), encoding="utf-8")
    known = read_folder(folder, "sparse")
    logits = op.parameter([-1, -1, 3], np.float32)
    inside = op.parameter([-1, -1], np.bool_)
    fused = openvino._fused_sparse(known, inside, logits)
    compiled = Core().compile_model(Model([op.result(fused)], [logits, inside]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    given = np.array([[[1, -1, 2], [np.nan, 3, 1]], [[1, -1, 2], [np.nan, 3, 1]]], np.float32)
    made = compiled([given, np.array([[True, True], [True, False]])])[0]
    assert np.isnan(made[0]).tolist() == [True, False, False]
    np.testing.assert_allclose(made[1], np.log1p([1, 0, 2]), rtol=1e-6)
    assert np.isfinite(made[0, 1:]).all()
