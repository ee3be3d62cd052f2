"""pocket's learning curves from the reports of training runs: python docs/make_curve.py RUN/curve.jsonl ...

Adds them, one report a minute, as the next runs to benchmarks/pocket_curve.jsonl, and draws
docs/images/pocket_curve.png from all that it holds; without an argument it only draws.
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
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()]
    for path in sys.argv[1:]:
        run = kept[-1]["run"] + 1
        kept += [{"run": run, **row} for row in thinned(Path(path))]
    KEPT.write_text("".join(json.dumps(row) + "\n" for row in kept))
    draw(kept)


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
    """All runs one after the other; the curves break where one ends."""
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    colours = dict(zip(NAMES, plt.rcParams["axes.prop_cycle"].by_key()["color"], strict=False))
    start = 0.0
    for number, run in itertools.groupby(rows, lambda row: int(row["run"])):
        reports = list(run)
        minutes = [start + row["minutes"] for row in reports]
        for name in NAMES:
            axes.plot(minutes, [row["metrics"][name] for row in reports], color=colours[name])
        axes.axvline(start, color="0.55", linewidth=0.9, zorder=0)
        axes.annotate(f" run {number}", (start, 0.96), xycoords=("data", "axes fraction"), color="0.3", fontsize=8)
        changes = [(at, row) for at, (before, row) in zip(minutes[1:], itertools.pairwise(reports), strict=True)
                   if before["side"] != row["side"]]  # fmt: skip
        for at, row in [(minutes[0], reports[0]), *changes]:
            axes.axvline(at, color="0.85", linewidth=0.8, zorder=0)
            axes.annotate(f" {row['side']} px", (at, 0.02), xycoords=("data", "axes fraction"), color="0.4", fontsize=8)
        start = minutes[-1]
    for name, title in NAMES.items():
        axes.plot([], [], color=colours[name], label=title)
    axes.set(xlabel="minutes of training", ylabel="IoU on training samples, running mean", xlim=(0, start))
    axes.grid(axis="y", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.08))
    figure.savefig(ROOT / "docs" / "images" / "pocket_curve.png", dpi=110)


if __name__ == "__main__":
    main()
