# SPDX-License-Identifier: Apache-2.0
"""sentence-transformers as its documentation has it: what a Python user would pick.

Runs in a Python that has it, and reads a command of raw_engine.py: `texts`.
"""

# ruff: noqa: INP001, T201 - a script, no module
from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sentence_transformers import SentenceTransformer

if TYPE_CHECKING:
    from collections.abc import Sequence


def every_text(model: SentenceTransformer, texts: Sequence[str]) -> dict[str, float]:
    """Measure all texts in one call, which sorts them by length and runs batches of 32 on all cores."""
    started = time.perf_counter()
    model.encode(list(texts), batch_size=32, show_progress_bar=False)
    seconds = time.perf_counter() - started
    return {"texts_s": round(len(texts) / seconds, 2), "seconds": round(seconds, 3)}


def main() -> None:
    """Load the model, then answer commands."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", help="a folder or a name")
    arguments.add_argument("texts", type=Path)
    chosen = arguments.parse_args()
    texts = chosen.texts.read_text(encoding="utf-8").splitlines()
    model = SentenceTransformer(chosen.model, device="cpu")
    for line in sys.stdin:
        if line.split() == ["texts"]:
            print(json.dumps(every_text(model, texts)), flush=True)


if __name__ == "__main__":
    main()
