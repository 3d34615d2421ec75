# SPDX-License-Identifier: Apache-2.0
"""Dense layers behind a pooling: sentence-transformers' `Dense`, from its config.json and safetensors. Pure NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ragbus.errors import RagbusError
from ragbus.model import read_config
from ragbus.pooling import Floats, sigmoid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def _erf(x: Floats) -> Floats:
    """Return the error function, within 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    wide = np.abs(x.astype(np.float64))
    t = 1 / (1 + 0.3275911 * wide)
    series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    result: Floats = np.copysign(1 - series * np.exp(-wide * wide), x).astype(np.float32)
    return result


# The classes of torch.nn that a layer's config may name, with their defaults.
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, np.float32(0)),
    "GELU": lambda x: np.float32(0.5) * x * (np.float32(1) + _erf(x / np.float32(np.sqrt(2)))),
    "Sigmoid": sigmoid,
    "SiLU": lambda x: x * sigmoid(x),
}


@dataclass(frozen=True, slots=True)
class Dense:
    """One layer: `activation(x @ weight.T + bias)`. `weight` is outputs x inputs."""

    weight: Floats
    bias: Floats | None
    activation: Callable[[Floats], Floats]

    def __call__(self, x: Floats) -> Floats:
        """Return rows x outputs of rows x inputs."""
        linear = x @ self.weight.T
        return self.activation(linear if self.bias is None else linear + self.bias)


def read(folders: Sequence[Path], inputs: int) -> tuple[Dense, ...]:
    """Read layers that follow each other, the first one with so many inputs.

    Raises INVALID for what a layer cannot be here, RUNTIME naming the file whose sizes do not fit or that cannot be read.
    """
    layers = []
    for folder in folders:
        layer = _read(folder)
        if layer.weight.shape[1] != inputs:
            raise RagbusError("RUNTIME", f"{folder} takes {layer.weight.shape[1]} values, but what feeds it gives {inputs}")
        inputs = layer.weight.shape[0]
        layers.append(layer)
    return tuple(layers)


def _read(folder: Path) -> Dense:
    from safetensors import SafetensorError  # noqa: PLC0415 - few models have such layers
    from safetensors.numpy import load_file  # noqa: PLC0415

    path = folder / "model.safetensors"
    config = read_config(folder / "config.json")
    if config.get("use_residual") or config.get("module_input_name", "sentence_embedding") != "sentence_embedding":
        raise RagbusError("INVALID", f"{folder / 'config.json'} asks for a residual or another input, which is not supported")
    try:
        tensors: dict[str, Any] = load_file(path)
        weight, bias = tensors["linear.weight"], tensors.get("linear.bias")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RagbusError("RUNTIME", f"cannot read {path}: {type(error).__name__}: {error}") from error
    said = (config.get("out_features"), config.get("in_features"))
    if weight.ndim != 2 or said != weight.shape or (bias is not None and bias.shape != weight.shape[:1]):  # noqa: PLR2004
        raise RagbusError("RUNTIME", f"{folder / 'config.json'} says {said[1]} x {said[0]}, but {path} is of another shape")
    return Dense(weight.astype(np.float32), None if bias is None else bias.astype(np.float32), _activation(folder, config))


def _activation(folder: Path, config: dict[str, Any]) -> Callable[[Floats], Floats]:
    named = str(config.get("activation_function") or "torch.nn.modules.activation.Tanh")
    found = ACTIVATIONS.get(named.rpartition(".")[2])
    if found is None or not named.startswith("torch.nn."):
        known = ", ".join(ACTIVATIONS)
        raise RagbusError("INVALID", f"{folder / 'config.json'}: activation {named} is not one of torch.nn's {known}")
    return found
