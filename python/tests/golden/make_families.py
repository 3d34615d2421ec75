# SPDX-License-Identifier: Apache-2.0
"""Make `families/`, tiny models of every family, and `families.json`, their values by sentence-transformers on torch.

    python make_families.py [NAME …]

With names it makes those alone and leaves the others as they are.

Each is a model of 2 layers with seeded weights and a vocabulary of its own, saved by sentence-transformers as safetensors and
exported to ONNX. They embed nonsense, but every step from text to vector is that of a real one: the family's own inputs,
positions and special tokens, and the modules that follow.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import platform
import random
import re
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import torch
import transformers as hf
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules.dense import Dense
from sentence_transformers.base.modules.normalize import Normalize
from sentence_transformers.base.modules.transformer import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from texts import SENTENCES
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SEED = 20_261
HIDDEN, LAYERS, HEADS, POSITIONS, PIECES = 32, 2, 4, 48, 150
PACKAGES = ("sentence-transformers", "torch", "transformers", "tokenizers", "onnx", "onnxscript")
QUERY = "who pays for the return of an opened item?"
PROMPTS = {"query": "ask: ", "document": "passage: "}
BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}


def texts() -> list[str]:
    order = random.Random(SEED)
    english = SENTENCES["english"]
    long = [" ".join(order.choices(english, k=count)) for count in (3, 8)]
    return [*english[:5], "refund", "", "?!", "Поезд опоздал", "退款 policy 😀", SENTENCES["german"][0], *long]


def words() -> list[str]:
    return sorted(set(re.findall(r"[a-z]+", " ".join([QUERY, *SENTENCES["english"], *PROMPTS.values()]).lower())))[:PIECES]


def letters() -> list[str]:
    return sorted("abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'")


def wordpiece(names: dict[str, str]) -> Tokenizer:
    pieces = [*names.values(), *letters(), *(f"##{letter}" for letter in letters()), *words()]
    ids = {token: at for at, token in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(ids, unk_token=names["unk"]))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    return made


def byte_level(names: dict[str, str]) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {token: at for at, token in enumerate([*names.values(), *alphabet])}
    merges: list[tuple[str, str]] = []
    for word in words():
        known = ("Ġ", word[0])
        for letter in [*word[1:], ""]:
            if known[0] + known[1] not in ids:
                ids[known[0] + known[1]] = len(ids)
                merges.append(known)
            known = (known[0] + known[1], letter)
        if len(ids) > PIECES + len(alphabet):
            break
    made = Tokenizer(models.BPE(ids, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def unigram(names: dict[str, str]) -> Tokenizer:
    pieces = [(token, 0.0) for token in names.values()]
    pieces += [("▁", -2.0), *((letter, -5.0) for letter in letters()), *((f"▁{word}", -3.0 - len(word) / 100) for word in words())]
    made = Tokenizer(models.Unigram(pieces, unk_id=list(names).index("unk")))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    return made


def ready(made: Tokenizer, names: dict[str, str], *, typed: bool, doubled: bool, inputs: list[str]) -> hf.PreTrainedTokenizerFast:
    cls, sep = names["cls"], names["sep"]
    kind = ":1" if typed else ""
    made.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep}{f' {sep}' if doubled else ''} $B{kind} {sep}{kind}",
        special_tokens=[(token, made.token_to_id(token)) for token in (cls, sep)],
    )
    specials = {f"{name}_token": token for name, token in names.items()}
    return hf.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=POSITIONS, model_input_names=inputs, **specials)


COMMON = {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 2 * HIDDEN}
COMMON |= {"initializer_range": 0.25, "attn_implementation": "eager"}
MASKED = ["input_ids", "attention_mask"]
TYPED = [*MASKED, "token_type_ids"]


@dataclass
class Family:
    """A family: its tokenizer, its configuration class, and the modules behind it."""

    config: Any
    make: Any
    names: dict[str, str]
    inputs: list[str]
    typed: bool = False
    doubled: bool = False
    modes: tuple[str, ...] = ("mean",)
    dense: list[tuple[int, Any]] = field(default_factory=list)
    normalize: bool = True
    labels: int = 0
    sizes: dict[str, Any] = field(default_factory=dict)
    activation: Any = None

    def tokenizer(self) -> hf.PreTrainedTokenizerFast:
        return ready(self.make(self.names), self.names, typed=self.typed, doubled=self.doubled, inputs=self.inputs)


def bert(*, inputs: list[str] = TYPED, **more: Any) -> Family:
    return Family(hf.BertConfig, wordpiece, BERT, inputs, typed=True, **more)


OFFSET = {"max_position_embeddings": POSITIONS + 2, "type_vocab_size": 1}
DISTIL = {"dim": HIDDEN, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 2 * HIDDEN}
MODERN = {"global_attn_every_n_layers": 2, "local_attention": 8, "reference_compile": False}
MODERN |= {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
FAMILIES = {
    "bert": bert(),
    "bert-untyped": bert(inputs=MASKED),  # the export has no type ids: they are looked up inside, in a line of the model's own
    "bert-max-sqrt": bert(modes=("max", "mean_sqrt_len_tokens"), normalize=False),
    "bert-dense": bert(modes=("cls",), dense=[(24, torch.nn.Tanh()), (16, torch.nn.GELU()), (12, torch.nn.Identity())]),
    "roberta": Family(hf.RobertaConfig, byte_level, ROBERTA, MASKED, doubled=True, modes=("cls",), sizes=OFFSET),
    "xlm-roberta": Family(hf.XLMRobertaConfig, unigram, ROBERTA, MASKED, doubled=True, modes=("weightedmean",), sizes=OFFSET),
    "mpnet": Family(hf.MPNetConfig, wordpiece, ROBERTA, MASKED, doubled=True, sizes={"max_position_embeddings": POSITIONS + 2}),
    "distilbert": Family(hf.DistilBertConfig, wordpiece, BERT, MASKED, modes=("lasttoken",), sizes=DISTIL),
    "modernbert": Family(hf.ModernBertConfig, byte_level, BERT, MASKED, modes=("mean",), sizes=MODERN),
    "cross-encoder-raw": bert(labels=1, activation=torch.nn.Identity()),
    "cross-encoder-labels": Family(hf.RobertaConfig, byte_level, ROBERTA, MASKED, doubled=True, labels=3, sizes=OFFSET),
}


def configuration(family: Family, words_: hf.PreTrainedTokenizerFast) -> Any:
    sizes = COMMON | {"max_position_embeddings": POSITIONS, "vocab_size": len(words_), "pad_token_id": words_.pad_token_id}
    return family.config(**(sizes | family.sizes | ({"num_labels": family.labels} if family.labels else {})))


def build(family: Family, folder: Path) -> SentenceTransformer | CrossEncoder:
    """Make a model with seeded weights and save it as sentence-transformers does."""
    torch.manual_seed(SEED)
    words_ = family.tokenizer()
    config = configuration(family, words_)
    auto = hf.AutoModelForSequenceClassification if family.labels else hf.AutoModel
    with tempfile.TemporaryDirectory() as scratch:
        auto.from_config(config).save_pretrained(scratch)
        words_.save_pretrained(scratch)
        if family.labels:
            more = {} if family.activation is None else {"activation_fn": family.activation}
            CrossEncoder(scratch, device="cpu", **more).save_pretrained(str(folder))
            return CrossEncoder(str(folder), device="cpu")
        modules: list[Any] = [Transformer(scratch, max_seq_length=POSITIONS)]
        modules.append(Pooling(HIDDEN, family.modes if len(family.modes) > 1 else family.modes[0]))
        width = HIDDEN * len(family.modes)
        for outputs, activation in family.dense:
            modules.append(Dense(width, outputs, activation_function=activation))
            width = outputs
        model = SentenceTransformer(modules=[*modules, *([Normalize()] if family.normalize else [])], device="cpu", prompts=PROMPTS)
        model.save_pretrained(str(folder))
    return SentenceTransformer(str(folder), device="cpu")


class Graph(torch.nn.Module):
    """What is exported: the inputs by name, one output."""

    def __init__(self, inner: Any, inputs: list[str], output: str) -> None:
        super().__init__()
        self.inner, self.inputs, self.output = inner, inputs, output

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        return self.inner(**dict(zip(self.inputs, values, strict=True)))[self.output]


def export(inner: Any, inputs: list[str], output: str, path: Path, *, of_tokens: bool) -> None:
    inner.eval().config._attn_implementation = "eager"
    example = tuple(torch.ones((2, 7), dtype=torch.int64) for _ in inputs)
    axes = {name: {0: "batch", 1: "tokens"} for name in inputs}
    axes[output] = {0: "batch", 1: "tokens"} if of_tokens else {0: "batch"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Graph(inner, inputs, output), example, f=str(path), input_names=inputs, output_names=[output],
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
    graph = onnx.load(str(path))
    for node in graph.graph.node:  # the exporter notes where its sources lie
        node.ClearField("doc_string")
        del node.metadata_props[:]
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def packed(rows: Any) -> dict[str, Any]:
    values = torch.as_tensor(rows).float().numpy()
    return {"shape": list(values.shape), "values": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def one_by_one(run: Any, items: list[Any]) -> torch.Tensor:
    """Run each alone, so that no value depends on padding."""
    return torch.stack([torch.as_tensor(run([item]))[0] for item in items])


def golden(model: Any, family: Family) -> dict[str, Any]:
    quiet = {"batch_size": 1, "show_progress_bar": False}
    words_ = model.tokenizer
    if family.labels:
        pairs = [(QUERY, text) for text in texts()]
        none = torch.nn.Identity()
        return {
            "ids": words_([list(pair) for pair in pairs], truncation=True, max_length=POSITIONS)["input_ids"],
            "raw": packed(one_by_one(lambda it: model.predict(it, activation_fn=none, **quiet), pairs).reshape(len(pairs), -1)),
            "scores": packed(one_by_one(lambda it: model.predict(it, **quiet), pairs).reshape(len(pairs), -1)),
        }
    plain = one_by_one(lambda it: model.encode(it, **quiet), texts())
    asked = one_by_one(lambda it: model.encode(it, prompt_name="query", **quiet), texts()[:3])
    half = plain.shape[1] // 2
    short = one_by_one(lambda it: model.encode(it, truncate_dim=half, normalize_embeddings=True, **quiet), texts())
    return {
        "ids": words_(texts(), truncation=True, max_length=POSITIONS)["input_ids"],
        "vectors": packed(plain),
        "prompted": packed(asked),
        "half": packed(short),
    }


def remove_needless(folder: Path) -> None:
    for needless in ("README.md", "special_tokens_map.json", "vocab.txt", "added_tokens.json"):
        (folder / needless).unlink(missing_ok=True)


def main() -> None:
    out = Path(__file__).with_name("families")
    names = sys.argv[1:] or list(FAMILIES)
    before = {} if len(names) == len(FAMILIES) else json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["families"]
    families = {name: before.get(name) for name in FAMILIES}
    for name in names:
        family = FAMILIES[name]
        shutil.rmtree(out / name, ignore_errors=True)
        model = build(family, out / name)
        families[name] = {"type": "cross-encoder" if family.labels else "embedding", **golden(model, family)}
        output = "logits" if family.labels else "last_hidden_state"
        export(model[0].model, family.inputs, output, out / name / "onnx" / "model.onnx", of_tokens=not family.labels)
        remove_needless(out / name)
    document = {
        "made_by": "make_families.py",
        "versions": {"python": platform.python_version()} | {it: importlib.metadata.version(it) for it in PACKAGES},
        "max_tokens": POSITIONS,
        "query": QUERY,
        "prompts": PROMPTS,
        "texts": texts(),
        "families": families,
    }
    out.with_suffix(".json").write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
