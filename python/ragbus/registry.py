# SPDX-License-Identifier: Apache-2.0
"""The loaded models of this process, by handle. Every lane shares them."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from ragbus.engines import Engine


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model under its handle, the name it was loaded as, and the memory it took."""

    handle: int
    name: str
    engine: Engine
    memory_bytes: int


_handles = itertools.count(1)
_models: dict[int, LoadedModel] = {}
_lock = threading.Lock()


def add(name: str, engine: Engine, memory_bytes: int) -> LoadedModel:
    """Keep a model under a new handle; handles are never used twice."""
    with _lock:
        model = LoadedModel(next(_handles), name, engine, memory_bytes)
        _models[model.handle] = model
    return model


def get(handle: int) -> LoadedModel:
    """Return the model of a handle, or raise MODEL_NOT_FOUND."""
    try:
        return _models[handle]
    except KeyError:
        raise RagbusError("MODEL_NOT_FOUND", f"no loaded model has the handle {handle}") from None


def remove(handle: int) -> None:
    """Forget a model; whoever runs it keeps it alive until done. An unknown handle is fine."""
    with _lock:
        _models.pop(handle, None)


def loaded() -> list[LoadedModel]:
    """Return the loaded models, oldest first."""
    with _lock:
        return list(_models.values())
