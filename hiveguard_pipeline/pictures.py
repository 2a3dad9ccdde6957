"""Small pictures for metadata, as SVG in Markdown: no plotting library, nothing to load."""

import base64
from html import escape
from itertools import starmap
from math import ceil, floor, log10

_BAR = "#4f6df5"
_MARK = "#e8862e"
_LINES = (_BAR, _MARK, "#2f9e62", "#9aa5b1", "#c0392b", "#d4a017")
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


def heat_map_svg(names: list[str], shares: list[list[float]], title: str) -> str:
    """A square table of shares between 0 and 1, row by row, the darker the larger."""
    cell, left, top = 44, 150, 54
    marks = [f'<text x="12" y="18" {_TEXT}>{escape(title)}</text>']
    for position, name in enumerate(names):
        middle = (position + 0.5) * cell
        marks.append(
            f'<text x="{left - 8}" y="{top + middle + 4:.0f}" text-anchor="end" {_TEXT}>'
            f"{_short(name, 18)}</text>"
            f'<text x="{left + middle:.0f}" y="{top - 8}" text-anchor="middle" {_TEXT}>'
            f"{_short(name, 6)}</text>"
        )
    for row, values in enumerate(shares):
        for column, share in enumerate(values):
            x, y = left + column * cell, top + row * cell
            colour = "#ffffff" if share > 0.5 else "#52606d"
            marks.append(
                f'<rect x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" fill="{_BAR}"'
                f' fill-opacity="{share:.3f}" stroke="#e4e7eb"/>'
                f'<text x="{x + cell / 2 - 1:.0f}" y="{y + cell / 2 + 4:.0f}" text-anchor="middle"'
                f' font-family="system-ui, sans-serif" font-size="12" fill="{colour}">'
                f"{100 * share:.0f}%</text>"
            )
    return _svg(max(left + cell * len(names) + 16, 460), top + cell * len(names) + 12, marks)


def stages_svg(boxes: list[tuple[str, str]], ways: list[tuple[int, int, str]]) -> str:
    """Boxes (name, a line below it) one under the other, and ways (from, to, outcome) between them.

    A way to the next box runs straight down, others beside the boxes: down on the right, up on the left.
    """
    width, height, gap, left = 300, 46, 34, 190
    colours = {"pass": "#2f9e62", "fail": "#c0392b", "timeout": "#e8862e"}
    marks, lanes = [], {1: 0, -1: 0}
    for start, end, outcome in ways:
        colour = colours.get(outcome, "#52606d")
        y, to = 10 + start * (height + gap), 10 + end * (height + gap)
        if end == start + 1 and outcome == "pass":
            x = left + width // 2
            path = f"M{x} {y + height} L{x} {to - 2}"
            at, anchor = (x + 6.0, y + height + 21.0), "start"
            tip = f"{x - 5},{to - 9} {x + 5},{to - 9} {x},{to - 1}"
        else:
            side = 1 if end > start else -1
            lanes[side] += 1
            x = left + (width if side > 0 else 0)
            bend = x + side * (22 + 16 * lanes[side])
            begin, stop = y + height / 2 + 5, to + height / 2 - 5
            path = f"M{x} {begin} C{bend} {begin} {bend} {begin} {bend} {(begin + stop) / 2}"
            path += f" C{bend} {stop} {bend} {stop} {x + side * 2} {stop}"
            at, anchor = (bend + side * 4, (begin + stop) / 2 + 4), "start" if side > 0 else "end"
            tip = f"{x + side * 9},{stop - 5} {x + side * 9},{stop + 5} {x + side},{stop}"
        marks.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
            f'<polygon points="{tip}" fill="{colour}"/>'
            f'<text x="{at[0]}" y="{at[1]}" text-anchor="{anchor}" {_TEXT}>{escape(outcome)}</text>'
        )
    for position, (name, line) in enumerate(boxes):
        y = 10 + position * (height + gap)
        marks.append(
            f'<rect x="{left}" y="{y}" width="{width}" height="{height}" rx="6" fill="#f5f7fa"'
            f' stroke="{_BAR}"/><text x="{left + 12}" y="{y + 19}" {_TEXT} font-weight="600">'
            f'{_short(name, 36)}</text><text x="{left + 12}" y="{y + 37}" {_TEXT}>{_short(line, 42)}</text>'
        )
    return _svg(left * 2 + width, 20 + len(boxes) * (height + gap) - gap, marks)


