"""Small pictures for metadata, as SVG in Markdown: no plotting library, nothing to load."""

import base64
from html import escape

_BAR = "#4f6df5"
_COLOURS = {
    "unlabeled": "#9aa5b1",
    "in_revalidation": "#4f6df5",
    "needs_review": "#e8862e",
    "graduated": "#2f9e62",
    "discarded": "#c0392b",
    "gold": "#d4a017",
}
_TEXT = 'font-family="system-ui, sans-serif" font-size="13" fill="#52606d"'


def funnel_svg(states: dict[str, int]) -> str:
    """Items by state as horizontal bars with their counts."""
    shown = {state: count for state, count in states.items() if count or state in list(_COLOURS)[:4]}
    largest = max(shown.values(), default=0) or 1
    rows = []
    for position, (state, count) in enumerate(shown.items()):
        y = 8 + position * 28
        width = 360 * count / largest
        rows.append(
            f'<text x="118" y="{y + 15}" text-anchor="end" {_TEXT}>{escape(state)}</text>'
            f'<rect x="126" y="{y}" width="{width:.1f}" height="20" rx="3"'
            f' fill="{_COLOURS.get(state, _BAR)}"/>'
            f'<text x="{134 + width:.1f}" y="{y + 15}" {_TEXT}>{count:,}</text>'
        )
    return _svg(580, 16 + 28 * len(shown), rows)


def histogram_svg(counts: list[int], floor: float, exit_: float) -> str:
    """Labels by confidence over [0, 1], with the floor and the exit of the policy marked."""
    largest = max(counts, default=0) or 1
    step = 480 / max(len(counts), 1)
    rows = []
    for position, count in enumerate(counts):
        height = 140 * count / largest
        rows.append(
            f'<rect x="{40 + position * step:.1f}" y="{160 - height:.1f}" width="{step - 2:.1f}"'
            f' height="{height:.1f}" fill="{_BAR}"/>'
        )
    for value, name in ((floor, "floor"), (exit_, "exit")):
        x = 40 + 480 * value
        rows.append(
            f'<line x1="{x:.1f}" y1="16" x2="{x:.1f}" y2="160" stroke="#52606d" stroke-dasharray="4 3"/>'
            f'<text x="{x:.1f}" y="12" text-anchor="middle" {_TEXT}>{name} {value:g}</text>'
        )
    rows.append('<line x1="40" y1="160" x2="520" y2="160" stroke="#9aa5b1"/>')
    for tick in (0, 0.25, 0.5, 0.75, 1):
        rows.append(f'<text x="{40 + 480 * tick:.0f}" y="178" text-anchor="middle" {_TEXT}>{tick:g}</text>')
    rows.append(f'<text x="34" y="28" text-anchor="end" {_TEXT}>{largest:,}</text>')
    return _svg(560, 186, rows)


def markdown(name: str, svg: str) -> str:
    """A picture as a Markdown image that carries its data."""
    return f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _svg(width: int, height: int, rows: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}"><rect width="{width}" height="{height}" fill="#ffffff"/>'
        f"{''.join(rows)}</svg>"
    )
