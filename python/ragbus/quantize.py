# SPDX-License-Identifier: Apache-2.0
"""int8 models: made with NNCF (the extra `quantize`), kept on disk, and measured against float32 before they serve.

Weights and activations are quantised after training with NNCF's preset for transformers, calibrated on texts. Some more texts are
held back: on those the int8 model, as it will run, is compared with the float32 one. A result is kept under a hash of all that
it is made of, so it is made once; an entry that is not whole is made again.

What is compared: for an embedding or sparse model the cosine of the two vectors of each text, and the floor applies to their mean.
For a cross-encoder the raw scores of pairs, for a classifier those of texts, and the floor applies to their Pearson correlation,
since ranking needs no more.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import openvino as ov

from ragbus import pooling, progress, tokenization
from ragbus.engines import mapped
from ragbus.errors import RagbusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragbus.engines import Engine
    from ragbus.model import ModelFolder
    from ragbus.pooling import Floats
    from ragbus.tokenization import Row, TextTokenizer

log = logging.getLogger("ragbus")

DEFAULT_TEXTS = Path(__file__).with_name("calibration.txt")
MAX_TEXTS = 400  # used of a file: spread evenly over it
MIN_TEXTS = 40
MAX_FILE_BYTES = 64_000_000
HELD_BACK = 5  # every so many-th text is not calibrated on
QUERY_WORDS = 12
RECIPE = 1  # changes when int8 models are made in another way

_FILES = ("model.xml", "model.bin")
_MANIFEST = "manifest.json"
NOT_INSTALLED = 'precision "int8" needs NNCF, which is not installed: python.extras = ["quantize"] installs it at the next start'

Statistic: TypeAlias = Literal["mean_cosine", "correlation"]


@dataclass(frozen=True, slots=True)
class Quality:
    """How near an int8 model comes to float32 on texts that it was not calibrated on.

    `value` is what the floor applies to: the mean cosine of vectors, or the correlation of scores.
    `worst` is the smallest cosine, or the largest difference of two raw scores. `texts` says on how many texts or pairs.
    """

    statistic: Statistic
    value: float
    worst: float
    texts: int

    def __str__(self) -> str:
        """Say it in words."""
        if self.statistic == "mean_cosine":
            return f"cosine to float32 {self.value:.4f} on average and {self.worst:.4f} at worst over {self.texts} texts"
        return f"correlation with float32 {self.value:.4f}, largest difference {self.worst:.3g}, over {self.texts} texts or pairs"


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows to calibrate on and rows to measure on, and a hash of the texts that they were made of."""

    calibrated: tuple[Row, ...]
    measured: tuple[Row, ...]
    fingerprint: str


def int8_of(
    folder: ModelFolder,
    tokens: TextTokenizer,
    calibration: Path | None,
    floor: float,
    cache: Path | None,
    build: Callable[[Path | None], Engine],
) -> tuple[Path, Quality]:
    """Return the IR of a model in int8 and how good it is, from the cache or made now.

    `calibration` is a UTF-8 file of texts, one a line (None for ours); `build` gives the engine of an int8 IR as it will run, or
    with None that of the model in float32. Without a cache the IR lives as long as the process.

    Raises INVALID where NNCF is not installed, the texts cannot be used or the result is below `floor`; CANCELLED; RUNTIME.
    """
    samples = _samples(folder, tokens, calibration)
    home = (cache or _own_cache()) / "int8"
    entry = home / _key(folder, samples)
    quality = _kept(entry)
    if quality is None:
        quality = _make(folder, samples, entry, build)
    said = f"{folder.folder.name} in int8: {quality}"
    if not quality.value >= floor:
        raise RagbusError(
            "INVALID", f"{said}, below models.min_int8_cosine {floor:g}: take another precision or other calibration texts"
        )
    log.info("%s", said)
    return entry / _FILES[0], quality


