"""croissant-recipes beside copick on one generated project: ``python -m benchmarks.compare_projects``.

Every figure is of one call in a fresh process (imports left out on both sides); our tasks run ``--repeat`` times and
the median counts, copick's once. The ratios are what to quote: absolute times belong to the machine. ``floor`` is
listing the same directories and hashing the same files in plain Python. Linux only, as it reads peak memory from
``/proc``.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.floor import in_fresh_process
from benchmarks.projects import write_project

Figures = dict[str, float]
_OURS, _COPICK, _FLOOR = "benchmarks.our_side", "benchmarks.copick_side", "benchmarks.floor"


class Bench:
    """Measures on one project, below one folder."""

    def __init__(self, folder: Path, runs: int, picks: int, repeat: int) -> None:
        self.folder = folder
        self.repeat = repeat
        self.project = folder / f"project-{runs}"
        write_project(self.project, runs=runs, picks_per_run=picks, meshes_per_run=1)
        self.config = str(self.project / "filesystem.json")

    def ours(self, task: str, out: str, *flags: str, fresh: bool = True) -> Figures:
        found = []
        for i in range(self.repeat):
            place = self.folder / f"{out}-{i}"
            if fresh:
                shutil.rmtree(place, ignore_errors=True)
            if task == "append-picks":
                in_fresh_process(_OURS, self.config, "--task", "export-without-picks", "--out", str(place))
            if task == "rebuild":
                self._touch(i)
            found.append(in_fresh_process(_OURS, self.config, "--task", task, "--out", str(place), *flags))
        return {key: statistics.median(f[key] for f in found) for key in found[0]}

    def _touch(self, i: int) -> None:
        """Change one picks file, and wait until the change is old enough to be told from one just under way."""
        path = sorted((self.project / "ExperimentRuns").glob("*/Picks/*.json"))[i]
        path.write_bytes(path.read_bytes() + b" ")
        time.sleep(3)

    def copick(self, task: str, out: str, *flags: str) -> Figures:
        return in_fresh_process(_COPICK, self.config, "--task", task, "--out", str(self.folder / out), *flags)

    def floor(self, *flags: str) -> Figures:
        found = [in_fresh_process(_FLOOR, self.config, *flags) for _ in range(self.repeat)]
        return {key: statistics.median(f[key] for f in found) for key in found[0]}


def compare(bench: Bench) -> list[tuple[str, Figures, Figures, Figures | None, float]]:
    """Every task with our figures, copick's, the floor's, and the ratio that is promised."""
    bench.floor()  # the page cache is warm for everyone
    floor, listing = bench.floor(), bench.floor("--no-sha256")
    export = bench.ours("export", "export")
    rebuild = bench.ours("rebuild", "export", fresh=False)
    plain = bench.ours("export", "plain", "--no-sha256")
    append = bench.ours("append-picks", "append")
    theirs = bench.copick("export", "c-export")
    theirs_plain = bench.copick("export", "c-plain", "--no-sha256")
    bench.copick("export-without-picks", "c-append")
    theirs_append = bench.copick("append-picks", "c-append")
    return [
        ("export, sha256", export, theirs, floor, 12),
        ("export, no sha256", plain, theirs_plain, listing, 20),
        ("append all picks", append, theirs_append, None, 30),
        ("rebuild, one file touched", rebuild, theirs, floor, 25),
    ]


def report(rows: list[tuple[str, Figures, Figures, Figures | None, float]]) -> str:
    """The figures as a table."""
    head = ("task", "ours s", "copick s", "ratio", "wanted", "ours MB", "copick MB", "floor s", "ours/floor")
    lines = [head]
    for name, ours, copick, floor, wanted in rows:
        lines.append(
            (
                name,
                f"{ours['seconds']:.2f}",
                f"{copick['seconds']:.1f}",
                f"{copick['seconds'] / ours['seconds']:.1f}",
                f"{wanted:g}",
                f"{ours['peak_rss_mb']:.0f}",
                f"{copick['peak_rss_mb']:.0f}",
                f"{floor['seconds']:.2f}" if floor else "",
                f"{ours['seconds'] / floor['seconds']:.1f}" if floor else "",
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def linear(folder: Path, sizes: tuple[int, ...]) -> str:
    """Our export at growing sizes: seconds for each thousand runs should stay."""
    lines = []
    for runs in sizes:
        bench = Bench(folder / "linear", runs, 10, 1)
        figures = bench.ours("export", f"linear-{runs}")
        per_thousand = figures["seconds"] / runs * 1000
        lines.append(f"{runs:>6} runs: {figures['seconds']:7.2f} s, {per_thousand:.2f} s per 1,000 runs, "
                     f"{figures['peak_rss_mb']:.0f} MB")  # fmt: skip
        shutil.rmtree(bench.project)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--picks-per-run", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="also our own export at these numbers of runs")
    parser.add_argument("--no-copick", action="store_true", help="only what --sizes asks for")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if not given.no_copick:
            print(report(compare(Bench(Path(name), given.runs, given.picks_per_run, given.repeat))), flush=True)
        if given.sizes:
            print(linear(Path(name), tuple(given.sizes)))


if __name__ == "__main__":
    main()
