"""The steps of a plan of many rows, in pandas, Arrow, Polars and DuckDB: ``python -m benchmarks.compare_engines``.

Needs ``pip install --group engines``. Each figure is of one step in a fresh process that holds what the step needs:
wall-clock and CPU seconds of the step, and peak memory of the process. ``import`` is the import alone, ``exact`` lists
texts that do not survive reading or writing a CSV, ``convert`` is from the engine's table to a pandas frame and back,
which copick and the library's users need. Every engine must give the answers of the first one.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engines import COLUMNS
from benchmarks.floor import in_fresh_process, measured

ENGINES = {
    "pandas": "benchmarks.engines.pandas_plain",
    "categories": "benchmarks.engines.pandas_categories",
    "codes": "benchmarks.engines.pandas_codes",
    "Arrow": "benchmarks.engines.arrow",
    "Polars": "benchmarks.engines.in_polars",
    "DuckDB": "benchmarks.engines.in_duckdb",
}
PACKAGES = {
    "pandas": ("pandas", "numpy"),
    "categories": ("pandas", "numpy"),
    "codes": ("pandas", "numpy", "pyarrow"),
    "Arrow": ("pyarrow",),
    "Polars": ("polars", "polars-runtime-32"),
    "DuckDB": ("duckdb",),
}
IMPORTS = {
    "pandas": "pandas",
    "categories": "pandas",
    "codes": "pandas, pyarrow.compute, pyarrow.csv",
    "Arrow": "pyarrow.compute, pyarrow.csv",
    "Polars": "polars",
    "DuckDB": "duckdb",
}
TRAPS = [
    *("0042", "1e5", "NA", "null", "nan", "None", "", "true", " lead", "trail ", "naïve", "\ufeff", "\x00", "'a'"),
    *("a,b", 'q"q', '"', "l\nf", "c\rr", "c\r\nl", "#5", "\\N", "\\", "99999999999999999999", "1e" + "0" * 60),
]
"""Texts that readers of CSV like to change."""
STEPS = ("import", "exact", "read", "merge", "sort", "compare", "relocate", "select", "digest", "write", "convert")


def measure(engine: str, step: str, folder: Path) -> dict[str, Any]:
    """One step in this process."""
    if step == "import":
        before = time.process_time()
        figures: dict[str, Any] = measured(lambda: exec(f"import {IMPORTS[engine]}"))
        return {**figures, "cpu": time.process_time() - before}
    module = importlib.import_module(ENGINES[engine])
    if step == "exact":
        return {"changed": _changed_texts(module)}
    call, answer = _step(module, step, folder)
    results: list[Any] = []
    before = time.process_time()
    figures = measured(lambda: results.append(call()))
    return {**figures, "cpu": time.process_time() - before, "answer": str(answer(results[0]))}


def _changed_texts(module: Any) -> list[str]:
    """Those of ``TRAPS`` that do not come back from a CSV and do not come into one as they should."""
    from croissant_recipes import tables
    from croissant_recipes.croissant.serialize import csv_bytes

    changed = []
    for text in TRAPS:
        frame = tables.records("picks", {"run": ["1", "2"], "session_id": [text, "x"], "voxel_size": [10.0, None]})
        data = csv_bytes("picks", frame)
        for what, ok in (
            ("read", lambda f=frame, d=data: module.to_pandas(module.read(d))[COLUMNS].equals(f[COLUMNS])),
            ("written", lambda f=frame, d=data: module.write(module.load(f)) == d),
        ):
            try:
                found = ok()
            except Exception as error:  # what engines raise has no common class
                found = False
                what += f": {type(error).__name__}"
            if not found:
                changed.append(f"{text[:8]!r} {what}")
    return changed


def _step(module: Any, step: str, folder: Path) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """What to measure, and what to hold of its result against other engines."""
    from benchmarks.engines import pandas_codes

    old, new = ((folder / name / "Croissant" / "picks.csv").read_bytes() for name in ("older", "newer"))
    if step == "read":
        return lambda: module.read(new), lambda table: _summary(module.to_pandas(table))
    frames = [pandas_codes.read(data) for data in (old, new)]
    if step == "sort":
        shuffled = module.load(frames[1].sample(frac=1.0, random_state=0, ignore_index=True))
        return lambda: module.sort(shuffled), lambda table: _summary(module.to_pandas(table))
    older, newer = module.load(frames[0]), module.load(frames[1])
    if step == "merge":
        return lambda: module.merge(older, newer), lambda r: (_summary(module.to_pandas(r[0])), r[1])
    if step == "compare":
        return lambda: module.compare(older, newer), lambda found: found
    if step == "relocate":
        return lambda: module.relocate(newer), lambda table: _summary(module.to_pandas(table))
    if step == "select":
        return lambda: module.select(newer), lambda found: found
    if step == "digest":
        return lambda: module.digest(newer), lambda found: found
    if step == "write":
        return lambda: module.write(newer), lambda data: data == new
    return lambda: module.load(module.to_pandas(newer)), lambda table: _summary(module.to_pandas(table))


def _summary(frame: Any) -> Any:
    """What is the same for equal tables and hardly ever else."""
    import pandas as pd

    hashes = pd.util.hash_pandas_object(frame[COLUMNS].reset_index(drop=True), index=True)
    return len(frame), int(hashes.sum()), bool((frame[COLUMNS[1:4]] == "").any().any())


def sizes(engine: str) -> float:
    """MB of the installed packages that the engine needs."""
    total = 0
    for package in PACKAGES[engine]:
        files = importlib.metadata.files(package) or []
        total += sum(f.size or 0 for f in files)
    return total / 2**20


def compare(folder: Path, rows: int, engines: list[str], steps: list[str], repeat: int) -> str:
    """The figures as a Markdown table: wall-clock and CPU seconds of each step, and the peak memory."""
    from benchmarks.rows import write_croissant

    write_croissant(folder / "older", rows)
    write_croissant(folder / "newer", rows, version=1)
    lines = ["| step | " + " | ".join(engines) + " |", "| --- |" + " --- |" * len(engines)]
    for step in steps:
        cells, first = [], None
        for engine in engines:
            arguments = ("--engine", engine, "--step", step, "--folder", str(folder))
            found: list[Any] = [in_fresh_process("benchmarks.compare_engines", *arguments) for _ in range(repeat)]
            if step == "exact":
                cells.append("; ".join(found[0]["changed"]) or "yes")
                continue
            answer = found[0].get("answer")
            first = first or answer
            wall, cpu, peak = (statistics.median(f[k] for f in found) for k in ("seconds", "cpu", "peak_rss_mb"))
            other = "" if answer == first else " (another answer)"
            cells.append(f"{wall:.2f} s, {cpu:.2f} s, {peak:.0f} MB{other}")
        lines.append(f"| {step} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    lines.append("| installed | " + " | ".join(f"{sizes(e):.0f} MB" for e in engines) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--engine", choices=ENGINES, help="measure this one alone, in this process")
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.engine:
        print(json.dumps(measure(given.engine, given.step, given.folder)))
        return
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as name:
            table = compare(Path(name), rows, given.engines, given.steps, given.repeat)
        print(f"\n{rows} rows\n\n{table}\n", flush=True)


if __name__ == "__main__":
    main()
