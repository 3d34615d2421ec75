# SPDX-License-Identifier: Apache-2.0
"""Every pooling against a loop that follows its definition, and the finish of a batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ragbus import pooling
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Vectors = list[list[float]]


def weighted(vectors: Vectors, weights: Sequence[float], by: float) -> list[float]:
    return [sum(w * v[d] for w, v in zip(weights, vectors, strict=True)) / by for d in range(len(vectors[0]))]


NAIVE: dict[str, Callable[[Vectors], list[float]]] = {
    "mean": lambda v: weighted(v, [1] * len(v), len(v)),
    "mean_sqrt_len": lambda v: weighted(v, [1] * len(v), math.sqrt(len(v))),
    "weightedmean": lambda v: weighted(v, range(1, len(v) + 1), len(v) * (len(v) + 1) / 2),
    "max": lambda v: [max(column) for column in zip(*v, strict=True)],
    "cls": lambda v: v[0],
    "lasttoken": lambda v: v[-1],
}


@pytest.mark.parametrize("name", pooling.POOLINGS)
def test_pooling_is_its_definition(name: str) -> None:
    hidden = np.random.default_rng(1).normal(size=(3, 9, 7)).astype(np.float32) - 2
    lengths, starts = [9, 1, 4, 3, 2], [0, 9, 10, 14, 18]
    rows = pooling.table_of(lengths, 0)
    rows[:, pooling.START] = starts
    pooled = np.empty((len(rows), 7), np.float32)
    pooling.pool(name, hidden, rows, pooled)
    tokens = hidden.reshape(-1, 7)
    naive = [NAIVE[name](tokens[start : start + length].tolist()) for start, length in zip(starts, lengths, strict=True)]
    np.testing.assert_allclose(pooled, np.array(naive), rtol=2e-5, atol=1e-6)


def test_a_row_without_tokens_has_no_numbers() -> None:
    pooled = np.empty((2, 8), np.float32)
    pooling.pool("mean+max", np.ones((2, 3, 4), np.float32), pooling.table_of([3, 0], 3), pooled)
    np.testing.assert_array_equal(np.isfinite(pooled), [[True] * 8, [False] * 8])


def table(*rows: tuple[int, int]) -> Any:
    return np.array([[3, 3, dimensions, flags, 0] for dimensions, flags in rows], np.int32)


def test_rows_are_sliced_and_normalised_each_in_its_way() -> None:
    out = np.array([[3, 4, 12]] * 4, np.float32)
    pooling.finish_embeddings(table((0, 0), (0, 1), (2, 1), (2, 0)), out)
    np.testing.assert_allclose(out, np.array([[3, 4, 12], [3 / 13, 4 / 13, 12 / 13], [0.6, 0.8, 0], [3, 4, 0]]), rtol=1e-6)


def test_a_zero_vector_stays_zero() -> None:
    out = np.zeros((1, 3), np.float32)
    pooling.finish_embeddings(table((0, 1)), out)
    assert not out.any()


@pytest.mark.parametrize("dimensions", [4, -1])
def test_dimensions_out_of_range_are_refused(dimensions: int) -> None:
    with pytest.raises(RagbusError, match="1 to 3") as raised:
        pooling.finish_embeddings(table((dimensions, 1)), np.zeros((1, 3), np.float32))
    assert raised.value.kind == "TYPE_CONVERSION"


def test_sigmoid_neither_overflows_nor_hides_nan() -> None:
    values = pooling.sigmoid(np.array([-1e30, -80, -2, 0, 2, 1e30, np.nan], np.float32))
    np.testing.assert_allclose(values[:6], [0, 0, 1 / (1 + math.e**2), 0.5, 1 / (1 + math.e**-2), 1], atol=1e-7)
    assert np.isnan(values[6])


def test_only_flagged_scores_are_activated() -> None:
    out = np.zeros((2, 1), np.float32)
    pooling.finish_scores(table((0, 1), (0, 0)), out, "sigmoid")
    assert out.ravel().tolist() == [0.5, 0]
    pooling.finish_scores(table((0, 1), (0, 1)), out, "identity")
    assert out.ravel().tolist() == [0.5, 0]


def saturated(logit: float, name: str) -> float:
    once = math.log1p(max(0.0, logit))
    return once if name == "relu" else math.log1p(once)


@pytest.mark.parametrize("saturation", pooling.SATURATIONS)
@pytest.mark.parametrize("name", pooling.SPARSE_POOLINGS)
def test_sparse_pooling_is_its_definition(name: str, saturation: str) -> None:
    logits = np.random.default_rng(2).normal(size=(3, 6, 8)).astype(np.float32) - 1
    lengths = np.array([6, 1, 4], np.int32)
    out = np.full((3, 8), 7, np.float32)
    pooling.pool_sparse(name, saturation, logits, lengths, out)
    naive = np.zeros((3, 8))
    for row, entry in np.ndindex(naive.shape):
        values = [saturated(logits[row, at, entry], saturation) for at in range(lengths[row])]
        naive[row, entry] = max(values) if name == "max" else sum(values)
    np.testing.assert_allclose(out, naive, rtol=1e-5, atol=1e-7)
    assert not out.all()


def test_the_largest_stay_and_equal_ones_by_index() -> None:
    out = np.array([[0, 3, 1, 3, 2, 3]] * 3, np.float32)
    pooling.keep_largest(table((0, 1), (2, 1), (9, 0)), out)
    assert out.tolist() == [[0, 3, 1, 3, 2, 3], [0, 3, 0, 3, 0, 0], [0, 3, 1, 3, 2, 3]]
    with pytest.raises(RagbusError, match="top_k -1 must be at least 1"):
        pooling.keep_largest(table((-1, 0)), out[:1])


def test_what_is_no_number_stays_among_the_largest() -> None:
    out = np.array([[5, np.nan, 4, np.inf]], np.float32)
    pooling.keep_largest(table((2, 0)), out)
    np.testing.assert_array_equal(out, np.array([[0, np.nan, 0, np.inf]], np.float32))


def test_sparse_rows_are_packed_over_where_they_lie() -> None:
    ints, floats = np.full(15, -1, np.int32), np.full(20, -1, np.float32)
    out = floats[:12].reshape(3, 4)
    out[:] = np.array([[0, 2, 0, 3], [0, 0, 0, 0], [1, np.nan, 0, 4]])
    pooling.pack_sparse(out, ints, floats)
    assert ints[:8].tolist() == [2, 2, 5, 1, 3, 0, 1, 3]
    np.testing.assert_array_equal(floats[:5], [2, 3, 1, np.nan, 4])
    full = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    floats[:12] = full.ravel()
    pooling.pack_sparse(floats[:12].reshape(3, 4), ints, floats)
    assert ints.tolist() == [4, 8, 12, *[0, 1, 2, 3] * 3]
    np.testing.assert_array_equal(floats[:12], full.ravel())


def test_softmax_neither_overflows_nor_hides_nan() -> None:
    values = pooling.softmax(np.array([[1e30, 0, 0], [1, 1, 1], [-1e30, -1e30, 0], [0, np.nan, 0]], np.float32))
    np.testing.assert_allclose(values[:3], np.array([[1, 0, 0], [1 / 3] * 3, [0, 0, 1]]), atol=1e-7)
    assert np.isnan(values[3]).all()
