"""pocket's learning curves from a training run's reports: python docs/make_curve.py RUN/curve.jsonl

Keeps one report a minute in benchmarks/pocket_curve.jsonl and draws docs/images/pocket_curve.png from it; without an
argument it draws what is kept.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "pocket_curve.jsonl"
NAMES = {
    "subject": "subject",
    "box": "box",
    "corrected": "after a corrective click",
    "click": "one click, best of three",
}


def main() -> None:
    if len(sys.argv) > 1:
        KEPT.write_text("".join(json.dumps(row) + "\n" for row in thinned(Path(sys.argv[1]))))
    draw([json.loads(line) for line in KEPT.read_text().splitlines()])


def thinned(path: Path) -> list[dict[str, Any]]:
    """The first report of every minute; of what a resumed run did twice, the second time."""
    rows: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        rows = {minute: one for minute, one in rows.items() if one["step"] < row["step"]}
        rows.setdefault(int(row["minutes"]), row)
    kept = []
    for row in rows.values():
        metrics = {name: round(value, 4) for name, value in row["metrics"].items()}
        kept.append({**row, "minutes": round(row["minutes"], 2), "metrics": metrics})
    return kept


def draw(rows: list[dict[str, Any]]) -> None:
    minutes = [row["minutes"] for row in rows]
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for name, title in NAMES.items():
        axes.plot(minutes, [row["metrics"][name] for row in rows], label=title)
    changes = [row for before, row in itertools.pairwise(rows) if before["side"] != row["side"]]
    for row in [rows[0], *changes]:
        axes.axvline(row["minutes"], color="0.8", linewidth=0.8, zorder=0)
        axes.annotate(
            f" {row['side']} px", (row["minutes"], 0.02), xycoords=("data", "axes fraction"), color="0.4", fontsize=8
        )
    axes.set(xlabel="minutes of training", ylabel="IoU on training samples, running mean", xlim=(0, minutes[-1]))
    axes.grid(axis="y", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.08))
    figure.savefig(ROOT / "docs" / "images" / "pocket_curve.png", dpi=110)


if __name__ == "__main__":
    main()
