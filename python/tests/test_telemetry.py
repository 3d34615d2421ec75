# SPDX-License-Identifier: Apache-2.0
"""Nobody is told anything: importing, fetching, loading, converting and running a model connects to the hub alone."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CROSS_ENCODER
from hub import Hub, serving

TRAPPED = Path(__file__).with_name("trapped.py")


def traced(log: Path) -> list[str]:
    """Return how to run a command so that each connection of its native code is noted, too; nothing where that can't be had."""
    strace = shutil.which("strace")
    command = [strace or "", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(log)]
    works = strace and subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0
    return command if works else []


def test_nothing_but_the_hub_is_connected_to(model_folder: Path, tmp_path: Path) -> None:
    hub = Hub(xet=True)
    hub.add("org/tiny", CROSS_ENCODER)
    log = tmp_path / "calls"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and key != "DO_NOT_TRACK"}
    with serving(hub):
        ran = subprocess.run(
            [*traced(log), sys.executable, str(TRAPPED), str(model_folder), hub.address],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            env=environment | {"PYTHONPATH": str(TRAPPED.parents[1]), "no_proxy": "*"},
        )
    assert ran.returncode == 0, ran.stderr
    port = hub.address.rpartition(":")[2]
    allowed = [["socket.getaddrinfo", "('127.0.0.1',)"], ["socket.getaddrinfo", "('localhost',)"]]
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert ["socket.connect", f"('127.0.0.1', {port})"] in seen
    assert [it for it in seen if it not in allowed and not re.fullmatch(rf"\('(127\.0\.0\.1|::1)', {port}(, 0, 0)?\)", it[1])] == []
    assert not any("/xet" in request.path for request in hub.asked)
    if log.is_file():
        inet = [line for line in log.read_text().splitlines() if "sa_family=AF_INET" in line]
        assert inet
        assert [line for line in inet if f"htons({port})" not in line or not re.search(r'"127\.0\.0\.1"|"::1"', line)] == []


@pytest.mark.parametrize("package", ["openvino", "nncf"])
def test_the_telemetry_package_cannot_be_imported(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    script = f"import ragbus, sys; import {package}; assert sys.modules['openvino_telemetry'] is None"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=TRAPPED.parents[1], timeout=120)
