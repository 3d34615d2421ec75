# SPDX-License-Identifier: Apache-2.0
"""Texts to rows of token ids, with truncation, pairs and windows of our own.

The tokenizer file's truncation and padding are switched off: all lanes share one tokenizer, and its settings are no place for
what differs from call to call. Special tokens are those that the file's post-processor adds, read off once when it is loaded.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ragbus.errors import RagbusError, safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

Text: TypeAlias = "str | tuple[str, str]"  # one text, or a couple that is one row

# Building the result of encode_batch holds the interpreter lock: many small calls let other lanes in between.
_TEXTS_A_CALL = 64
_PAD_TOKENS = ("[PAD]", "<pad>", "<|padding|>", "<|endoftext|>")


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around one text (`middle` empty) or a pair, and how far type id 0 reaches.

    `typed` says whether the second text has type id 1; then the first `zeros` of `middle` still have 0.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    typed: bool
    zeros: int

    @property
    def specials(self) -> int:
        """How many special tokens a row has."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)


@dataclass(frozen=True, slots=True)
class Row:
    """One row for the engine: the text it is of, its ids, the reach of type id 0, its length had nothing been cut."""

    text: int
    ids: list[int]
    boundary: int
    total: int


@dataclass(frozen=True, slots=True)
class Cut:
    """How rows are bounded: tokens a row, tokens of a pair's document, windows of a document, which end goes."""

    max_tokens: int
    max_document: int | None = None
    max_chunks: int = 1
    left: bool = False

    def keep(self, ids: list[int], count: int) -> list[int]:
        """Return the `count` ids that stay."""
        return ids[max(0, len(ids) - count) :] if self.left else ids[:count]


@dataclass(frozen=True, slots=True)
class TextTokenizer:
    """A tokenizer file made ready: no truncation or padding of its own, its special tokens known."""

    tokenizer: Tokenizer
    pad_id: int
    single: Template
    pair: Template
    vocab_size: int


def load(path: Path, *, pad_id: int | None = None, lowercase: bool = False) -> TextTokenizer:
    """Read a tokenizer.json and make it `ready`. Raises RUNTIME, naming the file, if it cannot be read."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - heavy

    try:
        return ready(Tokenizer.from_file(str(path)), pad_id=pad_id, lowercase=lowercase)
    except Exception as error:
        raise RagbusError("RUNTIME", f"cannot read the tokenizer {path}: {error}") from error


def ready(tokenizer: Tokenizer, *, pad_id: int | None = None, lowercase: bool = False) -> TextTokenizer:
    """Switch a tokenizer's own truncation and padding off and read its special tokens.

    `pad_id` is taken where the tokenizer names no padding itself; `lowercase` puts a lower-casing step first.
    """
    from tokenizers import normalizers  # noqa: PLC0415 - heavy

    padding = tokenizer.padding
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if lowercase:
        own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    named = (tokenizer.token_to_id(token) for token in _PAD_TOKENS)
    known = next((token for token in named if token is not None), 0)
    return TextTokenizer(
        tokenizer=tokenizer,
        pad_id=padding["pad_id"] if padding else known if pad_id is None else pad_id,
        single=_template(tokenizer.encode("a")),
        pair=_template(tokenizer.encode("a", "a")),
        vocab_size=tokenizer.get_vocab_size(with_added_tokens=True),
    )


def _template(sample: Encoding) -> Template:
    """Read special tokens and type ids off a sample: `sequence_ids` is None exactly at special tokens."""
    groups = [(key, list(group)) for key, group in itertools.groupby(range(len(sample.ids)), lambda at: sample.sequence_ids[at])]
    first = next(at for at, (key, _) in enumerate(groups) if key == 0)
    last = max(at for at, (key, _) in enumerate(groups) if key is not None)
    specials = [
        [at for key, group in part if key is None for at in group] for part in (groups[:first], groups[first:last], groups[last:])
    ]
    prefix, middle, suffix = (tuple(sample.ids[at] for at in part) for part in specials)
    types = sample.type_ids
    return Template(prefix, middle, suffix, typed=any(types), zeros=sum(types[at] == 0 for at in specials[1]))


def _encode(source: TextTokenizer, texts: Sequence[str]) -> Iterator[list[int]]:
    for start in range(0, len(texts), _TEXTS_A_CALL):
        for encoding in source.tokenizer.encode_batch_fast(texts[start : start + _TEXTS_A_CALL], add_special_tokens=False):
            yield encoding.ids


def rows(source: TextTokenizer, texts: Sequence[Text], cut: Cut, *, pair: bool) -> list[Row]:
    """Return the rows of texts; with `pair` the first text is the query of all the others."""
    if not pair:
        return rows_of_texts(source, texts, cut)
    query, *documents = [str(text) for text in texts]
    return rows_of_pairs(source, query, documents, cut)


def rows_of_texts(source: TextTokenizer, texts: Sequence[Text], cut: Cut) -> list[Row]:
    """Return one row a text or couple, special tokens included, at most `cut.max_tokens` long; a couple has no windows."""
    encoded = _encode(source, [part for text in texts for part in ((text,) if isinstance(text, str) else text)])
    return [
        _row_of_text(source.single, at, next(encoded), cut)
        if isinstance(text, str)
        else _rows_of_pair(source.pair, at, next(encoded), next(encoded), cut)[0]
        for at, text in enumerate(texts)
    ]


def _row_of_text(template: Template, at: int, ids: list[int], cut: Cut) -> Row:
    room = cut.max_tokens - template.specials
    if room < 1:
        raise RagbusError("INVALID", f"max_tokens {cut.max_tokens}: this model adds {template.specials} special tokens")
    row = [*template.prefix, *cut.keep(ids, room), *template.suffix]
    return Row(at, row, len(row), len(ids) + template.specials)


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how many tokens of a pair stay in `room`: the longer one is cut down to the shorter, then both alike.

    The rule of the tokenizers library (`utils/truncation.rs`, `TruncationStrategy::LongestFirst`), which is what
    sentence-transformers' CrossEncoder uses, to the token.
    """
    if first + second <= room:
        return first, second
    short, long = sorted((first, second))
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room // 2 + room % 2
    return (short, long) if first <= second else (long, short)


