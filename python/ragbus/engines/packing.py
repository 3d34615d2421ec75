# SPDX-License-Identifier: Apache-2.0
"""Rows behind each other in one line of a batch, so that hardly any of it is padding: where a graph must be told them apart.

A transformer's layers work on tokens one by one, but for three places: attention, which gets a mask that lets each token see its
own row alone; position embeddings, which are counted from each row's start; and the first token, which a classifier reads. The
places are found by what they compute, not by what an exporter calls them; a graph in which one is not found runs its rows in a
line each. Packing so is Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination" (arXiv 2107.02027).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from ragbus import pooling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ragbus.model import ModelFolder
    from ragbus.pooling import Ints

_LENGTH = 7  # of the rows that places are tried with
_MASKED = -1e4  # what is added to a score is at most this where a token is not to be seen

# What lets tokens of a line see each other besides attention, or computes attention from where they stand in the line.
_FOREIGN = frozenset({"Convolution", "GroupConvolution", "DFT", "LSTMSequence", "GRUSequence", "RNNSequence"})


def ints(value: int | list[int]) -> Any:
    """Return a constant of int32."""
    return op.constant(np.array(value, np.int32))


class Batch:
    """What a graph reads of a batch: `ids` (lines x width), and what `fill` makes of the table that says where rows lie.

    Made outside the graph, since nodes that work on rows would keep memory for each number of rows that they meet.
    """

    def __init__(self) -> None:
        """Make the inputs."""
        self.ids, self._row, self._at, self._second = (_parameter(name, 2) for name in ("ids", "row", "at", "second"))
        self._starts = _parameter("starts", 1)
        self.inside = op.greater(self._row, ints(0))
        self.types = op.greater(self._second, ints(0))

    def parameters(self) -> list[Any]:
        """Return the graph's inputs, in the order of `shapes`."""
        return [self.ids, self._row, self._at, self._second, self._starts]

    @staticmethod
    def shapes(ids: Ints, table: Ints) -> list[tuple[int, ...]]:
        """Return the shape of each input for a batch."""
        return [ids.shape] * 4 + [(len(table),)]

    @staticmethod
    def fill(inputs: Sequence[Ints], ids: Ints, table: Ints) -> None:
        """Write a batch into its inputs, which have its `shapes`.

        After `ids`, for each place of it, the number of its row from 1 on (0 for padding), how far into the row it is, and whether
        that is of the second part. Then where each row begins.
        """
        inputs[0][:] = ids
        inputs[4][:] = table[:, pooling.START]
        row, at, second = (it.reshape(-1) for it in inputs[1:4])
        for it in (row, at, second):
            it.fill(0)
        for number, (length, boundary, _, _, start) in enumerate(table.tolist(), 1):
            end = start + length
            row[start:end] = number
            at[start:end] = np.arange(length)
            second[start + boundary : end] = 1

    def same_row(self) -> Any:
        """Return which places of a line are of one row: lines x 1 x width x width."""
        return op.unsqueeze(op.equal(op.unsqueeze(self._row, ints(2)), op.unsqueeze(self._row, ints(1))), ints(1))

    def positions(self, first: int, *, skipped: int | None) -> Any:
        """Return the positions, the first of a row being `first`; tokens `skipped` do not count and have the one before it."""
        if skipped is None:
            return op.add(self._at, ints(first))
        flat = op.reshape(self.ids, ints([-1]), special_zero=False)
        counted = op.convert(op.not_equal(flat, ints(skipped)), "i32")
        before = op.subtract(op.cumsum(counted, ints(0)), counted)
        places = op.range(ints(0), op.squeeze(op.shape_of(flat, "i32"), ints(0)), ints(1), "i32")
        begins = op.subtract(places, op.reshape(self._at, ints([-1]), special_zero=False))  # where the row of each place does
        within = op.add(op.subtract(before, op.gather(before, begins, ints(0))), ints(first))
        positions = op.select(op.greater(counted, ints(0)), within, ints(first - 1))
        return op.reshape(positions, op.shape_of(self.ids, "i32"), special_zero=False)

    def for_each_line(self, table: Any) -> Any:
        """Return a table of one line and some places as one of as many lines as there are."""
        lines = op.gather(op.shape_of(self.ids, "i32"), ints([0]), ints(0))
        return op.broadcast(table, op.concat([lines, ints([1])], 0), broadcast_spec="BIDIRECTIONAL")

    def first(self, hidden: Any) -> Any:
        """Return each row's first token of lines x width x values."""
        values = int(hidden.get_partial_shape()[-1].get_length())
        return op.gather(op.reshape(hidden, ints([-1, values]), special_zero=False), self._starts, ints(0))


