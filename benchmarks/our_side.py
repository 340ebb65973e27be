"""What croissant-recipes takes for one task: ``python -m benchmarks.our_side CONFIG --task export --out DIR``.

The call alone is measured, in a fresh process, with the cache of file facts in ``DIR``: empty at first, so that an
export reads every file, and left there for the rebuild. Prints one JSON object, as ``copick_side`` does.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from benchmarks.floor import measured

_HEAD = {"recipe": 1, "name": "benchmark"}
_DATASET = {
    "name": "Benchmark",
    "description": "A generated project.",
    "version": "1.0.0",
    "license": "https://creativecommons.org/publicdomain/zero/1.0/",
    "date_published": "2025-01-01",
    "url": "https://example.org/benchmark",
    "creators": [{"name": "Nobody"}],
}
_NO_PICKS = dict.fromkeys(("features", "picks", "meshes", "segmentations", "objects"), "none")
TASKS = ("export", "export-without-picks", "append-picks", "rebuild")


def recipe(task: str, config: Path, out: Path) -> dict[str, object]:
    """The recipe of a task, as the YAML of the format has it."""
    document: dict[str, object] = {**_HEAD, "sources": {"lab": {"copick": {"config": str(config)}}}}
    if task == "append-picks":
        picks = {"append": "lab", "picks": "all", "others": "exclude"}
        base = str(out / "Croissant" / "metadata.json")
        return {**document, "base": base, "output": {"project_root": str(out)}, "layers": [picks]}
    output = {"project_root": str(out), "base_url": "https://example.org/benchmark"}
    layer = {"export": "lab", **(_NO_PICKS if task == "export-without-picks" else {})}
    return {**document, "dataset": _DATASET, "output": output, "layers": [layer]}


def run(task: str, config: Path, out: Path, *, sha256: bool) -> dict[str, float]:
    """Build the recipe of a task."""
    os.environ["CROISSANT_RECIPE_CACHE_DIR"] = str(out / "cache")
    # copick's side imports before it measures, so this one does.
    from croissant_recipes import Options, api, building, planning
    from croissant_recipes.sources import croissant_source, folder_project

    assert all((building, planning, croissant_source, folder_project))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{task}.yaml"
    path.write_text(json.dumps(recipe(task, config, out)), encoding="utf-8")
    results = []
    figures = measured(lambda: results.append(api.build(path, options=Options(file_sha256=sha256))[0]))
    if not results[0].ok:
        raise SystemExit("\n".join(str(d) for d in results[0].diagnostics))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="copick config of the project")
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="project root of the Croissant")
    parser.add_argument("--no-sha256", action="store_true")
    given = parser.parse_args()
    print(json.dumps(run(given.task, given.config, given.out, sha256=not given.no_sha256)))


if __name__ == "__main__":
    main()
