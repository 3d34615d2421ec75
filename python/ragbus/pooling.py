# SPDX-License-Identifier: Apache-2.0
"""From token vectors to one row a text: pooling, slicing, normalising, activation. Pure NumPy.

Formulas are those of sentence-transformers (`modules/pooling.py`, `Normalize`, `SpladePooling`) and torch (`sigmoid`, `softmax`).
A row's tokens are `length` behind each other, from its start on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragbus.errors import RagbusError

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Pooling: TypeAlias = Callable[[Floats, Floats], None]  # from a row's tokens (length x values, at least one) into its values

# The columns of a row in a batch's table: START is where its ids begin among all of the batch; of a sparse one DIMENSIONS is its
# top k.
LENGTH, BOUNDARY, DIMENSIONS, FLAGS, START = range(5)
COLUMNS = 5
FINISH = 1  # flag: normalise an embedding, apply the activation to a score
_TINY = 1e-12  # torch.nn.functional.normalize's eps


def table_of(lengths: Sequence[int], width: int, boundaries: Sequence[int] | None = None, flags: int = 0) -> Ints:
    """Return the table (rows x `COLUMNS`) of rows that have a line of `width` ids each; without boundaries all are of one part."""
    table = np.zeros((len(lengths), COLUMNS), np.int32)
    table[:, LENGTH], table[:, BOUNDARY] = lengths, lengths if boundaries is None else boundaries
    table[:, FLAGS], table[:, START] = flags, np.arange(len(lengths)) * width
    return table


def _mean(tokens: Floats, out: Floats) -> None:
    np.add.reduce(tokens, axis=0, out=out)
    out /= len(tokens)


def _mean_sqrt_len(tokens: Floats, out: Floats) -> None:
    np.add.reduce(tokens, axis=0, out=out)
    out /= math.sqrt(len(tokens))


def _weighted_mean(tokens: Floats, out: Floats) -> None:
    weights = np.arange(1, len(tokens) + 1, dtype=np.float32)
    np.matmul(weights / weights.sum(), tokens, out=out)


def _max(tokens: Floats, out: Floats) -> None:
    np.maximum.reduce(tokens, axis=0, out=out)


def _cls(tokens: Floats, out: Floats) -> None:
    out[:] = tokens[0]


def _last_token(tokens: Floats, out: Floats) -> None:
    out[:] = tokens[-1]


POOLINGS: dict[str, Pooling] = {
    "mean": _mean,
    "cls": _cls,
    "max": _max,
    "lasttoken": _last_token,
    "mean_sqrt_len": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
}


def pool(name: str, hidden: Floats, table: Ints, out: Floats) -> None:
    """Pool token vectors (lines x width x values) into `out` by one of `POOLINGS`, or by several joined by `+`, side by side.

    A row without tokens has no numbers. A row at a time: there are few, and what works on all of them at once in NumPy is more
    code, which has to be fetched from memory again after each pass.
    """
    tokens, poolings = hidden.reshape(-1, hidden.shape[-1]), [POOLINGS[it] for it in name.split("+")]
    pooled = out.reshape(len(table), len(poolings), -1)
    for of_row, (length, _, _, _, start) in zip(pooled, table.tolist(), strict=True):
        for at, pooling in enumerate(poolings):
            if length:
                pooling(tokens[start : start + length], of_row[at])
            else:
                of_row[at] = np.nan


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

    `table` is rows x `COLUMNS` (see `LENGTH` …), `out` rows x outputs. A row with `DIMENSIONS` d > 0 keeps its first d values, the
    rest become 0; a row with the `FINISH` flag is then divided by its Euclidean norm. Raises TYPE_CONVERSION for d beyond outputs.
    """
    for vector, (_, _, dimensions, flags, _) in zip(out, table.tolist(), strict=True):
        if not 0 <= dimensions <= len(vector):
            raise RagbusError("TYPE_CONVERSION", f"dimensions {dimensions}: this model has 1 to {len(vector)}")
        if dimensions:
            vector[dimensions:] = 0
        if flags & FINISH:
            np.divide(vector, max(math.sqrt(vector.dot(vector)), _TINY), out=vector)


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
