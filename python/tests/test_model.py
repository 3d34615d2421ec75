# SPDX-License-Identifier: Apache-2.0
"""What model folders say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ragbus.errors import RagbusError
from ragbus.model import ModelFolder, read_folder

if TYPE_CHECKING:
    from pathlib import Path

TRANSFORMER = {"path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}
NORMALIZE = {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}


def read(folder: Path, files: dict[str, Any] | None = None, model_type: str = "embedding", **options: Any) -> ModelFolder:
    for name, content in ({"tokenizer.json": {}, "model.onnx": ""} | (files or {})).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return read_folder(folder, model_type, **options)


def test_a_bare_folder_has_the_defaults_of_sentence_transformers(tmp_path: Path) -> None:
    folder = read(tmp_path)
    assert (folder.pooling, folder.normalize, folder.max_tokens) == ("mean", False, 512)
    assert (folder.prompts, folder.default_prompt_name, folder.pad_id, folder.lowercase) == ({}, None, None, False)
    assert folder.weights == tmp_path / "model.onnx"


def test_weights_in_order_of_preference(tmp_path: Path) -> None:
    for name in ("model.onnx", "onnx/model.onnx", "openvino/openvino_model.xml"):
        assert read(tmp_path, {name: ""}).weights == tmp_path / name


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_lasttoken": True, "include_prompt": True}, "lasttoken"),
        ({"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len"),
        ({"pooling_mode": "mean_sqrt_len_tokens"}, "mean_sqrt_len"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["max"]}, "max"),
        ({"pooling_mode": ["max", "mean_sqrt_len_tokens"]}, "max+mean_sqrt_len"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls+mean"),
        ({}, "mean"),
    ],
)
def test_pooling(config: dict[str, Any], pooling: str, tmp_path: Path) -> None:
    folder = read(tmp_path, {"modules.json": [TRANSFORMER, POOLING, NORMALIZE], "1_Pooling/config.json": config})
    assert (folder.pooling, folder.normalize) == (pooling, True)
    folder = read(tmp_path, pooling="cls", normalize=False)
    assert (folder.pooling, folder.normalize) == ("cls", False)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"modules.json": [TRANSFORMER, {"path": "1", "type": "sentence_transformers.models.LSTM"}]}, r"modules\.json needs LSTM"),
        ({"modules.json": [TRANSFORMER, NORMALIZE, POOLING]}, r"modules\.json has Transformer, Normalize, Pooling; supported is"),
        ({"modules.json": [TRANSFORMER, POOLING | {"path": "../1"}]}, r"modules\.json leads out of its folder: '\.\./1'"),
        ({"modules.json": [{"kind": "Transformer"}]}, r"modules\.json is no list of modules"),
        (
            {"modules.json": [TRANSFORMER, POOLING], "1_Pooling/config.json": {"pooling_mode": ["cls", "median"]}},
            r"pooling 'median'",
        ),
        ({"modules.json": [TRANSFORMER, POOLING], "1_Pooling/config.json": {"include_prompt": False}}, "include_prompt"),
        ({"config.json": []}, r"config\.json holds no JSON object"),
        ({"config.json": "x" * 4_000_001}, r"config\.json is larger"),
    ],
)
def test_what_cannot_be_run_is_refused(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RagbusError, match=message) as raised:
        read(tmp_path, files)
    assert raised.value.kind in {"INVALID", "RUNTIME"}


@pytest.mark.parametrize(
    ("files", "tokens"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 256}, "config.json": {"max_position_embeddings": 512}}, 256),
        ({"sentence_bert_config.json": {"max_seq_length": None}, "config.json": {"max_position_embeddings": 512}}, 512),
        ({"sentence_bert_config.json": {"max_seq_length": 1024}, "config.json": {"max_position_embeddings": 512}}, 512),
        ({"tokenizer_config.json": {"model_max_length": 128}}, 128),
        ({"tokenizer_config.json": {"model_max_length": 1e30}, "config.json": {"max_position_embeddings": 384}}, 384),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, 512),
        ({"config.json": {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}}, 512),
        ({"config.json": {"max_position_embeddings": -1}, "tokenizer_config.json": {"model_max_length": 2048}}, 2048),
    ],
)
def test_max_tokens(files: dict[str, Any], tokens: int, tmp_path: Path) -> None:
    assert read(tmp_path, files).max_tokens == tokens
    assert read(tmp_path, max_tokens=100).max_tokens == 100


@pytest.mark.parametrize(
    ("files", "activation"),
    [
        ({}, None),
        ({"config.json": {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}}, "identity"),
        ({"config.json": {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"}}, "sigmoid"),
        ({"config.json": {"sbert_ce_default_activation_function": None}}, None),
        ({"config_sentence_transformers.json": {"activation_fn": "torch.nn.modules.linear.Identity"}}, "identity"),
    ],
)
def test_activation(files: dict[str, Any], activation: str | None, tmp_path: Path) -> None:
    folder = read(tmp_path, files, "cross-encoder")
    assert folder.activation == activation
    assert folder.pooling is None


def test_an_unknown_activation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RagbusError, match=r"os\.system"):
        read(tmp_path, {"config.json": {"sbert_ce_default_activation_function": "os.system"}}, "cross-encoder")


def test_prompts(tmp_path: Path) -> None:
    card = {"prompts": {"query": "query: ", "document": "passage: "}, "default_prompt_name": "document"}
    folder = read(tmp_path, {"config_sentence_transformers.json": card}, prompts={"query": "ask: "})
    assert folder.prompts == {"query": "ask: ", "document": "passage: "}
    assert folder.default_prompt_name == "document"


def test_labels_are_in_their_order(tmp_path: Path) -> None:
    labels = {str(at): f"l{at}" for at in (10, 2, 0, 1)}
    assert read(tmp_path, {"config.json": {"id2label": labels}}, "cross-encoder").labels == ("l0", "l1", "l2", "l10")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RagbusError, match=r"no tokenizer\.json"):
        read_folder(tmp_path, "embedding")
    (tmp_path / "tokenizer.json").touch()
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(RagbusError, match=r"none of openvino/openvino_model\.xml, onnx/model\.onnx, model\.onnx"):
        read_folder(tmp_path, "embedding")
