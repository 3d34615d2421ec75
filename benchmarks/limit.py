# SPDX-License-Identifier: Apache-2.0
"""The machine's limit: how fast it multiplies matrices of this model's shapes, and the tokens a second that this allows.

The graph has nothing but the matrix multiplications of all-MiniLM-L6-v2's six layers over the tokens of one batch: queries, keys,
values and the output of attention (384 x 384 each), and the two of the feed-forward part (384 x 1,536). Attention's own products,
2 % of the work at 37 tokens a text, the embeddings, softmax and normalisation are left out, so no engine reaches it. OpenVINO runs
it with a stream and a thread a core, as it runs the model. In int8, weights and activations are quantised as in a model made by
NNCF: `FakeQuantize` before each multiplication.

Reads the name of a precision (f32, bf16, int8), one a line, and answers each with a line of JSON: `gflops` (10^9 multiplications
and additions a second, all cores together) and `tokens_s`.
"""

# ruff: noqa: INP001, T201 - a script, no module
from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

LAYERS, HIDDEN, INNER = 6, 384, 1_536
TOKENS = 512
LEVELS = 255

# A multiplication and an addition for each weight that a token meets: 21.2 MFLOP.
FLOPS_A_TOKEN = LAYERS * 2 * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER)


class Product:
    """Products with weights that keep the size of values, in int8 or not."""

    def __init__(self, *, int8: bool) -> None:
        """Draw the same weights for every precision."""
        self._int8 = int8
        self._chance = np.random.default_rng(1)

    def ready(self, value: Any, bound: float = 4.0) -> Any:
        """Return a value as a multiplication takes it: as NNCF's models have it, in int8."""
        if not self._int8:
            return value
        low, high = (op.constant(np.array(side, np.float32)) for side in (-bound, bound))
        return op.fake_quantize(value, low, high, low, high, LEVELS)

    def times(self, value: Any, width: int, columns: int) -> Any:
        """Return the product of a ready value."""
        bound = (3 / width) ** 0.5
        weights = op.constant(self._chance.uniform(-bound, bound, (width, columns)).astype(np.float32))
        return op.matmul(value, self.ready(weights, bound), transpose_a=False, transpose_b=False)


def graph(*, int8: bool) -> ov.Model:
    """Return the multiplications of all layers, one after another as in the model."""
    product = Product(int8=int8)
    ids = op.parameter([TOKENS, HIDDEN], np.float32)
    value: Any = ids
    for _ in range(LAYERS):
        into = product.ready(value)
        queries, keys, values = (product.times(into, HIDDEN, HIDDEN) for _ in range(3))
        attended = product.times(product.ready(op.add(op.add(queries, keys), values)), HIDDEN, HIDDEN)
        inner = product.times(product.ready(attended), HIDDEN, INNER)
        value = product.times(product.ready(inner), INNER, HIDDEN)
    return ov.Model([value], [ids], "limit")


class Rate:
    """The graph in one precision, compiled for all cores."""

    def __init__(self, precision: str, lanes: int) -> None:
        """Compile it."""
        hint = "f32" if precision == "f32" else "bf16"
        settings = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": lanes}
        compiled = ov.Core().compile_model(graph(int8=precision == "int8"), "CPU", settings)
        self._requests = [compiled.create_infer_request() for _ in range(lanes)]
        self._pool = ThreadPoolExecutor(lanes)
        tokens = np.random.default_rng(2).standard_normal((TOKENS, HIDDEN)).astype(np.float32)
        for request in self._requests:
            request.set_input_tensor(ov.Tensor(tokens))
            request.infer()

    def measure(self, seconds: float) -> dict[str, float]:
        """Run on all cores for so long."""

        def run(request: ov.InferRequest) -> int:
            passes = 0
            while time.perf_counter() - started < seconds:
                request.infer()
                passes += 1
            return passes

        started = time.perf_counter()
        passes = sum(self._pool.map(run, self._requests))
        tokens_s = passes * TOKENS / (time.perf_counter() - started)
        return {"gflops": round(tokens_s * FLOPS_A_TOKEN / 1e9, 1), "tokens_s": round(tokens_s, 1)}


def main() -> None:
    """Answer commands."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lanes", type=int, default=min(os.cpu_count() or 1, 8))
    arguments.add_argument("--seconds", type=float, default=1.0)
    chosen = arguments.parse_args()
    rate = functools.cache(lambda precision: Rate(precision, chosen.lanes))
    for line in sys.stdin:
        print(json.dumps(rate(line.strip()).measure(chosen.seconds)), flush=True)


if __name__ == "__main__":
    main()
