"""Engines: what runs a model, all behind one protocol. A new one is a module here and a line in `ENGINES`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragbus.model import ModelFolder
    from ragbus.pooling import Floats, Ints
    from ragbus.tokenization import Cut, Row, TextTokenizer


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is to run: its lanes (threads that call `forward` at once, one compute thread each), precision, device.

    `device` is chosen by `devices.choose`; `gpu_memory_fraction` is the most of a GPU's memory, above 0 and at most 1.
    """

    lanes: int = 1
    precision: str = "auto"
    device: str | None = None
    enable_gpu: bool = True
    gpu_memory_fraction: float = 0.5


class Engine(Protocol):
    """A loaded model: tokenize -> forward -> finish. Any thread may call any phase; phases of one batch share no state."""

    @property
    def name(self) -> str:
        """The key in `ENGINES`."""
        ...

    @property
    def folder(self) -> ModelFolder:
        """What the model's folder says."""
        ...

    @property
    def tokens(self) -> TextTokenizer:
        """The model's vocabulary."""
        ...

    @property
    def precision(self) -> str:
        """The precision that really runs."""
        ...

    @property
    def device(self) -> str:
        """The device that really runs."""
        ...

    @property
    def outputs(self) -> int:
        """Floats a row: dimensions of an embedding, labels of a cross-encoder."""
        ...

    @property
    def activation(self) -> str | None:
        """A cross-encoder's activation, None for an embedding."""
        ...

    def tokenize(self, texts: Sequence[str], cut: Cut, *, pair: bool) -> list[Row]:
        """Return rows of ids; with `pair` the first text is the query of all the others."""
        ...

    def cancellation(self) -> Callable[[], None]:
        """Return what ends this thread's next `forward`, and no other; any thread may call it, at any time.

        A run that it ends, or finds not begun, raises CANCELLED.
        """
        ...

    def forward(self, ids: Ints, table: Ints, out: Floats) -> Floats:
        """Run the model on rows x width padded ids; return token vectors (rank 3), or rows x outputs in `out` itself.

        `table` is rows x 4: length, boundary, dimensions, flags.
        """
        ...

    def finish(self, hidden: Floats, table: Ints, out: Floats) -> None:
        """Pool what `forward` returned into `out` (rows x outputs), then slice, normalise or activate it as `table` says."""
        ...


class _LoadEngine(Protocol):
    def __call__(self, folder: ModelFolder, tokens: TextTokenizer, options: EngineOptions) -> Engine: ...


ENGINES = {"openvino": "ragbus.engines.openvino"}
AUTO = ("openvino",)  # the first is taken


def load_engine(name: str, folder: ModelFolder, tokens: TextTokenizer, options: EngineOptions) -> Engine:
    """Load a model on the named engine, or on the best one with `auto`; INVALID for an unknown name."""
    chosen = AUTO[0] if name == "auto" else name
    if chosen not in ENGINES:
        raise RagbusError("INVALID", f"engine {name!r} is not one of auto, {', '.join(ENGINES)}")
    load: _LoadEngine = importlib.import_module(ENGINES[chosen]).load
    return load(folder, tokens, options)