def _parameter(name: str, rank: int) -> Any:
    return op.parameter(ov.PartialShape([-1] * rank), np.int32, name=name)


@dataclass(frozen=True)
class Places:
    """Where a graph is to be told rows of a line apart.

    `masks` are the inputs that take what is added to attention's scores, `unseen` what that is for a token that is not to be
    seen; `positions` are the inputs that take them, `first` the first and `skipped` the token that does not count, if one does
    not; `firsts` are what reads the first token of each line.
    """

    masks: tuple[ov.Input, ...]
    unseen: float
    positions: tuple[ov.Input, ...]
    first: int
    skipped: int | None
    firsts: tuple[ov.Node, ...]

    def part(self, batch: Batch) -> None:
        """Tell the rows of a line apart."""
        kept, hidden = op.constant(np.float32(0)), op.constant(np.float32(self.unseen))
        mask = op.select(batch.same_row(), kept, hidden)
        for at in self.masks:
            at.replace_source_output(op.convert(mask, at.get_element_type().get_type_name()).output(0))
        positions = batch.positions(self.first, skipped=self.skipped)
        for at in self.positions:
            at.replace_source_output(op.convert(positions, at.get_element_type().get_type_name()).output(0))
            table = at.get_node().input(0)
            if at.get_node().get_type_name() == "GatherElements" and table.get_partial_shape()[0] == 1:  # which is for one line
                table.replace_source_output(batch.for_each_line(table.get_source_output()).output(0))
        for node in self.firsts:
            node.output(0).replace(batch.first(node.input_value(0)).output(0))


def places_of(core: ov.Core, model: ov.Model, folder: ModelFolder, chosen: Any, pad_id: int) -> Places | None:
    """Find the places of a graph that gives `chosen`, before its inputs are replaced; None if it cannot be told rows apart."""
    inputs = {name: it for it in model.get_parameters() for name in it.output(0).get_names()}
    ops = model.get_ordered_ops()
    if not {"input_ids", "attention_mask"} <= inputs.keys() or any(it.get_type_name() in _FOREIGN for it in ops):
        return None
    masks = _masks(ops, inputs["attention_mask"])
    lookups = [it for it in ops if it.get_type_name() == "GatherElements" or _is_table_lookup(it)]
    heads = _above(chosen.get_node(), lambda it: _takes_first(it) or it.get_type_name() == "Softmax")
    firsts = tuple(filter(_takes_first, heads)) if folder.pooling is None else ()
    if masks is None or not lookups or (folder.pooling is None) != (len(firsts) == 1):
        return None
    tried = _tried(core, model, [it.get_source_output() for it in masks] + [it.input_value(1) for it in lookups], pad_id)
    if tried is None:
        return None
    unseen = {_unseen(it) for it in tried[: len(masks)]}
    counted = [(it, found) for it, said in zip(lookups, tried[len(masks) :], strict=True) if (found := _counted(said))]
    ways = {found for _, found in counted}
    if len(unseen) != 1 or None in unseen or len(ways) != 1 or sum(map(_is_table_lookup, (it for it, _ in counted))) != 1:
        return None
    [(first, skips)] = ways
    positions = tuple(it.input(1) for it, _ in counted)
    return Places(masks, float(unseen.pop() or 0), positions, first, pad_id if skips else None, firsts)


def _masks(ops: Sequence[ov.Node], attention_mask: ov.Node) -> tuple[ov.Input, ...] | None:
    """Return where masks are added to the scores of every attention; None if one has none."""
    found = []
    for node in ops:
        if node.get_type_name() == "Softmax" and node.get_output_partial_shape(0).rank.is_dynamic:
            return None
        if node.get_type_name() == "Softmax" and _has_rank(node.get_output_partial_shape(0), 4):
            added = node.input_value(0).get_node()
            operands = added.inputs() if added.get_type_name() == "Add" else []
        elif node.get_type_name() == "ScaledDotProductAttention":
            operands = node.inputs()[3:4]
        else:
            continue
        masks = [it for it in operands if _is_made_from(it.get_source_output().get_node(), attention_mask)]
        if len(masks) != 1:
            return None
        found += masks
    return tuple(found) or None