@functools.cache
def _own_cache() -> Path:
    """Return a cache for a process that was given none."""
    return Path(tempfile.mkdtemp(prefix="ragbus-int8-"))


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file, each once: at most 400, spread evenly. INVALID names what is wrong with it."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RagbusError("INVALID", f"models.calibration {path} is larger than {MAX_FILE_BYTES} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RagbusError("INVALID", f"models.calibration {path} cannot be read as UTF-8 text: {error}") from error
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(texts) < MIN_TEXTS:
        raise RagbusError(
            "INVALID", f"models.calibration {path} has {len(texts)} different texts, one a line; {MIN_TEXTS} are needed"
        )
    step = max(1.0, len(texts) / MAX_TEXTS)
    return [texts[int(at * step)] for at in range(min(len(texts), MAX_TEXTS))]


def _samples(folder: ModelFolder, tokens: TextTokenizer, calibration: Path | None) -> Samples:
    texts = read_texts(calibration or DEFAULT_TEXTS)
    cut = tokenization.Cut(folder.max_tokens)
    if folder.model_type != "cross-encoder":
        rows = tokenization.rows_of_texts(tokens, texts, cut)
    else:
        rows = [row for query, document in pairs(texts) for row in tokenization.rows_of_pairs(tokens, query, [document], cut)]
    numbered = list(enumerate(rows))
    return Samples(
        calibrated=tuple(row for at, row in numbered if at % HELD_BACK),
        measured=tuple(row for at, row in numbered if not at % HELD_BACK),
        fingerprint=hashlib.sha256("\n".join(texts).encode()).hexdigest(),
    )


def pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Make pairs of texts: a document with its own first words as the query, every other time with those of its neighbour."""
    return [(" ".join(texts[at - at % 2].split()[:QUERY_WORDS]), text) for at, text in enumerate(texts)]


def _key(folder: ModelFolder, samples: Samples) -> str:
    """Hash what a result is made of: the weights' bytes, the vocabulary, the texts, how texts are cut, OpenVINO, the recipe."""
    state = hashlib.sha256()
    beside = sorted(folder.weights.parent.glob(f"{folder.weights.stem}.*"))
    for file in (*beside, folder.folder / "tokenizer.json"):
        state.update(f"{file.name} {_hash_of(file)}\n".encode())
    made_with = (samples.fingerprint, folder.model_type, folder.pooling, folder.max_tokens, ov.get_version(), RECIPE)
    state.update(repr(made_with).encode())
    return state.hexdigest()[:32]


def _hash_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _nncf_version() -> str | None:
    """Return the version of NNCF that is installed, None if there is none; importing nothing."""
    return importlib.metadata.version("nncf") if importlib.util.find_spec("nncf") is not None else None


