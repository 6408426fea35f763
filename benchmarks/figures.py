"""What a section found, and how it is shown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TITLES: Final = ("figure", "measured", "reference in the same run", "ratio", "goal", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number beside what it is compared with. `met` None: there is no goal for it, it explains another."""

    what: str
    value: str
    reference: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        met = "" if self.met is None else "yes" if self.met else "NO"
        return (self.what, self.value, self.reference, ratio, self.goal, met)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def ratios(measured: Sequence[float], references: Sequence[float]) -> float:
    """The median of the ratios of rounds: neighbours in time share the noise of the machine."""
    return median([ours / theirs for ours, theirs in zip(measured, references, strict=True)])


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """The median, and how far the rounds lie apart."""
    if len(values) == 1:
        return format(values[0], form)
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table, also valid as Markdown."""
    rows = [_TITLES, *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )
