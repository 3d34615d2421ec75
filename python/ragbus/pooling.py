# SPDX-License-Identifier: Apache-2.0
"""From token vectors to one row a text: pooling, slicing, normalising, activation. Pure NumPy.

Formulas are those of sentence-transformers (`modules/pooling.py`, `Normalize`, `SpladePooling`) and torch (`sigmoid`, `softmax`).
Rows are padded on the right, so a row's tokens are its first `length` positions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragbus.errors import RagbusError

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Pooling: TypeAlias = Callable[[Floats, Ints], Floats]

LENGTH, BOUNDARY, DIMENSIONS, FLAGS = range(4)  # the columns of a row in a batch's table; of a sparse one DIMENSIONS is its top k
FINISH = 1  # flag: normalise an embedding, apply the activation to a score
_TINY = np.float32(1e-12)  # torch.nn.functional.normalize's eps


def _weighted_sum(hidden: Floats, weights: Floats) -> Floats:
    summed: Floats = np.matmul(weights[:, None, :], hidden)[:, 0, :]
    return summed


def _inside(hidden: Floats, lengths: Ints) -> NDArray[np.bool_]:
    return np.arange(hidden.shape[1]) < lengths[:, None]


def _counts(lengths: Ints) -> Floats:
    return np.maximum(lengths, 1).astype(np.float32)[:, None]


def _mean(hidden: Floats, lengths: Ints) -> Floats:
    return _weighted_sum(hidden, _inside(hidden, lengths).astype(np.float32) / _counts(lengths))


def _mean_sqrt_len(hidden: Floats, lengths: Ints) -> Floats:
    root: Floats = np.sqrt(_counts(lengths))
    return _weighted_sum(hidden, _inside(hidden, lengths).astype(np.float32) / root)


def _weighted_mean(hidden: Floats, lengths: Ints) -> Floats:
    positions: Floats = np.arange(1, hidden.shape[1] + 1, dtype=np.float32) * _inside(hidden, lengths).astype(np.float32)
    total: Floats = np.maximum(positions.sum(axis=1, keepdims=True), _TINY)
    return _weighted_sum(hidden, positions / total)


def _max(hidden: Floats, lengths: Ints) -> Floats:
    largest: Floats = np.max(hidden, axis=1, where=_inside(hidden, lengths)[:, :, None], initial=-np.inf)
    return largest


def _cls(hidden: Floats, lengths: Ints) -> Floats:  # noqa: ARG001 - one signature for all
    return hidden[:, 0, :]


def _last_token(hidden: Floats, lengths: Ints) -> Floats:
    return hidden[np.arange(len(hidden)), np.maximum(lengths, 1) - 1, :]


POOLINGS: dict[str, Pooling] = {
    "mean": _mean,
    "cls": _cls,
    "max": _max,
    "lasttoken": _last_token,
    "mean_sqrt_len": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
}


def pool(name: str, hidden: Floats, lengths: Ints) -> Floats:
    """Pool token vectors by one of `POOLINGS`, or by several joined by `+`, whose results stand one after another."""
    pooled = [POOLINGS[it](hidden, lengths) for it in name.split("+")]
    return pooled[0] if len(pooled) == 1 else np.concatenate(pooled, axis=1)


def _relu(x: Floats) -> Floats:
    return np.maximum(x, np.float32(0))


# What a head's logits become, by the names that `SpladePooling` has for them; each rises with its argument.
SATURATIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.log1p(_relu(x)),
    "log1p_relu": lambda x: np.log1p(np.log1p(_relu(x))),
}
SPARSE_POOLINGS = ("max", "sum")


def pool_sparse(name: str, saturation: str, logits: Floats, lengths: Ints, out: Floats) -> None:
    """Pool a vocabulary's logits (rows x tokens x vocabulary) by one of `SPARSE_POOLINGS` into `out` (rows x vocabulary).

    Each is first saturated by one of `SATURATIONS`. A row at a time: all at once would make copies of the largest array there is.
    """
    saturate = SATURATIONS[saturation]
    for row, length in enumerate(lengths.tolist()):
        inside = logits[row, :length]
        out[row] = saturate(inside.max(axis=0)) if name == "max" else saturate(inside).sum(axis=0)


def keep_largest(table: Ints, out: Floats) -> None:
    """Keep each row's `DIMENSIONS` largest values (0: all), of equal ones those with the lowest index; the rest become 0."""
    most = table[:, DIMENSIONS]
    if most.min(initial=0) < 0:
        raise RagbusError("INVALID", f"top_k {most.min()} must be at least 1")
    for row in np.flatnonzero(most):
        places = np.flatnonzero(out[row])
        by_size = np.argsort(-np.nan_to_num(out[row, places], nan=np.inf), kind="stable")  # what is no number must not get lost
        out[row, places[by_size[most[row] :]]] = 0


def pack_sparse(out: Floats, ints: Ints, floats: Floats) -> None:
    """Hand over what is not 0 of `out` (rows x outputs), which may lie in `floats`.

    `ints` gets where each row ends among the values, then the index of each value in its row; `floats` gets the values.
    """
    rows, outputs = out.shape
    places = np.flatnonzero(out)
    values = out.ravel()[places]
    ints[:rows] = np.searchsorted(places, np.arange(1, rows + 1) * outputs)
    ints[rows : rows + len(places)] = places % outputs
    floats[: len(places)] = values


def finish_embeddings(table: Ints, out: Floats) -> None:
    """Slice and normalise vectors in place, row by row as the table says.

    `table` is rows x 4 (see `LENGTH` …), `out` rows x outputs. A row with `DIMENSIONS` d > 0 keeps its first d values, the rest
    become 0; a row with the `FINISH` flag is then divided by its Euclidean norm. Raises TYPE_CONVERSION for d beyond outputs.
    """
    dimensions = table[:, DIMENSIONS]
    if dimensions.any():
        if dimensions.min() < 0 or dimensions.max() > out.shape[1]:
            raise RagbusError("TYPE_CONVERSION", f"dimensions {dimensions.max()}: this model has 1 to {out.shape[1]}")
        out[np.arange(out.shape[1]) >= np.where(dimensions, dimensions, out.shape[1])[:, None]] = 0
    normalize = (table[:, FLAGS] & FINISH).astype(bool)
    if normalize.any():
        norms = np.maximum(np.sqrt(np.einsum("ij,ij->i", out, out)), _TINY)
        out /= np.where(normalize, norms, np.float32(1))[:, None]


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + e^-x), without overflow: below -80 the result is the smallest that float32 still carries."""
    return np.float32(1) / (np.float32(1) + np.exp(-np.maximum(x, np.float32(-80))))


def softmax(x: Floats) -> Floats:
    """Return e^x of each value over their sum in its row, without overflow."""
    powers: Floats = np.exp(x - x.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {"sigmoid": sigmoid, "softmax": softmax, "identity": lambda x: x}


def finish_scores(table: Ints, out: Floats, activation: str) -> None:
    """Apply an activation of `ACTIVATIONS`, in place, to the rows that carry the `FINISH` flag."""
    flagged = (table[:, FLAGS] & FINISH).astype(bool)
    if activation != "identity" and flagged.any():
        out[flagged] = ACTIVATIONS[activation](out[flagged])
