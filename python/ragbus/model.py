"""What a model folder says about its model, read from the files that sentence-transformers and transformers write.

Only JSON is read here; weights are the engine's business, and pickles are nobody's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ragbus.errors import RagbusError
from ragbus.pooling import ACTIVATIONS, POOLINGS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ModelType: TypeAlias = Literal["embedding", "cross-encoder"]

ONNX_FILES = ("onnx/model.onnx", "model.onnx")
OPENVINO_FILES = ("openvino/openvino_model.xml",)
WEIGHT_FILES = OPENVINO_FILES + ONNX_FILES  # the first that exists is taken

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
    "embedding": frozenset({"Transformer", "Pooling", "Normalize", "Dropout"}),
    "cross-encoder": frozenset({"Transformer"}),
}
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "identity"}
# These count positions from the padding id on (transformers: `create_position_ids_from_input_ids`).
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text"})


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder, understood: all that an engine needs besides weights and vocabulary.

    `pooling` is None for a cross-encoder. `activation` None means the default: sigmoid for one label, else identity.
    """

    folder: Path
    model_type: ModelType
    weights: Path
    max_tokens: int
    pooling: str | None
    normalize: bool
    activation: str | None
    labels: tuple[str, ...] | None
    prompts: Mapping[str, str]
    default_prompt_name: str | None
    pad_id: int | None
    lowercase: bool

    def weights_bytes(self) -> int:
        """Return the size of the weights: the file and what lies beside it under its name (`.bin`, external data)."""
        return sum(path.stat().st_size for path in self.weights.parent.glob(f"{self.weights.stem}.*"))


def missing_from(folder: Path) -> str | None:
    """Say why a folder holds no model that can be loaded, or return None."""
    if not folder.is_dir():
        return f"{folder} is no folder"
    if not (folder / "tokenizer.json").is_file():
        return f"{folder} has no tokenizer.json"
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        return f"{folder} has none of {', '.join(WEIGHT_FILES)}"
    return None


def type_of(folder: Path) -> ModelType:
    """Return what the model in a folder does: a classifier's architecture makes it a cross-encoder."""
    architectures = _read(folder / "config.json").get("architectures") or []
    return "cross-encoder" if any(str(it).endswith("ForSequenceClassification") for it in architectures) else "embedding"


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
    if model_type not in _MODULES:
        raise RagbusError("INVALID", f"Unknown model type: {model_type}")
    family: ModelType = "embedding" if model_type == "embedding" else "cross-encoder"
    if reason := missing_from(folder):
        raise RagbusError("MODEL_NOT_FOUND", reason)
    config = _read(folder / "config.json")
    card = _read(folder / "config_sentence_transformers.json")
    modules = _modules(folder, family)
    transformer = folder / modules.get("Transformer", "")
    bert = _read(transformer / "sentence_bert_config.json") or _read(folder / "sentence_bert_config.json")
    return ModelFolder(
        folder=folder,
        model_type=family,
        weights=next(folder / name for name in WEIGHT_FILES if (folder / name).is_file()),
        max_tokens=_max_tokens(folder, config, bert, max_tokens),
        pooling=_pooling(folder, modules, pooling) if family == "embedding" else None,
        normalize=family == "embedding" and ("Normalize" in modules if normalize is None else normalize),
        activation=_activation(config, card) if family == "cross-encoder" else None,
        labels=_labels(config) if family == "cross-encoder" else None,
        prompts=dict(card.get("prompts") or {}) | dict(prompts or {}),
        default_prompt_name=card.get("default_prompt_name"),
        pad_id=config.get("pad_token_id"),
        lowercase=bool(bert.get("do_lower_case")),
    )


def _read(path: Path) -> dict[str, Any]:
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


def _modules(folder: Path, model_type: ModelType) -> dict[str, str]:
    """Return class -> sub-folder of modules.json; without one a model is a transformer with mean pooling, as there."""
    path = folder / "modules.json"
    listed = _read_json(path) or [{"type": "Transformer", "path": ""}]
    try:
        modules = {entry["type"].rpartition(".")[2]: str(entry["path"]) for entry in listed}
    except (TypeError, KeyError, AttributeError) as error:
        raise RagbusError("RUNTIME", f"{path} is no list of modules") from error
    if foreign := modules.keys() - _MODULES[model_type]:
        supported = ", ".join(sorted(_MODULES[model_type]))
        raise RagbusError("INVALID", f"{path} needs {', '.join(sorted(foreign))}; a {model_type} model may have {supported}")
    return modules


def _pooling(folder: Path, modules: Mapping[str, str], asked: str | None) -> str:
    name: Any = asked
    if asked is None and "Pooling" in modules:
        path = folder / modules["Pooling"] / "config.json"
        config = _read(path)
        if config.get("include_prompt") is False:
            raise RagbusError("INVALID", f"{path} leaves prompts out of the pooling (include_prompt), which is not supported")
        legacy = [value for key, value in _LEGACY_POOLINGS.items() if config.get(key)]
        name = config.get("pooling_mode", legacy or "mean")
    if isinstance(name, list):
        name = name[0] if len(name) == 1 else "+".join(map(str, name))
    name = _POOLING_ALIASES.get(str(name or "mean"), str(name or "mean"))
    if name not in POOLINGS:
        raise RagbusError("INVALID", f"pooling {name!r} is not one of {', '.join(POOLINGS)}")
    return str(name)


def _max_tokens(folder: Path, config: Mapping[str, Any], bert: Mapping[str, Any], asked: int | None) -> int:
    """Return the tokens a row may have, special tokens included: never more than the model has positions."""
    tokenizer = _read(folder / "tokenizer_config.json")
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
