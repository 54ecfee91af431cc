"""What `check_gradient` found: a table, the worst entry, and a sentence about who is suspect."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

OK, KINKS, ON_KINKS, DISAGREES = "ok", "ok (kinks)", "on kinks", "DISAGREES"

_ROW = "{:<14.14}  {:<26.26}  {:<7}  {:<7}  {:<26.26}  {}"


@dataclass(frozen=True, repr=False, eq=False)
class GradientCheck:
    """What `check_gradient` found. It prints as a table, and is neither true nor false.

    Attributes
    ----------
    title : str
    value : float
        J at the point.
    sources : dict
        Label of each source, and "" or the reason why it could not be compared.
    blocks : list of dict
        One for each block and pair of sources: ``pandas.DataFrame(report.blocks)`` works. The
        columns named after sources hold the derivatives at the worst entry.
    gradients : dict
        Label, and gradient of shape (n_parameters,), of each source that computed all of it.
    kinks, left_out : int
        Parameters (or directions) whose differences disagreed and crossed a kink, and those of
        them that lie on it, and were left out of a comparison.
    mode : str
        What was measured, in words; empty if each parameter was.
    """

    title: str
    value: float
    sources: dict[str, str]
    blocks: list[dict[str, Any]]
    gradients: dict[str, np.ndarray]
    kinks: int
    left_out: int
    mode: str

    @property
    def ok(self) -> bool:
        """Whether all agree in every block, and no two sources are on kinks in all of them."""
        return not self._bad() and not self._only_kinks()

    @property
    def max_relative_error(self) -> float:
        """The largest of the blocks, where rounding counts as zero if that is needed to pass."""
        return float(np.nanmax([0.0, *[record["relative_error"] for record in self.blocks]]))

    @property
    def worst(self) -> str:
        """Where the sources are furthest apart for what is allowed, like ``coefs[0][3, 17]``."""
        return self._worst()["worst"]

    @property
    def step(self) -> float | None:
        """By how much `worst` was moved to measure the derivative; None if it was not."""
        return self._worst()["step"]

    @property
    def suspect(self) -> str | None:
        """The one source that disagrees while all others agree with each other."""
        labels = self._compared()
        bad = {_pair(record) for record in self._bad()}
        for label in labels if len(labels) > 2 else []:
            if bad == {pair for pair in combinations(labels, 2) if label in pair}:
                return label
        return None

    @property
    def conclusion(self) -> str:
        """What was found, in words: the last line of the table."""
        if self._bad():
            text = self._accusation()
        elif self._only_kinks():
            text = "Nothing measured could be compared: theta lies on kinks. Give another point."
        else:
            tied = any(record["verdict"] == ON_KINKS for record in self.blocks)
            n = len(self._compared())
            text = (
                f"{'Both' if n == 2 else f'All {n}'} sources agree in every block"
                f"{' that is not on kinks' * tied} "
                f"(largest relative error {self.max_relative_error:.1e})."
            )
        if self.gradients and not any(gradient.any() for gradient in self.gradients.values()):
            text += " The gradient is zero in every entry: another point would say more."
        if self.kinks:
            again, out = self.kinks - self.left_out, self.left_out
            text = f"Differences crossed a kink: {again} measured again, {out} left out. {text}"
        return text

    def __bool__(self) -> bool:
        raise TypeError("A report is neither true nor false: print it, or ask report.ok.")

    def __str__(self) -> str:
        worst = self._worst()
        values = ", ".join(f"{s} {worst[s]:.9g}" for s in self.sources if s in worst)
        step = "" if self.step is None else f" (step {self.step:.2g})"
        refused = [f"{s} is not compared: {reason}" for s, reason in self.sources.items() if reason]
        below = [*refused, f"{self.worst}: {values}{step}", self.mode, self.conclusion]
        wrapped = [textwrap.fill(s, 100, subsequent_indent="  ") for s in [self.title, *below] if s]
        return "\n".join([wrapped[0], f"J = {self.value:.9g}", *self._table(), *wrapped[1:]])

    __repr__ = __str__

    def _compared(self) -> list[str]:
        return [label for label, reason in self.sources.items() if not reason]

    def _bad(self) -> list[dict[str, Any]]:
        return [record for record in self.blocks if record["verdict"] == DISAGREES]

    def _worst(self) -> dict[str, Any]:
        badness = [record["relative_error"] / record["tolerance"] for record in self.blocks]
        return self.blocks[int(np.argmax(np.nan_to_num(badness, nan=-1.0)))]

    def _only_kinks(self) -> bool:
        comparable = {_pair(record) for record in self.blocks if record["verdict"] != ON_KINKS}
        return len(comparable) < len(list(combinations(self._compared(), 2)))

    def _accusation(self) -> str:
        labels, suspect = self._compared(), self.suspect
        where = ", ".join(dict.fromkeys(record["block"] for record in self._bad()))
        if suspect is None:
            text = f"{' and '.join(labels)} DISAGREE in {where}"
            if len(labels) > 2:
                return f"{text}, and no single one is alone."
            return f"{text}. Two cannot tell which of them is wrong: compare with a third source."
        others = " and ".join(label for label in labels if label != suspect)
        text = f"{others} agree, and {suspect} DISAGREES in {where}: {suspect} is suspect."
        if suspect.lower().startswith("numeric"):
            text += " A measurement is wrong where J is noisy: see Numeric(noise_level=)."
        return text

    def _table(self) -> list[str]:
        rows = [_ROW.format("block", "sources", "error", "allowed", "worst entry", "verdict")]
        for record in self.blocks:
            sources = f"{record['source_a']}, {record['source_b']}"
            error, allowed = f"{record['relative_error']:.1e}", f"{record['tolerance']:.0e}"
            worst, verdict = record["worst"], record["verdict"]
            rows.append(_ROW.format(record["block"], sources, error, allowed, worst, verdict))
        return rows


def _pair(record: dict[str, Any]) -> tuple[str, str]:
    return record["source_a"], record["source_b"]
