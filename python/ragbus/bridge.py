# SPDX-License-Identifier: Apache-2.0
"""The only module that Java calls. Every function returns a value or a failure; none raises (SystemExit would end the JVM).

A *lane* is one Java thread with one interpreter; all lanes share this module. Text crosses as UTF-8 in the lane's byte buffer,
JSON as UTF-8 bytes, ids and vectors in the lane's int and float buffers.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragbus import devices, garbage, hosting, model, pooling, progress, registry, sources, tokenization
from ragbus.convert import plain_json, to_json, to_py
from ragbus.engines import EngineOptions, load_engine
from ragbus.errors import RagbusError, describe
from ragbus.functions import calls, registered, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ragbus.pooling import Floats, Ints
    from ragbus.tokenization import Text

_lane = threading.local()
_runs: dict[int, Callable[[], None]] = {}  # what ends each run that is going on; a run's own, so it can hit no other
# Passes after which free memory is given back, of the JVM's compiler too: under load some 40 MB, for at most a few milliseconds.
_PASSES_A_TRIM = 48
_passes = itertools.count(1)


def bind(ints: Ints, floats: Floats, bytes_: NDArray[Any]) -> bytes | None:
    """Take this thread's transfer buffers: int32, float32 and bytes (int8 or uint8), which Java keeps alive. Again after growth.

    All or none is taken: after a failure Java keeps those of before alive, and no others.
    """
    try:
        taken = hosting.without_java(ints), hosting.without_java(floats), hosting.without_java(bytes_).view(np.uint8)
        _lane.ints, _lane.floats, _lane.bytes = taken
    except BaseException as error:  # noqa: BLE001 - nothing may leave the bridge
        return describe(error)
    return None


def _answered(work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Do some work; return `[True, result]` or `[False, failure]`. What has no result has the result `b""`."""
    try:
        result = work(*arguments)
    except BaseException as error:  # noqa: BLE001
        return [False, describe(error)]
    return [True, b"" if result is None else result]


def call(op: str, body: NDArray[Any] | bytes | None = None) -> list[Any]:
    """Run a control operation of `_OPERATIONS` on a JSON body; return `[True, result]` or `[False, failure]`, both JSON bytes."""
    return _answered(_control, op, body)


def _control(op: str, body: NDArray[Any] | bytes | None) -> bytes:
    operation = _OPERATIONS.get(op)
    if operation is None:
        raise RagbusError("INVALID", f"operation {op!r} is not one of {', '.join(_OPERATIONS)}")
    arguments = to_py(body)
    if not isinstance(arguments, dict):
        raise RagbusError("INVALID", f"{op} takes a JSON object")
    result = operation(**arguments)
    return result if isinstance(result, bytes) else to_json(result)


def tokenize(
    handle: int,
    count: int,
    pair: bool,
    max_tokens: int,
    max_chunks: int,
    truncate_left: bool,
) -> Ints | bytes:
    """Tokenise the texts in the bound buffers: `ints[:count]` are their UTF-8 lengths, `bytes` holds them back to back.

    A length n that is given as -1 - n makes one text of it and the one before it, a couple that is one row.

    Returns one int32 array: rows, then text, length, boundary, total of each row, then all ids one after another (see
    `tokenization.flatten`), or a failure.
    """
    try:
        engine = registry.get(handle).engine
        most = engine.folder.max_tokens
        lowered = most if pair or max_tokens <= 0 else min(most, max_tokens)
        document = max_tokens if pair and max_tokens > 0 else None
        cut = tokenization.Cut(lowered, document, max_chunks, truncate_left)
        return tokenization.flatten(engine.tokenize(_texts(count), cut, pair=pair))
    except BaseException as error:  # noqa: BLE001
        return describe(error)


def _texts(count: int) -> list[Text]:
    lengths = _lane.ints[:count].tolist()
    ends = list(itertools.accumulate((~length if length < 0 else length for length in lengths), initial=0))
    if len(lengths) != count or ends[-1] > _lane.bytes.size:
        raise RagbusError("RUNTIME", f"the buffers hold fewer than {count} texts")
    texts: list[Any] = []
    try:
        for length, start, stop in zip(lengths, ends, ends[1:], strict=False):
            text = _lane.bytes[start:stop].tobytes().decode()
            texts.append((texts.pop(), text) if length < 0 else text)
    except UnicodeDecodeError as error:
        raise RagbusError("SERIALIZATION", f"a text is no UTF-8: {error}") from error
    return texts


