# SPDX-License-Identifier: Apache-2.0
"""Which engine and which weights a folder gets, and what is refused: the same on every engine that runs a graph."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import GOLDEN, Failure, Lane, ask

from ragbus import dense, devices, engines, hosting, registry
from ragbus.engines import EngineOptions
from ragbus.errors import RagbusError
from ragbus.model import ModelFolder, read_folder, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES = GOLDEN / "families"
GRAPHS = ["openvino", "onnx"]
CUDA = devices.Present("cuda", (devices.Gpu(0, "one", 8 << 30),))
NO_CUDA = devices.Present("cuda", missing="none")


@pytest.fixture(params=GRAPHS)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies a tiny model, without its safetensors."""

    def copied(name: str) -> Path:
        ignored = shutil.ignore_patterns("model.safetensors")
        return Path(shutil.copytree(FAMILIES / name, tmp_path / name, ignore=None if name == "bert-dense" else ignored))

    return copied


@pytest.mark.parametrize(
    ("files", "engine_name", "precision", "weights", "stored"),
    [
        ("onnx/model.onnx model.onnx", "onnx", "auto", "onnx/model.onnx", None),
        ("model.onnx onnx/model_quantized.onnx", "onnx", "auto", "model.onnx", None),
        ("onnx/model.onnx onnx/model_quantized.onnx", "onnx", "int8", "onnx/model_quantized.onnx", "int8"),
        ("onnx/model.onnx onnx/model_qint8_avx512_vnni.onnx", "openvino", "int8", "onnx/model_qint8_avx512_vnni.onnx", "int8"),
        ("onnx/model_uint8.onnx onnx/model_int8.onnx", "onnx", "auto", "onnx/model_int8.onnx", "int8"),
        ("onnx/model_O2.onnx onnx/model_O4.onnx", "onnx", "auto", "onnx/model_O2.onnx", None),
        ("onnx/model_O1.onnx onnx/model_O3.onnx", "onnx", "f32", "onnx/model_O3.onnx", None),
        ("onnx/model_fp16.onnx", "onnx", "auto", "onnx/model_fp16.onnx", "f16"),
        ("onnx/model_bnb4.onnx", "onnx", "auto", "onnx/model_bnb4.onnx", "int4"),
        ("onnx/model_quantized.onnx", "onnx", "f32", None, None),
        ("openvino/openvino_model.xml onnx/model.onnx", "openvino", "auto", "openvino/openvino_model.xml", None),
        ("openvino/openvino_model.xml onnx/model.onnx", "onnx", "auto", "onnx/model.onnx", None),
        (
            "openvino/openvino_model.xml openvino/openvino_model_qint8_quantized.xml",
            "openvino",
            "int8",
            "openvino/openvino_model_qint8_quantized.xml",
            "int8",
        ),
        ("openvino/openvino_model.xml", "onnx", "auto", None, None),
        ("onnx/model.onnx", "openvino", "int8", "onnx/model.onnx", None),
        ("onnx/model.onnx model.safetensors", "torch", "bf16", "model.safetensors", None),
        ("model.safetensors.index.json", "torch", "auto", "model.safetensors.index.json", None),
    ],
)
def test_weights(files: str, engine_name: str, precision: str, weights: str | None, stored: str | None, tmp_path: Path) -> None:
    for name in files.split():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = weights_of(tmp_path, engine_name, precision)
    assert found == (None if weights is None else (tmp_path / weights, stored))


def folder_with(tmp_path: Path, files: str) -> ModelFolder:
    for name in ("tokenizer.json", *files.split()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}", encoding="utf-8")
    return read_folder(tmp_path, "embedding")


IR, ONNX, TORCH = "openvino/openvino_model.xml", "onnx/model.onnx", "model.safetensors"


@pytest.mark.parametrize(
    ("files", "options", "cuda", "torch", "chosen"),
    [
        (ONNX, EngineOptions(), NO_CUDA, True, "openvino"),
        (f"{ONNX} {TORCH}", EngineOptions(), NO_CUDA, True, "openvino"),
        (TORCH, EngineOptions(), NO_CUDA, True, "torch"),
        (ONNX, EngineOptions(), CUDA, False, "openvino"),  # the ONNX Runtime of these tests has no CUDA
        (f"{ONNX} {TORCH}", EngineOptions(), CUDA, True, "torch"),
        (f"{ONNX} {TORCH}", EngineOptions(enable_gpu=False), CUDA, True, "openvino"),
        (f"{ONNX} {TORCH}", EngineOptions(device="cpu"), CUDA, True, "openvino"),
        (ONNX, EngineOptions(device="cuda"), CUDA, False, "onnx"),
        (ONNX, EngineOptions(device="gpu"), NO_CUDA, False, "openvino"),
        (IR, EngineOptions(device="cuda:0"), CUDA, True, "openvino"),
        (ONNX, EngineOptions(precision="bf16"), CUDA, True, "openvino"),
    ],
)
def test_auto(
    files: str,
    options: EngineOptions,
    cuda: devices.Present,
    torch: bool,
    chosen: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "cuda_driver", lambda: cuda)
    monkeypatch.setattr(engines, "_installed", lambda package: torch or package in {"openvino", "onnxruntime"})
    choice = engines.choose("auto", folder_with(tmp_path, files), options)
    assert choice.engine == chosen
    assert choice.reason


