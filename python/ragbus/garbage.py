# SPDX-License-Identifier: Apache-2.0
"""When Python looks for garbage that only a collection finds.

A full collection goes through all that lives, with the interpreter lock held: 40 ms with OpenVINO and what it imports, 500 ms
with torch. CPython starts one in whichever thread happens to allocate, a lane that infers too. Once `take_over` was called it
starts none by itself, only the short ones of young objects; Java asks for the full ones, and what was there when a model had
been loaded is passed over by them.
"""

from __future__ import annotations

import gc
import re
import sys
from dataclasses import dataclass

_NEVER = 1 << 30  # collections of the middle generation before a full one


@dataclass
class _State:
    taken_over: bool = False


_state = _State()


def take_over() -> None:
    """Have full collections only when they are asked for."""
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    _state.taken_over = True


def settle() -> None:
    """Collect, then have later collections pass over all that lives now; nothing unless `take_over` was called."""
    if _state.taken_over:
        gc.collect()
        gc.freeze()


def collect() -> int:
    """Collect among what came after the last `settle`; return how many objects could not be reached."""
    return gc.collect()


def collect_everything() -> int:
    """Empty what caches there are, and collect among all that lives; return how many objects could not be reached."""
    re.purge()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():  # pragma: no cover - needs a GPU
        torch.cuda.empty_cache()
    gc.unfreeze()
    collected = gc.collect()
    settle()
    return collected