def forward(handle: int, rows: int, lines: int, width: int, run: int, alone: bool = False) -> bytes | None:
    """Run a batch in the bound buffers, as the run of a number of its own; return None, or a failure.

    `ints` holds the table (rows x `pooling.COLUMNS`), then lines x width ids; rows x outputs values go to `floats`. Those of a
    sparse model that are not 0 are handed over as `pooling.pack_sparse` does. `alone`: see `Engine.forward`.
    """
    try:
        engine = registry.get(handle).engine
        start, outputs = pooling.COLUMNS * rows, engine.outputs
        stop = start + lines * width
        ints, floats = _lane.ints, _lane.floats
        sparse = engine.folder.model_type == "sparse"
        if max(stop, rows * (1 + outputs) * sparse) > ints.size or rows * outputs > floats.size:
            raise RagbusError("RUNTIME", f"the buffers are too small for {lines} x {width} ids or {rows} x {outputs} values")
        table = ints[:start].reshape(rows, pooling.COLUMNS)
        out = floats[: rows * outputs].reshape(rows, outputs)
        _runs[run] = engine.cancellation()
        try:
            hidden = engine.forward(ints[start:stop].reshape(lines, width), table, out, alone=alone)
            engine.finish(hidden, table, out)
        finally:
            del _runs[run]
        if sparse:
            pooling.pack_sparse(out, ints, floats)
        if next(_passes) % _PASSES_A_TRIM == 0:
            hosting.trim()
    except BaseException as error:  # noqa: BLE001
        return describe(error)
    return None


def run_function(function: int, number: int, seconds_left: float, body: NDArray[Any] | bytes, arrays: bool) -> list[Any]:
    """Call a function as the call `number`; see `ragbus.functions`. Returns `[True, result]` or `[False, failure]`."""
    return _answered(running.run, function, number, seconds_left, body, arrays)


def open_stream(function: int, number: int, seconds_left: float, body: NDArray[Any] | bytes, arrays: bool) -> list[Any]:
    """Open a stream of a function's items under the call's number. Returns `[True, b""]` or `[False, failure]`."""
    return _answered(running.open_stream, function, number, seconds_left, body, arrays)


def next_items(number: int, max_items: int, max_millis: float) -> list[Any]:
    """Pull a stream's next items. Returns `[True, items]` or `[False, failure]`, after which the stream is closed."""
    return _answered(lambda: running.next_items(number, max_items, max_millis / 1_000))


def close_stream(number: int) -> list[Any]:
    """Close a stream, if it is open. Returns `[True, b""]` or `[False, failure]` of what its generator did at its end."""
    return _answered(running.close_stream, number)


def _load(
    *,
    name: str,
    path: str,
    type: str = "embedding",  # noqa: A002 - the name in the message
    lanes: int = 1,
    max_tokens: int | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    precision: str = "auto",
    engine: str = "auto",
    device: str | None = None,
    enable_gpu: bool = True,
    gpu_memory_fraction: float = 0.5,
    calibration: str | None = None,
    min_int8_cosine: float = 0.99,
    prompts: dict[str, str] | None = None,
) -> dict[str, Any]:
    started = time.monotonic_ns()
    folder = model.read_folder(Path(path), type, max_tokens=max_tokens, pooling=pooling, normalize=normalize, prompts=prompts)
    tokens = tokenization.load(folder.folder / "tokenizer.json", pad_id=folder.pad_id, lowercase=folder.lowercase)
    options = EngineOptions(
        lanes=lanes,
        precision=precision,
        device=device,
        enable_gpu=enable_gpu,
        gpu_memory_fraction=gpu_memory_fraction,
        calibration=Path(calibration) if calibration else None,
        min_int8_cosine=min_int8_cosine,
    )
    with hosting.measured_growth() as growth:
        runs, reason = load_engine(engine, folder, tokens, options)
        garbage.settle()
    progress.checkpoint()
    memory = max(growth.bytes or 0, runs.folder.weights_bytes())
    handle = registry.add(name, runs, memory).handle
    return {
        "handle": handle,
        "name": name,
        "type": folder.model_type,
        "dimensions": runs.outputs if folder.pooling is not None else None,
        "sparse": folder.model_type == "sparse",
        "pooling": folder.pooling,
        "outputs": runs.outputs,
        "packs": runs.packs,
        "max_tokens": folder.max_tokens,
        "pad_id": tokens.pad_id,
        "width_step": devices.width_step(runs.device, runs.precision),
        "vocab_size": tokens.vocab_size,
        "engine": runs.name,
        "reason": reason,
        "precision": runs.precision,
        "device": runs.device,
        "quality": None if runs.quality is None else asdict(runs.quality),
        "memory_bytes": memory,
        "load_millis": (time.monotonic_ns() - started) // 1_000_000,
        "prompts": folder.prompts,
        "default_prompt_name": folder.default_prompt_name,
        "normalize": folder.normalize,
        "activation": runs.activation,
        "labels": None if folder.pooling is not None else folder.labels or [f"LABEL_{at}" for at in range(runs.outputs)],
    }


