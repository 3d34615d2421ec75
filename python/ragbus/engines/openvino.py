# SPDX-License-Identifier: Apache-2.0
"""The OpenVINO engine: ONNX and OpenVINO IR on one compiled model, an infer request a thread.

The attention mask and type ids are made part of the graph, which reads the int32 ids where they lie in the lane's buffer. Rows
may lie behind each other in one line (see `packing`).
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from ragbus import devices, hosting, progress, tokenization
from ragbus.engines import graphs, mapped, packing
from ragbus.engines.packing import ints
from ragbus.errors import RagbusError, message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ragbus.dense import Dense
    from ragbus.engines import EngineOptions
    from ragbus.model import ModelFolder
    from ragbus.pooling import Floats, Ints
    from ragbus.quantize import Quality
    from ragbus.tokenization import Cut, Row, Text, TextTokenizer

log = logging.getLogger("ragbus")

# Kernels that a stream keeps for shapes to come, some 14 a shape. Batches have more shapes than any bound keeps: at 1,024 (OpenVINO
# itself keeps 5,000) a process with 800 batches of random shapes grew by 600 MB and went on, at 256 it took 18 MB more than at 64,
# and at 64 10 to 20 more than at 24; texts/s were the same with each.
_CACHED_KERNELS = 24

# Files of weights that are compiled twice, for lanes that all run and for one that is alone. Each compiled model lays its weights
# out in memory; and a small one's pass is over before other threads have woken up.
_BYTES_TWICE = range(4 << 20, 256 << 20)

# How long a model that was compiled anew is not compiled again: so many times as long as that took, and no longer than this, since
# a lane whose run goes on for 5 s after its deadline is replaced.
_REST, _MOST_REST_SECONDS = 4, 3.0

# How often a run that may be ended looks whether it is to be, and asks again if it has been asked to.
_POLL_MILLIS = 20


@functools.cache
def _core() -> ov.Core:
    return ov.Core()


class _Run:
    """One run of a graph, which another thread may ask to end; lighter than an `Event`, for which nobody waits."""

    def __init__(self) -> None:
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def is_cancelled(self) -> bool:
        return self._cancelled


class _Request:
    """A lane's infer request, and the arrays that it reads, which stay as long as batches have the same shape."""

    def __init__(self, infer_request: ov.InferRequest) -> None:
        self.infer_request = infer_request
        self._inputs: list[Ints] = []

    def feed(self, ids: Ints, table: Ints) -> None:
        """Set what is to be read."""
        shapes = packing.Batch.shapes(ids, table)
        for at, shape in enumerate(shapes):
            if at == len(self._inputs) or self._inputs[at].shape != shape:
                self._inputs[at : at + 1] = [np.empty(shape, np.int32)]
                self.infer_request.set_input_tensor(at, ov.Tensor(self._inputs[at], shared_memory=True))
        packing.Batch.fill(self._inputs, ids, table)


class _Graph:
    """A compiled model, an infer request a thread, and what ends a run.

    With one stream of one thread, OpenVINO's `cancel` does nothing to what runs in `infer`; so runs are begun by `start_async`.

    A run that is ended leaves the stream's graph with the shapes of that run in some nodes (OpenVINO 2026.4), and whoever runs
    there next fails on them. So the model is then compiled anew, while all lanes wait. For that, a run is ended only once it has
    lasted longer than that takes, and some time after the model was last compiled anew: many such runs cost no more than a part of
    the time.
    """

    def __init__(self, compile_model: Callable[[], ov.CompiledModel]) -> None:
        self._compile_model = compile_model
        self._lock = threading.Lock()  # held to begin a run and to give the compiled model up
        self._rested = 0.0  # when the model may be compiled anew again
        self._compile()

    def _compile(self) -> None:
        started = time.monotonic()
        self._compiled = self._compile_model()
        self._requests: dict[int, _Request] = {}
        self._compile_seconds = time.monotonic() - started
        self._stale = False

    def _compile_anew(self) -> None:
        self._compile()
        self._rested = time.monotonic() + min(_REST * self._compile_seconds, _MOST_REST_SECONDS)

    def _request(self) -> _Request:
        thread = threading.get_ident()
        if thread not in self._requests:
            self._requests[thread] = _Request(self._compiled.create_infer_request())
        return self._requests[thread]

    def output(self) -> Any:
        """Return the model's one output."""
        return self._compiled.output(0)

    def infer(self, run: _Run, ids: Ints, table: Ints, out: Floats | None) -> Floats:
        """Run a batch, into `out` where it is given; return the output. Raises CANCELLED."""
        with self._lock:
            if run.is_cancelled():
                raise RagbusError("CANCELLED", "the run was cancelled before it began")
            if self._stale:
                self._compile_anew()
            patience_millis = int(1000 * max(self._compile_seconds, self._rested - time.monotonic()))
            lane = self._request()
            lane.feed(ids, table)
            request = lane.infer_request
            if out is not None:
                request.set_output_tensor(0, ov.Tensor(out, shared_memory=True))
            request.start_async()
        try:
            while not request.wait_for(patience_millis):
                patience_millis = _POLL_MILLIS
                if run.is_cancelled():
                    self._end(lane)
            request.wait()
        except RuntimeError as error:
            if run.is_cancelled():
                raise RagbusError("CANCELLED", "the run was cancelled") from error
            raise
        hidden: Floats = request.get_output_tensor(0).data if out is None else out
        return hidden

    def _end(self, lane: _Request) -> None:
        with self._lock:
            self._stale |= lane in self._requests.values()  # else the model was compiled anew meanwhile
        lane.infer_request.cancel()


@dataclass(frozen=True)
class OpenVinoEngine:
    """A model compiled by OpenVINO, once for lanes that all run and once for one that is alone.

    Both are the same where there is one lane, another device, or a model that is very small or large.
    """

    folder: ModelFolder
    tokens: TextTokenizer
    graph: _Graph
    graph_alone: _Graph
    precision: str
    device: str
    outputs: int
    packs: bool
    layers: tuple[Dense, ...]
    activation: str | None
    quality: Quality | None = None
    name: str = "openvino"
    _lane: threading.local = field(default_factory=threading.local)

    def tokenize(self, texts: Sequence[Text], cut: Cut, *, pair: bool) -> list[Row]:
        """Return rows of ids, cut to their bounds."""
        return tokenization.rows(self.tokens, texts, cut, pair=pair)

    def cancellation(self) -> Callable[[], None]:
        """Return what ends this thread's next run; one that ends soon is left to end by itself (see `_Graph`)."""
        run = self._lane.run = _Run()
        return run.cancel

    def forward(self, ids: Ints, table: Ints, out: Floats, *, alone: bool = False) -> Floats:
        """Run a graph; what it gives is its own memory, or `out`."""
        run = self._lane.__dict__.pop("run", None) or _Run()
        graph = self.graph_alone if alone else self.graph
        into = None if self.folder.model_type == "embedding" else out  # which takes scores, or a sparse model's values
        return graph.infer(run, ids, table, into)

    def finish(self, hidden: Floats, table: Ints, out: Floats) -> None:
        """Pool, where the graph did not, project, then slice, normalise or activate."""
        graphs.finish(self, self.layers, hidden, table, out)


