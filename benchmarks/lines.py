# SPDX-License-Identifier: Apache-2.0
"""Lines over an axis, several panels in one picture, as SVG."""

# ruff: noqa: INP001 - a script's module
from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Points = Sequence[tuple[float, float]]

COLOURS = ("#9aa0a6", "#1a73e8", "#a142f4", "#34a853", "#fbbc04", "#ea8600", "#ea4335")
COLUMNS, WIDTH, HEIGHT = 2, 460, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 30, 44
STYLE = (
    "text{font:12px sans-serif;fill:#202124}.axis{stroke:#80868b;fill:none}.grid{stroke:#80868b;stroke-opacity:.25}"
    "@media(prefers-color-scheme:dark){text{fill:#e8eaed}}"
)


@dataclass(frozen=True)
class Panel:
    """One picture: a line for each name."""

    title: str
    x: str
    y: str
    series: Mapping[str, Points]
    log_x: bool = False
    log_y: bool = True


@dataclass(frozen=True)
class Axis:
    """Where a number is drawn, from the least to the most."""

    least: float
    most: float
    begin: float
    end: float
    log: bool

    def at(self, number: float) -> float:
        """Return where it is."""
        least, most, here = (math.log10(each) if self.log else each for each in (self.least, self.most, number))
        return self.begin + (self.end - self.begin) * (here - least) / (most - least)


def _upright(panel: Panel, top: float) -> tuple[Axis, list[float]]:
    numbers = [y for points in panel.series.values() for _, y in points]
    if not panel.log_y:
        return Axis(0, 1, top + HEIGHT - BOTTOM, top + TOP, log=False), [0, 0.25, 0.5, 0.75, 1]
    low, high = math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers)))
    return Axis(10**low, 10**high, top + HEIGHT - BOTTOM, top + TOP, log=True), [10.0**power for power in range(low, high + 1)]


def _panel(panel: Panel, left: float, top: float, colours: Mapping[str, str]) -> list[str]:
    marks = sorted({x for points in panel.series.values() for x, _ in points})
    across = Axis(marks[0], marks[-1], left + LEFT, left + WIDTH - RIGHT, panel.log_x)
    upright, steps = _upright(panel, top)
    lines = [f'<text x="{left + LEFT}" y="{top + 18}" font-weight="bold">{escape(panel.title)}: {escape(panel.y)}</text>']
    for step in steps:
        y = upright.at(step)
        lines += [
            f'<path class="grid" d="M{across.begin:.1f} {y:.1f}H{across.end:.1f}"/>',
            f'<text x="{across.begin - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{step:,g}</text>',
        ]
    for mark in marks:
        lines.append(f'<text x="{across.at(mark):.1f}" y="{upright.begin + 16:.1f}" text-anchor="middle">{mark:g}</text>')
    middle = (across.begin + across.end) / 2
    lines += [
        f'<path class="axis" d="M{across.begin:.1f} {upright.end:.1f}V{upright.begin:.1f}H{across.end:.1f}"/>',
        f'<text x="{middle:.1f}" y="{upright.begin + 34:.1f}" text-anchor="middle">{escape(panel.x)}</text>',
    ]
    for name, points in panel.series.items():
        places = [(across.at(x), upright.at(y)) for x, y in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        lines.append(f'<path d="M{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colours[name]}"/>' for x, y in places]
    return lines


def picture(panels: Sequence[Panel], names: Mapping[str, str]) -> str:
    """Return all panels and, in the last place, what each colour is."""
    colours = dict(zip(names, COLOURS, strict=True))
    rows = len(panels) // COLUMNS + 1
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * WIDTH} {rows * HEIGHT}" role="img">',
        f"<title>{escape('; '.join(f'{panel.title}: {panel.y}' for panel in panels))}</title><style>{STYLE}</style>",
    ]
    places = [((at % COLUMNS) * WIDTH, at // COLUMNS * HEIGHT) for at in range(len(panels) + 1)]
    for panel, (left, top) in zip(panels, places, strict=False):
        lines += _panel(panel, left, top, colours)
    left, top = places[-1]
    for at, (name, title) in enumerate(names.items()):
        y = top + TOP + 20 + 24 * at
        lines += [
            f'<path d="M{left + LEFT} {y}h36" stroke="{colours[name]}" stroke-width="3"/>',
            f'<text x="{left + LEFT + 46}" y="{y + 4}">{escape(title)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