def _kept(entry: Path) -> Quality | None:
    """Return the quality of an entry that is whole and made by the NNCF that is installed, or by any if none is."""
    try:
        manifest = json.loads((entry / _MANIFEST).read_bytes())
        whole = all(manifest["files"][name] == _hash_of(entry / name) for name in _FILES)
        same = _nncf_version() in {None, manifest["nncf"]}
        return Quality(**manifest["quality"]) if whole and same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(folder: ModelFolder, samples: Samples, entry: Path, build: Callable[[Path | None], Engine]) -> Quality:
    version = _nncf_version()
    if version is None:
        raise RagbusError("INVALID", NOT_INSTALLED)
    log.info("%s is made int8 with %d texts: some seconds a hundred", folder.folder.name, len(samples.calibrated))
    plain = build(None)
    progress.step("quantizing")
    expected = outputs_of(plain, samples.measured)
    del plain
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=entry.parent, prefix="draft-"))
        try:
            ir = draft / _FILES[0]
            ov.save_model(quantized(folder.weights, samples.calibrated), str(ir), compress_to_fp16=False)
            quality = compare(folder.model_type, expected, outputs_of(build(ir), samples.measured))
            files = {name: _hash_of(draft / name) for name in _FILES}
            manifest = {"files": files, "nncf": version, "quality": asdict(quality)}
            (draft / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            _publish(draft, entry)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except RagbusError:
        raise
    except Exception as error:
        raise RagbusError("RUNTIME", f"cannot make an int8 model of {folder.weights}: {error}") from error
    progress.step("loading")
    return quality


def _publish(draft: Path, entry: Path) -> None:
    """Put an entry in its place, whole; another process may be doing the same, and its entry is as good."""
    while _kept(entry) is None:
        try:
            os.rename(draft, entry)  # noqa: PTH104 - Path.rename would replace an empty folder silently
        except OSError:
            if not entry.exists():
                raise
            aside = Path(tempfile.mkdtemp(dir=entry.parent, prefix="broken-"))
            if _kept(entry) is None:
                os.rename(entry, aside / "entry")  # noqa: PTH104
            shutil.rmtree(aside, ignore_errors=True)


def quantized(weights: Path, rows: Sequence[Row]) -> ov.Model:
    """Quantise a graph with NNCF, calibrated on rows. Raises CANCELLED between two of them."""
    os.environ["NNCF_CI"] = "1"  # read when it is imported: its telemetry is off
    import nncf  # noqa: PLC0415 - heavy, and an extra
    import rich  # noqa: PLC0415

    nncf.set_log_level(logging.ERROR)
    rich.get_console().quiet = True  # its progress bars would go to the log
    graph = mapped.read(ov.Core(), weights)
    scope = nncf.IgnoredScope(names=_products(graph))
    inputs = {min(it.output(0).get_names()): it.get_element_type().to_dtype() for it in graph.get_parameters()}
    feed = functools.partial(_inputs, inputs)
    made: ov.Model = nncf.quantize(
        graph,
        nncf.Dataset(rows, feed),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(rows),
        ignored_scope=scope,
    )
    return made


def _products(graph: ov.Model) -> list[str]:
    """Return the matrix products without weights, those of attention, which stay in floating point.

    In int8 beside bfloat16, OpenVINO 2026.4 computes them wrongly where a batch is as wide as an attention head (all-MiniLM-L6-v2:
    cosine 0.62 to 0.93 at width 32, 0.998 elsewhere).
    """
    products = [node for node in graph.get_ops() if node.get_type_name() == "MatMul"]
    return [node.get_friendly_name() for node in products if not any(map(_constant, node.input_values()))]


def _constant(value: Any) -> bool:
    node = value.get_node()
    while node.get_type_name() in {"Convert", "Multiply", "Transpose", "Reshape"} and node.get_input_size():
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _inputs(wanted: dict[str, Any], row: Row) -> dict[str, Any]:
    progress.checkpoint()
    length = len(row.ids)
    given = {
        "input_ids": np.array(row.ids),
        "attention_mask": np.ones(length),
        "token_type_ids": np.arange(length) >= row.boundary,
    }
    return {name: given[name].astype(kind)[None] for name, kind in wanted.items()}


def outputs_of(engine: Engine, rows: Sequence[Row]) -> Floats:
    """Return what an engine gives for rows, one after another: rows x outputs, neither normalised nor activated."""
    out = np.zeros((len(rows), engine.outputs), np.float32)
    for at, row in enumerate(rows):
        progress.checkpoint()
        ids, table = np.array([row.ids], np.int32), pooling.table_of([len(row.ids)], len(row.ids), [row.boundary])
        engine.finish(engine.forward(ids, table, out[at : at + 1]), table, out[at : at + 1])
    return out


def compare(model_type: str, expected: Floats, got: Floats) -> Quality:
    """Compare what an int8 model gives (rows x outputs) with what the float32 one gives."""
    wide, narrow = expected.astype(np.float64), got.astype(np.float64)
    if model_type in {"embedding", "sparse"}:
        lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(narrow, axis=1)
        cosines = np.einsum("ij,ij->i", wide, narrow) / np.maximum(lengths, np.finfo(float).tiny)
        return Quality("mean_cosine", float(cosines.mean()), float(cosines.min()), len(wide))
    wide, narrow = wide.ravel(), narrow.ravel()
    spread = float(wide.std() * narrow.std())
    covered = float(np.mean((wide - wide.mean()) * (narrow - narrow.mean())))
    return Quality("correlation", covered / spread if spread > 0 else 0.0, float(np.abs(wide - narrow).max()), len(expected))
