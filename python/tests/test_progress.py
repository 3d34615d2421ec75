# SPDX-License-Identifier: Apache-2.0
"""How far a load is, as another thread sees it, and cancelling one before, during and between its operations."""

from __future__ import annotations

import contextvars
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from conftest import CROSS_ENCODER, Failure, ask

from ragbus import bridge, engines, hosting, progress, registry
from ragbus.engines import mapped
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WAITING = {"phase": "waiting", "file": None, "done_bytes": 0, "total_bytes": 0}


@pytest.fixture
def load_id() -> str:
    return str(uuid.uuid4())


def test_what_a_load_does_is_seen_from_another_thread(load_id: str) -> None:
    seen: list[Any] = []

    def look() -> None:
        thread = threading.Thread(target=lambda: seen.append(ask("progress", load_id=load_id)))
        thread.start()
        thread.join()

    look()
    with progress.of(load_id, "locating"):
        look()
        progress.fetching("onnx/model.onnx", 3, 10)
        look()
        progress.step("converting")
        look()
    look()
    assert seen == [
        WAITING,
        WAITING | {"phase": "locating"},
        {"phase": "downloading", "file": "onnx/model.onnx", "done_bytes": 3, "total_bytes": 10},
        WAITING | {"phase": "converting"},
        WAITING,
    ]


def test_work_without_an_id_is_neither_seen_nor_cancelled() -> None:
    with progress.of(None, "locating"):
        progress.step("loading")
        progress.fetching("a", 1, 2)
        progress.checkpoint()
    assert progress._current.get() is None


def test_two_loads_do_not_touch_each_other(load_id: str) -> None:
    with progress.of(load_id, "locating"), progress.of(f"{load_id}-2", "loading"):
        assert ask("cancel_load", load_id=load_id) == {"running": True}
        progress.checkpoint()
        assert progress.read(load_id)["phase"] == "locating"
        assert progress.read(f"{load_id}-2")["phase"] == "loading"
    with progress.of(f"{load_id}-3", "loading"), pytest.raises(RagbusError), progress.of(load_id, "loading"):
        pass


@pytest.mark.parametrize("stop", [progress.checkpoint, lambda: progress.step("loading"), lambda: progress.fetching("f", 0, 0)])
def test_a_cancelled_load_stops_at_every_checkpoint_of_any_of_its_threads(stop: Callable[[], None], load_id: str) -> None:
    kinds: list[str] = []

    def work() -> None:
        try:
            stop()
        except RagbusError as error:
            kinds.append(error.kind)

    with progress.of(load_id, "locating"):
        stop()
        progress.cancel(load_id)
        work()
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
    assert kinds == ["CANCELLED", "CANCELLED"]


@pytest.mark.parametrize("op", ["locate", "load"])
def test_a_load_cancelled_before_its_operation_begins(op: str, load_id: str) -> None:
    assert ask("cancel_load", load_id=load_id) == {"running": False}
    with pytest.raises(Failure, match=r"CANCELLED: the load .* was cancelled"):
        ask(op, name="m", path=str(CROSS_ENCODER), load_id=load_id)
    assert progress.read(load_id) == WAITING


def test_a_load_cancelled_while_its_engine_works_leaves_no_model(load_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_engine(*args: Any) -> Any:
        engine = engines.load_engine(*args)
        progress.cancel(load_id)
        return engine

    monkeypatch.setattr(bridge, "load_engine", load_engine)
    before = registry.loaded()
    with pytest.raises(Failure, match="CANCELLED"):
        ask("load", name="m", type="cross-encoder", path=str(CROSS_ENCODER), load_id=load_id)
    assert registry.loaded() == before


def test_a_load_cancelled_while_it_converts_its_weights(load_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    write = mapped._write

    def write_then_cancel(*args: Any, half: bool) -> None:
        write(*args, half=half)
        seen.append(progress.read(load_id)["phase"])
        progress.cancel(load_id)

    monkeypatch.setattr(hosting._process, "cache_folder", tmp_path)
    monkeypatch.setattr(mapped, "_write", write_then_cancel)
    before = registry.loaded()
    with pytest.raises(Failure, match="CANCELLED"):
        ask("load", name="m", type="cross-encoder", engine="openvino", path=str(CROSS_ENCODER), load_id=load_id)
    assert seen == ["converting"]
    assert registry.loaded() == before


def test_only_the_latest_cancellations_are_remembered(load_id: str) -> None:
    progress.cancel(load_id)
    for at in range(progress.MAX_CANCELLATIONS):
        progress.cancel(f"{load_id}-{at}")
    with progress.of(load_id, "locating"):
        progress.checkpoint()
    assert len(progress._cancelled) == progress.MAX_CANCELLATIONS
