# SPDX-License-Identifier: Apache-2.0
"""Weights mapped from a copy: the same vectors, made once, given back, and nothing kept where nothing can be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from conftest import CROSS_ENCODER
from openvino import opset13 as op

from ragbus import hosting, model
from ragbus.engines import mapped


def folder() -> model.ModelFolder:
    return model.read_folder(CROSS_ENCODER, "cross-encoder")


def test_a_copy_is_made_once_and_holds_the_same_graph(tmp_path: Path) -> None:
    core = ov.Core()
    first = mapped.ir_of(core, folder(), tmp_path)
    made = first.stat().st_mtime_ns
    again = mapped.ir_of(core, folder(), tmp_path)
    assert first == again
    assert again.stat().st_mtime_ns == made
    assert len(core.read_model(str(first)).inputs) == len(core.read_model(str(folder().weights)).inputs)
    assert [it.name for it in (tmp_path / "ir").iterdir()] == [first.parent.name]


def test_a_copy_in_half_the_size_is_another(tmp_path: Path) -> None:
    core = ov.Core()
    whole, half = mapped.ir_of(core, folder(), tmp_path), mapped.ir_of(core, folder(), tmp_path, half=True)
    assert whole != half
    sizes = [it.with_suffix(".bin").stat().st_size for it in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize(("weight", "fits"), [(65_000.0, True), (-70_000.0, False), (float("nan"), False)])
def test_what_float16_cannot_hold_stays_as_it_is(weight: float, fits: bool) -> None:
    ids = op.parameter(ov.PartialShape([-1, 2]), np.float32)
    mask = op.constant(np.float32(-3e38))  # a single number, which OpenVINO leaves as it is
    model = ov.Model([op.add(op.multiply(ids, op.constant(np.array([1, weight], np.float32))), mask)], [ids])
    assert mapped._fits_half(model) == fits


def test_without_a_cache_the_weights_are_read_where_they_are() -> None:
    assert mapped.ir_of(ov.Core(), folder(), None) == folder().weights


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("no folder", encoding="utf-8")
    assert mapped.ir_of(ov.Core(), folder(), occupied) == folder().weights
    assert "no copy of" in caplog.text


def test_what_is_given_back_is_read_again(tmp_path: Path) -> None:
    core = ov.Core()
    ir = mapped.ir_of(core, folder(), tmp_path)
    graph = core.read_model(str(ir))
    constants = [node for node in graph.get_ops() if node.get_type_name() == "Constant"]
    before = [node.data.tobytes() for node in constants]
    mapped.give_back(ir)
    assert [node.data.tobytes() for node in constants] == before


def test_a_file_that_is_not_mapped_is_left_alone(tmp_path: Path) -> None:
    hosting.evict(tmp_path / "nowhere.bin")


FULL_DISK = """
import resource, signal, sys
import openvino as ov
from conftest import CROSS_ENCODER
from pathlib import Path
from ragbus import model
from ragbus.engines import mapped
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (290_000, resource.RLIM_INFINITY))  # all but the last of the copy
folder = model.read_folder(CROSS_ENCODER, "cross-encoder")
assert mapped.ir_of(ov.Core(), folder, Path(sys.argv[1])) == folder.weights
"""


def test_a_disk_that_is_full_leaves_no_half_copy(tmp_path: Path) -> None:
    here = Path(__file__).parent
    path = os.pathsep.join((str(here), str(here.parent)))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no copy of" in done.stderr
    assert list((tmp_path / "ir").iterdir()) == []
