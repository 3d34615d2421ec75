# SPDX-License-Identifier: Apache-2.0
"""The engine of docs/recipes.md runs as the page says."""

from __future__ import annotations

import json
import re
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ragbus import engines, model, pooling, tokenization

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not beside the package")
def test_the_engine_of_the_recipe(monkeypatch: pytest.MonkeyPatch, model_folder: Path, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    module = types.ModuleType("ragbus.engines.static")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(found[1], str(PAGE), "exec"), module.__dict__)
    monkeypatch.setitem(engines.ENGINES, "static", module.__name__)
    monkeypatch.setitem(engines._PACKAGES, "static", ("safetensors",))
    monkeypatch.setitem(model.ENGINE_FILES, "static", ("model.safetensors",))
    shutil.copy(model_folder / "tokenizer.json", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"pad_token_id": 0}), encoding="utf-8")
    tokens = tokenization.load(tmp_path / "tokenizer.json")
    vectors = np.random.default_rng(7).normal(size=(tokens.vocab_size, 6)).astype(np.float32)
    save_file({"embeddings": vectors}, tmp_path / "model.safetensors")

    loaded = engines.load_engine("static", model.read_folder(tmp_path, "embedding"), tokens, engines.EngineOptions())[0]
    texts = ["Cats purr.", "A longer text about how tall Mont Blanc is."]
    rows = loaded.tokenize(texts, tokenization.Cut(64), pair=False)
    for row in rows:
        out = np.zeros((1, 6), np.float32)
        table = pooling.table_of([len(row.ids)], len(row.ids))
        loaded.finish(loaded.forward(np.array([row.ids], np.int32), table, out), table, out)
        np.testing.assert_allclose(out[0], vectors[list(row.ids)].mean(axis=0), rtol=1e-5)
