"""A build and a later plan, without a project or a disk, for tests of why rows differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compiling import plan, recipe

from croissant_recipes import __version__
from croissant_recipes.compiler.lineage import described, of_rows
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import build_record, drift
from croissant_recipes.croissant.build_record import Origin
from croissant_recipes.croissant.content import METADATA
from croissant_recipes.croissant.diff import Changes
from croissant_recipes.croissant.drift import Existing
from croissant_recipes.language import normal_form
from croissant_recipes.review.causes import Causes
from croissant_recipes.review.reviewing import Review, review
from croissant_recipes.review.side import Side
from croissant_recipes.sources.base import Inventory
from croissant_recipes.sources.identity import digest, rows_digest

HEADER = """\
recipe: 1
name: small
dataset:
  {name: Small, description: A few rows., version: 1.0.0, license: MIT, date_published: 2026-01-15,
   url: "https://example.org/small", creators: [{name: Example Lab}]}
output: {project_root: out, base_url: "https://example.org/data"}
sources:
  lab: {copick: {config: lab.json}}
  other: {copick: {config: other.json}}
"""
"""Nine lines: what a test says begins at line 10, and the sources stand at 8 and 9."""

Sources = Mapping[str, Inventory]


@dataclass(frozen=True)
class Told:
    """One cause and how many rows it has: ``kind`` is the change's, ``cause`` the cause's."""

    record_set: str
    kind: str
    cause: str
    line: int | None
    layer: int | None
    what: str
    rows: int


def planned(folder: Path, body: str, sources: Sources, header: str = HEADER, **params: str) -> Plan:
    """The plan of a recipe over what its sources hold."""
    checked = recipe(folder, body, header)
    held = [[sources[name] for name in layer.sources] for layer in checked.layers]
    identities = {
        name: digest({a: rows_digest(t) for a, t in sources[name].tables.items()}, list(sources[name].objects))
        for layer in checked.layers
        for name in layer.sources
    }
    return replace(plan(checked, *held), identities=identities)


def origin(made: Plan, **changes: Any) -> Origin:
    """What a build of a plan notes of how it came about."""
    found = Origin(
        made.checked.recipe.name,
        normal_form.digest(made.checked),
        __version__,
        None,
        made.identities,
        [described(layer.spec) for layer in made.resolution.layers.values()],
        normal_form.parts(made.checked),
    )
    return replace(found, **changes)


def built(made: Plan, **changes: Any) -> Existing:
    """The Croissant that a build of a plan leaves; ``changes`` are of what it notes of how it came about."""
    files = made.content.files()
    lineage = of_rows(made.rows, made.resolution.layers)
    kept = build_record.files_of(origin(made, **changes), made.content.tables, lineage, files)
    found = drift.parse({**files, **kept}, "out")
    assert found is not None
    return found


def side(of: Existing | Plan) -> Side:
    """A version that is compared."""
    if isinstance(of, Existing):
        return Side.of_existing(of)
    return Side.of_plan(of, of.content.tables, json.loads(of.content.files()[METADATA]), origin(of))


def reviewed(before: Existing | Plan | None, after: Existing | Plan) -> Review:
    """How two versions differ."""
    return review(None if before is None else side(before), side(after))


def compared(before: Existing | Plan | None, after: Existing | Plan) -> tuple[Changes, Causes]:
    """What differs, and why."""
    found = reviewed(before, after)
    return found.changes, found.causes


def told(before: Existing | Plan | None, after: Existing | Plan) -> list[Told]:
    """All causes of rows, in the order of record sets and kinds of change."""
    changes, causes = compared(before, after)
    return [
        Told(name, kind, str(cause.kind), cause.line, cause.layer, cause.what, int((ids == at).sum()))
        for name in changes.tables
        for kind, ids in ((kind, causes.rows.get(name, {}).get(kind)) for kind in KINDS)
        if ids is not None
        for at, cause in enumerate(causes.all)
        if (ids == at).any()
    ]


KINDS = "added", "removed", "changed", "renamed"


def lines(found: Sequence[Told]) -> list[tuple[Any, ...]]:
    """Causes without their words."""
    return [(t.record_set, t.kind, t.cause, t.line, t.layer, t.rows) for t in found]
