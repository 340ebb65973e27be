"""Results as plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from croissant_recipes.api import Planned
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.compiler.merging import Replacement
from croissant_recipes.compiler.planner import Plan, Resolution
from croissant_recipes.croissant import diff
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.render.checks import count
from croissant_recipes.schema import RECORD_SETS

_ROWS_SHOWN = 10


def planned(result: Planned, *, verbose: bool) -> str:
    """A plan: what each layer does, and what would change."""
    if result.plan is None:
        return ""
    lines = [f"Plan of {result.path} ({result.plan.checked.recipe.name})", ""]
    lines += _layers(result.plan, verbose=verbose)
    lines += _splits(result.plan)
    if result.prepared is not None:
        lines += _changes(result.prepared.changes, verbose=verbose)
    return "\n".join(lines)


def _of(n: int, name: str) -> str:
    """``1 mesh``, ``2 voxel spacings``. Picks come in sets, which have no word of their own."""
    one = {"meshes": "mesh", "picks": "picks"}.get(name, name.removesuffix("s"))
    return count(n, one.replace("_", " "), name.replace("_", " "))


def _layers(plan: Plan, *, verbose: bool) -> Iterator[str]:
    resolution = plan.resolution
    if resolution.base is not None:
        rows = sum(len(t) for t in resolution.base.inventory.tables.values())
        yield f"base {plan.checked.recipe.base}: {count(rows, 'row')}"
    for i, layer in enumerate(resolution.layers):
        yield f"{layer.spec.label}: {_adds(resolution, i + resolution.shift)}"
        yield from _layer(layer, resolution, i + resolution.shift, verbose=verbose)
    yield ""


def _adds(resolution: Resolution, position: int) -> str:
    added = resolution.merged.added[position]
    parts = [_of(n, artifact) for artifact, n in added.items() if n]
    return "adds " + ", ".join(parts) if parts else "adds nothing"


def _layer(layer: LayerRows, resolution: Resolution, position: int, *, verbose: bool) -> Iterator[str]:
    for s in layer.selectors:
        verb = "leaves out" if s.role == "exclude" else "selects"
        yield f"  {s.artifact} {s.text!r} {verb} {s.matched:,}"
    for r in layer.renames:
        yield f"  renames {r.old} to {r.new} ({count(r.rows, 'row')})"
    names = layer.run_names or {}
    for old, new in list(names.items())[: None if verbose else 3]:
        yield f"  names run {old} {new}"
    if len(names) > 3 and not verbose:
        yield f"  and {count(len(names) - 3, 'more run')}"
    for c in layer.collisions:
        key = ", ".join(str(v) for v in c.key.values())
        chosen = "not resolved" if c.kept is None else f"row {c.kept + 1} of {len(c.rows)} kept"
        yield f"  collision in {c.artifact}: {key} ({chosen})"
    for replacement in resolution.merged.replacements:
        if replacement.later == position:
            yield from _replacement(replacement, resolution, verbose=verbose)
    if verbose:
        for request in layer.inventory.requests:
            cached = f", from cache ({request.age_seconds or 0:.0f} s old)" if request.cached else ""
            yield f"  request {request.what}: {count(request.rows, 'row')}, {count(request.bytes, 'byte')}{cached}"


def _replacement(replacement: Replacement, resolution: Resolution, *, verbose: bool) -> Iterator[str]:
    earlier = resolution.label_at(replacement.earlier)
    yield f"  replaces {_of(len(replacement.keys), replacement.artifact)} of {earlier}"
    for key in replacement.keys[: None if verbose else 3]:
        yield f"    {', '.join(map(str, key))}"
    if len(replacement.keys) > 3 and not verbose:
        yield f"    and {len(replacement.keys) - 3:,} more"


def _splits(plan: Plan) -> Iterator[str]:
    runs = plan.content.tables["runs"]
    counts = runs["split"].value_counts()
    named = {str(k): int(n) for k, n in counts.items() if k}
    if named:
        parts = [f"{name} {named[name]:,}" for name in sorted(named)]
        without = len(runs) - sum(named.values())
        yield "splits: " + ", ".join([*parts, *([f"none {without:,}"] if without else [])])
        yield ""


def _changes(changes: Changes, *, verbose: bool) -> Iterator[str]:
    if changes.exists and not changes:
        yield "No changes: the Croissant is up to date."
        return
    yield "Changes:" if changes.exists else "A new Croissant:"
    for name, table in changes.tables.items():
        if table:
            yield f"  {name}: {table_summary(table) if changes.exists else f'{len(table.added):,}'}"
            if changes.exists or verbose:
                yield from _rows(name, table, verbose=verbose)
    for name, (old, new) in changes.objects.items():
        sign = "+" if old is None else "-" if new is None else "~"
        yield f"  {sign} object {name}"
    if changes.exists:
        for key, (old, new) in changes.metadata.items():
            yield f"  ~ {key}: {_short(old)} -> {_short(new)}"


def table_summary(table: TableChanges) -> str:
    """``+2 ~1 -0, 14 unchanged``."""
    return f"+{len(table.added):,} ~{len(table.after):,} -{len(table.removed):,}, {table.unchanged:,} unchanged"


def _rows(name: str, table: TableChanges, *, verbose: bool) -> Iterator[str]:
    key = RECORD_SETS[name].key
    limit = None if verbose else _ROWS_SHOWN
    for sign, found in (("+", table.added), ("-", table.removed)):
        for row in diff.rows(found, limit):
            yield f"    {sign} {', '.join(str(row[k]) for k in key)}"
        if limit is not None and len(found) > limit:
            yield f"    {sign} and {count(len(found) - limit, 'more row')}"
    for changed in table.changed(limit):
        fields = "; ".join(f"{c} {_short(old)} -> {_short(new)}" for c, (old, new) in changed.fields.items())
        yield f"    ~ {', '.join(str(v) for v in changed.key.values())}: {fields}"
    if limit is not None and len(table.after) > limit:
        yield f"    ~ and {count(len(table.after) - limit, 'more row')}"


def _short(value: Any) -> str:
    text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def built(result: Planned) -> str:
    """One line on what a build did."""
    assert result.prepared is not None
    changes = result.prepared.changes
    rows = [_of(len(t), name) for name, t in _tables(result).items() if len(t)]
    what = "Up to date" if changes.exists and not changes else "Built"
    return f"{what}: {result.metadata_url} ({', '.join(rows) or 'empty'})"


def _tables(result: Planned) -> dict[str, Any]:
    assert result.prepared is not None
    return dict(result.prepared.content.tables)
