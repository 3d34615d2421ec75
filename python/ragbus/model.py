# SPDX-License-Identifier: Apache-2.0
"""What a model folder says about its model, read from the files that sentence-transformers and transformers write.

Only JSON is read here; weights are the engine's business, and pickles are nobody's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ragbus.errors import RagbusError
from ragbus.pooling import ACTIVATIONS, POOLINGS, SATURATIONS, SPARSE_POOLINGS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

ModelType: TypeAlias = Literal["embedding", "cross-encoder", "sparse", "classifier"]

# Where weights lie, by what they are computed in: the layouts of sentence-transformers, optimum and transformers.js. The first
# that exists is taken.
ONNX_VARIANTS: dict[str, tuple[str, ...]] = {
    "f32": ("model", "model_O3", "model_O2", "model_O1"),
    "f16": ("model_fp16", "model_O4"),
    "int8": (
        "model_quantized",
        "model_int8",
        "model_qint8_avx512_vnni",
        "model_qint8_avx512",
        "model_quint8_avx2",
        "model_qint8_arm64",
        "model_uint8",
    ),
    "int4": ("model_q4", "model_bnb4", "model_q4f16"),
}
_STEMS = tuple(stem for stems in ONNX_VARIANTS.values() for stem in stems)
ONNX_FILES = ("onnx/model.onnx", "model.onnx", *(f"onnx/{stem}.onnx" for stem in _STEMS[1:]))
OPENVINO_FILES = ("openvino/openvino_model.xml", "openvino/openvino_model_qint8_quantized.xml")
SAFETENSORS_FILES = ("model.safetensors", "model.safetensors.index.json")
WEIGHT_FILES = OPENVINO_FILES[:1] + ONNX_FILES + OPENVINO_FILES[1:]  # of the engines that run a graph
ALL_FILES = WEIGHT_FILES + SAFETENSORS_FILES
ENGINE_FILES: dict[str, tuple[str, ...]] = {
    "openvino": WEIGHT_FILES,
    "onnx": ONNX_FILES,
    "torch": SAFETENSORS_FILES,
}
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.bin")

MAX_JSON_BYTES = 4_000_000
MAX_SANE_TOKENS = 1_000_000  # transformers writes 10^30 for "no limit"
DEFAULT_MAX_TOKENS = 512

# The keys of 1_Pooling/config.json before sentence-transformers 5.2, which then became one "pooling_mode".
_LEGACY_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_POOLING_ALIASES = {"mean_sqrt_len_tokens": "mean_sqrt_len"}
_MODULES: dict[ModelType, frozenset[str]] = {
    "embedding": frozenset({"Transformer", "Pooling", "Dense", "Normalize", "Dropout"}),
    "cross-encoder": frozenset({"Transformer"}),
    "sparse": frozenset({"Transformer", "MLMTransformer", "SpladePooling"}),
    "classifier": frozenset({"Transformer"}),
}
_MODULE_PACKAGE = "sentence_transformers."
_ORDER = re.compile(r"Transformer( Pooling( Dense)*( Normalize)?)?|(MLM)?Transformer( SpladePooling)?")
_DENSE_FILE = "model.safetensors"
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "identity"}
# What transformers' pipeline makes of logits, by `problem_type`; for any other it is softmax, or sigmoid of one label.
_PROBLEMS = {"multi_label_classification": "sigmoid", "regression": "identity"}
_LABELS_BY_DEFAULT = 2  # which transformers leaves out of config.json
# These count positions from the padding id on (transformers: `create_position_ids_from_input_ids`).
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text"})


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder, understood: all that an engine needs besides weights and vocabulary.

    `pooling` is None for a cross-encoder and a classifier, and several are joined by `+`; `dense` are the folders of the layers
    after it, in their order. `activation` is that of scores, or what saturates a sparse model's logits; None means the default
    (see `graphs.activation_of`). `hidden_sizes` are the dimensions of token vectors, or the size of a sparse model's vocabulary,
    each with the file that says so.
    """

    folder: Path
    model_type: ModelType
    weights: Path
    max_tokens: int
    pooling: str | None
    dense: tuple[Path, ...]
    normalize: bool
    activation: str | None
    labels: tuple[str, ...] | None
    prompts: Mapping[str, str]
    default_prompt_name: str | None
    pad_id: int | None
    lowercase: bool
    hidden_sizes: Mapping[Path, int]

    def weights_bytes(self) -> int:
        """Return the size of the weights: the file and what lies beside it under its name (`.bin`, external data)."""
        return sum(path.stat().st_size for path in self.weights.parent.glob(f"{self.weights.stem}.*"))


