# SPDX-License-Identifier: Apache-2.0
"""Everything that Ragbus does with a model, in a process that notes every address it asks for or connects to.

`python trapped.py FOLDER HUB` fetches a model from the hub at HUB (an address on this machine), loads and runs it and the model
of FOLDER, with a cache to convert them into, on all engines but torch, in int8 where NNCF is installed, and prints what the traps
saw as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from typing import Any

seen: list[list[str]] = []
_TRAPPED = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "subprocess.Popen",
    "os.system",
    "os.posix_spawn",
    "os.fork",
}


def trap(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _TRAPPED:
        seen.append([event, str(arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments[:1])])


def _installed(package: str) -> list[str]:
    return [package] if importlib.util.find_spec(package) else []


def work(folder: str, hub: str) -> None:
    import numpy as np

    from ragbus import bridge

    def ask(op: str, **body: Any) -> Any:
        ok, reply = bridge.call(op, json.dumps(body).encode())
        if not ok:
            raise RuntimeError(reply.decode())
        return json.loads(reply)

    os.environ["HF_ENDPOINT"] = hub
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HF_HOME"] = cache
        ask("start", cache_folder=cache)
        found = ask("locate", name="org/tiny", allow_hub=True, source="hub")
        tiny = {"path": found["path"], "type": "cross-encoder"}
        loads = [{"path": folder}, tiny, *({**tiny, "engine": "onnx"} for _ in _installed("onnxruntime"))]
        loads += [{"path": folder, "precision": "int8"} for _ in _installed("nncf")]
        for options in loads:
            model = ask("load", name="m", **options)
            ints, floats, texts = np.zeros(4_000, np.int32), np.zeros(4_000, np.float32), np.zeros(4_000, np.int8)
            assert bridge.bind(ints, floats, texts) is None
            ints[0], texts[0] = 1, ord("a")
            flat = bridge.tokenize(model["handle"], 1, pair=False, max_tokens=0, max_chunks=1, truncate_left=False)
            assert not isinstance(flat, bytes), flat
            length = int(flat[2])
            ints[: 5 + length] = [length, length, 0, 1, 0, *flat[5 : 5 + length]]
            assert bridge.forward(model["handle"], 1, 1, length, run=model["handle"]) is None
            assert floats[: model["outputs"]].any()
            ask("unload", handle=model["handle"])


if __name__ == "__main__":
    sys.addaudithook(trap)
    work(*sys.argv[1:])
    print(json.dumps(seen))
