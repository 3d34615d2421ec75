# SPDX-License-Identifier: Apache-2.0
"""Ragbus in Python: models and functions for a JVM that embeds CPython. Java calls `ragbus.bridge` alone."""

import sys

__version__ = "0.1.0"

# `import openvino` starts a child process that reports to its maker: by fork, and a forked JVM has locks of threads it lacks.
# There is no switch for it; without this package OpenVINO takes its own stub.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

from ragbus.functions.calls import cancelled, deadline  # noqa: E402 - what a function's author may call
from ragbus.functions.declaration import function  # noqa: E402

__all__ = ["cancelled", "deadline", "function"]
