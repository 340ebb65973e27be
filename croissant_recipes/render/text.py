"""Reports as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from croissant_recipes.compiler.merging import Replacement
from croissant_recipes.croissant import diff
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.diagnostics import key_text
from croissant_recipes.render.findings import count
from croissant_recipes.report import LayerReport, Report, Verdict
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS

_ROWS_SHOWN = 10


def planned(report: Report, *, verbose: bool) -> str:
    """A plan: what each layer does, and what would change."""
    if not report.has_plan:
        return ""
    lines = [f"Plan of {report.path} ({report.name})", ""]
    lines += _layers(report, verbose=verbose)
    lines += _splits(report)
    if report.changes is not None:
        lines += _changes(report.changes, verbose=verbose)
    return "\n".join(lines)


def _of(n: int, name: str) -> str:
    """``1 mesh``, ``2 voxel spacings``, of a type of artifact or a record set."""
    known = ARTIFACTS.get(name)
    one = known.one if known else name.removesuffix("s").replace("_", " ")
    return count(n, one, known.many if known else name.replace("_", " "))


def _layers(report: Report, *, verbose: bool) -> Iterator[str]:
    if report.base is not None:
        yield f"base {report.base}: {count(report.base_rows, 'row')}"
    for layer in report.layers:
        yield f"{layer.label}: {_adds(layer)}"
        yield from _layer(layer, report, verbose=verbose)
    if report.base is not None or report.layers:
        yield ""


def _adds(layer: LayerReport) -> str:
    parts = [_of(n, artifact) for artifact, n in layer.adds.items() if n]
    return "adds " + ", ".join(parts) if parts else "adds nothing"


def _layer(layer: LayerReport, report: Report, *, verbose: bool) -> Iterator[str]:
    for s in layer.selectors:
        verb = "leaves out" if s.role == "exclude" else "selects"
        yield f"  {s.artifact} {s.text!r} {verb} {s.matched:,}"
    for r in layer.renames:
        yield f"  renames {r.old} to {r.new} ({count(r.rows, 'row')})"
    for old, new in list(layer.run_names.items())[: None if verbose else 3]:
        yield f"  names run {old} {new}"
    if len(layer.run_names) > 3 and not verbose:
        yield f"  and {count(len(layer.run_names) - 3, 'more run')}"
    for c in layer.collisions:
        key = key_text(c.key.values())
        chosen = "not resolved" if c.kept is None else f"row {c.kept + 1} of {len(c.rows)} kept"
        yield f"  collision in {c.artifact}: {key} ({chosen})"
    for replacement in layer.replaces:
        yield from _replacement(replacement, report, verbose=verbose)
    if verbose:
        for request in layer.requests:
            cached = f", from cache ({request.age_seconds or 0:.0f} s old)" if request.cached else ""
            yield f"  request {request.what}: {count(request.rows, 'row')}, {count(request.bytes, 'byte')}{cached}"


def _replacement(replacement: Replacement, report: Report, *, verbose: bool) -> Iterator[str]:
    earlier = (report.labels or {})[replacement.earlier]
    yield f"  replaces {_of(len(replacement.keys), replacement.artifact)} of {earlier}"
    for key in replacement.keys[: None if verbose else 3]:
        yield f"    {key_text(key)}"
    if len(replacement.keys) > 3 and not verbose:
        yield f"    and {len(replacement.keys) - 3:,} more"


def _splits(report: Report) -> Iterator[str]:
    named = {name: len(runs) for name, runs in (report.runs_of_splits or {}).items()}
    if named:
        parts = [f"{name} {n:,}" for name, n in named.items()]
        without = report.runs - sum(named.values())
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
            yield f"    {sign} {key_text(row[k] for k in key)}"
        if limit is not None and len(found) > limit:
            yield f"    {sign} and {count(len(found) - limit, 'more row')}"
    for changed in table.changed(limit):
        fields = "; ".join(f"{c} {_short(old)} -> {_short(new)}" for c, (old, new) in changed.fields.items())
        yield f"    ~ {key_text(changed.key.values())}: {fields}"
    if limit is not None and len(table.after) > limit:
        yield f"    ~ and {count(len(table.after) - limit, 'more row')}"


def _short(value: Any) -> str:
    text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def built(report: Report) -> str:
    """One line on what a build did."""
    rows = [_of(n, name) for name, n in (report.rows or {}).items() if n]
    what = "Up to date" if report.verdict is Verdict.UP_TO_DATE else "Built"
    return f"{what}: {report.metadata_url} ({', '.join(rows) or 'empty'})"
