"""Plans as JSON: versioned, sorted, complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from croissant_recipes.api import Planned
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.compiler.planner import Plan, Resolution
from croissant_recipes.croissant import diff
from croissant_recipes.croissant.diff import Changes
from croissant_recipes.schema import ARTIFACTS

FORMAT = 1
"""Version of the document; a change that a reader could notice raises it."""


def planned(results: Sequence[Planned]) -> str:
    """Plans, or what ``build`` did."""
    return _dump({"format": FORMAT, "kind": "plan", "recipes": [_planned(r) for r in results]})


def _dump(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _planned(result: Planned) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": result.path,
        "ok": result.ok,
        "written": result.written,
        "output": result.output.place if result.output else None,
        "diagnostics": [d.to_json() for d in result.diagnostics],
    }
    if result.plan is not None:
        plan = result.plan
        document |= {
            "name": plan.checked.recipe.name,
            "base_url": plan.publication.base_url,
            "layers": [_layer(plan.resolution, i) for i in range(len(plan.resolution.layers))],
            "objects": plan.content.config["pickable_objects"],
            "splits": _splits(plan),
            "rows": {name: len(table) for name, table in plan.content.tables.items()},
        }
    if result.prepared is not None:
        document["changes"] = _changes(result.prepared.changes)
    return document


def _layer(resolution: Resolution, index: int) -> dict[str, Any]:
    layer: LayerRows = resolution.layers[index]
    position = index + resolution.shift
    return {
        "index": layer.spec.index,
        "operation": layer.spec.operation,
        "source": layer.spec.source,
        "selectors": [asdict(s) for s in layer.selectors],
        "renames": [asdict(r) for r in layer.renames],
        "run_names": dict(layer.run_names or {}),
        "collisions": [
            {
                "artifact": c.artifact,
                "key": _plain(c.key),
                "rows": [_plain(r) for r in c.rows],
                "kept": c.kept,
            }
            for c in layer.collisions
        ],
        "adds": dict(resolution.merged.added[position]),
        "replaces": [
            {
                "artifact": r.artifact,
                "layer": None if resolution.base and r.earlier == 0 else r.earlier - resolution.shift,
                "keys": [_plain(dict(zip(ARTIFACTS[r.artifact].key, key, strict=True))) for key in r.keys],
            }
            for r in resolution.merged.replacements
            if r.later == position
        ],
        "shadowed": {r.artifact: len(r.keys) for r in resolution.merged.replacements if r.earlier == position},
        "requests": [asdict(r) for r in layer.inventory.requests],
    }


def _splits(plan: Plan) -> dict[str, list[str]]:
    runs = plan.content.tables["runs"]
    return {name: sorted(runs["name"][runs["split"] == name]) for name in plan.content.splits}


def _changes(changes: Changes) -> dict[str, Any]:
    return {
        "exists": changes.exists,
        "record_sets": {
            name: {
                "added": diff.rows(table.added),
                "changed": [
                    {"key": c.key, "fields": {k: _pair(old, new) for k, (old, new) in c.fields.items()}}
                    for c in table.changed()
                ],
                "removed": diff.rows(table.removed),
                "unchanged": table.unchanged,
            }
            for name, table in changes.tables.items()
        },
        "objects": {name: _pair(old, new) for name, (old, new) in changes.objects.items()},
        "metadata": {key: _pair(old, new) for key, (old, new) in changes.metadata.items()},
    }


def _pair(old: Any, new: Any) -> dict[str, Any]:
    return {"before": old, "after": new}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.item() if hasattr(v, "item") else v for k, v in row.items()}
