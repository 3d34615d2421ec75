# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ragbus import devices
from ragbus.devices import Device, Gpu, Present
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from pathlib import Path

TWO = Present("cuda", (Gpu(0, "A", 1000), Gpu(1, "B", 2000)))
NONE = Present("cuda", missing="there is no driver")
INTEL = Present("gpu", (Gpu(0),))


def chosen(asked: str | None, present: Present = TWO, *, enable_gpu: bool = True) -> str:
    return devices.choose(asked, enable_gpu=enable_gpu, present=present).name


def refusal(asked: str, present: Present = TWO, *, enable_gpu: bool = True) -> str:
    with pytest.raises(RagbusError) as caught:
        devices.choose(asked, enable_gpu=enable_gpu, present=present)
    assert caught.value.kind == "INVALID"
    return str(caught.value)


@pytest.mark.parametrize(
    ("asked", "present", "device"),
    [
        (None, TWO, "cuda:0"),
        ("auto", TWO, "cuda:0"),
        ("AUTO", NONE, "cpu"),
        ("auto", INTEL, "cpu"),
        ("auto", Present(), "cpu"),
        ("cpu", TWO, "cpu"),
        ("cuda", TWO, "cuda:0"),
        ("cuda:1", TWO, "cuda:1"),
        ("gpu", INTEL, "gpu.0"),
        ("gpu.0", INTEL, "gpu.0"),
        ("GPU:0", INTEL, "gpu.0"),
    ],
)
def test_what_is_asked_for_is_chosen(asked: str | None, present: Present, device: str) -> None:
    assert chosen(asked, present) == device


def test_a_gpu_that_is_switched_off_is_not_used() -> None:
    assert chosen("auto", enable_gpu=False) == "cpu"
    assert "python.enable_gpu is false" in refusal("cuda", enable_gpu=False)


def test_a_gpu_that_is_asked_for_is_never_replaced() -> None:
    assert refusal("cuda", NONE) == "device 'cuda' cannot be used: there is no driver"
    assert refusal("cuda:2") == "device 'cuda:2' cannot be used: there is cuda:0, cuda:1 only"
    assert "OpenVINO finds cpu only" in refusal("gpu", devices.gpus_of_openvino(["CPU"]))


@pytest.mark.parametrize("asked", ["tpu", "cuda:", "cuda:-1", "cuda:1234", "cpu:0", "gpu.x", " cpu", "cuda:٣"])
def test_an_unknown_name_is_refused(asked: str) -> None:
    assert "is not one of auto, cpu, cuda" in refusal(asked)


def test_a_gpu_of_another_kind_names_the_engine_that_takes_it() -> None:
    assert 'it takes engine "onnx" or "torch"' in refusal("cuda", INTEL)
    assert 'it takes engine "openvino"' in refusal("gpu", TWO)
    assert 'it takes engine "onnx" or "torch"' in refusal("cuda", Present())


def test_what_engines_can_use() -> None:
    assert devices.cuda_of_onnx(["CUDAExecutionProvider", "CPUExecutionProvider"], TWO) is TWO
    assert 'python.extras = ["cuda"]' in devices.cuda_of_onnx(["CPUExecutionProvider"], TWO).missing
    assert devices.cuda_of_torch("13.0", NONE) is NONE
    assert "built without CUDA" in devices.cuda_of_torch(None, TWO).missing
    assert devices.gpus_of_openvino(["CPU", "GPU.0", "GPU.1"]).gpus == (Gpu(0), Gpu(1))
    assert devices.gpus_of_openvino(["CPU", "GPU"]).gpus == (Gpu(0),)


def test_a_part_of_the_memory() -> None:
    first = Device("cuda:1", TWO.gpus[1])
    assert devices.memory_limit(first, 0.5) == 1000
    assert devices.memory_limit(Device("cpu"), 0.5) is None
    assert devices.memory_limit(Device("gpu.0", Gpu(0)), 0.5) is None
    limited = {"device_id": 1, "arena_extend_strategy": "kSameAsRequested", "gpu_mem_limit": 500}
    assert devices.cuda_provider_options(first, 0.25) == limited
    assert "gpu_mem_limit" not in devices.cuda_provider_options(Device("cuda:0", Gpu(0)), 0.5)


@dataclass
class Driver:
    """The C interface of a driver, with what it answers."""

    memory: list[int] = field(default_factory=list)
    init: int = 0
    count: int = 0

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - the driver's own names
        return self.init

    def cuDeviceGetCount(self, out: Any) -> int:  # noqa: N802
        out._obj.value = len(self.memory)
        return self.count

    def cuDeviceGet(self, out: Any, index: int) -> int:  # noqa: N802
        out._obj.value = index
        return 0

    def cuDeviceTotalMem_v2(self, out: Any, handle: ctypes.c_int) -> int:  # noqa: N802
        out._obj.value = self.memory[handle.value]
        return 0

    def cuDeviceGetName(self, out: Any, _size: int, handle: ctypes.c_int) -> int:  # noqa: N802
        out.value = f"GPU {handle.value}".encode()
        return 0


def test_the_driver_is_asked() -> None:
    assert devices.ask_driver(Driver([5 << 33, 7])).gpus == (Gpu(0, "GPU 0", 5 << 33), Gpu(1, "GPU 1", 7))
    assert devices.ask_driver(Driver()).missing == "the NVIDIA driver finds no device"
    assert devices.ask_driver(Driver(init=100)).missing == "the NVIDIA driver finds no device (error 100)"
    assert devices.ask_driver(Driver([1], count=3)).missing == "the NVIDIA driver finds no device (error 3)"


def test_a_machine_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> Any:
        raise OSError("no such file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    devices.cuda_driver.cache_clear()
    assert devices.cuda_driver().missing == "there is no NVIDIA driver (libcuda.so.1 cannot be loaded)"
    devices.cuda_driver.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Driver([9]))
    assert devices.cuda_driver().gpus == (Gpu(0, "GPU 0", 9),)
    devices.cuda_driver.cache_clear()


@pytest.mark.parametrize(
    ("flags", "device", "precision", "step"),
    [
        ("avx512_bf16 amx_bf16", "cpu", "bf16", 16),
        ("avx512_bf16 amx_bf16", "cpu", "f32", 8),
        ("avx512_bf16 amx_bf16", "cuda:0", "bf16", 8),
        ("avx512_bf16", "cpu", "bf16", 8),
        (None, "cpu", "bf16", 8),
    ],
)
def test_widths_are_multiples_of_16_where_the_processor_has_tiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str | None, device: str, precision: str, step: int
) -> None:
    processor = tmp_path / "cpuinfo"
    if flags is not None:
        processor.write_text(f"flags\t\t: fpu {flags}\n", encoding="ascii")
    monkeypatch.setattr(devices, "_PROCESSOR", processor)
    assert devices.width_step(device, precision) == step
