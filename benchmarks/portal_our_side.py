"""What croissant-recipes takes over a portal: ``python -m benchmarks.portal_our_side URL three-step``.

Builds ``recipes/portal-curation.yaml`` (``three-step``) or a recipe that takes everything (``whole``) from the endpoint
at ``URL``, in a fresh process with an empty response cache. Prints what ``portal_copick_side`` prints.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import yaml

from benchmarks.floor import measured
from benchmarks.portal_copick_side import counted

_RECIPE = Path(__file__).parent.parent / "recipes" / "portal-curation.yaml"


def recipe(scenario: str, url: str, datasets: list[int], folder: Path) -> Path:
    """Write the recipe of a scenario."""
    document = yaml.safe_load(_RECIPE.read_text(encoding="utf-8"))
    document["dataset"] |= {"version": str(document["dataset"]["version"]), "date_published": "2026-01-15"}
    document["sources"]["phantom"]["portal"] = {"datasets": datasets, "url": url}
    document["output"] = {"project_root": str(folder / "out")}
    if scenario == "whole":
        # What the portal itself has twice under one key is not what is measured.
        document["layers"] = [{"export": "phantom", "on_collision": "first"}]
        del document["expect"], document["params"]
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="GraphQL endpoint of the stand-in server")
    parser.add_argument("scenario", choices=("three-step", "whole"))
    parser.add_argument("--datasets", type=int, nargs="+", default=[10000])
    given = parser.parse_args()
    before = counted(given.url)
    with tempfile.TemporaryDirectory() as name:
        os.environ["CROISSANT_RECIPE_CACHE_DIR"] = f"{name}/cache"
        # copick's side imports before it measures, so this one does.
        from croissant_recipes import api, building, planning
        from croissant_recipes.sources.portal import datasets

        assert all((building, planning, datasets))
        path = recipe(given.scenario, given.url, given.datasets, Path(name))
        results = []
        figures: dict[str, float] = measured(lambda: results.append(api.build(path)[0]))
        if not results[0].ok:
            raise SystemExit("\n".join(str(d) for d in results[0].diagnostics))
    print(json.dumps(figures | {key: value - before[key] for key, value in counted(given.url).items()}))


if __name__ == "__main__":
    main()
