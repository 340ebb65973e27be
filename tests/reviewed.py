"""Reports of the change between two versions, of which a test says the rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from croissant_recipes.report import Report, Verdict
from croissant_recipes.review.causes import Cause
from croissant_recipes.review.reviewing import review
from croissant_recipes.review.side import Side
from tests.croissants import Given, tables_of


def pickable(name: str, label: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "is_particle": True, "label": label, "color": [0, 117, 220, 255], "radius": 60.0, **more}


def picks(run: str, name: str, **more: Any) -> dict[str, Any]:
    return {"run": run, "user_id": "ada", "session_id": "1", "object_name": name, "voxel_size": 10.0, **more}


def tomogram(run: str, size: float, name: str = "wbp") -> dict[str, Any]:
    return {"run": run, "voxel_size": size, "tomo_type": name, "url": f"{run}/{size}/{name}.zarr"}


def manifest(*objects: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "Small", "version": "1.0.0", "copick:config": {"pickable_objects": list(objects)}, **more}


def report_of(
    before: tuple[Given, Mapping[str, Any]] | None,
    after: tuple[Given, Mapping[str, Any]],
    *,
    allowed: Collection[str] = (),
    causes: Mapping[tuple[str, str], Cause] | None = None,
    **more: Any,
) -> Report:
    """Args:
    before, after: The rows of each record set, and the manifest.
    allowed: Words of ``--allow``.
    causes: Those of groups, by record set and kind.
    more: Further fields of the report.
    """
    there = Side(tables_of(before[0]), before[1]) if before else None
    found = review(there, Side(tables_of(after[0]), after[1]), allowed)
    told = (replace(g, cause=(causes or {}).get((g.record_set, g.kind), g.cause)) for g in found.groups)
    found = replace(found, groups=tuple(told))
    verdict = Verdict.CHANGES if found.changes else Verdict.UP_TO_DATE
    return Report(
        more.pop("path", "recipe.yaml"),
        more.pop("verdict", verdict if before else Verdict.NEW),
        more.pop("findings", ()),
        "Croissant",
        "Croissant/metadata.json",
        False,
        **{
            "name": "small",
            "rows": {name: len(table) for name, table in found.after.tables.items()},
            "runs": len(found.after.tables["runs"]),
            "changes": found.changes,
            "review": found,
            **more,
        },
    )
