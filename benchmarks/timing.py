"""Contests: the same work by several contestants, in turn, in one process.

A contest's rows say how long each took (the median over the rounds, after a warm-up) and how many
times as long as skgd it took (the ratio of the medians, with the smallest and the largest ratio of
one round). Machines are noisy: what happens in one round happens to all.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

OURS = "skgd"
_REST = (
    0.25  # seconds: the threads of OpenBLAS keep a processor busy for .1 s after their last work
)


@dataclass
class Row:
    """One contestant in one contest."""

    group: str
    work: str
    name: str
    seconds: float
    ratio: float  # its median over ours: above 1 skgd is faster
    least: float
    most: float
    goal: float | None = None
    note: str = ""

    def line(self) -> str:
        """One line of the table."""
        ratio = "" if self.name == OURS else f"{self.ratio:7.2f}{self.least:7.2f}{self.most:7.2f}"
        goal = "" if self.goal is None else f"{self.goal:6.2f}"
        return (
            f"{self.work:44s}{self.name:34s}{self.seconds:10.4f}{ratio:21s}{goal:>6s}  {self.note}"
        )


@dataclass
class Report:
    """All rows of a run, printed as they come."""

    rows: list[Row] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def contest(
        self,
        group: str,
        work: str,
        contestants: dict[str, Callable[[], Any]],
        *,
        rounds: int = 5,
        goals: dict[str, float] | None = None,
        notes: dict[str, str] | None = None,
    ) -> dict[str, float]:
        """Run a contest and print its rows; the first contestant is ours. Returns the medians."""
        seconds = in_turn(contestants, rounds)
        medians = {name: statistics.median(of) for name, of in seconds.items()}
        ours = seconds[OURS]
        for name, of in seconds.items():
            ratios = [theirs / mine for theirs, mine in zip(of, ours, strict=True)]
            row = Row(
                group,
                work,
                name,
                medians[name],
                medians[name] / medians[OURS],
                min(ratios),
                max(ratios),
                (goals or {}).get(name),
                (notes or {}).get(name, ""),
            )
            self.rows.append(row)
            print(row.line(), flush=True)
        return medians

    def heading(self, group: str) -> None:
        """Begin a group."""
        print(f"\n== {group}\n{'':44s}{'':34s}{'seconds':>10s}{'ratio':>7s}{'min':>7s}{'max':>7s}"
              f"{'goal':>6s}")  # fmt: skip

    def summary(self, group: str) -> None:
        """Print the geometric mean of the ratios over the rows of a group, and the worst row."""
        names = dict.fromkeys(row.name for row in self.rows if row.group == group)
        for name in [name for name in names if name != OURS]:
            of = [row for row in self.rows if (row.group, row.name) == (group, name)]
            mean = statistics.geometric_mean([row.ratio for row in of])
            goal = next((f"  (goal {row.goal:g})" for row in of if row.goal is not None), "")
            worst = min(of, key=lambda row: row.ratio)
            print(f"   {name}: geometric mean {mean:.2f}{goal}; least {worst.ratio:.2f}, "
                  f"{worst.work}", flush=True)  # fmt: skip
            self.facts[f"{group} / {name} / geometric mean"] = mean

    def fact(self, name: str, value: float | str, goal: str = "") -> None:
        """Print and keep a figure that is no contest."""
        shown = value if isinstance(value, str) else f"{value:.4g}"
        print(f"   {name}: {shown}" + (f"  (goal {goal})" if goal else ""), flush=True)
        self.facts[name] = value

    def skip(self, name: str, why: Exception) -> None:
        """Say that a peer takes no part."""
        if name not in self.skipped:
            print(f"   without {name}: {why}", flush=True)
            self.skipped.append(name)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "facts": self.facts,
            "skipped": self.skipped,
        }


def in_turn(contestants: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each in each round, after a round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if round_:
                seconds[name].append(time.perf_counter() - start)
            time.sleep(_REST)
    return seconds


def seconds_of(run: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