def load(folder: ModelFolder, tokens: TextTokenizer, options: EngineOptions) -> OpenVinoEngine:
    """Read, rebuild and compile a model, and run it once.

    Raises INVALID for an option that cannot be had, TYPE_CONVERSION if the weights are of another kind of model, RUNTIME
    naming the file for weights that cannot be read or run.
    """
    # Asking which devices there are loads the library of each: 13 MB for those of a GPU and an NPU that are not there.
    present = devices.gpus_of_openvino(_core().available_devices if options.enable_gpu else ())
    device = devices.choose(options.device, enable_gpu=options.enable_gpu, present=present).name.upper()
    precision, computed = _precision(options, device)
    if precision != "int8" or options.stored is not None:
        return replace(_loaded(folder, tokens, device, computed, options.lanes), precision=precision)
    from ragbus import quantize  # noqa: PLC0415 - only where it is asked for

    def build(made: Path | None) -> OpenVinoEngine:
        if made is None:
            return _loaded(folder, tokens, device, "f32", lanes=1)
        return _loaded(replace(folder, weights=made), tokens, device, computed, lanes=1)

    cache = hosting.cache_folder()
    made, quality = quantize.int8_of(folder, tokens, options.calibration, options.min_int8_cosine, cache, build)
    engine = _loaded(replace(folder, weights=made), tokens, device, computed, options.lanes)
    return replace(engine, precision=precision, quality=quality)


def _loaded(folder: ModelFolder, tokens: TextTokenizer, device: str, precision: str, lanes: int) -> OpenVinoEngine:
    try:
        weights = mapped.ir_of(_core(), folder, hosting.cache_folder(), half=precision == "bf16")
    except RagbusError:
        raise
    except Exception as error:
        raise _cannot_load(folder, error) from error
    build = functools.partial(_built, weights, folder, tokens, device, precision, lanes)
    engine = _packing(build)
    if isinstance(engine, str):
        progress.checkpoint()
        reason, engine = engine, build(pack=False)
        log.warning("%s has its rows in a line each: %s", folder.weights, reason)
    mapped.give_back(weights)
    return engine


def _packing(build: Callable[..., OpenVinoEngine]) -> OpenVinoEngine | str:
    """Return a model that packs if it can be told rows apart; or why not, which may be for reasons of its own."""
    try:
        engine = build(pack=True)
        alike = not engine.packs or graphs.packs_alike(engine)
    except Exception as error:  # whatever a foreign graph makes of what is done to it here
        if isinstance(error, RagbusError) and error.kind != "RUNTIME":
            raise
        return message_of(error.__cause__ or error)
    return engine if alike else "behind each other they come to something else"


def _built(
    weights: Path, folder: ModelFolder, tokens: TextTokenizer, device: str, precision: str, lanes: int, *, pack: bool
) -> OpenVinoEngine:
    try:
        # One for both graphs: each model that is read maps its weights once more.
        model, packs = _rebuilt(weights, folder, tokens.pad_id, pack=pack)

        def compiled(streams: int) -> _Graph:
            settings = _settings(device, precision, lanes, streams)
            return _Graph(lambda: _core().compile_model(model, device, settings))

        graph = graph_alone = compiled(streams=lanes)
        if lanes > 1 and device == "CPU" and folder.weights_bytes() in _BYTES_TWICE:
            progress.checkpoint()
            graph_alone = compiled(streams=1)
        width = _width(graph.output(), folder)
    except RagbusError:
        raise
    except Exception as error:
        raise _cannot_load(folder, error) from error
    layers = graphs.layers_of(folder, width)
    outputs = graphs.outputs_of(folder, width, layers)
    engine = OpenVinoEngine(
        folder=folder,
        tokens=tokens,
        graph=graph,
        graph_alone=graph_alone,
        precision=precision,
        device=device.lower(),
        outputs=outputs,
        packs=packs,
        layers=layers,
        activation=graphs.activation_of(folder, outputs),
    )
    graphs.try_out(engine)
    return engine


def _cannot_load(folder: ModelFolder, error: Exception) -> RagbusError:
    return RagbusError("RUNTIME", f"cannot load the weights {folder.weights}: {error}")


def _precision(options: EngineOptions, device: str) -> tuple[str, str]:
    """Return the precision as it is told, and as it is computed in where the weights leave a choice."""
    has_bf16 = "BF16" in _core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    fitting = "bf16" if has_bf16 else "f32"
    computed = options.precision if options.precision in {"f32", "bf16"} else fitting
    return options.stored or ("int8" if options.precision == "int8" else computed), computed