def missing_from(folder: Path) -> str | None:
    """Say why a folder holds no model that can be loaded, or return None."""
    if not folder.is_dir():
        return f"{folder} is no folder"
    if not (folder / "tokenizer.json").is_file():
        below = next((it.parent.name for it in sorted(folder.glob("*_Transformer/tokenizer.json"))), None)
        said = f": it is in {below}, which is read only where its files lie beside modules.json" if below else ""
        return f"{folder} has no tokenizer.json{said}"
    if not any((folder / name).is_file() for name in ALL_FILES):
        pickle = next((name for name in PICKLES if (folder / name).is_file()), None)
        refused = f"; {pickle} is a pickle, which may run code and is never read" if pickle else ""
        return f"{folder} has none of {', '.join(ALL_FILES)}{refused}"
    return None


def weights_of(folder: Path, engine: str, precision: str) -> tuple[Path, str | None] | None:
    """Return the weights for an engine and what they are stored in, or None if it has none there (see `weights_among`)."""
    found = weights_among({name for name in ENGINE_FILES[engine] if (folder / name).is_file()}, engine, precision)
    return (folder / found[0], found[1]) if found else None


def weights_among(names: Collection[str], engine: str, precision: str) -> tuple[str, str | None] | None:
    """Return which of a model's files are the weights for an engine, and what they are stored in; None if there are none.

    `int8` takes a quantised file where there is one; `auto` takes the plain one and another only where there is no plain one;
    what a plain file or safetensors are computed in is the engine's choice, said as None.
    """
    found = [(name, _stored(name)) for name in ENGINE_FILES[engine] if name in names]
    wanted = [it for it in found if it[1] == precision]
    if precision == "auto" or not wanted:
        wanted = [it for it in found if it[1] is None] or (found if precision == "auto" else [])
    return wanted[0] if wanted else None


def _stored(name: str) -> str | None:
    stem = name.rpartition("/")[2].rpartition(".")[0]
    if name in OPENVINO_FILES:
        return "int8" if "qint8" in stem else None
    stored = next((precision for precision, stems in ONNX_VARIANTS.items() if stem in stems), "f32")
    return None if stored == "f32" else stored


def types_of(folder: Path) -> tuple[ModelType, ...]:
    """Return what the model in a folder may be, the likeliest first.

    Whoever scores sequences is a cross-encoder with one label and a classifier with several, and may be the other one. A
    masked-language-model head makes it sparse if `modules.json` says so; without that file it may as well be an embedding model,
    since many of those were saved with the head's name.
    """
    config = read_config(folder / "config.json")
    architectures = [str(it) for it in config.get("architectures") or []]
    if any(it.endswith("ForSequenceClassification") for it in architectures):
        count = len(_labels(config) or ()) or config.get("num_labels", _LABELS_BY_DEFAULT)
        return ("cross-encoder", "classifier") if count == 1 else ("classifier", "cross-encoder")
    kinds = {kind for kind, _ in _listed(folder)}
    if kinds & {"SpladePooling", "MLMTransformer"}:
        return ("sparse",)
    headed = any(it.endswith("ForMaskedLM") for it in architectures)
    return ("embedding", "sparse") if headed and "Pooling" not in kinds else ("embedding",)


