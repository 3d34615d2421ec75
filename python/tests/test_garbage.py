# SPDX-License-Identifier: Apache-2.0
"""Collections: whose they are, and what they pass over."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from conftest import ask

from ragbus import garbage

if TYPE_CHECKING:
    from collections.abc import Iterator


class Knot:
    """An object that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take collections over, and give them back."""
    monkeypatch.setattr(garbage, "_state", garbage._State())
    threshold = gc.get_threshold()
    garbage.take_over()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.mark.usefixtures("taken_over")
def test_no_full_collection_starts_by_itself() -> None:
    gc.collect()
    full = gc.get_stats()[2]["collections"]
    young = gc.get_stats()[0]["collections"]
    kept = [[] for _ in range(400_000)]  # type: ignore[var-annotated]
    assert gc.get_stats()[2]["collections"] == full
    assert gc.get_stats()[0]["collections"] > young
    assert len(kept) == 400_000


@pytest.mark.usefixtures("taken_over")
def test_what_has_settled_is_passed_over_but_for_a_thorough_collection() -> None:
    settled, later = Knot(), Knot()
    old, new = weakref.ref(settled), None
    garbage.settle()
    assert gc.get_freeze_count() > 1_000
    later = Knot()
    new = weakref.ref(later)
    del settled, later
    assert ask("collect")["collected"] >= 1
    assert new() is None
    assert old() is not None
    assert ask("collect", everything=True)["collected"] >= 1
    assert old() is None
    assert gc.get_freeze_count() > 1_000


def test_nothing_settles_where_collections_are_pythons_own(embedder: dict[str, Any]) -> None:
    garbage.settle()
    assert embedder["handle"] > 0
    assert gc.get_freeze_count() == 0
