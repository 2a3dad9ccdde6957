"""Rows of the table, and the table as Markdown and JSON."""

import statistics
from dataclasses import dataclass, field
from typing import Any

HEAD = (
    "| work | ours | beside | ratio | goal | reached | peak memory, ours / beside |\n"
    "|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Goal:
    """What a row is held against.

    kind "times": ours / beside is at most `bound`. kind "as fast": beside / ours is at least `bound`.
    kind "more": ours - beside is under `bound`. kind "under": ours alone is under `bound`.
    """

    kind: str
    bound: float

    def text(self, unit: str) -> str:
        """The goal as the table says it."""
        return {
            "times": f"<= {self.bound:g}x",
            "as fast": f">= {self.bound:g}x as fast" if unit == "s" else f"<= 1/{self.bound:g}",
            "more": f"< {self.bound:g} {unit} more",
            "under": f"<= {self.bound:g} {unit}",
        }[self.kind]

    def reached(self, ours: float, beside: float | None) -> bool | None:
        """Whether it is reached; None where there is nothing to compare with."""
        if self.kind == "under":
            return ours <= self.bound
        if beside is None:
            return None
        return {
            "times": ours <= self.bound * beside,
            "as fast": beside >= self.bound * ours,
            "more": ours - beside < self.bound,
        }[self.kind]


def times(bound: float) -> Goal:
    """At most so many times what the other side takes."""
    return Goal("times", bound)


@dataclass
class Row:
    """One line of the table: the figures of all rounds of both sides, in `unit`."""

    name: str
    work: str
    ours: list[float]
    peer: str
    beside: list[float] = field(default_factory=list)
    goal: Goal | None = None
    unit: str = "s"
    ours_mb: list[float] = field(default_factory=list)
    beside_mb: list[float] = field(default_factory=list)
    also: bool | None = None
    """A second condition of the goal, which `note` tells of."""
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a goal or without a peer."""
        if self.goal is None or not self.ours:
            return None
        found = self.goal.reached(median(self.ours), median(self.beside) if self.beside else None)
        return found if self.also is None or found is None else found and self.also

    @property
    def ratio(self) -> float | None:
        """Ours / beside of the medians."""
        if not self.ours or not self.beside or not median(self.beside):
            return None
        return median(self.ours) / median(self.beside)

    def markdown(self, *, judge: bool = True) -> str:
        """The line as Markdown; `judge`: with whether the goal is reached."""
        work = self.work + (f" ({self.note})" if self.note else "")
        beside = f"{self.peer} {self._figure(self.beside)}" if self.beside else self.peer
        memory = " / ".join(f"{median(found):.0f} MB" if found else "" for found in self._memory())
        goal = self.goal.text(self.unit) if self.goal else ""
        verdict = {True: "yes", False: "**no**", None: ""}[self.reached if judge else None]
        cells = [work, self._figure(self.ours), beside, self._ratio(), goal, verdict, memory]
        return "| " + " | ".join(cells) + " |"

    def record(self) -> dict[str, Any]:
        """The line for JSON, with the figures of every round."""
        return {
            "name": self.name,
            "work": self.work,
            "unit": self.unit,
            "ours": self.ours,
            "peer": self.peer,
            "beside": self.beside,
            "ratio": self.ratio,
            "goal": self.goal.text(self.unit) if self.goal else None,
            "reached": self.reached,
            "ours_peak_mb": self.ours_mb,
            "beside_peak_mb": self.beside_mb,
            "note": self.note,
        }

    def _memory(self) -> list[list[float]]:
        return [self.ours_mb, self.beside_mb] if self.ours_mb or self.beside_mb else []

    def _ratio(self) -> str:
        ratio = self.ratio
        if ratio is None:
            return ""
        if self.goal is not None and self.goal.kind == "more":
            return f"{median(self.ours) - median(self.beside):+.2f} {self.unit}"
        if self.goal is not None and self.goal.kind == "as fast":
            return f"{1 / ratio:.1f}x as fast" if self.unit == "s" else f"1/{1 / ratio:.1f}"
        return f"{ratio:.2f}x"

    def _figure(self, figures: list[float]) -> str:
        if not figures:
            return ""
        scale, unit = _unit(median(figures), self.unit)
        shown = [_number(figure * scale) for figure in (median(figures), min(figures), max(figures))]
        spread = f" ({shown[1]} .. {shown[2]})" if len(figures) > 1 else ""
        return f"{shown[0]} {unit}{spread}"


def absent(name: str, work: str, reason: str, goal: Goal | None = None) -> Row:
    """A row that could not be measured, and why."""
    return Row(name, work, [], reason, goal=goal)


def _unit(figure: float, unit: str) -> tuple[float, str]:
    """The unit to show a figure in, and what to multiply by."""
    if unit == "s" and figure < 0.0001:
        return 1e6, "µs"
    if unit == "s" and figure < 0.1:
        return 1e3, "ms"
    return 1.0, unit


def _number(figure: float) -> str:
    """Three digits or so."""
    return f"{figure:.2f}" if figure < 10 else f"{figure:.1f}" if figure < 100 else f"{figure:,.0f}"


def median(figures: list[float]) -> float:
    """The median of some rounds."""
    return float(statistics.median(figures))


def markdown(rows: list[Row], heading: str, *, judge: bool = True) -> str:
    """The whole table."""
    return "\n".join([heading, "", HEAD, *(row.markdown(judge=judge) for row in rows), ""])
