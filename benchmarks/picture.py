"""Cost against size as an SVG: what stays flat while the data grows a hundredfold."""

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#4f6df5", "#2f9e62", "#e8862e", "#c0392b", "#9b59b6", "#d4a017")
TEXT = 'font-family="system-ui, sans-serif" font-size="13" fill="#52606d"'
WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 250, 40, 350

Points = Sequence[tuple[float, float]]


def cost_svg(series: Mapping[str, Points]) -> str:
    """Lines of (size, cost), each relative to its own first point; size on a logarithmic axis.

    Dashed: what a cost would do that grows as the size does.
    """
    lines = {name: sorted(points) for name, points in series.items() if len(points) > 1}
    if not lines:
        return ""
    grown = {
        name: [(size / points[0][0], cost / points[0][1]) for size, cost in points]
        for name, points in lines.items()
    }
    widest = max(size for points in grown.values() for size, _ in points)
    top = max(2.0, *(1.2 * cost for points in grown.values() for _, cost in points))

    def place(size: float, cost: float) -> str:
        x = LEFT + (WIDTH - RIGHT - LEFT) * math.log(size) / math.log(widest)
        return f"{x:.1f},{BOTTOM - (BOTTOM - TOP) * cost / top:.1f}"

    parts = [f'<text x="{LEFT}" y="22" {TEXT}>cost, relative to the smallest size</text>']
    for step in range(int(top) + 1):
        y = BOTTOM - (BOTTOM - TOP) * step / top
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e4e7eb"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" {TEXT}>{step}x</text>'
        )
    for power in range(round(math.log10(widest)) + 1):
        x = place(10**power, 0).split(",")[0]
        parts.append(
            f'<text x="{x}" y="{BOTTOM + 20}" text-anchor="middle" {TEXT}>{10**power:,}x data</text>'
        )
    rising = [place(1 + (top - 1) * step / 40, 1 + (top - 1) * step / 40) for step in range(41)]
    parts.append(_line(rising, "#9aa5b1", ' stroke-dasharray="4 4"'))
    for number, (name, points) in enumerate(grown.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [place(size, cost) for size, cost in points]
        parts.append(_line(places, colour))
        parts += [f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>' for x, y in map(_pair, places)]
        y = TOP + 8 + 24 * number
        parts.append(
            f'<rect x="{WIDTH - RIGHT + 24}" y="{y}" width="12" height="12" fill="{colour}"/>'
            f'<text x="{WIDTH - RIGHT + 42}" y="{y + 11}" {TEXT}>{escape(name)}'
            f" {points[-1][1]:.2f}x</text>"
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}"><rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _line(places: list[str], colour: str, more: str = "") -> str:
    return f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="2"{more}/>'


def _pair(place: str) -> tuple[str, str]:
    x, y = place.split(",")
    return x, y