def rows_of_pairs(source: TextTokenizer, query: str, documents: Sequence[str], cut: Cut) -> list[Row]:
    """Return the rows of a query with each document: one, or up to `cut.max_chunks` windows of a long document.

    Windows follow each other without overlap; those beyond the bound are cut (from the left with `cut.left`). A row's `total`
    is its length plus what was cut beside it, so a row is truncated if `total` is more than its length, windows included.
    """
    asked, *encoded = _encode(source, [query, *documents])
    return [row for at, whole in enumerate(encoded) for row in _rows_of_pair(source.pair, at, asked, whole, cut)]


def _rows_of_pair(template: Template, at: int, asked: list[int], whole: list[int], cut: Cut) -> list[Row]:
    room = cut.max_tokens - template.specials
    if room < 2:  # noqa: PLR2004 - a token each
        raise RagbusError("INVALID", f"max_tokens {cut.max_tokens}: this model adds {template.specials} special tokens")
    document = whole if cut.max_document is None else cut.keep(whole, cut.max_document)
    kept, width = longest_first(len(asked), len(document), room)
    head = [*template.prefix, *cut.keep(asked, kept), *template.middle]
    boundary = len(template.prefix) + kept + template.zeros
    document = cut.keep(document, width * max(1, cut.max_chunks))
    windows = [document[start : start + width] for start in range(0, len(document), max(1, width))] or [[]]
    edge = 0 if cut.left else len(windows) - 1  # the window beside what was cut
    rows = []
    for number, window in enumerate(windows):
        ids = [*head, *window, *template.suffix]
        lost = len(asked) - kept + (len(whole) - len(document) if number == edge else 0)
        rows.append(Row(at, ids, boundary if template.typed else len(ids), len(ids) + lost))
    return rows


def flatten(rows: Sequence[Row]) -> NDArray[np.int32]:
    """Pack rows as int32: their number, then text, length, boundary, total of each, then all ids one after another."""
    head = [len(rows)]
    for row in rows:
        head += (row.text, len(row.ids), row.boundary, row.total)
    return np.array(list(itertools.chain(head, *(row.ids for row in rows))), dtype=np.int32)


def describe_tokens(source: TextTokenizer, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[dict[str, Any]]]:
    """Return id, text, special, start and stop of every token; offsets count characters, null for special tokens."""
    clean = [safe(text) for text in texts]
    encodings = source.tokenizer.encode_batch(clean, add_special_tokens=add_special_tokens)
    return [
        [
            {"id": token, "text": name, "special": True, "start": None, "stop": None}
            if special
            else {"id": token, "text": text[start:stop], "special": False, "start": start, "stop": stop}
            for token, name, special, (start, stop) in zip(
                encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True
            )
        ]
        for text, encoding in zip(clean, encodings, strict=True)
    ]


def decode(source: TextTokenizer, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
    """Return the text of each list of ids; raises INVALID naming an id outside the vocabulary."""
    for token in itertools.chain.from_iterable(ids):
        whole = isinstance(token, int) and not isinstance(token, bool)
        if not whole or not 0 <= token < 2**32 or source.tokenizer.id_to_token(token) is None:
            raise RagbusError("INVALID", f"ids: {token!r} is outside the vocabulary of {source.vocab_size} tokens")
    return source.tokenizer.decode_batch([list(row) for row in ids], skip_special_tokens=skip_special_tokens)
