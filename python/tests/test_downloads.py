# SPDX-License-Identifier: Apache-2.0
"""The real download code against a hub on this machine: what comes, what is refused, what is left behind."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import CROSS_ENCODER, Failure, Lane, ask
from hub import COMMIT, Hub, serving

from ragbus import downloads, engines, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("cache")

NAME = "org/tiny"
BIG = "org/mini"
FILES = ["config.json", "tokenizer_config.json", "onnx/model.onnx", "tokenizer.json"]  # of NAME, in order
TOKEN = "hf_verysecret"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve the tiny cross-encoder, with what is not to be fetched beside it."""
    served = Hub()
    served.add(NAME, CROSS_ENCODER)
    for unwanted in ("pytorch_model.bin", "model.pt", "modeling.py", "onnx/model_O3.onnx", "model.safetensors"):
        served.models[NAME][unwanted] = b"unwanted"
    with serving(served):
        monkeypatch.setenv("HF_ENDPOINT", f"{served.address}/")
        monkeypatch.setattr(sources, "PROBE_SECONDS", 20.0)
        yield served


@pytest.fixture
def big(hub: Hub, model_folder: Path) -> Hub:
    """Serve all-MiniLM-L6-v2, too."""
    hub.add(BIG, model_folder)
    return hub


def locate(name: str = NAME, **body: Any) -> dict[str, str]:
    found: dict[str, str] = ask("locate", **({"name": name, "allow_hub": True} | body))
    return found


def offline(name: str = NAME, **body: Any) -> dict[str, str]:
    return locate(name, allow_hub=False, **body)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does, at most 30 s."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def blobs(cache: Path) -> set[Path]:
    return {it for it in cache.glob("models--*/blobs/*") if it.is_file()}


def test_a_whole_download_then_embedding(big: Hub, lane: Lane, golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = locate(BIG)
    assert (found["source"], found["types"]) == ("hub", ["embedding"])
    model = ask("load", name=BIG, path=found["path"], precision="f32")
    texts = [item["text"] for item in golden["items"]][:8]
    np.testing.assert_allclose(lane.embed(model, texts), golden["vectors"][:8], atol=2e-4)
    ask("unload", handle=model["handle"])
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    asked = len(big.asked)
    assert locate(BIG) == found | {"source": "hub-cache"}
    assert len(big.asked) == asked


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "refs/pr/3", COMMIT])
def test_only_the_files_needed_are_fetched_and_found_again(revision: str | None, hub: Hub, cache: Path) -> None:
    found = locate(revision=revision)
    folder = Path(found["path"])
    assert folder == cache / "models--org--tiny" / "snapshots" / COMMIT
    assert sorted(str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()) == sorted(FILES)
    assert all((folder / file).read_bytes() == hub.models[NAME][file] for file in FILES)
    assert offline(revision=revision) == found | {"source": "hub-cache"}
    references = {str(it.relative_to(cache / "models--org--tiny" / "refs")) for it in cache.rglob("refs/**/*") if it.is_file()}
    assert references == (set() if revision == COMMIT else {revision or "main"})


def test_a_download_that_breaks_off_goes_on_where_it_was(big: Hub) -> None:
    big.cut["onnx/model.onnx"] = [25_000_000, 30_000_000]
    folder = Path(locate(BIG)["path"])
    gets = big.requests("GET", "/cdn/org/mini/onnx/model.onnx")
    assert [it.headers.get("range") for it in gets] == [None, "bytes=20971520-", "bytes=41943040-"]
    assert (folder / "onnx" / "model.onnx").read_bytes() == big.models[BIG]["onnx/model.onnx"]


def test_a_connection_that_is_reset_is_tried_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.abrupt = True
    hub.cut["onnx/model.onnx"] = [200_000, 100_000]
    assert locate()["source"] == "hub"
    assert len(hub.requests("GET", "/onnx/model.onnx")) == 3
    monkeypatch.setattr(downloads, "ATTEMPTS", 2)
    hub.models["org/other"] = hub.models[NAME] | {"onnx/model.onnx": bytes(200_000)}
    hub.cut["onnx/model.onnx"] = [100_000, 100_000]
    with pytest.raises(Failure, match=r"hub: .*: org/other: ReadError: .*reset by peer"):
        locate("org/other")