def intervals_svg(rows: list[tuple[str, float, float, float]], mark: float | None = None) -> str:
    """Figures with the ends of their intervals, (name, value, low, high), between 0 and 1, or from lower."""
    lowest = min([0.0, *(max(low, -1.0) for _, _, low, _ in rows)])
    bottom = 20 + 26 * len(rows)

    def x(value: float) -> float:
        return 220 + 400 * (max(value, lowest) - lowest) / (1 - lowest)

    marks = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        marks.append(
            f'<line x1="{x(tick):.1f}" y1="14" x2="{x(tick):.1f}" y2="{bottom}" stroke="#e4e7eb"/>'
            f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle" {_TEXT}>{tick:g}</text>'
        )
    if mark is not None:
        marks.append(
            f'<line x1="{x(mark):.1f}" y1="14" x2="{x(mark):.1f}" y2="{bottom}" stroke="#c0392b"'
            f' stroke-dasharray="4 3"/>'
            f'<text x="{x(mark):.1f}" y="11" text-anchor="middle" {_TEXT}>{mark:g}</text>'
        )
    for position, (name, value, low, high) in enumerate(rows):
        y = 30 + 26 * position
        marks.append(
            f'<text x="210" y="{y + 4}" text-anchor="end" {_TEXT}>{_short(name, 28)}</text>'
            f'<line x1="{x(low):.1f}" y1="{y}" x2="{x(high):.1f}" y2="{y}" stroke="{_BAR}" stroke-width="2"/>'
            f'<circle cx="{x(value):.1f}" cy="{y}" r="4.5" fill="{_BAR}"/>'
            f'<text x="634" y="{y + 4}" {_TEXT}>{value:.3f}</text>'
        )
    return _svg(690, bottom + 26, marks)


def reliability_svg(said: list[float], right: list[float], items: list[float]) -> str:
    """Share that is right against the probability that was said, a dot a bin, larger for more items."""
    largest = max(items, default=0) or 1
    rows = [
        '<line x1="60" y1="260" x2="300" y2="20" stroke="#9aa5b1" stroke-dasharray="4 3"/>',
        '<line x1="60" y1="260" x2="300" y2="260" stroke="#9aa5b1"/>',
        '<line x1="60" y1="260" x2="60" y2="20" stroke="#9aa5b1"/>',
        f'<text x="180" y="298" text-anchor="middle" {_TEXT}>probability said</text>',
        f'<text x="16" y="140" text-anchor="middle" transform="rotate(-90 16 140)" {_TEXT}>'
        "share right</text>",
    ]
    for tick in (0, 0.5, 1):
        rows.append(f'<text x="{60 + 240 * tick:.0f}" y="278" text-anchor="middle" {_TEXT}>{tick:g}</text>')
        rows.append(f'<text x="52" y="{264 - 240 * tick:.0f}" text-anchor="end" {_TEXT}>{tick:g}</text>')
    for x, y, count in zip(said, right, items, strict=True):
        if count:
            radius = 3 + 9 * (count / largest) ** 0.5
            rows.append(
                f'<circle cx="{60 + 240 * x:.1f}" cy="{260 - 240 * y:.1f}" r="{radius:.1f}" fill="{_BAR}"'
                f' fill-opacity="0.75"><title>{count:g} items</title></circle>'
            )
    return _svg(320, 306, rows)


def marked_histogram_svg(counts: list[int], marked: list[int], x_name: str, mark: str) -> str:
    """Counts in bins over [0, 1]; the marked part of each bar at its foot, in another colour."""
    largest = max(counts, default=0) or 1
    step = 480 / max(len(counts), 1)
    rows = [
        f'<rect x="40" y="6" width="12" height="12" fill="{_MARK}"/>'
        f'<text x="58" y="17" {_TEXT}>{escape(mark)} ({sum(marked):,} of {sum(counts):,})</text>'
    ]
    for position, (count, part) in enumerate(zip(counts, marked, strict=True)):
        for height, colour in ((140 * count / largest, _BAR), (140 * part / largest, _MARK)):
            rows.append(
                f'<rect x="{40 + position * step:.1f}" y="{180 - height:.1f}" width="{step - 2:.1f}"'
                f' height="{height:.1f}" fill="{colour}"/>'
            )
    rows.append('<line x1="40" y1="180" x2="520" y2="180" stroke="#9aa5b1"/>')
    for tick in (0, 0.25, 0.5, 0.75, 1):
        rows.append(f'<text x="{40 + 480 * tick:.0f}" y="198" text-anchor="middle" {_TEXT}>{tick:g}</text>')
    rows.append(f'<text x="34" y="48" text-anchor="end" {_TEXT}>{largest:,}</text>')
    rows.append(f'<text x="280" y="218" text-anchor="middle" {_TEXT}>{escape(x_name)}</text>')
    return _svg(560, 226, rows)


