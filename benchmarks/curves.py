"""Line charts as SVG, by hand: a few lines over companies, both axes from nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 40, 50
# Told apart without colour too: each line has its own marker.
COLOURS = ("#0b6bcb", "#7a8699", "#c2410c", "#15803d", "#9333ea")
Points = Sequence[tuple[float, float]]


def chart(title: str, unit: str, lines: Mapping[str, Points]) -> str:
    """Return a chart of `lines` (name → points of companies and value) as the text of an SVG."""
    points = [point for line in lines.values() for point in line]
    right, top = (_nice(max(axis)) for axis in zip(*points, strict=True))

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + x / right * (WIDTH - LEFT - RIGHT)
        return round(across, 1), round(HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#57606a" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" fill="#1f2328">{escape(title)}</text>',
    ]
    for k in range(5):
        value = top * k / 4
        _, y = place(0, value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#d8dee4"/>'
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{value:,.4g}</text>'
        )
    for x in sorted({x for x, _ in points}):
        across, y = place(x, 0)
        parts.append(f'<text x="{across}" y="{y + 18}" text-anchor="middle">{x:,.0f}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">companies</text>')
    parts.append(f'<text x="8" y="{TOP - 8}">{escape(unit)}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        placed = [place(x, y) for x, y in sorted(line)]
        path = " ".join(f"{x},{y}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [_marker(number, x, y, colour) for x, y in placed]
        y = TOP + 12 + 22 * number
        x = WIDTH - RIGHT + 18
        parts.append(_marker(number, x, y - 4, colour))
        parts.append(f'<text x="{x + 12}" y="{y}" fill="#1f2328">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _marker(number: int, x: float, y: float, colour: str) -> str:
    shapes = (
        f'<circle cx="{x}" cy="{y}" r="4"',
        f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8"',
        f'<path d="M{x} {y - 5} l5 9 h-10 z"',
        f'<path d="M{x} {y - 5} l5 5 l-5 5 l-5 -5 z"',
        f'<path d="M{x} {y + 5} l5 -9 h-10 z"',
    )
    return f'{shapes[number % len(shapes)]} fill="{colour}"/>'


def _nice(value: float) -> float:
    """Return the end of an axis: the next of 1, 2, 3, 4, 5, 6, 8 or 10 times a power of ten."""
    power = 10.0 ** floor(log10(value)) if value > 0 else 1.0
    steps = (1, 2, 3, 4, 5, 6, 8, 10)
    return power * next((s for s in steps if s >= value / power - 1e-9), ceil(value / power))
