# SPDX-License-Identifier: Apache-2.0
"""The ONNX Runtime engine: one session that all lanes run side by side, each with one compute thread; on the CPU, or with CUDA."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from ragbus import devices, pooling, tokenization
from ragbus.engines import graphs
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragbus.dense import Dense
    from ragbus.devices import Device
    from ragbus.engines import EngineOptions
    from ragbus.model import ModelFolder
    from ragbus.pooling import Floats, Ints
    from ragbus.quantize import Quality
    from ragbus.tokenization import Cut, Row, Text, TextTokenizer

PRECISIONS = ("auto", "f32", "int8")
_CUDA = "CUDAExecutionProvider"
_ERRORS_ONLY = 3
_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(bool)": np.bool_}


@dataclass(frozen=True)
class OnnxEngine:
    """A model in an ONNX Runtime session. `inputs` are its names with their types, `output` is what is asked of it."""

    folder: ModelFolder
    tokens: TextTokenizer
    session: ort.InferenceSession
    inputs: tuple[tuple[str, type[np.generic]], ...]
    output: str
    precision: str
    device: str
    outputs: int
    layers: tuple[Dense, ...]
    activation: str | None
    quality: Quality | None = None
    name: str = "onnx"
    packs: bool = False
    _lane: threading.local = field(default_factory=threading.local)

    def tokenize(self, texts: Sequence[Text], cut: Cut, *, pair: bool) -> list[Row]:
        """Return rows of ids, cut to their bounds."""
        return tokenization.rows(self.tokens, texts, cut, pair=pair)

    def cancellation(self) -> Callable[[], None]:
        """Return what ends this thread's next run: ONNX Runtime looks between any two nodes of the graph."""
        run = self._lane.run = ort.RunOptions()
        return lambda: setattr(run, "terminate", True)

    def forward(self, ids: Ints, table: Ints, out: Floats, *, alone: bool = False) -> Floats:  # noqa: ARG002 - as the protocol has it
        """Run the session; the result is ONNX Runtime's own memory."""
        run = self._lane.__dict__.pop("run", None) or ort.RunOptions()
        feeds = _feeds(self.inputs, ids, table)
        try:
            hidden: Floats = self.session.run([self.output], feeds, run)[0]
        except Exception as error:
            if run.terminate:
                raise RagbusError("CANCELLED", "the run was cancelled") from error
            raise
        return hidden

    def finish(self, hidden: Floats, table: Ints, out: Floats) -> None:
        """Pool, project, then slice, normalise or activate."""
        graphs.finish(self, self.layers, hidden, table, out)


def _feeds(inputs: Sequence[tuple[str, type[np.generic]]], ids: Ints, table: Ints) -> dict[str, Any]:
    positions = np.arange(ids.shape[1])
    inside = positions < table[:, pooling.LENGTH, None]
    made = {
        "input_ids": ids,
        "attention_mask": inside,
        "token_type_ids": inside & (positions >= table[:, pooling.BOUNDARY, None]),
    }
    return {name: made[name].astype(kind) for name, kind in inputs}


def load(folder: ModelFolder, tokens: TextTokenizer, options: EngineOptions) -> OnnxEngine:
    """Make a session of a model's ONNX file, and run it once.

    Raises INVALID for an option that cannot be had, TYPE_CONVERSION if the weights are of another kind of model, RUNTIME
    naming the file for weights that cannot be read or run.
    """
    if options.precision not in PRECISIONS:
        raise RagbusError("INVALID", f"precision {options.precision!r}: the engine onnx has {', '.join(PRECISIONS)}")
    if options.precision == "int8" and options.stored != "int8":
        raise RagbusError("INVALID", f"precision 'int8': {folder.folder} has no quantised ONNX file for the engine onnx")
    present = devices.cuda_of_onnx(ort.get_available_providers(), devices.cuda_driver())
    device = devices.choose(options.device, enable_gpu=options.enable_gpu, present=present)
    session = _session(folder, device, options)
    inputs = tuple((it.name, _TYPES.get(it.type, np.int64)) for it in session.get_inputs())
    if foreign := next((name for name, _ in inputs if name not in graphs.INPUTS), None):
        raise graphs.unknown_input(folder, foreign)
    found = session.get_outputs()
    output = found[graphs.output_of(folder, [({it.name}, len(it.shape or ())) for it in found])]
    width = _width(session, inputs, output, folder)
    layers = graphs.layers_of(folder, width)
    outputs = graphs.outputs_of(folder, width, layers)
    engine = OnnxEngine(
        folder=folder,
        tokens=tokens,
        session=session,
        inputs=inputs,
        output=output.name,
        precision=options.stored or "f32",
        device=device.name,
        outputs=outputs,
        layers=layers,
        activation=graphs.activation_of(folder, outputs),
    )
    graphs.try_out(engine)
    return engine


def _session(folder: ModelFolder, device: Device, options: EngineOptions) -> ort.InferenceSession:
    ort.disable_telemetry_events()
    settings = ort.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1  # a lane computes on its own thread
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.gpu is not None:
        providers.insert(0, (_CUDA, devices.cuda_provider_options(device, options.gpu_memory_fraction)))
    try:
        session = ort.InferenceSession(str(folder.weights), settings, providers=providers)
    except Exception as error:
        raise RagbusError("RUNTIME", f"cannot load the weights {folder.weights}: {error}") from error
    if device.gpu is not None and _CUDA not in session.get_providers():
        raise RagbusError("RUNTIME", f"ONNX Runtime cannot use {device.name}: its CUDA libraries do not load")
    return session


def _width(session: ort.InferenceSession, inputs: Any, output: Any, folder: ModelFolder) -> int:
    """Return the values in a row of the output: as the graph says, else as one run has it."""
    if isinstance(output.shape[-1], int):
        return int(output.shape[-1])
    feeds = _feeds(inputs, np.zeros((1, 8), np.int32), pooling.table_of([8], 8))
    try:
        return int(session.run([output.name], feeds)[0].shape[-1])
    except Exception as error:
        raise RagbusError("RUNTIME", f"cannot run the weights {folder.weights}: {error}") from error
