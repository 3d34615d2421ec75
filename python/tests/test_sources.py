# SPDX-License-Identifier: Apache-2.0
"""Where models are found, what is refused, and a hub that does not answer."""

from __future__ import annotations

import shutil
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import CROSS_ENCODER, Failure, ask

from ragbus import model, registry

if TYPE_CHECKING:
    from pathlib import Path

NAME = "org/model"


def lay_out(folder: Path, weights: str = "onnx/model.onnx") -> Path:
    (folder / weights).parent.mkdir(parents=True)
    (folder / weights).touch()
    (folder / "tokenizer.json").touch()
    return folder


pytestmark = pytest.mark.usefixtures("cache")


def locate(name: str = NAME, **body: Any) -> Any:
    return ask("locate", **({"name": name, "allow_hub": False} | body))


def test_an_explicit_path_is_taken_or_refused(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "mine")
    assert locate(path=str(folder), packaged={NAME: str(folder)}) == {
        "source": "local",
        "path": str(folder),
        "types": ["embedding"],
    }
    with pytest.raises(Failure, match=r"MODEL_NOT_FOUND: no model 'org/model'\. Tried local: .*nowhere is no folder$"):
        locate(path=str(tmp_path / "nowhere"), packaged={NAME: str(folder)})
    with pytest.raises(Failure, match=r"MODEL_NOT_FOUND: .*is no path"):
        locate(path="a\0b")


@pytest.mark.parametrize("asked", ["MiniLM", "sentence-transformers/MiniLM"])
@pytest.mark.parametrize("packaged", ["MiniLM", "sentence-transformers/MiniLM"])
def test_packaged_under_either_name(asked: str, packaged: str, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "mini")
    assert locate(asked, packaged={packaged: str(folder)}) == {"source": "packaged", "path": str(folder), "types": ["embedding"]}


def test_under_the_models_folder(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "models" / "org" / "model", "openvino/openvino_model.xml")
    assert locate(models_dir=str(tmp_path / "models")) == {"source": "local", "path": str(folder), "types": ["embedding"]}
    linked = tmp_path / "models" / "link"
    linked.symlink_to(folder)
    assert locate("link", models_dir=str(tmp_path / "models"))["path"] == str(folder)


@pytest.mark.parametrize(
    "name", ["../outside", "org/../../outside", "/etc", "", ".", "a//b", "nul\0", "..\\outside", "C:\\x", "link"]
)
def test_names_that_lead_out_of_the_models_folder(name: str, tmp_path: Path) -> None:
    outside = lay_out(tmp_path / "outside")
    models = tmp_path / "models"
    models.mkdir()
    (models / "link").symlink_to(outside)
    (models / "loop").symlink_to(models / "loop")
    with pytest.raises(Failure, match=r"MODEL_NOT_FOUND: .*local: "):
        locate(name, models_dir=str(models), source="local")
    with pytest.raises(Failure, match="MODEL_NOT_FOUND"):
        locate("loop", models_dir=str(models), source="local")


@pytest.mark.parametrize("name", ["%2e%2e/outside", "a" * 300, "\ud800", "a\nb", "💥", " ", "a b", "~root", "$HOME", "*"])
@pytest.mark.parametrize("source", ["local", "hub"])
def test_odd_names_are_names_of_nothing(name: str, source: str, tmp_path: Path) -> None:
    lay_out(tmp_path / "outside")
    (tmp_path / "models").mkdir()
    with pytest.raises(Failure, match=rf"MODEL_NOT_FOUND: .*{source}"):
        locate(name, models_dir=str(tmp_path / "models"), source=source, allow_hub=True)


def test_names_have_a_bound() -> None:
    with pytest.raises(Failure, match="INVALID: a model's name has at most 300 characters, not 301"):
        locate("a" * 301)


def test_a_models_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "mes modèles" / "$a%20 b" / "ü*[x]")
    assert locate("$a%20 b/ü*[x]", models_dir=str(tmp_path / "mes modèles"))["path"] == str(folder)


