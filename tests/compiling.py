"""Recipes and inventories for tests of the compiler's inside: no project, no disk but the recipe file itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from croissant_recipes import load_recipe, tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import layers, planner
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.compiler.planner import Base, Plan, Target
from croissant_recipes.diagnostics import Diagnostic, in_order
from croissant_recipes.language.checked import CheckedRecipe, LayerSpec, Take, TypeFilter
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS
from croissant_recipes.sources.base import FileFacts, Inventory, Root, empty_tables

ROOT = "static"
LOCATION = "/data/lab"

DATASET = """\
dataset:
  name: Small
  description: A few rows.
  version: 1.0.0
  license: MIT
  date_published: 2026-01-15
  url: https://example.org/small
  creators: [{name: Example Lab}]
"""

HEADER = f"""\
recipe: 1
name: small
{DATASET}output: {{project_root: out, base_url: "https://example.org/data"}}
sources:
  lab: {{copick: {{config: lab.json}}}}
  other: {{copick: {{config: other.json}}}}
"""

Columns = Mapping[str, Sequence[object]]


def recipe(folder: Path, body: str, header: str = HEADER) -> CheckedRecipe:
    """A checked recipe: ``header``, then ``body``."""
    path = folder / "recipe.yaml"
    path.write_text(header + body, encoding="utf-8")
    return load_recipe(path)


def artifacts(artifact: str, *rows: Sequence[object]) -> pd.DataFrame:
    """An artifact table from rows of key values, in the order of the key; each lies at a path of its key."""
    key = ARTIFACTS[artifact].key
    columns: dict[str, list[object]] = {name: [row[i] for row in rows] for i, name in enumerate(key)}
    if artifact != "runs":
        columns["root"] = [ROOT] * len(rows)
        columns["path"] = ["/".join([artifact, *map(str, row)]) for row in rows]
    return tables.artifacts(artifact, columns)


def inventory(
    *,
    objects: Sequence[Mapping[str, Any]] = (),
    roots: Mapping[str, Root] | None = None,
    manifest: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    **given: pd.DataFrame,
) -> Inventory:
    """What a source holds: the tables given, and the runs that their rows name."""
    found = empty_tables() | given
    if "runs" not in given:
        names = sorted({run for table in given.values() if "run" in table for run in table["run"]})
        found["runs"] = artifacts("runs", *([n] for n in names))
    return Inventory(
        tables=found,
        roots=roots or {ROOT: Root(Location.parse(LOCATION))},
        objects=tuple(objects),
        config=config or {},
        manifest=manifest,
    )


def as_layers(*of_layers: Mapping[str, pd.DataFrame]) -> list[LayerRows]:
    """Layers that take all of some artifact tables, numbered from 0; types that are not given have no rows."""
    everything = {artifact: TypeFilter(artifact, Take.ALL) for artifact in ARTIFACTS}
    return [
        layers.apply(
            LayerSpec(i - 1, "append", ("lab",), everything), [Inventory(tables=empty_tables() | given, roots={})]
        )
        for i, given in enumerate(of_layers)
    ]


def obj(name: str, label: int | None = 1, **given: Any) -> dict[str, Any]:
    """A pickable object."""
    return {"name": name, "is_particle": True, "label": label, "color": [1, 2, 3, 255], "metadata": {}, **given}


def plan(
    checked: CheckedRecipe,
    *inventories: Inventory | Sequence[Inventory],
    base: Base | None = None,
    facts: Mapping[str, Mapping[tuple[str, str], FileFacts]] | None = None,
) -> Plan:
    """The plan of a recipe, built below ``/out``, from what the source of each layer holds, or each of its sources."""
    held = [[found] if isinstance(found, Inventory) else found for found in inventories]
    settled = planner.settle(planner.resolve(checked, held, base), facts or {}, {})
    manifest = base.inventory.manifest if base else None
    found = planner.finish(settled, Target(checked.outputs[0], "/out", manifest=manifest))
    return replace(
        found, diagnostics=in_order([*settled.diagnostics, *planner.expected(settled, found), *found.diagnostics])
    )


def rows(found: Plan, record_set: str, *columns: str) -> list[tuple[object, ...]]:
    """The rows of a record set: the given columns, or those of the key."""
    wanted = list(columns or RECORD_SETS[record_set].key)
    return list(found.content.tables[record_set][wanted].itertuples(index=False, name=None))


def with_code(diagnostics: Sequence[Diagnostic], code: Code) -> list[Diagnostic]:
    return [d for d in diagnostics if d.code is code]