def test_auto_takes_onnx_runtime_with_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(devices, "cuda_driver", lambda: CUDA)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    choice = engines.choose("auto", folder_with(tmp_path, ONNX), EngineOptions())
    assert choice == engines.Choice("onnx", "there is a CUDA device, and ONNX Runtime for it")


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_installed", lambda package: package == "openvino")
    only = folder_with(tmp_path, TORCH)
    with pytest.raises(
        RagbusError, match=r"safetensors only, no ONNX .*: engine = \"torch\" needs .*python\.extras = \[\"torch\"\]"
    ):
        engines.choose("auto", only, EngineOptions())
    with pytest.raises(RagbusError, match=r"engine 'onnx' has no weights in .*none of onnx/model\.onnx"):
        engines.choose("onnx", only, EngineOptions())
    with pytest.raises(RagbusError, match=r"engine 'onnx' needs onnxruntime, which is not installed"):
        engines.choose("onnx", folder_with(tmp_path, ONNX), EngineOptions())
    with pytest.raises(RagbusError, match=r"^engine = \"torch\" needs sentence-transformers"):
        engines.choose("torch", folder_with(tmp_path, f"{ONNX} {TORCH}"), EngineOptions())


def test_an_engine_is_imported_where_it_runs() -> None:
    work = "import sys; from conftest import ask; ask('load', name='m', path=sys.argv[1]); print(*sys.modules)"
    here = Path(__file__).parent
    path = {"PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
    done = subprocess.run(
        [sys.executable, "-c", work, str(FAMILIES / "bert")], env=os.environ | path, check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "openvino" in loaded
    assert not loaded & {"onnxruntime", "torch", "safetensors", "huggingface_hub"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "bf16"}, r"INVALID: precision 'bf16': the engine onnx has auto, f32, int8"),
        ({"precision": "int8"}, r"INVALID: precision 'int8': .* has no quantised ONNX file for the engine onnx"),
        ({"device": "cuda"}, r"INVALID: device 'cuda' cannot be used: the installed ONNX Runtime has no CUDA"),
        ({"device": "gpu"}, r"INVALID: device 'gpu' cannot be used by this engine: it takes engine \"openvino\""),
    ],
)
def test_options_that_onnx_runtime_has_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Failure, match=message):
        ask("load", name="m", path=str(FAMILIES / "bert"), engine="onnx", **options)


def test_the_answer_says_why(engine: str, copy: Callable[..., Path]) -> None:
    path = str(copy("bert"))
    asked = ask("load", name="m", path=path, engine=engine)
    assert (asked["engine"], asked["reason"]) == (engine, "it was asked for")
    left = ask("load", name="m", path=path, device="cpu")
    assert (left["engine"], left["reason"]) == ("openvino", "it is the fastest on a CPU")
    for model in (asked, left):
        ask("unload", handle=model["handle"])