@pytest.mark.parametrize("gone", ["tokenizer.json", "onnx/model.onnx", "."])
def test_a_folder_that_vanishes_during_the_load(gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    shutil.copytree(CROSS_ENCODER, folder)
    read_folder = model.read_folder

    def read_then_lose(*args: Any, **options: Any) -> Any:
        read = read_folder(*args, **options)
        if gone == ".":
            shutil.rmtree(folder)
        else:
            (folder / gone).unlink()
        return read

    monkeypatch.setattr(model, "read_folder", read_then_lose)
    before = registry.loaded()
    with pytest.raises(Failure, match=rf"(RUNTIME|MODEL_NOT_FOUND|INVALID): .*{folder}"):
        ask("load", name="m", type="cross-encoder", path=str(folder))
    with pytest.raises(Failure, match=rf"MODEL_NOT_FOUND: .*{folder}"):
        locate(path=str(folder))
    assert registry.loaded() == before


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(cache: Path, name: str = NAME) -> Path:
    repository = cache / f"models--{name.replace('/', '--')}"
    folder = lay_out(repository / "snapshots" / COMMIT)
    (repository / "refs" / "pr").mkdir(parents=True)
    for reference in ("main", "v1.0", "pr/3"):
        (repository / "refs" / reference).write_text(COMMIT)
    return folder


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "pr/3", COMMIT])
def test_the_hubs_cache_without_network(revision: str | None, cache: Path) -> None:
    folder = cached(cache)
    assert locate(revision=revision) == {"source": "hub-cache", "path": str(folder), "types": ["embedding"]}


def test_a_bare_name_in_the_cache_is_one_of_sentence_transformers(cache: Path) -> None:
    (cache / "models--bare" / "snapshots" / COMMIT).mkdir(parents=True)
    folder = cached(cache, "sentence-transformers/bare")
    assert locate("bare")["path"] == str(folder)


@pytest.mark.parametrize("revision", ["other", "../..", "..", "/etc", "refs\0"])
def test_revisions_that_are_not_there(revision: str, cache: Path) -> None:
    cached(cache)
    with pytest.raises(Failure, match=r"MODEL_NOT_FOUND: .*hub-cache: "):
        locate(revision=revision)


def test_a_reference_that_points_out_of_the_cache(cache: Path) -> None:
    cached(cache)
    (cache / "models--org--model" / "refs" / "main").write_text("../../..")
    with pytest.raises(Failure, match="has no snapshot of main"):
        locate()


def test_a_snapshot_without_weights_is_passed_over(cache: Path) -> None:
    (cached(cache) / "onnx" / "model.onnx").unlink()
    with pytest.raises(Failure, match=r"hub-cache: .* has none of openvino/openvino_model\.xml, onnx/model\.onnx"):
        locate()


def test_every_source_says_why_it_was_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure) as raised:
        locate(packaged={"other": "x"}, models_dir=str(tmp_path))
    said = str(raised.value)
    for part in ("packaged: not among other", f"local: {tmp_path}/org/model is no folder", "hub-cache: no ", "hub: not allowed"):
        assert part in said
    with pytest.raises(Failure, match="local: no models folder is configured"):
        locate(source="local")
    with pytest.raises(Failure, match=r"Tried packaged: not among none$"):
        locate(source="packaged")
    with pytest.raises(Failure, match="INVALID: source 'ftp' is not one of auto"):
        locate(source="ftp")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Failure, match="hub: offline"):
        locate(allow_hub=True)


@pytest.mark.parametrize("name", ["a/b/c", "../x", "a/..", "a b/c", "org/mod?x=1", "http://host/x"])
def test_no_name_of_the_hub(name: str) -> None:
    with pytest.raises(Failure, match="is no name of a hub model"):
        locate(name, source="hub", allow_hub=True)


def test_a_hub_that_never_answers_costs_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(Failure, match=r"hub: .*(did not answer within 2 s|timed out)"):
            locate(allow_hub=True)
        assert time.monotonic() - started < 3


def test_a_hub_that_refuses_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    started = time.monotonic()
    with pytest.raises(Failure, match=r"hub: .*refused"):
        locate(allow_hub=True)
    assert time.monotonic() - started < 1


def test_an_endpoint_that_is_no_web_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(Failure, match="no http address"):
        locate(allow_hub=True)


def test_what_a_model_is_comes_with_where_it_is() -> None:
    found = ask("locate", name="mine", path=str(CROSS_ENCODER))
    assert found == {"source": "local", "path": str(CROSS_ENCODER), "types": ["cross-encoder", "classifier"]}
