# SPDX-License-Identifier: Apache-2.0
"""Make `cross-encoder/`, a tiny cross-encoder, and `cross-encoder.json`, its scores by sentence-transformers on torch.

    python make_cross_encoder.py

BERT with 2 layers, seeded weights and a WordPiece vocabulary of the words below: it ranks nonsense, but every step from text to
score is that of a real one. The classifier is scaled so that raw scores spread over about 6.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import random
import re
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from sentence_transformers import CrossEncoder
from texts import SENTENCES
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

SEED = 20_260
HIDDEN, LAYERS, HEADS, POSITIONS = 48, 2, 4, 96
SPREAD = 6.0  # of the raw scores of the golden documents
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PACKAGES = ("sentence-transformers", "torch", "transformers", "tokenizers", "onnx", "onnxscript")

QUERY = "how long does a refund take, and who pays for the return?"
LONG_QUERY = " ".join(["which policy covers an item that was opened, used and then returned without its receipt"] * 6)


def documents() -> list[str]:
    """Return documents of 0 to several hundred tokens, in no order of merit."""
    order = random.Random(SEED)
    english = SENTENCES["english"]
    short = [*english[:9], "refund", "", "?", "Поезд опоздал", "退款 policy", "😀 refund 😀", SENTENCES["german"][0]]
    long = [" ".join(order.choices(english, k=count)) for count in (3, 6, 9, 15, 30)]
    return [*short, *long]


def tokenizer() -> PreTrainedTokenizerFast:
    texts = " ".join([QUERY, LONG_QUERY, *(text for name in ("english", "german") for text in SENTENCES[name])])
    words = sorted(set(re.findall(r"[a-z]+", texts.lower())))
    letters = sorted({char for char in texts.lower() if not char.isspace()} | set("abcdefghijklmnopqrstuvwxyz0123456789"))
    vocabulary = dict.fromkeys([*SPECIALS, *letters, *(f"##{letter}" for letter in letters), *words])
    ids = {token: at for at, token in enumerate(vocabulary)}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=POSITIONS,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def model(vocabulary: int) -> BertForSequenceClassification:
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * HIDDEN,
        max_position_embeddings=POSITIONS,
        num_labels=1,
        initializer_range=0.25,
        attn_implementation="eager",
    )
    return BertForSequenceClassification(config).eval()


def scores(folder: str, activation: torch.nn.Module | None, query: str) -> list[float]:
    encoder = CrossEncoder(folder, device="cpu", **({} if activation is None else {"activation_fn": activation}))
    pairs = [(query, document) for document in documents()]
    return [float(encoder.predict([pair], batch_size=1, show_progress_bar=False)[0]) for pair in pairs]


def export(trained: BertForSequenceClassification, path: Path) -> None:
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = {name: torch.ones((2, 7), dtype=torch.int64) for name in names}
    axes = {name: {0: "batch", 1: "tokens"} for name in names} | {"logits": {0: "batch"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            trained, kwargs=example, f=str(path), input_names=names, output_names=["logits"], dynamic_axes=axes,
            opset_version=17, dynamo=False,
        )  # fmt: skip
    graph = onnx.load(str(path))
    for node in graph.graph.node:  # the exporter notes where its sources lie
        node.ClearField("doc_string")
        del node.metadata_props[:]
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def main() -> None:
    out = Path(__file__).with_name("cross-encoder")
    words = tokenizer()
    trained = model(len(words))
    with tempfile.TemporaryDirectory() as scratch:
        words.save_pretrained(scratch)
        trained.save_pretrained(scratch)
        raw = torch.tensor(scores(scratch, torch.nn.Identity(), QUERY))
        with torch.no_grad():
            scale = SPREAD / (raw.max() - raw.min())
            trained.classifier.weight *= scale
            trained.classifier.bias.fill_(-float((raw.max() + raw.min()) / 2 * scale))
        trained.save_pretrained(scratch)
        golden = {
            query: {
                "sigmoid": scores(scratch, None, query),
                "raw": scores(scratch, torch.nn.Identity(), query),
                "tokens": [len(ids) for ids in words([[query, document] for document in documents()])["input_ids"]],
                "ids": words([[query, document] for document in documents()], truncation=True)["input_ids"],
            }
            for query in (QUERY, LONG_QUERY)
        }
        export(trained, out / "onnx" / "model.onnx")
    out.mkdir(exist_ok=True)
    words.save_pretrained(str(out))
    config = trained.config.to_dict()
    config.pop("_name_or_path", None)
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    document = {
        "made_by": "make_cross_encoder.py",
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES},
        "max_tokens": POSITIONS,
        "documents": documents(),
        "queries": [{"query": query, **values} for query, values in golden.items()],
    }
    path = out.with_suffix(".json")
    path.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
