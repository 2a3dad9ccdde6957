"""Drawings that only pages have; their colours are the stylesheet's. The others are `pictures`."""

from html import escape


def days_svg(days: list[tuple[str, int]]) -> str:
    """Votes by day, (2026-11-20, votes), oldest first: a column each, the first, last and largest named."""
    largest = max((votes for _, votes in days), default=0) or 1
    step = min(480 / max(len(days), 1), 60.0)
    rows = [
        f'<rect class="bar" x="{60 + position * step:.1f}" y="{160 - 130 * votes / largest:.1f}"'
        f' width="{max(step - 2, 1):.1f}" height="{130 * votes / largest:.1f}"/>'
        for position, (_, votes) in enumerate(days)
    ]
    rows.append('<path class="axis" d="M60 160H540"/>')
    rows.append(_text(54, 34, f"{largest:,}", "end"))
    rows.append(_text(54, 164, "0", "end"))
    if days:
        rows.append(_text(60, 180, days[0][0], "start"))
    if len(days) > 1 and (len(days) - 1) * step > 90:
        rows.append(_text(60 + len(days) * step, 180, days[-1][0], "end"))
    return _svg(560, 190, rows)


def path_svg(path: list[tuple[str, float]], floor: float, exit_: float) -> str:
    """A confidence from batch to batch, (name of the batch, confidence after it), between floor and exit."""
    step = 480 / max(len(path) - 1, 1)
    points = [(50 + position * step, 190 - 170 * value) for position, (_, value) in enumerate(path)]
    rows = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        y = 190 - 170 * tick
        rows += [f'<path class="axis" d="M50 {y:.1f}H530"/>', _text(42, y + 4, f"{tick:g}", "end")]
    for value, name in ((floor, "floor"), (exit_, "exit")):
        y = 190 - 170 * value
        rows.append(f'<path class="limit" d="M50 {y:.1f}H530"/>')
        rows.append(_text(536, y + 4, f"{name} {value:g}", "start"))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    rows.append(f'<polyline class="line" points="{line}"/>')
    rows += [f'<circle class="bar" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]
    rows += [
        _text(points[at][0], 208, path[at][0], "middle")
        for at in sorted({0, len(path) - 1} if path else set())
    ]
    return _svg(610, 216, rows)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: int, height: int, rows: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}"><rect width="{width}" height="{height}"/>{"".join(rows)}</svg>'
    )