@pytest.mark.parametrize("file", FILES)
def test_content_with_another_hash_is_refused_and_nothing_is_left_of_it(file: str, hub: Hub, cache: Path) -> None:
    hub.tampered[file] = hub.models[NAME][file][::-1]
    with pytest.raises(
        Failure, match=rf"MODEL_NOT_FOUND: .*hub: http://127\.0\.0\.1:\d+: {file} came with the hash \w+, not \w+; it was"
    ):
        locate()
    assert not list(cache.rglob(f"snapshots/*/{file}"))
    assert not any(it.read_bytes() == hub.tampered[file] for it in blobs(cache))
    for revision in ("main", COMMIT):
        with pytest.raises(Failure, match="MODEL_NOT_FOUND"):
            offline(revision=revision)
    hub.tampered.clear()
    assert locate()["source"] == "hub"


def test_a_broken_file_in_the_cache_is_found_when_the_hub_is_asked(hub: Hub, cache: Path) -> None:
    folder = Path(locate()["path"])
    (folder / "onnx" / "model.onnx").resolve().write_bytes(b"rotten")
    (cache / "models--org--tiny" / "refs" / "main").unlink()
    with pytest.raises(Failure, match=r"onnx/model\.onnx came with the hash"):
        locate()
    assert locate()["source"] == "hub"
    assert hub.asked


@pytest.mark.parametrize("file", FILES)
def test_an_interrupted_download_is_never_taken_for_a_model(file: str, hub: Hub) -> None:
    hub.tampered[file] = hub.models[NAME][file][:-10]
    with pytest.raises(Failure, match=r"hub: .*(OSError: Consistency check failed|came with the hash)"):
        locate()
    for revision in ("main", COMMIT):
        with pytest.raises(Failure, match="MODEL_NOT_FOUND"):
            offline(revision=revision)
    hub.tampered.clear()
    locate()
    assert offline()["source"] == "hub-cache"


def test_a_part_that_another_program_fetched_is_completed(hub: Hub, cache: Path) -> None:
    import huggingface_hub

    huggingface_hub.snapshot_download(
        NAME, endpoint=hub.address, cache_dir=cache, allow_patterns=["onnx/model.onnx", "tokenizer.json"]
    )
    with pytest.raises(Failure, match=r"hub-cache: .* has only a part of main: config\.json, tokenizer_config\.json is missing"):
        offline()
    assert locate()["source"] == "hub"
    assert offline()["source"] == "hub-cache"
    assert len(hub.requests("GET", "onnx/model.onnx")) == 1


@pytest.mark.parametrize("listing", ["{", '{"format_version": 1, "files": {"README.md": {"size": 1, "blob_id": "x"}}}'])
def test_a_listing_in_the_cache_that_says_nothing(listing: str, hub: Hub, cache: Path) -> None:
    found = locate()
    (cache / "models--org--tiny" / "trees").mkdir()
    (cache / "models--org--tiny" / "trees" / f"{COMMIT}.json").write_text(listing)
    assert offline() == found | {"source": "hub-cache"}
    assert hub.asked


