# SPDX-License-Identifier: Apache-2.0
"""Weights that are mapped from a file rather than held in memory: an OpenVINO IR copy of each ONNX model, made once.

A compiled model holds its weights twice: as it runs them, and as it read them. ONNX is read into memory of the process; IR is
mapped, so that what is no longer needed can be given back (all-MiniLM-L6-v2: 85 MB), and is read in a fifth of the time.

Where a model runs in bfloat16, its copy is in float16: OpenVINO then lays weights out straight from the file, where float32 would
first become a bfloat16 copy that stays; and embeddings are read where they are mapped, which is half as much (together 43 MB).
float16 has three more bits than bfloat16, so it takes no precision from it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov

from ragbus import hosting, progress

if TYPE_CHECKING:
    from ragbus.model import ModelFolder

log = logging.getLogger("ragbus")


def ir_of(core: ov.Core, folder: ModelFolder, cache: Path | None, *, half: bool = False) -> Path:
    """Return the weights as IR: themselves if they are, else a copy in the cache; themselves too where none can be made.

    With `half` the copy is in float16, unless a weight is too large for that.
    """
    weights = folder.weights
    if cache is None or weights.suffix != ".onnx":
        return weights
    copy = cache / "ir" / _key(folder, half=half)
    if not (copy / "model.xml").is_file():
        progress.step("converting")
        model = read(core, weights)
        try:
            _write(model, copy, half=half and _fits_half(model))
        except (OSError, RuntimeError) as error:
            log.warning("no copy of %s can be kept, so it takes more memory: %s", weights, error)
            return weights
        progress.step("loading")
    return copy / "model.xml"


def read(core: ov.Core, weights: Path) -> ov.Model:
    """Read a model; OpenVINO confines external data to the folder of their ONNX file.

    In the hub's cache both are links into one folder of blobs, which that refuses: then it reads them from a folder made of
    hard links (or copies, where the cache is on another disk).
    """
    blobs = weights.resolve().parent
    linked = [it for it in weights.parent.glob(f"{weights.stem}*") if it.is_symlink() and it.resolve().parent == blobs]
    if weights.suffix != ".onnx" or not weights.is_symlink() or linked == [weights]:
        return core.read_model(str(weights))
    cache = hosting.cache_folder()
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ragbus-", dir=cache) as scratch:
        for file in linked:
            try:
                os.link(file.resolve(), Path(scratch) / file.name)
            except OSError:
                shutil.copyfile(file, Path(scratch) / file.name)
        return core.read_model(str(Path(scratch) / weights.name))


def _key(folder: ModelFolder, *, half: bool) -> str:
    """Hash what a copy is made of: each file of the weights, by where it is, when it was written and how large it is."""
    beside = sorted(folder.weights.parent.glob(f"{folder.weights.stem}.*"))
    files = [(it.name, str(it.resolve()), (stat := it.stat()).st_mtime_ns, stat.st_size) for it in beside]
    state = (files, ov.get_version(), half)
    return hashlib.sha256(repr(state).encode()).hexdigest()[:32]


def _fits_half(model: ov.Model) -> bool:
    """Return whether float16 holds all weights. Single numbers do not count: OpenVINO leaves those that do not fit as they are."""
    constants = (node for node in model.get_ops() if node.get_type_name() == "Constant")
    weights = (node.data for node in constants if node.get_element_type() == ov.Type.f32)
    most = np.finfo(np.float16).max
    return all(np.abs(it).max() <= most for it in weights if it.size > 1)


def _write(model: ov.Model, copy: Path, *, half: bool) -> None:
    """Write a copy whole or not at all; another process may be doing the same."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=copy.parent, prefix="draft-"))
    try:
        ov.save_model(model, str(draft / "model.xml"), compress_to_fp16=half)
        os.rename(draft, copy)  # noqa: PTH104 - Path.rename would replace an empty folder silently
    except OSError:
        if not (copy / "model.xml").is_file():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def give_back(weights: Path) -> None:
    """Give back what is resident of mapped weights; what is needed again is read again."""
    hosting.evict(weights.with_suffix(".bin"))
