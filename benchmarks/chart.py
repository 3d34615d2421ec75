# SPDX-License-Identifier: Apache-2.0
"""A bar for each throughput that was measured, with its least and most, as SVG."""

# ruff: noqa: INP001 - a script's module
from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from figures import Figure, Round, over, value

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS = (
    ("raw OpenVINO, all texts known at once", "raw", "#9aa0a6"),
    ("Ragbus, bus, requests of 32", "bus_many_x32", "#1a73e8"),
    ("Ragbus, bus, single texts", "bus_many_x1", "#1a73e8"),
    ("Ragbus, HTTP, 64 clients, 32 texts", "http_64x32", "#1a73e8"),
    ("Ragbus, HTTP, 64 clients, 1 text", "http_64x1", "#1a73e8"),
    ("Ragbus int8, HTTP, 64 clients, 1 text", "int8_64x1", "#1a73e8"),
    ("langchain4j quantised, in process", "langchain4j_quantised", "#9aa0a6"),
    ("langchain4j float32, in process", "langchain4j_float", "#9aa0a6"),
    ("sentence-transformers on torch", "torch", "#9aa0a6"),
    ("raw ONNX Runtime float32, like lengths together", "onnx_by_length", "#9aa0a6"),
    ("raw ONNX Runtime float32, in order of arrival", "onnx", "#9aa0a6"),
)
LEFT, WIDTH, RIGHT, ROW, TOP = 330, 460, 80, 26, 34
STYLE = "text{font:13px sans-serif;fill:#202124}@media(prefers-color-scheme:dark){text{fill:#e8eaed}}"


def chart(rounds: Sequence[Round], servers: Sequence[str]) -> str:
    """Return the bars of what the rounds have, of servers that were given too."""
    given = [(f"{server}, HTTP, 64 clients, 1 text", f"{server}_64x1", "#9aa0a6") for server in servers]
    found = [(title, colour, over(rounds, Figure(title, value(name)))) for title, name, colour in (*BARS, *given)]
    bars = [(title, colour, one) for title, colour, one in found if one is not None]
    longest = max((one["max"] for _, _, one in bars), default=1.0)
    height = TOP + ROW * len(bars) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" role="img">',
        f"<title>Texts a second</title><style>{STYLE}</style>",
        f'<text x="{LEFT}" y="20">texts/s: the median; the line goes from the least to the most</text>',
    ]
    for at, (title, colour, one) in enumerate(bars):
        y = TOP + ROW * at
        median, least, most = (WIDTH * one[key] / longest for key in ("median", "min", "max"))
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(title)}</text>',
            f'<rect x="{LEFT}" y="{y + 2}" width="{median:.1f}" height="18" rx="2" fill="{colour}"/>',
            f'<path d="M{LEFT + least:.1f} {y + 11}H{LEFT + most:.1f}" stroke="#fbbc04" stroke-width="3"/>',
            f'<text x="{LEFT + most + 8:.1f}" y="{y + 15}">{one["median"]:.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