@pytest.mark.parametrize("refusal", [401, 403])
def test_a_model_that_takes_a_token(refusal: int, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token, hub.refusal = TOKEN, refusal
    with pytest.raises(
        Failure, match=rf"org/tiny is gated, private or not there \(HTTP {refusal}\): it takes a token \(HF_TOKEN\)"
    ):
        locate()
    monkeypatch.setenv("HF_TOKEN", "hf_wrongsecret")
    with pytest.raises(Failure, match="the token given may not read it") as raised:
        locate()
    assert "hf_wrong" not in json.dumps(raised.value.fields["message"])
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert locate()["source"] == "hub"
    assert {it.headers.get("authorization") for it in hub.requests("GET", "/tokenizer.json")} == {f"Bearer {TOKEN}"}
    assert {it.headers.get("authorization") for it in hub.requests("GET", "/onnx/model.onnx")} == {None}


def test_a_token_from_the_file_that_hf_login_writes(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.token = TOKEN
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    assert locate()["source"] == "hub"


def test_no_message_holds_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert downloads._reason(ValueError(f"header Bearer {TOKEN}"), NAME, "main") == "org/tiny: ValueError: header Bearer <token>"


def test_a_hub_that_takes_a_user_and_a_password(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.credentials = "me:p@ss/word 1"
    monkeypatch.setenv("HF_ENDPOINT", hub.address.replace("//", "//me:p%40ss%2Fword%201@"))
    assert locate()["source"] == "hub"
    assert {it.method for it in hub.asked if "authorization" in it.headers} == {"GET", "HEAD"}
    assert {it.headers.get("authorization") for it in hub.asked if "/cdn/" in it.path} == {None}
    assert "word" not in caplog.text


ADDRESSES = [
    "http://me:s3cret!@hub.invalid",
    "http://me:s3cret%21@127.0.0.1:9",
    "http://me:s3cret!@127.0.0.1:port",
    "http://me:s3cret!@[::1",
    "ftp://me:s3cret!@host",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_message_holds_a_user_or_a_password(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(Failure, match="hub: ") as raised:
        locate()
    assert not re.search(r"s3cret|\bme\b", str(raised.value))


def test_what_is_secret_is_left_out_of_whole_messages() -> None:
    said = "of http://me:s3cret!@host/api, s3cret! and s3cret%21 for me, some name"
    expected = "of http://host/api, <password> and <password> for <user>, some name"
    assert downloads.without_credentials(said, "http://me:s3cret%21@host") == expected
    assert downloads.without_credentials("http://me@host", "http://host") == "http://host"


def test_a_password_is_in_no_reason_of_a_hub_that_refuses(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.credentials = "me:another"
    monkeypatch.setenv("HF_ENDPOINT", hub.address.replace("//", "//me:s3cret@"))
    for name in (NAME, "org/none"):
        with pytest.raises(Failure, match="hub: ") as raised:
            locate(name)
        assert "s3cret" not in str(raised.value) + caplog.text


def test_models_and_revisions_that_are_not_there(hub: Hub) -> None:
    with pytest.raises(Failure, match=r"hub: .*: there is no org/other \(HTTP 404\)"):
        locate("org/other")
    with pytest.raises(Failure, match=r"hub: .*: org/tiny has no revision 'v9'"):
        locate(revision="v9")
    with pytest.raises(Failure, match=r"hub: '../x' is no revision"):
        locate(revision="../x")
    del hub.models[NAME]["tokenizer.json"]
    with pytest.raises(Failure, match=r"hub: .*: org/tiny has no tokenizer.json"):
        locate()
    hub.models[NAME] = {"pytorch_model.bin": b"x", "tokenizer.json": b"{}", "model.safetensors": b"x"}
    with pytest.raises(Failure, match=r"org/tiny has none of openvino/openvino_model\.xml, onnx/model\.onnx"):
        locate()
    assert not hub.requests("GET", ".bin")


@pytest.mark.parametrize("installed", [False, True])
def test_safetensors_are_for_torch(installed: bool, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_installed", lambda package: installed or package in {"openvino", "onnxruntime"})
    folder = Path(locate()["path"])
    assert not (folder / "model.safetensors").exists()
    with pytest.raises(Failure, match=f"hub-cache: {folder} has no weights for torch in auto"):
        offline(engine="torch")
    assert locate(engine="torch") == {"source": "hub", "path": str(folder), "types": ["cross-encoder", "classifier"]}
    assert (folder / "model.safetensors").read_bytes() == b"unwanted"
    assert offline(engine="torch")["source"] == "hub-cache"
    hub.models["org/torch"] = {name: hub.models[NAME][name] for name in ("tokenizer.json", "model.safetensors")}
    if installed:
        assert locate("org/torch")["source"] == "hub"
    else:
        with pytest.raises(Failure, match=r'org/torch has none of openvino/.*; engine = "torch" needs sentence-transformers'):
            locate("org/torch")
    with pytest.raises(Failure, match="INVALID: engine 'other' is not one of auto, openvino, onnx, torch"):
        locate(engine="other")


def test_a_hub_that_falls_silent_after_the_first_question(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "ANSWER_SECONDS", 0.2)
    hub.silent = threading.Event()
    with pytest.raises(Failure, match=r"hub: .*: org/tiny: ReadTimeout"):
        locate()


def test_a_mirror_without_sizes_and_hashes(hub: Hub) -> None:
    hub.bare = True
    hub.tampered["onnx/model.onnx"] = hub.models[NAME]["onnx/model.onnx"][::-1]
    with pytest.raises(Failure, match=r"onnx/model\.onnx came with the hash"):
        locate()
    hub.tampered.clear()
    assert locate()["source"] == "hub"


def test_a_file_without_any_hash_is_taken_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "5f3-abc").touch()
    downloads._check(tmp_path / "5f3-abc", downloads.File("config.json"))
    assert "the hub gives no hash of config.json" in caplog.text


def test_a_hub_that_names_no_commit(hub: Hub) -> None:
    hub.references["main"] = "../../etc"
    with pytest.raises(Failure, match=r"hub: .*: names no commit for org/tiny"):
        locate()


@pytest.fixture
def held(big: Hub) -> Hub:
    """Hold large files at their half, until `gate` is set."""
    big.gate = threading.Event()
    return big


def test_progress_is_seen_and_a_cancelled_download_ends_at_once(held: Hub, cache: Path) -> None:
    load_id = str(uuid.uuid4())
    with ThreadPoolExecutor(1) as lane:
        load = lane.submit(locate, BIG, load_id=load_id)
        assert held.halfway.wait(30)
        total = sum(len(held.models[BIG][name]) for name in downloads.needed(held.models[BIG]))
        until(lambda: ask("progress", load_id=load_id)["done_bytes"] > 30_000_000)
        progress = ask("progress", load_id=load_id)
        assert progress["phase"] == "downloading"
        assert progress["file"] == "onnx/model.onnx"
        assert progress["done_bytes"] <= total // 2 + 100_000
        assert progress["total_bytes"] == total
        ask("cancel_load", load_id=load_id)
        with pytest.raises(Failure, match="CANCELLED"):
            load.result(10)
    with pytest.raises(Failure, match="MODEL_NOT_FOUND"):
        offline(BIG)
    assert held.gate is not None
    held.gate.set()
    assert locate(BIG, load_id=str(uuid.uuid4()))["source"] == "hub"
    assert not list(cache.rglob("*.incomplete"))


def test_a_download_does_not_hold_up_another(held: Hub) -> None:
    assert held.gate is not None
    held.models["org/other"] = {name: held.models[NAME][name] for name in FILES if name != "onnx/model.onnx"}
    held.models["org/other"]["model.onnx"] = b"small"
    with ThreadPoolExecutor(2) as lanes:
        slow = lanes.submit(locate, BIG)
        assert held.halfway.wait(30)
        assert lanes.submit(locate, "org/other").result(30)["source"] == "hub"
        assert not slow.done()
        held.gate.set()
        assert slow.result(30)["source"] == "hub"


def test_two_that_want_the_same_model_fetch_it_once(held: Hub) -> None:
    assert held.gate is not None
    with ThreadPoolExecutor(4) as lanes:
        first = lanes.submit(locate, BIG)
        assert held.halfway.wait(30)
        others = [lanes.submit(locate, BIG) for _ in range(3)]
        until(lambda: len(held.requests("HEAD", "onnx/model.onnx")) == 4)
        held.gate.set()
        assert {it.result(60)["path"] for it in [first, *others]} == {first.result()["path"]}
    assert len(held.requests("GET", "onnx/model.onnx")) == 1


def test_the_log_tells_of_a_download(
    big: Hub, model_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sum(path.is_file() for path in model_folder.rglob("*"))
    monkeypatch.setattr(downloads, "LOG_SECONDS", 0)
    with caplog.at_level(logging.INFO, "ragbus"):
        locate(BIG)
    lines = [it.getMessage() for it in caplog.records if it.name == "ragbus.downloads"]
    assert lines[0].startswith(f"downloading org/mini: {files} files, 9")
    assert any("MB (4" in line and line.endswith("onnx/model.onnx") for line in lines)
    assert lines[-1].startswith("downloaded org/mini in ")
    assert big.asked


@pytest.mark.parametrize(
    ("names", "engine", "precision", "expected"),
    [
        ("onnx/model.onnx", "auto", "auto", "onnx/model.onnx"),
        ("onnx/model.onnx onnx/model.onnx_data model.onnx.data", "onnx", "f32", "onnx/model.onnx_data onnx/model.onnx"),
        ("onnx/model.onnx onnx/model_quantized.onnx", "onnx", "int8", "onnx/model_quantized.onnx"),
        ("onnx/model_quantized.onnx onnx/model_fp16.onnx", "onnx", "auto", "onnx/model_fp16.onnx"),
        (
            "onnx/model.onnx openvino/openvino_model.xml openvino/openvino_model.bin",
            "openvino",
            "auto",
            "openvino/openvino_model.bin openvino/openvino_model.xml",
        ),
        ("onnx/model.onnx openvino/openvino_model.xml openvino/openvino_model.bin", "onnx", "auto", "onnx/model.onnx"),
        ("model.safetensors onnx/model.onnx", "torch", "auto", "model.safetensors"),
        (
            "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json pytorch_model.bin",
            "torch",
            "auto",
            "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json",
        ),
        (
            "model.onnx 1_Pooling/config.json 2_Dense/model.safetensors 2_Dense/x.bin ../config.json a/config.json x.py",
            "auto",
            "auto",
            "1_Pooling/config.json 2_Dense/model.safetensors model.onnx",
        ),
    ],
)
def test_what_is_needed_of_a_repository(names: str, engine: str, precision: str, expected: str) -> None:
    assert downloads.needed([*names.split(), "tokenizer.json"], engine, precision) == [*expected.split(), "tokenizer.json"]