def test_a_quantised_file(engine: str, copy: Callable[..., Path], lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_installed", lambda package: package != "nncf")
    folder = copy("bert")
    shutil.copy(folder / "onnx" / "model.onnx", folder / "onnx" / "model_quantized.onnx")
    model = ask("load", name="m", path=str(folder), engine=engine, precision="int8")
    assert model["precision"] == "int8"
    assert registry.get(model["handle"]).engine.folder.weights.name == "model_quantized.onnx"
    assert np.isfinite(lane.embed(model, ["refund"])).all()
    ask("unload", handle=model["handle"])
    (folder / "onnx" / "model.onnx").unlink()
    with pytest.raises(Failure, match=r"INVALID: precision 'f32': .* has only weights of another one"):
        ask("load", name="m", path=str(folder), engine=engine, precision="f32")


def change(file: str, **values: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")

    return edit


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def halve(file: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: len(whole) // 2])

    return cut


def pickle(file: str) -> Callable[[Path], None]:
    def rename(folder: Path) -> None:
        (folder / file).rename((folder / file).with_name("pytorch_model.bin"))

    return rename


@pytest.mark.parametrize(
    ("name", "spoil", "type_", "message"),
    [
        ("bert", remove("tokenizer.json"), "embedding", r"MODEL_NOT_FOUND: .*bert has no tokenizer\.json"),
        ("bert", remove("onnx/model.onnx"), "embedding", r"MODEL_NOT_FOUND: .*bert has none of .*onnx/model\.onnx"),
        ("bert", pickle("onnx/model.onnx"), "embedding", r"MODEL_NOT_FOUND: .*bert has none of"),
        ("bert", halve("onnx/model.onnx"), "embedding", r"RUNTIME: .*onnx/model\.onnx"),
        ("bert", halve("tokenizer.json"), "embedding", r"RUNTIME: .*tokenizer\.json"),
        ("bert", halve("config.json"), "embedding", r"RUNTIME: .*config\.json"),
        (
            "bert",
            change("1_Pooling/config.json", embedding_dimension=64),
            "embedding",
            r"RUNTIME: .*1_Pooling/config\.json says 64 dimensions, but .*model\.onnx gives 32",
        ),
        (
            "bert",
            change("config.json", hidden_size=16),
            "embedding",
            r"RUNTIME: .*config\.json says 16 dimensions, but .*model\.onnx",
        ),
        ("bert", lambda _: None, "cross-encoder", r"(INVALID|TYPE_CONVERSION): .*(modules\.json|model\.onnx)"),
        ("cross-encoder-raw", lambda _: None, "embedding", r"(INVALID|TYPE_CONVERSION): .*(modules\.json|model\.onnx)"),
        (
            "cross-encoder-labels",
            change("config.json", id2label={"0": "a", "1": "b"}),
            "cross-encoder",
            r"RUNTIME: .*config\.json names 2 labels, but .*model\.onnx gives 3",
        ),
        (
            "bert-dense",
            pickle("2_Dense/model.safetensors"),
            "embedding",
            r"2_Dense has no model\.safetensors: pytorch_model\.bin is a pickle",
        ),
        ("bert-dense", halve("3_Dense/model.safetensors"), "embedding", r"RUNTIME: cannot read .*3_Dense/model\.safetensors"),
        (
            "bert-dense",
            change("2_Dense/config.json", out_features=25),
            "embedding",
            r"RUNTIME: .*2_Dense/config\.json says 32 x 25",
        ),
        (
            "bert-dense",
            change("2_Dense/config.json", activation_function="os.Tanh"),
            "embedding",
            r"INVALID: .*activation os\.Tanh",
        ),
        (
            "bert-dense",
            change("2_Dense/config.json", use_residual=True),
            "embedding",
            r"INVALID: .*2_Dense/config\.json asks for a residual",
        ),
    ],
)
def test_bad_input_is_named_and_nothing_stays(
    name: str, spoil: Callable[[Path], None], type_: str, message: str, engine: str, copy: Callable[..., Path]
) -> None:
    folder = copy(name)
    spoil(folder)
    before = registry.loaded()
    with pytest.raises(Failure, match=message):
        ask("load", name="m", path=str(folder), engine=engine, type=type_)
    assert registry.loaded() == before


def test_a_transformer_in_a_folder_below_is_named(tmp_path: Path) -> None:
    shutil.copytree(FAMILIES / "bert", tmp_path / "0_Transformer")
    with pytest.raises(Failure, match=r"MODEL_NOT_FOUND: .* has no tokenizer\.json: it is in 0_Transformer"):
        ask("load", name="m", path=str(tmp_path))


def test_layers_that_do_not_follow_each_other(engine: str, copy: Callable[..., Path]) -> None:
    folder = copy("bert-dense")
    listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    listed = [module for module in listed if module["path"] != "3_Dense"]
    (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(Failure, match=r"RUNTIME: .*4_Dense takes 16 values, but what feeds it gives 24"):
        ask("load", name="m", path=str(folder), engine=engine)


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # torch.nn's, at -2, 0 and 1
        ("Identity", [-2, 0, 1]),
        ("Tanh", [-0.9640276, 0, 0.7615942]),
        ("ReLU", [0, 0, 1]),
        ("GELU", [-0.0455003, 0, 0.8413447]),
        ("Sigmoid", [0.1192029, 0.5, 0.7310586]),
        ("SiLU", [-0.2384058, 0, 0.7310586]),
    ],
)
def test_activations_of_dense_layers(name: str, expected: list[float]) -> None:
    values = dense.ACTIVATIONS[name](np.array([-2, 0, 1], np.float32))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, atol=5e-7)


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | str | bytes) -> bytes:
    """Encode one field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor_type(kind: int, *dimensions: str | int) -> bytes:
    shape = b"".join(field(1, field(1, it) if isinstance(it, int) else field(2, it)) for it in dimensions)
    return field(1, field(1, kind) + field(2, shape))


def outside(location: str) -> bytes:
    """Return an ONNX model whose token vectors are each id times 8 weights, which lie in the file `location` (onnx.proto3)."""
    weights = field(1, 8) + field(2, 1) + field(8, "w") + field(14, 1)
    weights += b"".join(field(13, field(1, key) + field(2, value)) for key, value in (("location", location), ("length", "32")))
    axes = field(1, 1) + field(2, 7) + field(7, 2) + field(8, "axes")
    cast = field(1, "input_ids") + field(2, "f") + field(4, "Cast") + field(5, field(1, "to") + field(3, 1) + field(20, 2))
    unsqueeze = field(1, "f") + field(1, "axes") + field(2, "u") + field(4, "Unsqueeze")
    multiply = field(1, "u") + field(1, "w") + field(2, "last_hidden_state") + field(4, "Mul")
    graph = b"".join(field(1, node) for node in (cast, unsqueeze, multiply)) + field(2, "g") + field(5, weights) + field(5, axes)
    graph += field(11, field(1, "input_ids") + field(2, tensor_type(7, "rows", "tokens")))
    graph += field(12, field(1, "last_hidden_state") + field(2, tensor_type(1, "rows", "tokens", 8)))
    return field(1, 8) + field(8, field(1, "") + field(2, 17)) + field(7, graph)


WEIGHTS = np.arange(1, 9, dtype="<f4")


def with_outside(folder: Path, location: str) -> Path:
    (folder / "onnx").mkdir(parents=True)
    shutil.copy(FAMILIES / "bert" / "tokenizer.json", folder)
    (folder / "onnx" / "model.onnx").write_bytes(outside(location))
    return folder


def test_external_data_beside_the_model(engine: str, tmp_path: Path, lane: Lane) -> None:
    folder = with_outside(tmp_path / "m", "model.onnx_data")
    WEIGHTS.tofile(folder / "onnx" / "model.onnx_data")
    model = ask("load", name="m", path=str(folder), engine=engine, precision="f32", pooling="cls")
    row = lane.embed(model, ["refund"], flags=0)[0]
    np.testing.assert_allclose(row / row[0], WEIGHTS)
    ask("unload", handle=model["handle"])


@pytest.mark.parametrize("location", ["../../secret", "../beside", "ABSOLUTE", "link"])
def test_external_data_stay_in_the_folder(location: str, engine: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    folder = with_outside(tmp_path / "m", str(secret) if location == "ABSOLUTE" else location)
    for path in (secret, folder / "beside"):
        WEIGHTS.tofile(path)
    (folder / "onnx" / "link").symlink_to(secret)
    with pytest.raises(Failure, match=r"RUNTIME: cannot load the weights .*onnx/model\.onnx"):
        ask("load", name="m", path=str(folder), engine=engine, precision="f32")


def test_external_data_in_the_cache_of_the_hub(engine: str, tmp_path: Path, lane: Lane) -> None:
    """There both files are links into one folder of blobs."""
    folder = with_outside(tmp_path / "snapshots" / "abc", "model.onnx_data")
    WEIGHTS.tofile(folder / "onnx" / "model.onnx_data")
    (tmp_path / "blobs").mkdir()
    for number, name in enumerate(("model.onnx", "model.onnx_data")):
        (folder / "onnx" / name).rename(tmp_path / "blobs" / str(number))
        (folder / "onnx" / name).symlink_to(f"../../../blobs/{number}")
    model = ask("load", name="m", path=str(folder), engine=engine, precision="f32", pooling="cls")
    row = lane.embed(model, ["refund"], flags=0)[0]
    np.testing.assert_allclose(row / row[0], WEIGHTS)
    ask("unload", handle=model["handle"])


def test_external_data_of_another_revision_are_not_taken_for_those_of_before(
    tmp_path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the hub's cache a revision may have the same graph, which is the same blob, and other data of the same size."""
    monkeypatch.setattr(hosting._process, "cache_folder", tmp_path / "cache")
    blobs = with_outside(tmp_path / "blobs", "model.onnx_data") / "onnx"
    for commit in ("a", "b"):
        folder = tmp_path / "snapshots" / commit
        (folder / "onnx").mkdir(parents=True)
        shutil.copy(FAMILIES / "bert" / "tokenizer.json", folder)
        weights = WEIGHTS if commit == "a" else WEIGHTS[::-1]
        weights.tofile(blobs / f"{commit}_data")
        (folder / "onnx" / "model.onnx").symlink_to(blobs / "model.onnx")
        (folder / "onnx" / "model.onnx_data").symlink_to(blobs / f"{commit}_data")
        model = ask("load", name="m", path=str(folder), engine="openvino", precision="f32", pooling="cls")
        row = lane.embed(model, ["refund"], flags=0)[0]
        np.testing.assert_allclose(row / row[0], weights / weights[0])
        ask("unload", handle=model["handle"])