def _unload(*, handle: int) -> dict[str, Any]:
    registry.remove(handle)
    hosting.trim()
    return {}


def _tokens(*, handle: int, texts: list[str], add_special_tokens: bool = True) -> bytes:
    source = registry.get(handle).engine.tokens
    return plain_json({"tokens": tokenization.describe_tokens(source, texts, add_special_tokens=add_special_tokens)})


def _decode(*, handle: int, ids: list[list[int]], skip_special_tokens: bool = True) -> dict[str, Any]:
    source = registry.get(handle).engine.tokens
    return {"texts": tokenization.decode(source, ids, skip_special_tokens=skip_special_tokens)}


def _collect(*, everything: bool = False) -> dict[str, Any]:
    """Collect garbage and give free memory back; `everything` also empties caches and looks at what `garbage.settle` set aside."""
    before = hosting.resident_bytes()
    collected = garbage.collect_everything() if everything else garbage.collect()
    hosting.trim()
    return {"collected": collected, "resident_bytes_before": before, "resident_bytes_after": hosting.resident_bytes()}


def _enter(*, thread: str, niceness: int) -> dict[str, Any]:
    """Name this lane in the log, since Python does not know what Java calls its threads, and let it give way to others."""
    threading.current_thread().name = thread
    hosting.give_way(niceness)
    return {}


def _leave() -> dict[str, Any]:
    hosting.forget_thread()
    return {}


def _ping() -> dict[str, Any]:
    return {"thread": threading.current_thread().name}


def _watch(*, alarm_seconds: float) -> dict[str, Any]:
    hosting.watch(alarm_seconds)
    return {}


def _log_stacks() -> dict[str, Any]:
    hosting.log_stacks()
    return {}


def _stats() -> dict[str, Any]:
    models = [{"handle": it.handle, "name": it.name, "memory_bytes": it.memory_bytes} for it in registry.loaded()]
    return {"resident_bytes": hosting.resident_bytes(), "allocated_blocks": sys.getallocatedblocks(), "models": models}


def _function_cancel(*, call: int) -> dict[str, Any]:
    return {"cancelled": calls.cancel(call)}


def _function_kill(*, call: int) -> dict[str, Any]:
    return {"killed": calls.kill(call)}


def _function_stats() -> dict[str, Any]:
    cache = registered.cache
    return {"cache_hits": cache.hits, "cache_misses": cache.misses, "cached": len(cache), "taints": calls.kills()}


def _cancel_run(*, run: int) -> dict[str, Any]:
    """End a run, which then fails with CANCELLED unless it is nearly over; `found` says whether it was going on."""
    cancel = _runs.get(run)
    if cancel is not None:
        cancel()
    return {"found": cancel is not None}


def _locate(**wanted: Any) -> dict[str, Any]:
    """Find a model's folder, and say what the folder says the model is."""
    found = sources.locate(**wanted)
    return {**found, "types": model.types_of(Path(found["path"]))}


def _watched(phase: progress.Phase, operation: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Let an operation's progress be read, and the operation be cancelled, under the `load_id` of its body."""

    def watched(*, load_id: str | None = None, **body: Any) -> dict[str, Any]:
        with progress.of(load_id, phase):
            return operation(**body)

    return watched


def _progress(*, load_id: str) -> dict[str, Any]:
    return progress.read(load_id)


def _cancel_load(*, load_id: str) -> dict[str, Any]:
    return {"running": progress.cancel(load_id)}


_OPERATIONS: dict[str, Callable[..., dict[str, Any] | bytes]] = {
    "start": hosting.start,
    "load": _watched("loading", _load),
    "unload": _unload,
    "locate": _watched("locating", _locate),
    "progress": _progress,
    "cancel_load": _cancel_load,
    "cancel_run": _cancel_run,
    "tokens": _tokens,
    "decode": _decode,
    "collect": _collect,
    "enter": _enter,
    "leave": _leave,
    "ping": _ping,
    "watch": _watch,
    "log_stacks": _log_stacks,
    "stats": _stats,
    "function_register": registered.register,
    "function_scan": registered.scan,
    "function_unregister": registered.unregister,
    "function_source": registered.source_of,
    "function_stats": _function_stats,
    "function_cancel": _function_cancel,
    "function_kill": _function_kill,
}