def scatter_svg(
    dots: list[tuple[float, float, int]],
    marked: list[tuple[float, float, str]],
    ends: tuple[float, float],
    names: tuple[str, str],
    named: int = 12,
) -> str:
    """Dots (x, y, how many lie there) and marked ones (x, y, name): x > 0 in logarithms, y from 0 to 1.

    ends: of x. names: of x and y. named: at most so many of the marked have their name written beside them.
    """
    low, high = log10(ends[0]), log10(ends[1])
    if high - low < 0.3:
        low, high = low - 0.15, high + 0.15

    def x(value: float) -> float:
        return 60 + 460 * (log10(value) - low) / (high - low)

    rows = ['<path d="M60 20V260H520" fill="none" stroke="#9aa5b1"/>']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        y = 260 - 240 * tick
        rows.append(
            f'<line x1="60" y1="{y:.0f}" x2="520" y2="{y:.0f}" stroke="#e4e7eb"/>'
            f'<text x="52" y="{y + 4:.0f}" text-anchor="end" {_TEXT}>{tick:g}</text>'
        )
    for tick in _logarithmic_ticks(low, high):
        rows.append(f'<text x="{x(tick):.1f}" y="278" text-anchor="middle" {_TEXT}>{tick:,g}</text>')
    rows.append(f'<text x="290" y="298" text-anchor="middle" {_TEXT}>{escape(names[0])}</text>')
    rows.append(f'<text x="60" y="11" {_TEXT}>{escape(names[1])}</text>')
    for at, share, count in dots:
        rows.append(
            f'<circle cx="{x(at):.1f}" cy="{260 - 240 * share:.1f}" r="{min(2.5 + count**0.5, 9):.1f}"'
            f' fill="{_BAR}" fill-opacity="0.45"/>'
        )
    written: list[tuple[float, float]] = []
    for at, share, name in marked:
        cx, cy = x(at), 260 - 240 * share
        rows.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="4" fill="{_MARK}"/>')
        # A name that would lie on another is left out.
        if len(written) < named and all(abs(cx - u) > 110 or abs(cy - v) > 14 for u, v in written):
            written.append((cx, cy))
            beside, anchor = (cx + 7, "start") if cx < 420 else (cx - 7, "end")
            place = f'x="{beside:.1f}" y="{cy + 4:.1f}" text-anchor="{anchor}"'
            rows.append(f"<text {place} {_TEXT}>{_short(name, 14)}</text>")
    return _svg(560, 306, rows)


def lines_svg(
    lines: list[tuple[str, list[tuple[float, float]]]], names: tuple[str, str], lowest: float = 0.0
) -> str:
    """Lines of shares against a number from 0 on: (name, its dots (x, y) from left to right) each.

    names: of x and y. lowest: the share at the foot, below 1; what lies under it is drawn there.
    """
    furthest = max((x for _, dots in lines for x, _ in dots), default=0) or 1
    step = _round_step(furthest / 6)
    furthest = step * ceil(furthest / step)

    def place(at: float, share: float) -> tuple[float, float]:
        return 60 + 460 * at / furthest, 260 - 230 * (max(share, lowest) - lowest) / (1 - lowest)

    rows = ['<path d="M60 20V260H520" fill="none" stroke="#9aa5b1"/>']
    for part in range(6):
        share = lowest + (1 - lowest) * part / 5
        y = place(0, share)[1]
        rows.append(
            f'<line x1="60" y1="{y:.0f}" x2="520" y2="{y:.0f}" stroke="#e4e7eb"/>'
            f'<text x="52" y="{y + 4:.0f}" text-anchor="end" {_TEXT}>{share:.2g}</text>'
        )
    for number in range(round(furthest / step) + 1):
        x = place(number * step, 1)[0]
        rows.append(f'<text x="{x:.0f}" y="278" text-anchor="middle" {_TEXT}>{number * step:,g}</text>')
    rows.append(f'<text x="290" y="298" text-anchor="middle" {_TEXT}>{escape(names[0])}</text>')
    rows.append(f'<text x="60" y="14" {_TEXT}>{escape(names[1])}</text>')
    for number, (name, dots) in enumerate(lines):
        colour, y = _LINES[number % len(_LINES)], 40 + 20 * number
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*dot) for dot in dots))
        rows.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<rect x="536" y="{y - 10}" width="12" height="12" fill="{colour}"/>'
            f'<text x="554" y="{y}" {_TEXT}>{_short(name, 18)}</text>'
        )
        rows += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in starmap(place, dots)
        ]
    return _svg(690, 306, rows)


def markdown(name: str, svg: str) -> str:
    """A picture as a Markdown image that carries its data."""
    return f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _round_step(least: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** floor(log10(least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least)


def _logarithmic_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten: 1, 2, 5, or whole powers where there are many."""
    steps = (1, 2, 5) if high - low < 3 else (1,)
    ticks = [step * 10.0**power for power in range(floor(low), ceil(high) + 1) for step in steps]
    return [tick for tick in ticks if low <= log10(tick) <= high]


def _short(text: str, most: int) -> str:
    return escape(text if len(text) <= most else text[: most - 1] + "…")


def _svg(width: int, height: int, rows: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}"><rect width="{width}" height="{height}" fill="#ffffff"/>'
        f"{''.join(rows)}</svg>"
    )
