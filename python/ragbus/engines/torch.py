# SPDX-License-Identifier: Apache-2.0
"""The torch engine: sentence-transformers' own modules, from safetensors; on the CPU, one compute thread a lane, or with CUDA."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules.normalize import Normalize
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SpladePooling
from transformers.utils.logging import disable_progress_bar

from ragbus import devices, pooling, tokenization
from ragbus.engines import graphs
from ragbus.errors import RagbusError
from ragbus.model import types_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragbus.devices import Device
    from ragbus.engines import EngineOptions
    from ragbus.model import ModelFolder
    from ragbus.pooling import Floats, Ints
    from ragbus.quantize import Quality
    from ragbus.tokenization import Cut, Row, Text, TextTokenizer

_TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
PRECISIONS = ("auto", *_TYPES)
_POOLINGS = {"mean_sqrt_len": "mean_sqrt_len_tokens"}
_LOADS = {"embedding": SentenceTransformer, "sparse": SparseEncoder, "cross-encoder": CrossEncoder, "classifier": CrossEncoder}
_RESULTS = {"embedding": "sentence_embedding", "sparse": "sentence_embedding", "cross-encoder": "scores", "classifier": "scores"}


@dataclass(frozen=True)
class TorchEngine:
    """A model in sentence-transformers. `modules` run one after another and leave a row a text; `typed`: it takes type ids."""

    folder: ModelFolder
    tokens: TextTokenizer
    modules: tuple[Any, ...]
    typed: bool
    precision: str
    device: str
    outputs: int
    activation: str | None
    quality: Quality | None = None
    name: str = "torch"
    packs: bool = False

    def tokenize(self, texts: Sequence[Text], cut: Cut, *, pair: bool) -> list[Row]:
        """Return rows of ids, cut to their bounds."""
        return tokenization.rows(self.tokens, texts, cut, pair=pair)

    def cancellation(self) -> Callable[[], None]:
        """Return what does nothing: torch has no way to end a run."""
        return _nothing

    def forward(self, ids: Ints, table: Ints, out: Floats, *, alone: bool = False) -> Floats:  # noqa: ARG002 - as the protocol has it
        """Run the modules; the result is copied into `out`."""
        out[:] = self.run(ids, table).numpy()
        return out

    def run(self, ids: Ints, table: Ints) -> torch.Tensor:
        """Return rows x outputs on the CPU."""
        placed = torch.from_numpy(ids).to(self.device, torch.int64)
        rows = torch.from_numpy(table).to(self.device)
        positions = torch.arange(ids.shape[1], device=self.device)
        inside = positions < rows[:, pooling.LENGTH, None]
        features: dict[str, Any] = {"input_ids": placed, "attention_mask": inside.long()}
        if self.typed:
            features["token_type_ids"] = (inside & (positions >= rows[:, pooling.BOUNDARY, None])).long()
        with torch.inference_mode():
            for module in self.modules:
                features = module(features)
        result: torch.Tensor = features[_RESULTS[self.folder.model_type]]
        return result.float().cpu()

    def finish(self, hidden: Floats, table: Ints, out: Floats) -> None:
        """Slice, normalise or activate."""
        graphs.finish(self, (), hidden, table, out)


def _nothing() -> None:
    pass


def load(folder: ModelFolder, tokens: TextTokenizer, options: EngineOptions) -> TorchEngine:
    """Load a model with sentence-transformers, and run it once. No code and no pickle of the folder is ever loaded.

    Raises INVALID for an option that cannot be had, TYPE_CONVERSION if the weights are of another kind of model, RUNTIME
    naming the file for weights that cannot be read or run.
    """
    if options.precision not in PRECISIONS:
        raise RagbusError("INVALID", f"precision {options.precision!r}: the engine torch has {', '.join(PRECISIONS)}")
    present = devices.cuda_of_torch(torch.version.cuda, devices.cuda_driver())
    device = devices.choose(options.device, enable_gpu=options.enable_gpu, present=present)
    if device.gpu is not None:
        torch.cuda.set_per_process_memory_fraction(options.gpu_memory_fraction, device.gpu.index)
    precision = _fitting(device) if options.precision == "auto" else options.precision
    torch.set_num_threads(1)  # a lane computes on its own thread
    modules = _modules(folder, device.name, _TYPES[precision])
    engine = TorchEngine(
        folder=folder,
        tokens=tokens,
        modules=modules,
        typed="token_type_ids" in inspect.signature(modules[0].model.forward).parameters,
        precision=precision,
        device=device.name,
        outputs=0,
        activation=None,
    )
    outputs = _outputs(engine)
    graphs.layers_of(folder, modules[0].get_embedding_dimension() if folder.model_type == "embedding" else outputs)
    return replace(engine, outputs=outputs, activation=graphs.activation_of(folder, outputs))


def _fitting(device: Device) -> str:
    """Return bf16 where the device computes in it, else f32."""
    if device.gpu is not None:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "f32"
    processor = torch.cpu.get_capabilities()
    return "bf16" if processor.get("avx512_bf16") or processor.get("amx_bf16") else "f32"


def _modules(folder: ModelFolder, device: str, kind: torch.dtype) -> tuple[Any, ...]:
    """Return sentence-transformers' modules, but for the one that normalises: a request says whether it is wanted."""
    if folder.model_type not in types_of(folder.folder):
        raise RagbusError("TYPE_CONVERSION", f"{folder.folder / 'config.json'} is not that of a {folder.model_type} model")
    disable_progress_bar()
    try:
        model = _LOADS[folder.model_type](
            str(folder.folder),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": kind},
        )
        missing = _missing(model[0].model, folder)
    except Exception as error:
        raise RagbusError("RUNTIME", f"cannot load the weights {folder.weights}: {error}") from error
    if missing:
        raise RagbusError("RUNTIME", f"{folder.weights} lacks {len(missing)} of the model's weights, such as {missing[0]}")
    modules = [module for module in model.to(kind).eval().children() if not isinstance(module, Normalize)]
    if folder.model_type == "sparse":
        named: Any = {"pooling_strategy": folder.pooling, "activation_function": graphs.activation_of(folder, 0)}
        modules[1] = SpladePooling(**named)
    elif folder.pooling is not None:
        modes = [_POOLINGS.get(name, name) for name in folder.pooling.split("+")]
        modules[1] = Pooling(modules[0].get_embedding_dimension(), modes)
    return tuple(modules)


def _missing(model: Any, folder: ModelFolder) -> list[str]:
    """Return the weights that a file lacks, which transformers fills with random numbers.

    It tells of them only where its models are loaded by themselves, so this one is loaded once more. The pooler of an embedding
    model does not count: nothing here reads it.
    """
    _, info = type(model).from_pretrained(
        model.name_or_path, config=model.config, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    unused = "pooler." if folder.model_type == "embedding" else ()
    return sorted(name for name in info["missing_keys"] if not name.startswith(unused))


def _outputs(engine: TorchEngine) -> int:
    """Run one short row and return how many values it has."""
    try:
        row = engine.run(np.full((1, 8), engine.tokens.pad_id, np.int32), pooling.table_of([8], 8))
    except Exception as error:
        raise RagbusError("RUNTIME", f"cannot run the weights {engine.folder.weights}: {error}") from error
    return int(row.shape[-1])