def read_folder(
    folder: Path,
    model_type: str,
    *,
    max_tokens: int | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    prompts: Mapping[str, str] | None = None,
) -> ModelFolder:
    """Read a model folder; what is given explicitly goes before what the files say.

    Raises MODEL_NOT_FOUND if a needed file is missing, RUNTIME naming a file that cannot be read, INVALID for an unknown type
    or option and for a model that needs more than this engine family does.
    """
    family = next((known for known in _MODULES if known == model_type), None)
    if family is None:
        raise RagbusError("INVALID", f"Unknown model type: {model_type}")
    if reason := missing_from(folder):
        raise RagbusError("MODEL_NOT_FOUND", reason)
    config = read_config(folder / "config.json")
    card = read_config(folder / "config_sentence_transformers.json")
    modules = _modules(folder, family)
    transformer = folder / next(path for kind, path in modules if kind.endswith("Transformer"))
    pooler = next((path for kind, path in modules if kind.endswith("Pooling")), None)
    pools = folder / (pooler or "") / "config.json"
    pooled = {} if pooler is None else read_config(pools)
    bert = read_config(transformer / "sentence_bert_config.json") or read_config(folder / "sentence_bert_config.json")
    return ModelFolder(
        folder=folder,
        model_type=family,
        weights=next(folder / name for name in ALL_FILES if (folder / name).is_file()),
        max_tokens=_max_tokens(folder, config, bert, max_tokens),
        pooling=_pooling_of(family, pools, pooled, pooling),
        dense=_dense(folder, modules),
        normalize=family == "embedding" and (modules[-1][0] == "Normalize" if normalize is None else normalize),
        activation=_activation_of(family, pools, pooled, config, card),
        labels=_labels(config) if family in {"cross-encoder", "classifier"} else None,
        prompts=dict(card.get("prompts") or {}) | dict(prompts or {}),
        default_prompt_name=card.get("default_prompt_name"),
        pad_id=config.get("pad_token_id"),
        lowercase=bool(bert.get("do_lower_case")),
        hidden_sizes=_hidden_sizes(family, {pools: pooled, folder / "config.json": config}),
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file, empty if there is no such file."""
    value = _read_json(path)
    if not isinstance(value, dict):
        raise RagbusError("RUNTIME", f"{path} holds no JSON object")
    return value


def _read_json(path: Path) -> Any:
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise RagbusError("RUNTIME", f"{path} is larger than {MAX_JSON_BYTES} bytes")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RagbusError("RUNTIME", f"cannot read {path}: {error}") from error


def _modules(folder: Path, model_type: ModelType) -> list[tuple[str, str]]:
    """Return class and sub-folder of what modules.json lists; without one a model is a transformer, as there."""
    path = folder / "modules.json"
    modules = _listed(folder) or [("Transformer", "")]
    kinds = [kind for kind, _ in modules]
    if foreign := set(kinds) - _MODULES[model_type]:
        supported = ", ".join(sorted(_MODULES[model_type]))
        raise RagbusError("INVALID", f"{path} needs {', '.join(sorted(foreign))}; a {model_type} model may have {supported}")
    order = [kind for kind in kinds if kind != "Dropout"]
    if not _ORDER.fullmatch(" ".join(order)):
        supported = "Transformer, SpladePooling" if model_type == "sparse" else "Transformer, Pooling, Dense …, Normalize"
        raise RagbusError("INVALID", f"{path} has {', '.join(order)}; supported is {supported}")
    if outside := next((sub for _, sub in modules if not (folder / sub).resolve().is_relative_to(folder.resolve())), None):
        raise RagbusError("INVALID", f"{path} leads out of its folder: {outside!r}")
    return [module for module in modules if module[0] != "Dropout"]


def _listed(folder: Path) -> list[tuple[str, str]]:
    path = folder / "modules.json"
    try:
        return [(_kind(entry["type"]), str(entry["path"])) for entry in _read_json(path) or []]
    except (TypeError, KeyError, AttributeError) as error:
        raise RagbusError("RUNTIME", f"{path} is no list of modules") from error


def _kind(type_: str) -> str:
    """Return the name of a module's class, qualified where it is not sentence-transformers' own."""
    return type_.rpartition(".")[2] if type_.startswith(_MODULE_PACKAGE) else type_


def _dense(folder: Path, modules: Sequence[tuple[str, str]]) -> tuple[Path, ...]:
    layers = tuple(folder / path for kind, path in modules if kind == "Dense")
    for layer in layers:
        if not (layer / _DENSE_FILE).is_file():
            pickle = next((name for name in PICKLES if (layer / name).is_file()), None)
            refused = f": {pickle} is a pickle, which may run code and is never read" if pickle else ""
            raise RagbusError("MODEL_NOT_FOUND", f"{layer} has no {_DENSE_FILE}{refused}")
    return layers


def _hidden_sizes(model_type: ModelType, configs: Mapping[Path, Mapping[str, Any]]) -> dict[Path, int]:
    keys = ("embedding_dimension", "word_embedding_dimension", "vocab_size" if model_type == "sparse" else "hidden_size")
    said = {path: next((config[key] for key in keys if key in config), None) for path, config in configs.items()}
    return {path: size for path, size in said.items() if isinstance(size, int)}


def _pooling_of(model_type: ModelType, path: Path, config: Mapping[str, Any], asked: str | None) -> str | None:
    if model_type == "embedding":
        return _pooling(path, config, asked)
    if model_type != "sparse":
        return None
    name = str(config.get("pooling_strategy", "max") if asked is None else asked)
    if name not in SPARSE_POOLINGS:
        raise RagbusError("INVALID", f"pooling {name!r} is not one of {', '.join(SPARSE_POOLINGS)}, which a sparse model has")
    return name


def _pooling(path: Path, config: Mapping[str, Any], asked: str | None) -> str:
    name: Any = asked
    if asked is None:
        if config.get("include_prompt") is False:
            raise RagbusError("INVALID", f"{path} leaves prompts out of the pooling (include_prompt), which is not supported")
        legacy = [value for key, value in _LEGACY_POOLINGS.items() if config.get(key)]
        name = config.get("pooling_mode") or legacy or "mean"
    names = [str(it) for it in (name if isinstance(name, list) else str(name).split("+"))]
    names = [_POOLING_ALIASES.get(it, it) for it in names]
    if unknown := next((it for it in names if it not in POOLINGS), None):
        raise RagbusError("INVALID", f"pooling {unknown!r} is not one of {', '.join(POOLINGS)}, or several joined by +")
    return "+".join(names)


def _max_tokens(folder: Path, config: Mapping[str, Any], bert: Mapping[str, Any], asked: int | None) -> int:
    """Return the tokens a row may have, special tokens included: never more than the model has positions."""
    tokenizer = read_config(folder / "tokenizer_config.json")
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= (config.get("pad_token_id") or 0) + 1
    limit = positions if isinstance(positions, int) and positions > 0 else None
    if asked is not None:
        if asked < 1 or (limit is not None and asked > limit):
            raise RagbusError("INVALID", f"max_tokens {asked}: this model has 1 to {limit or 'any number of'} positions")
        return asked
    said = (bert.get("max_seq_length"), tokenizer.get("model_max_length"))
    sane = next((int(value) for value in said if isinstance(value, int | float) and 0 < value <= MAX_SANE_TOKENS), None)
    return min(sane or limit or DEFAULT_MAX_TOKENS, limit or MAX_SANE_TOKENS)


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    named = config.get("id2label")
    return tuple(str(named[key]) for key in sorted(named, key=int)) if isinstance(named, dict) and named else None


def _activation_of(
    model_type: ModelType, path: Path, pooled: Mapping[str, Any], config: Mapping[str, Any], card: Mapping[str, Any]
) -> str | None:
    if model_type == "cross-encoder":
        return _activation(config, card)
    if model_type == "classifier":
        return _PROBLEMS.get(str(config.get("problem_type")))
    name = pooled.get("activation_function") if model_type == "sparse" else None
    if name is not None and name not in SATURATIONS:
        raise RagbusError("INVALID", f"{path}: activation_function {name!r} is not one of {', '.join(SATURATIONS)}")
    return name


def _activation(config: Mapping[str, Any], card: Mapping[str, Any]) -> str | None:
    """Return the activation as configured, looked up in the order that sentence-transformers' CrossEncoder does."""
    nested = config.get("sentence_transformers")
    named = (
        card.get("activation_fn"),
        nested.get("activation_fn") if isinstance(nested, dict) else None,
        config.get("sbert_ce_default_activation_function"),
    )
    path = next((str(value) for value in named if value is not None), None)
    if path is None:
        return None
    name = _ACTIVATIONS.get(path.rpartition(".")[2])
    if name is None or name not in ACTIVATIONS:
        raise RagbusError("INVALID", f"activation {path} is not one of {', '.join(_ACTIVATIONS)}")
    return name
