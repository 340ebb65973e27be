"""What copick takes: ``python -m benchmarks.copick_side CONFIG``.

Measures, each in a fresh process: an export of the project with and without the sha256 of its files, and an append of
all its picks to a Croissant that already has its runs and tomograms. Prints one JSON object of
``{name: {seconds, peak_rss_mb, total_seconds}}``: ``seconds`` is the call alone, ``total_seconds`` the process with its
imports. copick's own validation of the result is left out, in copick's favour.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.floor import in_fresh_process, measured

_MODULE = "benchmarks.copick_side"
_METADATA = {
    "dataset_name": "Benchmark",
    "description": "A generated project.",
    "license": "https://creativecommons.org/publicdomain/zero/1.0/",
    "date_published": "2025-01-01",
    "validate": False,
}
_NONE = ("features", "meshes", "segmentations", "objects")


def export(config: Path, out: Path, *, sha256: bool) -> dict[str, float]:
    """Measures copick's export of everything, written to ``out/Croissant``."""
    import copick
    from copick.ops.croissant import export_croissant

    root = copick.from_file(str(config))
    return measured(
        lambda: export_croissant(root, str(out), base_url=out.as_uri(), compute_file_sha256=sha256, **_METADATA)
    )


def export_without_picks(config: Path, out: Path) -> dict[str, float]:
    """Measures the export of runs and tomograms alone; ``append_picks`` needs what it writes."""
    import copick
    from copick.ops.croissant import export_croissant

    root = copick.from_file(str(config))
    nothing: dict[str, list[str]] = {name: [] for name in ("picks", *_NONE)}
    return measured(lambda: export_croissant(root, str(out), base_url=out.as_uri(), **nothing, **_METADATA))


def append_picks(config: Path, out: Path, *, sha256: bool) -> dict[str, float]:
    """Measures copick's append of every pick of the project to the Croissant in ``out``."""
    import copick
    from copick.ops.croissant import append_croissant

    root = copick.from_file(str(config))
    metadata = str(out / "Croissant" / "metadata.json")
    nothing: dict[str, list[str]] = {name: [] for name in ("tomograms", *_NONE)}
    return measured(lambda: append_croissant(metadata, root, compute_file_sha256=sha256, **nothing))


def compare(config: Path) -> dict[str, dict[str, float]]:
    """Every measurement by name, one after the other, each in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:

        def run(task: str, out: str, *options: str) -> dict[str, float]:
            return in_fresh_process(_MODULE, str(config), "--task", task, "--out", str(Path(folder, out)), *options)

        results = {
            "export": run("export", "with"),
            "export_no_sha256": run("export", "without", "--no-sha256"),
            "export_runs_and_tomograms": run("export-without-picks", "append"),
        }
        return {**results, "append_picks": run("append-picks", "append")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="copick config of the project")
    parser.add_argument(
        "--task", choices=("export", "export-without-picks", "append-picks"), help="one, in this process"
    )
    parser.add_argument("--out", type=Path, help="project root that the Croissant of a task belongs to")
    parser.add_argument("--no-sha256", action="store_true")
    given = parser.parse_args()
    if given.task is None:
        print(json.dumps(compare(given.config), indent=2))
        return
    if given.out is None:
        parser.error("--task needs --out")
    given.out.mkdir(parents=True, exist_ok=True)
    if given.task == "export":
        result = export(given.config, given.out, sha256=not given.no_sha256)
    elif given.task == "export-without-picks":
        result = export_without_picks(given.config, given.out)
    else:
        result = append_picks(given.config, given.out, sha256=not given.no_sha256)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