def _is_made_from(node: ov.Node, source: ov.Node) -> bool:
    """Return whether a mask is made from that input, with nothing of the tokens in it."""
    above = list(_above(node, _is_product))
    names = {it.get_type_name() for it in above}
    return "MatMul" not in names and any(it.get_friendly_name() == source.get_friendly_name() for it in above)


def _above(node: ov.Node, last: Callable[[ov.Node], bool]) -> Iterator[ov.Node]:
    """Yield a node and all that it is made from, on each way up to the first node that is the last."""
    seen, open_ = set(), [node]
    while open_:
        it = open_.pop()
        if it.get_friendly_name() not in seen:
            seen.add(it.get_friendly_name())
            yield it
            if not last(it):
                open_ += [value.get_node() for value in it.input_values()]


def _has_rank(shape: ov.PartialShape, rank: int) -> bool:
    return bool(shape.rank.is_static and shape.rank.get_length() == rank)


def _is_product(node: ov.Node) -> bool:
    return bool(node.get_type_name() == "MatMul")


def _is_table_lookup(node: ov.Node) -> bool:
    """Return whether a node looks rows of a table of weights up."""
    if node.get_type_name() != "Gather" or not _has_rank(node.get_input_partial_shape(0), 2):
        return False
    return all(it.get_type_name() != "Parameter" for it in _above(node.input_value(0).get_node(), _is_product))


def _takes_first(node: ov.Node) -> bool:
    if node.get_type_name() != "Gather" or not _has_rank(node.get_input_partial_shape(0), 3):
        return False
    index, axis = (_constant(node.input_value(at).get_node()) for at in (1, 2))
    return index is not None and axis is not None and index.shape == () and (int(index), int(axis)) == (0, 1)


def _constant(node: ov.Node) -> Any:
    return node.get_data() if node.get_type_name() == "Constant" else None


def _tried(core: ov.Core, model: ov.Model, values: Sequence[Any], pad_id: int) -> list[Any] | None:
    """Return what becomes of outputs for two rows: of the second, the third token is the pad token and the last two are padding."""
    ids = np.full((2, _LENGTH), pad_id + 11)
    ids[:, 1] = pad_id + 5
    ids[1, 2] = pad_id
    mask = np.ones((2, _LENGTH))
    mask[1, -2:] = 0
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros((2, _LENGTH))}
    part = ov.Model([op.result(it) for it in values], model.get_parameters(), "places")
    try:
        request = core.compile_model(part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
        for at, name in enumerate(part.inputs):
            known = next(given[it] for it in given if it in name.get_names())
            request.set_input_tensor(at, ov.Tensor(known.astype(name.get_element_type().to_dtype())))
        request.infer()
    except (RuntimeError, StopIteration):
        return None
    return [request.get_output_tensor(at).data.copy() for at in range(len(values))]


def _unseen(mask: Any) -> float | None:
    """Return what a mask has for what is not to be seen; None if it is no mask of padding alone."""
    if mask.dtype.kind != "f" or mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[0] != 2:  # noqa: PLR2004
        return None
    seen, unseen = np.concatenate([mask[0].ravel(), mask[1, ..., :-2].ravel()]), mask[1, ..., -2:]
    return float(unseen.min()) if not seen.any() and unseen.max() <= _MASKED else None


def _counted(indices: Any) -> tuple[int, bool] | None:
    """Return the first position, and whether pad tokens are skipped; None if the indices do not count."""
    if indices.shape not in {(_LENGTH,), (1, _LENGTH), (2, _LENGTH)}:
        return None
    plain, skipping = (row.tolist() for row in np.broadcast_to(indices, (2, _LENGTH)))
    first = int(plain[0])
    if plain != list(range(first, first + _LENGTH)):
        return None
    if skipping == plain:
        return first, False
    skipped = [first, first + 1, first - 1, *range(first + 2, first + _LENGTH - 1)]
    return (first, True) if skipping[:-2] == skipped[:-2] else None
