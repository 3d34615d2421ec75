# SPDX-License-Identifier: Apache-2.0
"""Puts what a script wrote into a page, between its marks."""

# ruff: noqa: INP001 - a script's module
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

END = "<!-- end of figures -->"


def write_into(page: Path, script: str, written: str) -> None:
    """Replace what stands between the marks of a script's figures."""
    begin = f"<!-- figures of {script} -->"
    before, mark, rest = page.read_text(encoding="utf-8").partition(begin)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise SystemExit(f"{page} has no marks {begin} and {END}")
    page.write_text(f"{before}{mark}\n{written}{end}{after}", encoding="utf-8")
