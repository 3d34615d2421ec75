# SPDX-License-Identifier: Apache-2.0
"""Our engine against sentence-transformers on torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Lane


def cosines(a: Any, b: Any) -> Any:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize(("precision", "bound"), [("f32", 0.99999), ("bf16", 0.9999)])
def test_vectors(precision: str, bound: float, load: Callable[..., Any], lane: Lane, golden: dict[str, Any]) -> None:
    model = load(precision=precision)
    texts = [item["text"] for item in golden["items"]]
    vectors = np.concatenate([lane.embed(model, texts[start : start + 8]) for start in range(0, len(texts), 8)])
    assert cosines(vectors, golden["vectors"]).min() >= bound
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_token_counts(embedder: dict[str, Any], lane: Lane, golden: dict[str, Any]) -> None:
    tokens = lane.tokenize(embedder["handle"], [item["text"] for item in golden["items"]])
    assert tokens.total == [item["tokens"] for item in golden["items"]]
    assert tokens.length == [min(item["tokens"], 256) for item in golden["items"]]


@pytest.mark.parametrize("number", [0, 1])
def test_scores(number: int, reranker: dict[str, Any], lane: Lane, golden_scores: dict[str, Any]) -> None:
    expected = golden_scores["queries"][number]
    tokens = lane.tokenize(reranker["handle"], [expected["query"], *golden_scores["documents"]], pair=True)
    assert tokens.ids == expected["ids"]
    assert tokens.total == expected["tokens"]
    np.testing.assert_allclose(lane.forward(reranker, tokens)[:, 0], expected["sigmoid"], atol=1e-4)
    np.testing.assert_allclose(lane.forward(reranker, tokens, flags=0)[:, 0], expected["raw"], atol=1e-4)


def test_the_golden_scores_mean_something(golden_scores: dict[str, Any]) -> None:
    raw = golden_scores["queries"][0]["raw"]
    assert max(raw) - min(raw) >= 2
    assert sorted(raw, reverse=True) != raw
    assert sorted(raw) != raw