def _settings(device: str, precision: str, lanes: int, streams: int) -> dict[str, Any]:
    """Return what a graph is compiled for: a compute thread for each lane, shared out evenly among streams.

    A stream for each lane makes 15-25 % more of a machine that all lanes keep busy than one with all threads, which in turn is
    1.3 to 1.9 times as fast where there is but one pass to run (2 cores).
    """
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": streams}
    if device == "CPU":
        settings |= {"INFERENCE_NUM_THREADS": lanes, "CPU_RUNTIME_CACHE_CAPACITY": _CACHED_KERNELS}
    return settings


def _rebuilt(weights: Path, folder: ModelFolder, pad_id: int, *, pack: bool) -> tuple[ov.Model, bool]:
    """Read a graph and give it the inputs of a `packing.Batch` and one output, which is pooled if it is a sparse model's.

    Returns it, and whether a line of `ids` may have several rows, which it never has unless it is to `pack`.
    """
    model = mapped.read(_core(), weights)
    chosen = _output(model, folder)
    sparse = folder.model_type == "sparse"
    places = None if sparse or not pack else packing.places_of(_core(), model, folder, chosen, pad_id)
    batch = packing.Batch()
    made = {"input_ids": batch.ids, "attention_mask": batch.inside, "token_type_ids": batch.types}
    if places is not None:
        places.part(batch)
    for old in list(model.get_parameters()):
        name = next((name for name in made if name in old.output(0).get_names()), None)
        if name is None:
            names = ", ".join(sorted(old.output(0).get_names())) or old.get_friendly_name()
            raise graphs.unknown_input(folder, names)
        old.output(0).replace(op.convert(made[name], old.get_element_type().get_type_name()).output(0))
        model.remove_parameter(old)
    result = op.result(_fused_sparse(folder, batch.inside, chosen) if sparse else chosen)
    model.add_parameters(batch.parameters())
    for unused in list(model.get_results()):
        model.remove_result(unused)
    model.add_results([result])
    model.validate_nodes_and_infer_types()
    return model, places is not None


def _output(model: ov.Model, folder: ModelFolder) -> Any:
    """Return what feeds the wanted output."""
    found = [(output.get_names(), len(output.get_partial_shape())) for output in model.outputs]
    return model.outputs[graphs.output_of(folder, found)].get_node().input_value(0)


def _width(output: Any, folder: ModelFolder) -> int:
    last = output.get_partial_shape()[-1]
    if last.is_dynamic:
        raise RagbusError("RUNTIME", f"{folder.weights} does not say how many values a row of its output has")
    return int(last.get_length())


def _fused_sparse(folder: ModelFolder, inside: Any, logits: Any) -> Any:
    """Do what `pooling.pool_sparse` does, in the graph since logits are the largest array there is.

    What saturates rises with its argument, so the largest logit may be chosen before.
    """
    kept = op.select(op.unsqueeze(inside, ints(2)), logits, _zero())
    lost = op.reduce_sum(op.subtract(kept, kept), ints([1]), keep_dims=False)  # what is no number, which ReLU and maximum drop
    if folder.pooling == "max":
        return op.add(_saturated(folder, op.reduce_max(kept, ints([1]), keep_dims=False)), lost)
    return op.add(op.reduce_sum(_saturated(folder, kept), ints([1]), keep_dims=False), lost)


def _saturated(folder: ModelFolder, logits: Any) -> Any:
    once = _log1p(op.relu(logits))
    return _log1p(once) if graphs.activation_of(folder, 0) == "log1p_relu" else once


def _log1p(x: Any) -> Any:
    return op.log(op.add(x, op.constant(np.float32(1))))


def _zero() -> Any:
    return op.constant(np.float32(0))
