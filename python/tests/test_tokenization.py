# SPDX-License-Identifier: Apache-2.0
"""Rows of ids: special tokens, truncation to both sides, pairs, windows, odd text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import Failure, Lane, ask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ragbus import tokenization
from ragbus.errors import RagbusError
from ragbus.tokenization import Cut, longest_first

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "f", "g", "h"]
CLS, SEP = 2, 3
A = WORDS.index("a")


def made(single: str, pair: str) -> tokenization.TextTokenizer:
    """Return a tokenizer of single letters with the given post-processor templates."""
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    tokenizer.add_special_tokens(WORDS[:4])
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=7)
    return tokenization.ready(tokenizer)


@pytest.fixture
def bert() -> tokenization.TextTokenizer:
    return made("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")


def ids(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


def test_rows_have_the_special_tokens_and_nothing_of_the_files_own_truncation_or_padding(bert: tokenization.TextTokenizer) -> None:
    row, empty = tokenization.rows_of_texts(bert, ["a b c d e", ""], Cut(100))
    assert row.ids == ids("[CLS] a b c d e [SEP]")
    assert (row.text, row.boundary, row.total) == (0, 7, 7)
    assert empty.ids == ids("[CLS] [SEP]")
    assert (empty.text, empty.boundary, empty.total) == (1, 2, 2)


def test_a_special_token_in_the_text_is_no_template(bert: tokenization.TextTokenizer) -> None:
    (row,) = tokenization.rows_of_texts(bert, ["[SEP] a [CLS]"], Cut(100))
    assert row.ids == ids("[CLS] [SEP] a [CLS] [SEP]")


@pytest.mark.parametrize(("left", "kept"), [(False, "[CLS] a b c [SEP]"), (True, "[CLS] c d e [SEP]")])
def test_truncation(bert: tokenization.TextTokenizer, left: bool, kept: str) -> None:
    (row,) = tokenization.rows_of_texts(bert, ["a b c d e"], Cut(5, left=left))
    assert row.ids == ids(kept)
    assert (row.boundary, row.total) == (5, 7)


def test_no_room_is_refused(bert: tokenization.TextTokenizer) -> None:
    with pytest.raises(RagbusError, match="max_tokens 2: this model adds 2 special tokens"):
        tokenization.rows_of_texts(bert, ["a"], Cut(2))
    with pytest.raises(RagbusError, match="max_tokens 4"):
        tokenization.rows_of_pairs(bert, "a", ["b"], Cut(4))


def test_pair_templates_of_all_kinds() -> None:
    kinds = {
        ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"): ("[CLS] a b [SEP] c [SEP]", 4),
        ("[CLS] $A [SEP]", "[CLS] $A [SEP] [SEP] $B [SEP]"): ("[CLS] a b [SEP] [SEP] c [SEP]", 7),
        ("$A", "$A $B:1"): ("a b c", 2),
        ("$A [SEP]", "$A [SEP]:1 $B:1 [SEP]:1"): ("a b [SEP] c [SEP]", 2),
    }
    for (single, pair), (expected, boundary) in kinds.items():
        (row,) = tokenization.rows_of_pairs(made(single, pair), "a b", ["c"], Cut(100))
        assert (row.ids, row.boundary) == (ids(expected), boundary)


def test_windows_follow_each_other_and_the_cut_is_counted_once(bert: tokenization.TextTokenizer) -> None:
    rows = tokenization.rows_of_pairs(bert, "a", ["b c d e f g h", "b"], Cut(6, max_chunks=2))
    assert [row.ids for row in rows] == [
        ids("[CLS] a [SEP] b c [SEP]"),
        ids("[CLS] a [SEP] d e [SEP]"),
        ids("[CLS] a [SEP] b [SEP]"),
    ]
    assert [(row.text, row.boundary, row.total) for row in rows] == [(0, 3, 6), (0, 3, 9), (1, 3, 5)]
    rows = tokenization.rows_of_pairs(bert, "a", ["b c d e f g h"], Cut(6, max_chunks=2, left=True))
    assert [row.ids for row in rows] == [ids("[CLS] a [SEP] e f [SEP]"), ids("[CLS] a [SEP] g h [SEP]")]
    assert [row.total for row in rows] == [9, 6]
    rows = tokenization.rows_of_pairs(bert, "a", ["b c d e f g h"], Cut(6, max_chunks=9))
    assert [len(row.ids) for row in rows] == [6, 6, 6, 5]
    assert all(row.total == len(row.ids) for row in rows)


def test_a_document_has_a_bound_of_its_own(bert: tokenization.TextTokenizer) -> None:
    (row,) = tokenization.rows_of_pairs(bert, "a b", ["c d e f"], Cut(100, max_document=3))
    assert row.ids == ids("[CLS] a b [SEP] c d e [SEP]")
    assert row.total == 9
    (row,) = tokenization.rows_of_pairs(bert, "a b", ["c d e f"], Cut(100, max_document=3, left=True))
    assert row.ids == ids("[CLS] a b [SEP] d e f [SEP]")


@given(first=st.integers(0, 40), second=st.integers(0, 40), most=st.integers(5, 30), left=st.booleans())
def test_pairs_are_cut_as_the_tokenizers_library_cuts_them(first: int, second: int, most: int, left: bool) -> None:
    bert = made("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    query, document = ["a", "b", "c", "d", "e", "f", "g", "h"] * 5, ["h", "g", "f", "e", "d", "c", "b", "a"] * 5
    texts = " ".join(query[:first]), " ".join(document[:second])
    (row,) = tokenization.rows_of_pairs(bert, texts[0], [texts[1]], Cut(most, left=left))
    bert.tokenizer.enable_truncation(most, strategy="longest_first", direction="left" if left else "right")
    theirs = bert.tokenizer.encode(*texts)
    assert row.ids == theirs.ids
    assert row.boundary == (theirs.type_ids.index(1) if 1 in theirs.type_ids else len(theirs.ids))
    assert row.total == first + second + 3


@given(st.integers(0, 300), st.integers(0, 300), st.integers(2, 300))
def test_longest_first_fills_the_room(first: int, second: int, room: int) -> None:
    kept = longest_first(first, second, room)
    assert sum(kept) == min(first + second, room)
    assert kept[0] <= first
    assert kept[1] <= second


def test_padding_id() -> None:
    bare = Tokenizer(models.WordLevel({word: at for at, word in enumerate(["a", "<pad>", "[UNK]"])}, unk_token="[UNK]"))
    assert tokenization.ready(bare).pad_id == 1
    assert tokenization.ready(bare, pad_id=2).pad_id == 2
    bare.enable_padding(pad_id=0, pad_token="a")
    assert tokenization.ready(bare, pad_id=2).pad_id == 0


def test_lower_casing_goes_first() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    assert tokenization.rows_of_texts(tokenization.ready(tokenizer, lowercase=True), ["A"], Cut(9))[0].ids == [0]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"model": 1}'])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(RagbusError, match=r"tokenizer\.json") as raised:
        tokenization.load(path)
    assert raised.value.kind == "RUNTIME"


# From here on through the bridge, with real vocabularies.


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=80), max_size=6))
def test_any_text_is_tokenised_as_alone(texts: list[str], embedder: dict[str, Any], lane: Lane) -> None:
    tokens = lane.tokenize(embedder["handle"], texts)
    assert tokens.text == list(range(len(texts)))
    for text, row in zip(texts, tokens.ids, strict=True):
        assert lane.tokenize(embedder["handle"], [text]).ids == [row]
        assert row[0] == 101
        assert row[-1] == 102


def test_a_huge_text_is_cut_and_counted(embedder: dict[str, Any], lane: Lane) -> None:
    huge = "word " * 200_000
    tokens = lane.tokenize(embedder["handle"], [huge, "a", "x" * 100_000])
    assert tokens.length == [256, 3, 3]
    assert tokens.total == [200_002, 3, 3]


def test_more_texts_than_one_call_takes(embedder: dict[str, Any], lane: Lane) -> None:
    tokens = lane.tokenize(embedder["handle"], ["one two three"] * 200)
    assert tokens.length == [5] * 200


def test_max_tokens_lowers_and_never_raises(embedder: dict[str, Any], lane: Lane) -> None:
    text = ["one two three four five"]
    assert lane.tokenize(embedder["handle"], text, most=4).ids == [[101, 2028, 2048, 102]]
    assert lane.tokenize(embedder["handle"], text, most=4, left=True).ids == [[101, 2176, 2274, 102]]
    assert lane.tokenize(embedder["handle"], ["a " * 999], most=100_000).length == [256]
    with pytest.raises(Failure, match="INVALID: max_tokens 2"):
        lane.tokenize(embedder["handle"], text, most=2)


def test_pairs_windows_and_document_bounds_through_the_bridge(reranker: dict[str, Any], lane: Lane) -> None:
    texts = ["refund", "a " * 300, "b"]
    tokens = lane.tokenize(reranker["handle"], texts, pair=True, chunks=3)
    assert tokens.text == [0, 0, 0, 1]
    assert tokens.length[:3] == [96] * 3
    assert tokens.total[2] > 96
    bounded = lane.tokenize(reranker["handle"], texts, pair=True, most=5)
    assert bounded.length == [4 + 5, 5]
    assert lane.forward(reranker, tokens).shape == (4, 1)


def test_no_document_is_no_row(reranker: dict[str, Any], lane: Lane) -> None:
    assert lane.tokenize(reranker["handle"], ["query"], pair=True).ids == []


def test_tokens_and_decode(embedder: dict[str, Any]) -> None:
    handle = embedder["handle"]
    (tokens,) = ask("tokens", handle=handle, texts=["héllo 😀 worlds"], add_special_tokens=True)["tokens"]
    assert tokens[0] == {"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None}
    assert tokens[1] == {"id": 7592, "text": "héllo", "special": False, "start": 0, "stop": 5}
    assert tokens[2]["text"] == "😀"
    assert tokens[3] == {"id": 8484, "text": "worlds", "special": False, "start": 8, "stop": 14}
    (bare,) = ask("tokens", handle=handle, texts=["hello \ud83d"], add_special_tokens=False)["tokens"]
    assert not any(token["special"] for token in bare)
    assert ask("decode", handle=handle, ids=[[101, 7592, 2088, 102], []])["texts"] == ["hello world", ""]
    assert ask("decode", handle=handle, ids=[[101, 7592]], skip_special_tokens=False)["texts"] == ["[CLS] hello"]


@pytest.mark.parametrize("token", [30_522, -1, 2**40, True, 1.5, "x"])
def test_an_id_outside_the_vocabulary_is_named(token: Any, embedder: dict[str, Any]) -> None:
    with pytest.raises(Failure, match=f"INVALID: ids: {token!r} is outside the vocabulary of 30522"):
        ask("decode", handle=embedder["handle"], ids=[[101, token]])


def test_a_couple_is_one_row_among_texts(bert: tokenization.TextTokenizer) -> None:
    texts: list[tokenization.Text] = ["a", ("a b", "c"), ("", "c"), "b c"]
    rows = tokenization.rows_of_texts(bert, texts, Cut(100))
    (paired,) = tokenization.rows_of_pairs(bert, "a b", ["c"], Cut(100))
    assert [row.text for row in rows] == [0, 1, 2, 3]
    assert (rows[1].ids, rows[1].boundary, rows[1].total) == (paired.ids, paired.boundary, paired.total)
    assert [rows[at].ids for at in (0, 3)] == [row.ids for row in tokenization.rows_of_texts(bert, ["a", "b c"], Cut(100))]
    for left in (False, True):
        (cut,) = tokenization.rows_of_texts(bert, [("a b c d", "e f g h")], Cut(7, left=left))
        (same,) = tokenization.rows_of_pairs(bert, "a b c d", ["e f g h"], Cut(7, left=left))
        assert cut == same
        assert len(cut.ids) == 7 < cut.total


def test_lengths_say_what_is_a_couple(embedder: dict[str, Any], lane: Lane) -> None:
    rows = lane.tokenize(embedder["handle"], [("one", "two"), "three", ("", "")])
    assert rows.text == [0, 1, 2]
    assert rows.ids[0] == lane.tokenize(embedder["handle"], ["one", "two"], pair=True).ids[0]
    assert rows.ids[1] == lane.tokenize(embedder["handle"], ["three"]).ids[0]
