# SPDX-License-Identifier: Apache-2.0
"""What the engines that run a graph (OpenVINO, ONNX Runtime) have in common: its inputs and outputs, and what follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ragbus import dense, pooling
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragbus.dense import Dense
    from ragbus.engines import Engine
    from ragbus.model import ModelFolder
    from ragbus.pooling import Floats, Ints

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUTS = {
    "embedding": (("token_embeddings", "last_hidden_state"), 3),
    "cross-encoder": (("logits",), 2),
    "sparse": (("logits",), 3),
    "classifier": (("logits",), 2),
}

_ALIKE = 0.1  # so much of its length a row may differ by; where rows see each other it is several times as much


def unknown_input(folder: ModelFolder, name: str) -> RagbusError:
    """Return the failure for an input that nothing here can feed."""
    return RagbusError("INVALID", f"{folder.weights} wants the input {name}, which is not one of {', '.join(INPUTS)}")


def output_of(folder: ModelFolder, outputs: Sequence[tuple[set[str], int]]) -> int:
    """Choose among outputs, each with names and rank: token vectors (rank 3) of an embedding model, logits else.

    Those of a sparse model are of each token (rank 3), others' of each text (rank 2).

    Raises TYPE_CONVERSION where there is none: the weights are of another type of model.
    """
    names, rank = _OUTPUTS[folder.model_type]
    fitting = [at for at, (_, its_rank) in enumerate(outputs) if its_rank == rank]
    named = [at for at in fitting if outputs[at][0] & set(names)]
    embedding = folder.model_type == "embedding"
    if not fitting or (not embedding and not named and len(outputs) > 1):
        wanted = "token vectors" if embedding else "logits"
        raise RagbusError("TYPE_CONVERSION", f"{folder.weights} gives no {wanted}: it is no {folder.model_type} model")
    return (named or fitting)[0]


def layers_of(folder: ModelFolder, width: int) -> tuple[Dense, ...]:
    """Return the layers after the pooling of token vectors that have `width` values; none without such vectors.

    Raises RUNTIME naming a file that says another width, or another number of labels, than the weights have.
    """
    if folder.model_type in {"cross-encoder", "classifier"}:
        if folder.labels is not None and len(folder.labels) != width:
            said = f"{folder.folder / 'config.json'} names {len(folder.labels)} labels"
            raise RagbusError("RUNTIME", f"{said}, but {folder.weights} gives {width} values")
        return ()
    for path, said_width in folder.hidden_sizes.items():
        if said_width != width:
            raise RagbusError("RUNTIME", f"{path} says {said_width} dimensions, but {folder.weights} gives {width}")
    return dense.read(folder.dense, width * len(str(folder.pooling).split("+")))


def outputs_of(folder: ModelFolder, width: int, layers: Sequence[Dense]) -> int:
    """Return how many values a text's row has."""
    if layers:
        return len(layers[-1].weight)
    return width if folder.pooling is None else width * len(folder.pooling.split("+"))


def activation_of(folder: ModelFolder, outputs: int) -> str | None:
    """Return the activation of scores, or what saturates a sparse model's logits, as the folder says; None for an embedding.

    Where it does not say, one label's score gets a sigmoid, a classifier's several a softmax, a cross-encoder's stay.
    """
    if folder.model_type == "embedding":
        return None
    if folder.model_type == "sparse":
        return folder.activation or "relu"
    return folder.activation or ("sigmoid" if outputs == 1 else "softmax" if folder.model_type == "classifier" else "identity")


def finish(engine: Engine, layers: Sequence[Dense], hidden: Floats, table: Ints, out: Floats) -> None:
    """Bring what a graph gave (token vectors, or one row a text) into `out`, which it may be: pool, project, then finish."""
    if hidden is not out:
        _pool(engine, layers, hidden, table, out)
    if engine.folder.model_type == "embedding":
        pooling.finish_embeddings(table, out)
    elif engine.folder.model_type == "sparse":
        pooling.keep_largest(table, out)
    else:
        pooling.finish_scores(table, out, str(engine.activation))


def _pool(engine: Engine, layers: Sequence[Dense], hidden: Floats, table: Ints, out: Floats) -> None:
    if engine.folder.model_type == "sparse":
        pooling.pool_sparse(str(engine.folder.pooling), str(engine.activation), hidden, table[:, pooling.LENGTH], out)
        return
    vectors = hidden
    if hidden.ndim == 3:  # noqa: PLR2004
        vectors = np.empty((len(table), layers[0].weight.shape[1]), np.float32) if layers else out
        pooling.pool(str(engine.folder.pooling), hidden, table, vectors)
    for layer in layers:
        vectors = layer(vectors)
    if vectors is not out:
        out[:] = vectors


def try_out(engine: Engine) -> None:
    """Run one short row each way: what cannot run is found at load, and the weights are laid out for the device by then."""
    ids, table = np.full((1, 8), engine.tokens.pad_id, np.int32), pooling.table_of([8], 8)
    out = np.zeros((1, engine.outputs), np.float32)
    try:
        for alone in (True, False):
            engine.finish(engine.forward(ids, table, out, alone=alone), table, out)
    except Exception as error:
        raise RagbusError("RUNTIME", f"cannot run the weights {engine.folder.weights}: {error}") from error


def packs_alike(engine: Engine) -> bool:
    """Return whether rows come to the same in one line as in a line each; precisions differ a little by what they run beside."""
    lengths, width = [5, 9], 16
    ids = (np.arange(1, sum(lengths) + 1, dtype=np.int32) * 7919) % engine.tokens.vocab_size  # some, and far apart
    split, behind = np.full((2, width), engine.tokens.pad_id, np.int32), np.full((1, width), engine.tokens.pad_id, np.int32)
    split[0, : lengths[0]], split[1, : lengths[1]], behind[0, : len(ids)] = ids[: lengths[0]], ids[lengths[0] :], ids
    apart, together = pooling.table_of(lengths, width), pooling.table_of(lengths, lengths[0])
    expected, got = np.zeros((2, 2, engine.outputs), np.float32)
    for batch, table, out in ((split, apart, expected), (behind, together, got)):
        engine.finish(engine.forward(batch, table, out), table, out)
    return bool((np.linalg.norm(got - expected, axis=1) <= _ALIKE * np.linalg.norm(expected, axis=1)).all())
