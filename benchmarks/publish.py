"""Write what `bench.py` measured as a page of the documentation.

Run: python benchmarks/publish.py benchmarks/results/bench.json > docs/speed-results.md

Of several files, a later one replaces the groups and figures of the earlier ones that it has.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any


def main() -> None:
    report = _together(
        [json.loads(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:]]
    )
    print("# What `make bench` printed\n")
    print(
        "A ratio is that of the medians, theirs over ours: above 1 skgd is faster. In brackets are"
    )
    print("the least and the largest of one round. [Speed](speed.md) says how it was measured.\n")
    for group, rows in groupby(report["rows"], key=lambda row: row["group"]):
        print(f"## {group}\n\n| work | who | seconds | ratio | goal | |\n|---|---|---|---|---|---|")
        for row in rows:
            print(_line(row))
        for name, value in report["facts"].items():
            if name.startswith(f"{group} / "):
                print(f"| all | {name.split(' / ')[1]}, geometric mean | | **{value:.2f}** | | |")
        print()
    print("## Other figures\n\n| what | figure |\n|---|---|")
    for name, value in report["facts"].items():
        if " / geometric mean" not in name:
            print(f"| {name} | {value if isinstance(value, str) else format(value, '.3g')} |")
    if report["skipped"]:
        print(f"\nWithout: {', '.join(report['skipped'])}.")


def _together(reports: list[dict[str, Any]]) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    facts: dict[str, Any] = {}
    for report in reports:
        rows = sorted(report["rows"], key=lambda row: row["group"])
        groups |= {name: list(of) for name, of in groupby(rows, key=lambda row: row["group"])}
        facts |= report["facts"]
    return {
        "rows": [row for of in groups.values() for row in of],
        "facts": facts,
        "skipped": reports[-1]["skipped"],
    }


def _line(row: dict[str, Any]) -> str:
    ratio = "" if row["name"] == "skgd" else (
        f"{row['ratio']:.2f} ({row['least']:.2f} to {row['most']:.2f})"
    )  # fmt: skip
    goal = "" if row["goal"] is None else f"{row['goal']:g}"
    cells = [row["work"], row["name"], f"{row['seconds']:.4f}", ratio, goal, row["note"]]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
