"""Many rows: ``python -m benchmarks.compare_rows --rows 100000 1000000``.

A Croissant of so many picks is built from another one, and then a plan is made from a newer version of that, in which
one row in a hundred went, another came and one in ten changed. Each call is measured in a fresh process, imports left
out, beside ``pandas``: reading one such CSV and writing it again with pandas alone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.floor import in_fresh_process, measured
from benchmarks.rows import DATASET, write_croissant


def recipe(source: Path, out: Path) -> dict[str, object]:
    """A recipe that publishes the picks of a Croissant again."""
    return {
        "recipe": 1,
        "name": "rows",
        "dataset": DATASET,
        "output": {"project_root": str(out), "base_url": "https://data.example.org/projects/benchmark"},
        "sources": {"rows": {"croissant": {"url": str(source)}}},
        "layers": [{"export": "rows"}],
    }


def _ours(task: str, folder: Path) -> Callable[[], object]:
    os.environ["CROISSANT_RECIPE_CACHE_DIR"] = str(folder / "cache")
    from croissant_recipes import api, building, planning

    assert all((building, planning))
    newer = task == "plan"
    path = folder / f"{task}.yaml"
    source = folder / ("newer" if newer else "older") / "Croissant" / "metadata.json"
    path.write_text(json.dumps(recipe(source, folder / "out")), encoding="utf-8")

    def call() -> None:
        result = (api.plan if newer else api.build)(path)[0]
        if not result.ok:
            raise SystemExit("\n".join(str(d) for d in result.diagnostics))

    return call


def _pandas(folder: Path) -> Callable[[], object]:
    import pandas as pd

    data = (folder / "newer" / "Croissant" / "picks.csv").read_bytes()
    return lambda: pd.read_csv(io.BytesIO(data), dtype="str", keep_default_na=False).to_csv(io.StringIO(), index=False)


def compare(folder: Path, rows: int, repeat: int) -> list[str]:
    """A line for each task."""
    write_croissant(folder / "older", rows)
    write_croissant(folder / "newer", rows, version=1)
    lines = []
    for task in ("build", "plan", "pandas"):
        found = [in_fresh_process("benchmarks.compare_rows", "--task", task, str(folder)) for _ in range(repeat)]
        figures = {key: statistics.median(f[key] for f in found) for key in found[0]}
        lines.append(f"{rows:>9} rows  {task:<6}  {figures['seconds']:7.2f} s  {figures['peak_rss_mb']:6.0f} MB")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="of what one task is measured on")
    parser.add_argument("--task", choices=("build", "plan", "pandas"), help="measure this alone, in this process")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    if given.task:
        print(
            json.dumps(measured(_pandas(given.folder) if given.task == "pandas" else _ours(given.task, given.folder)))
        )
        return
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as name:
            print("\n".join(compare(Path(name), rows, given.repeat)), flush=True)


if __name__ == "__main__":
    main()
