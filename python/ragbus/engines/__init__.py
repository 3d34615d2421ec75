# SPDX-License-Identifier: Apache-2.0
"""Engines: what runs a model, all behind one protocol. A new one is a module here and a line in `ENGINES`."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ragbus import devices
from ragbus.errors import RagbusError
from ragbus.model import ENGINE_FILES, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ragbus.model import ModelFolder
    from ragbus.pooling import Floats, Ints
    from ragbus.quantize import Quality
    from ragbus.tokenization import Cut, Row, Text, TextTokenizer


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is to run: its lanes (threads that call `forward` at once, one compute thread each), precision, device.

    `stored` is what the weights are stored in where that is neither float32 nor for the engine to choose (`int8`, `f16` …).
    For models that are made int8 here, `calibration` is a file of texts (None for ours) and `min_int8_cosine` the least that
    `quantize.Quality.value` may be. `device` is chosen by `devices.choose`; `gpu_memory_fraction` is the most of a GPU's memory,
    above 0 and at most 1.
    """

    lanes: int = 1
    precision: str = "auto"
    device: str | None = None
    enable_gpu: bool = True
    gpu_memory_fraction: float = 0.5
    stored: str | None = None
    calibration: Path | None = None
    min_int8_cosine: float = 0.99


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
    def quality(self) -> Quality | None:
        """How near it comes to float32, where that was measured."""
        ...

    @property
    def outputs(self) -> int:
        """Floats a row: dimensions of an embedding, labels of a cross-encoder or classifier, vocabulary of a sparse model."""
        ...

    @property
    def activation(self) -> str | None:
        """The activation of scores, or what saturates a sparse model's logits; None for an embedding."""
        ...

    @property
    def packs(self) -> bool:
        """Whether a line of a batch may have several rows behind each other, rather than each row its own."""
        ...

    def tokenize(self, texts: Sequence[Text], cut: Cut, *, pair: bool) -> list[Row]:
        """Return rows of ids; with `pair` the first text is the query of all the others, else a text may be two of one row."""
        ...

    def cancellation(self) -> Callable[[], None]:
        """Return what ends this thread's next `forward`, and no other; any thread may call it, at any time.

        A run that it ends, or finds not begun, raises CANCELLED.
        """
        ...

    def forward(self, ids: Ints, table: Ints, out: Floats, *, alone: bool = False) -> Floats:
        """Run the model on lines x width ids; return what is of each token (rank 3), or rows x outputs in `out` itself.

        `table` is rows x `pooling.COLUMNS`. Each row has a line, which is padded, unless the engine `packs`: then it is where its
        START says. With `alone` no other lane has anything to run now: an engine that can takes the compute threads of all lanes.
        """
        ...

    def finish(self, hidden: Floats, table: Ints, out: Floats) -> None:
        """Pool what `forward` returned into `out` (rows x outputs), then slice, normalise, thin or activate it as `table` says."""
        ...


class _LoadEngine(Protocol):
    def __call__(self, folder: ModelFolder, tokens: TextTokenizer, options: EngineOptions) -> Engine: ...


ENGINES = {"openvino": "ragbus.engines.openvino", "onnx": "ragbus.engines.onnx", "torch": "ragbus.engines.torch"}
PRECISIONS = ("auto", "f32", "bf16", "int8")
_PACKAGES = {"openvino": ("openvino",), "onnx": ("onnxruntime",), "torch": ("torch", "sentence_transformers")}
TORCH_MISSING = 'engine = "torch" needs sentence-transformers, which is not installed: python.extras = ["torch"] installs it (6 GB)'


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine, and why it."""

    engine: str
    reason: str


def choose(name: str, folder: ModelFolder, options: EngineOptions) -> Choice:
    """Return the named engine, or with `auto` the best one that has weights here and is installed.

    Raises INVALID for an unknown engine, one that is not installed, or one that this folder has no weights for.
    """
    if name != "auto" and name not in ENGINES:
        raise RagbusError("INVALID", f"engine {name!r} is not one of auto, {', '.join(ENGINES)}")
    stored = [engine for engine, files in ENGINE_FILES.items() if any((folder.folder / it).is_file() for it in files)]
    choice = _auto(stored, options) if name == "auto" else Choice(name, "it was asked for")
    if choice.engine not in stored:
        files = ", ".join(ENGINE_FILES[choice.engine])
        raise RagbusError("INVALID", f"engine {name!r} has no weights in {folder.folder}, which has none of {files}")
    if missing := next((package for package in _PACKAGES[choice.engine] if not _installed(package)), None):
        if choice.engine != "torch":
            raise RagbusError("INVALID", f"engine {choice.engine!r} needs {missing}, which is not installed")
        only = "" if len(stored) > 1 else f"{folder.folder} has safetensors only, no ONNX and no OpenVINO IR: "
        raise RagbusError("INVALID", only + TORCH_MISSING)
    return choice


def _auto(stored: list[str], options: EngineOptions) -> Choice:
    asked = (options.device or "auto").lower()
    if stored == ["torch"]:
        return Choice("torch", "the folder has safetensors only")
    if asked.startswith("gpu") or options.precision == "bf16":
        return Choice("openvino", f"it is what runs {'an Intel GPU' if asked.startswith('gpu') else 'bf16 from ONNX'}")
    if "onnx" in stored and (asked.startswith("cuda") or (asked == "auto" and options.enable_gpu and devices.cuda_driver().gpus)):
        import onnxruntime  # noqa: PLC0415 - only where it may be chosen

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            return Choice("onnx", "there is a CUDA device, and ONNX Runtime for it")
        if "torch" in stored and all(map(_installed, _PACKAGES["torch"])):
            return Choice("torch", "there is a CUDA device, and torch")
        if asked.startswith("cuda"):
            return Choice("onnx", "a CUDA device was asked for")
    return Choice("openvino", "it is the fastest on a CPU")


def candidates(name: str) -> tuple[str, ...]:
    """Return the engines that may run a model as asked for: the named one, or with `auto` all that are installed."""
    if name != "auto":
        return (name,)
    return tuple(engine for engine, packages in _PACKAGES.items() if all(map(_installed, packages)))


def stored_precision(engine: str, precision: str) -> str:
    """Return the precision of the files that an engine reads: OpenVINO with NNCF quantises the plain ones itself."""
    own = engine == "openvino" and _installed("nncf")
    return "auto" if own and precision == "int8" else precision


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def load_engine(name: str, folder: ModelFolder, tokens: TextTokenizer, options: EngineOptions) -> tuple[Engine, str]:
    """Load a model on the named engine, or on the best one with `auto`; return it, and why it was chosen.

    Raises INVALID for what cannot be had, naming what is missing.
    """
    if options.precision not in PRECISIONS:
        raise RagbusError("INVALID", f"precision {options.precision!r} is not one of {', '.join(PRECISIONS)}")
    choice = choose(name, folder, options)
    weights = weights_of(folder.folder, choice.engine, stored_precision(choice.engine, options.precision))
    if weights is None:
        said = f"precision {options.precision!r}: {folder.folder} has only weights of another one for the engine {choice.engine}"
        raise RagbusError("INVALID", said)
    load: _LoadEngine = importlib.import_module(ENGINES[choice.engine]).load
    engine = load(replace(folder, weights=weights[0]), tokens, replace(options, stored=weights[1]))
    return engine, choice.reason
