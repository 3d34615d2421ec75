# SPDX-License-Identifier: Apache-2.0
"""Failures as bytes: safe, bounded, whatever was raised."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ragbus import errors
from ragbus.errors import RagbusError, describe


class SpitefulError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


def described(error: BaseException) -> dict[str, Any]:
    try:
        raise error
    except BaseException as raised:  # noqa: BLE001
        fields: dict[str, Any] = json.loads(describe(raised))
    return fields


@pytest.mark.parametrize(
    ("error", "kind", "type_", "message"),
    [
        (ValueError("é 中 😀 \0"), "PYTHON", "ValueError", "é 中 😀 \0"),
        (ValueError("half \ud83d"), "PYTHON", "ValueError", "half \ufffd"),
        (SystemExit(3), "PYTHON", "SystemExit", "3"),
        (KeyboardInterrupt(), "PYTHON", "KeyboardInterrupt", ""),
        (RagbusError("MODEL_NOT_FOUND", "no x"), "MODEL_NOT_FOUND", "ragbus.errors.RagbusError", "no x"),
        (FileNotFoundError(2, "No such file", "x"), "PYTHON", "FileNotFoundError", "[Errno 2] No such file: 'x'"),
        (ExceptionGroup("both", [ValueError("a")]), "PYTHON", "ExceptionGroup", "both (1 sub-exception)"),
        (json.JSONDecodeError("bad", "x", 0), "PYTHON", "json.decoder.JSONDecodeError", "bad: line 1 column 1 (char 0)"),
    ],
)
def test_description(error: BaseException, kind: str, type_: str, message: str) -> None:
    fields = described(error)
    assert (fields["kind"], fields["type"], fields["message"]) == (kind, type_, message)
    assert "test_errors.py" in fields["traceback"]


def test_an_exception_whose_message_raises() -> None:
    fields = described(SpitefulError())
    assert fields["type"].endswith("test_errors.SpitefulError")
    assert fields["message"] == "<SpitefulError whose message cannot be shown>"
    assert fields["traceback"]


def test_causes_are_in_the_traceback() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as outer:
        fields = json.loads(describe(outer))
    assert "KeyError: 'inner'" in fields["traceback"]
    assert "direct cause" in fields["traceback"]


def test_length_is_bounded_and_the_end_of_a_traceback_stays() -> None:
    fields = described(ValueError("x" * 100_000 + "end"))
    assert len(fields["message"]) == errors.MAX_MESSAGE_CHARS
    assert len(fields["traceback"]) == errors.MAX_TRACEBACK_CHARS
    assert fields["traceback"].endswith("end\n")
