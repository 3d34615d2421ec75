# SPDX-License-Identifier: Apache-2.0
"""Make `heads/`, tiny models with the heads of sparse encoders and classifiers, and `heads.json`, their values on torch.

    python make_heads.py

Vectors are those of sentence-transformers' SparseEncoder, scores those of transformers' text classification pipeline. Models and
texts are made as in `make_families.py`; a masked-language-model head gets a bias that leaves about a fifth of the vocabulary.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from make_families import (
    BERT,
    DISTIL,
    MASKED,
    OFFSET,
    PACKAGES,
    POSITIONS,
    PROMPTS,
    QUERY,
    ROBERTA,
    SEED,
    Family,
    bert,
    byte_level,
    configuration,
    export,
    one_by_one,
    packed,
    remove_needless,
    texts,
    wordpiece,
)
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules.transformer import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling

KEPT = 0.8  # the quantile of logits below which nothing stays
TOP_K = 5
MOODS = ("negative", "neutral", "positive")
TOPICS = ("returns", "shipping", "payment", "other")
SPARSE = {
    "splade": (bert(), SpladePooling("max", "relu")),
    "splade-sum": (Family(hf.DistilBertConfig, wordpiece, BERT, MASKED, sizes=DISTIL), SpladePooling("sum", "log1p_relu")),
}
CLASSIFIERS = {
    "classifier": (bert(), MOODS, "single_label_classification"),
    "classifier-topics": (
        Family(hf.RobertaConfig, byte_level, ROBERTA, MASKED, doubled=True, sizes=OFFSET),
        TOPICS,
        "multi_label_classification",
    ),
}


def pairs() -> list[tuple[str, str]]:
    return [(QUERY, text) for text in texts()[::2] if text]  # a pipeline takes an empty second text for none


def sparse(family: Family, pooling: SpladePooling, folder: Path) -> dict[str, Any]:
    torch.manual_seed(SEED)
    words = family.tokenizer()
    made = hf.AutoModelForMaskedLM.from_config(configuration(family, words)).eval()
    with torch.no_grad():
        logits = made(**words(texts()[:5], padding=True, return_tensors="pt")).logits
        made.get_output_embeddings().bias.fill_(-float(logits.quantile(KEPT)))
    with tempfile.TemporaryDirectory() as scratch:
        made.save_pretrained(scratch)
        words.save_pretrained(scratch)
        transformer = Transformer(scratch, transformer_task="fill-mask", max_seq_length=POSITIONS)
        SparseEncoder(modules=[transformer, pooling], device="cpu", prompts=PROMPTS).save_pretrained(str(folder))
    model = SparseEncoder(str(folder), device="cpu")
    quiet = {"batch_size": 1, "show_progress_bar": False, "convert_to_sparse_tensor": False}
    vectors = one_by_one(lambda it: model.encode(it, **quiet), texts())
    best = one_by_one(lambda it: model.encode(it, max_active_dims=TOP_K, **quiet), texts())
    asked = one_by_one(lambda it: model.encode(it, prompt_name="query", **quiet), texts()[:3])
    export(model[0].model, family.inputs, "logits", folder / "onnx" / "model.onnx", of_tokens=True)
    ids = words(texts(), truncation=True, max_length=POSITIONS)["input_ids"]
    return {"type": "sparse", "ids": ids, "vectors": packed(vectors), "top": packed(best), "prompted": packed(asked)}


def classifier(family: Family, labels: tuple[str, ...], problem: str, folder: Path) -> dict[str, Any]:
    torch.manual_seed(SEED)
    words = family.tokenizer()
    config = configuration(family, words)
    config.id2label, config.label2id = dict(enumerate(labels)), {label: at for at, label in enumerate(labels)}
    config.problem_type = problem
    made = hf.AutoModelForSequenceClassification.from_config(config).eval()
    made.save_pretrained(str(folder))
    words.save_pretrained(str(folder))
    classify = hf.pipeline("text-classification", model=made, tokenizer=words, device="cpu")

    def scores(items: list[Any], function: str | None) -> dict[str, Any]:
        def score(item: Any) -> list[float]:
            given = {"text": item} if isinstance(item, str) else {"text": item[0], "text_pair": item[1]}
            how = {} if function is None else {"function_to_apply": function}
            found = classify(given, top_k=None, truncation=True, max_length=POSITIONS, **how)
            by_label = {it["label"]: it["score"] for it in found}
            return [by_label[label] for label in labels]

        return packed([score(item) for item in items])

    cut = {"truncation": True, "max_length": POSITIONS}
    values = {
        "type": "classifier",
        "labels": labels,
        "ids": words(texts(), **cut)["input_ids"],
        "scores": scores(texts(), None),
        "raw": scores(texts(), "none"),
        "pair_ids": words([list(pair) for pair in pairs()], **cut)["input_ids"],
        "pair_scores": scores(pairs(), None),
        "pair_raw": scores(pairs(), "none"),
    }
    export(made, family.inputs, "logits", folder / "onnx" / "model.onnx", of_tokens=False)
    return values


def main() -> None:
    out = Path(__file__).with_name("heads")
    shutil.rmtree(out, ignore_errors=True)
    heads = {name: sparse(family, pooling, out / name) for name, (family, pooling) in SPARSE.items()}
    heads |= {name: classifier(*made, out / name) for name, made in CLASSIFIERS.items()}
    for name in heads:
        remove_needless(out / name)
    document = {
        "made_by": "make_heads.py",
        "versions": {"python": platform.python_version()} | {it: importlib.metadata.version(it) for it in PACKAGES},
        "max_tokens": POSITIONS,
        "prompts": PROMPTS,
        "top_k": TOP_K,
        "texts": texts(),
        "pairs": pairs(),
        "heads": heads,
    }
    out.with_suffix(".json").write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
