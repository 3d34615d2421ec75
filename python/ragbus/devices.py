# SPDX-License-Identifier: Apache-2.0
"""Which device a model runs on, a pure choice among what a machine and its environment have, and what suits it.

Devices are named as in a model's option `device`: `cpu`, `cuda` or `cuda:1` (engines onnx and torch), `gpu` or `gpu.1` (engine
openvino). `auto` takes the first CUDA device where there is one and the CPU elsewhere; OpenVINO's `gpu` is taken only where it
is asked for, since most are a processor's own, which is no faster than its cores.
"""

from __future__ import annotations

import ctypes
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU = "cpu"
_ASKED = re.compile(r"(auto|cpu|cuda(?::(\d{1,3}))?|gpu(?:[.:](\d{1,3}))?)", re.ASCII)
# Engines make code for each shape they meet, which takes time and memory, so widths come in steps; docs/performance.md has what
# they were measured to be worth. AMX computes in tiles of 16 rows: there 37 wide costs more than 48.
_WIDTH_STEP, _TILE = 8, 16
_PROCESSOR = Path("/proc/cpuinfo")
_NO_DRIVER = "there is no NVIDIA driver (libcuda.so.1 cannot be loaded)"
_CUDA_PROVIDER = "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: its number among those of its kind, its name, and its memory in bytes (0 where that is not known)."""

    index: int
    name: str = ""
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Present:
    """The GPUs that an engine could use: of which kind (`cuda`, `gpu`, or None for an engine without), or why there is none."""

    kind: str | None = None
    gpus: tuple[Gpu, ...] = ()
    missing: str = ""

    def summary(self) -> str:
        """Say in one line what there is."""
        if not self.gpus:
            return f"models run on the CPU: {self.missing}"
        return "; ".join(f"{_named('cuda', gpu).name} is {gpu.name} with {gpu.memory_bytes >> 20} MB" for gpu in self.gpus)


@dataclass(frozen=True, slots=True)
class Device:
    """A chosen device: `cpu`, `cuda:0` or `gpu.0`; `gpu` is None on the CPU."""

    name: str
    gpu: Gpu | None = None


def choose(asked: str | None, *, enable_gpu: bool, present: Present) -> Device:
    """Return the device for what a model's option asks for (None is `auto`).

    Raises INVALID for an unknown name, for a GPU that this engine cannot use or that is switched off, and for one that is not
    there, saying what is missing. A GPU that is asked for is never replaced by the CPU.
    """
    wanted = (asked or "auto").lower()
    match = _ASKED.fullmatch(wanted)
    if match is None:
        raise RagbusError("INVALID", f"device {asked!r} is not one of auto, cpu, cuda, cuda:0 (and so on), gpu, gpu.0 (and so on)")
    if wanted == CPU:
        return Device(CPU)
    if wanted == "auto":
        usable = enable_gpu and present.kind == "cuda" and present.gpus
        return _named("cuda", present.gpus[0]) if usable else Device(CPU)
    kind = "cuda" if wanted.startswith("cuda") else "gpu"
    if present.kind != kind:
        engine = 'engine "onnx" or "torch"' if kind == "cuda" else 'engine "openvino"'
        raise RagbusError("INVALID", f"device {asked!r} cannot be used by this engine: it takes {engine}")
    if not enable_gpu:
        raise RagbusError("INVALID", f"device {asked!r} cannot be used: python.enable_gpu is false")
    if not present.gpus:
        raise RagbusError("INVALID", f"device {asked!r} cannot be used: {present.missing}")
    index = int(match[2] or match[3] or present.gpus[0].index)
    found = next((gpu for gpu in present.gpus if gpu.index == index), None)
    if found is None:
        there = ", ".join(_named(kind, gpu).name for gpu in present.gpus)
        raise RagbusError("INVALID", f"device {asked!r} cannot be used: there is {there} only")
    return _named(kind, found)


def _named(kind: str, gpu: Gpu) -> Device:
    return Device(f"cuda:{gpu.index}" if kind == "cuda" else f"gpu.{gpu.index}", gpu)


def memory_limit(device: Device, fraction: float) -> int | None:
    """Return how many bytes of a GPU's memory a model may take, None on the CPU and where the memory's size is not known."""
    return int(device.gpu.memory_bytes * fraction) if device.gpu is not None and device.gpu.memory_bytes else None


def cuda_provider_options(device: Device, fraction: float) -> dict[str, Any]:
    """Return ONNX Runtime's options of `CUDAExecutionProvider`: the device, and the most that its arena may grow to."""
    options: dict[str, Any] = {"device_id": device.gpu.index if device.gpu else 0, "arena_extend_strategy": "kSameAsRequested"}
    limit = memory_limit(device, fraction)
    return options if limit is None else options | {"gpu_mem_limit": limit}


def cuda_of_onnx(providers: Sequence[str], driver: Present) -> Present:
    """Return the CUDA devices for ONNX Runtime: `providers` is what its build can use (`get_available_providers`)."""
    if _CUDA_PROVIDER not in providers:
        return Present("cuda", missing='the installed ONNX Runtime has no CUDA: python.extras = ["cuda"] installs one that has')
    return driver


def cuda_of_torch(built_for: str | None, driver: Present) -> Present:
    """Return the CUDA devices for torch: `built_for` is `torch.version.cuda`, None for a build without."""
    return driver if built_for else Present("cuda", missing="the installed torch was built without CUDA")


def gpus_of_openvino(available: Sequence[str]) -> Present:
    """Return OpenVINO's GPUs among its `available_devices`: `GPU`, or `GPU.0` and so on where there are several."""
    numbers = [int(name.partition(".")[2] or 0) for name in available if name == "GPU" or name.startswith("GPU.")]
    return Present(
        "gpu", tuple(Gpu(number) for number in numbers), f"OpenVINO finds {', '.join(available).lower() or 'nothing'} only"
    )


@functools.cache
def cuda_driver() -> Present:
    """Return the devices of this machine's NVIDIA driver, asked once, through its own C interface."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Present("cuda", missing=_NO_DRIVER)
    return ask_driver(driver)


def ask_driver(driver: Any) -> Present:
    """Return the devices of a loaded driver library (CUDA driver API: `cuInit`, `cuDeviceGetCount`, `cuDeviceTotalMem`)."""
    count = ctypes.c_int(0)
    for code in (driver.cuInit(0), driver.cuDeviceGetCount(ctypes.byref(count))):
        if code != 0:
            return Present("cuda", missing=f"the NVIDIA driver finds no device (error {code})")
    gpus = []
    for index in range(count.value):
        handle, size, name = ctypes.c_int(0), ctypes.c_size_t(0), ctypes.create_string_buffer(128)
        driver.cuDeviceGet(ctypes.byref(handle), index)
        driver.cuDeviceTotalMem_v2(ctypes.byref(size), handle)
        driver.cuDeviceGetName(name, len(name), handle)
        gpus.append(Gpu(index, name.value.decode(errors="replace"), size.value))
    return Present("cuda", tuple(gpus), "" if gpus else "the NVIDIA driver finds no device")


def width_step(device: str, precision: str) -> int:
    """Return what the widths of batches are best multiples of."""
    return _TILE if device == CPU and precision == "bf16" and _has_tiles() else _WIDTH_STEP


def _has_tiles() -> bool:
    """Tell whether the processor multiplies bfloat16 by AMX; Linux alone tells."""
    try:
        return "amx_bf16" in _PROCESSOR.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
