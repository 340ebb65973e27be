"""Reports as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from croissant_recipes.compiler.merging import Replacement
from croissant_recipes.compiler.withholding import Hidden
from croissant_recipes.croissant import diff
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.diagnostics import Paint, joined, key_text, plain
from croissant_recipes.differences import change
from croissant_recipes.render import share_table
from croissant_recipes.render.findings import count
from croissant_recipes.report import LayerReport, Report, Verdict
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.shown import printable, shown

_ROWS_SHOWN = 10
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def planned(reports: Sequence[Report], *, verbose: bool, paint: Paint = plain) -> str:
    """The plan of a recipe: what each layer does, and what would change in each of its results."""
    told = [report for report in reports if report.has_plan]
    if not told:
        return ""
    first = next(report for report in told if report.speaks)
    lines = [_title(first), "", *_layers(first, verbose=verbose)]
    lines += [*_filled(first, verbose=verbose), *_splits(first, verbose=verbose)]
    parts = ["\n".join(map(shown, lines))]
    for report in told:
        about = [*_result(report, first.hides, verbose=verbose)]
        changes = _changes(report, report.changes, verbose=verbose) if report.changes is not None else ()
        about = ["", *about] if len(parts) > 1 else about
        parts.append("\n".join([*map(shown, about), *(_painted(line, paint) for line in changes)]))
    return "\n".join(part for part in parts if part)


def _title(report: Report) -> str:
    """What is planned, or compared."""
    if report.between is not None:
        before, after = report.between
        what = f"{report.name}, {report.path}" if report.path not in report.between else report.name
        return f"{before} -> {after} ({what})"
    against = f", against {report.against.revision}" if report.against is not None else ""
    return f"Plan of {report.path} ({report.name}){against}"


def _result(report: Report, hides: Mapping[str, Hidden], *, verbose: bool) -> Iterator[str]:
    """Which result of several it is, and what it hides."""
    if report.output_name is None:
        return
    yield f"Output {report.output_name}, {report.output}:"
    hidden = hides.get(report.output_name)
    if hidden is None:
        return
    for split, counts in hidden.withheld.items():
        parts = [_of(n, artifact) for artifact, n in counts.items() if n]
        yield f"  withholds {joined(parts) if parts else 'nothing'} of {split}"
    new = {entry.run for entry in hidden.given}
    names = list(hidden.names.items())
    for run, name in names[: None if verbose else 3]:
        yield f"  calls {run} {name}" + (", a new name" if run in new else "")
    if len(names) > 3 and not verbose:
        yield f"  and {count(len(names) - 3, 'more run')} otherwise"


def _painted(line: str, paint: Paint) -> str:
    """A line in the colour of the sign that it begins with."""
    text = shown(line)
    body = text.lstrip()
    return text[: len(text) - len(body)] + paint(body, body[:1] if body[1:2] == " " else "")


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
    if layer.held_runs is not None:
        parts = [
            f"{key} {joined(texts)}" for key, texts in (("having", layer.having), ("lacking", layer.lacking)) if texts
        ]
        yield f"  runs {' and '.join(parts)}: {layer.held_runs:,}"
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


def _filled(report: Report, *, verbose: bool) -> Iterator[str]:
    """What of the dataset's metadata the recipe leaves open, and what it is filled with."""
    if not report.filled:
        return
    yield "dataset, where the recipe leaves it open:"
    for field in report.filled:
        given = field.value if isinstance(field.value, tuple) else (field.value,)
        values = [v["name"] if isinstance(v, Mapping) else str(v) for v in given]
        limit = len(values) if verbose else 3
        more = [f"{len(values) - limit} more"] if len(values) > limit else []
        yield f"  {field.key}: {joined([*values[:limit], *more])} ({field.origin})"
    yield ""


def _splits(report: Report, *, verbose: bool) -> Iterator[str]:
    named = {name: len(runs) for name, runs in (report.runs_of_splits or {}).items()}
    if named:
        parts = [f"{name} {n:,}" for name, n in named.items()]
        without = report.runs - sum(named.values())
        yield "splits: " + ", ".join([*parts, *([f"none {without:,}"] if without else [])])
        yield from share_table.lines(report.shares, verbose=verbose)
        yield ""


def _changes(report: Report, changes: Changes, *, verbose: bool) -> Iterator[str]:
    if changes.exists and not changes:
        yield f"No changes: {_unchanged(report)}."
        return
    yield "Changes:" if changes.exists else "A new Croissant:"
    for name, table in changes.tables.items():
        if table:
            moves = len(changes.split_moves) if name == "runs" else 0
            yield f"  {name}: {table_summary(table, moves) if changes.exists else f'{len(table.added):,}'}"
            if changes.exists or verbose:
                yield from _rows(table, verbose=verbose)
    for found in changes.objects:
        fields = [f"{k} {change(old, new)}" for k, (old, new) in found.fields.items()]
        yield f"  {_SIGNS[found.kind]} object {found.name}" + (f": {'; '.join(fields)}" if fields else "")
    if changes.exists:
        for key, (old, new) in changes.metadata.items():
            yield f"  ~ {key}: {change(old, new)}"


def _unchanged(report: Report) -> str:
    """What a Croissant is whose rows and metadata stay."""
    asked = _answers(report)
    if not report.files:
        return f"the Croissant is up to date{asked}"
    return f"rows and metadata stay as they are{asked}, and a build writes {joined(report.files)} anew"


def _answers(report: Report) -> str:
    """From when the portal's answers are where they come from the cache."""
    if report.oldest_answer is None:
        return ""
    asked = datetime.now(UTC) - timedelta(seconds=report.oldest_answer)
    return f" by the portal's answers of {asked:%Y-%m-%d %H:%M} UTC (--refresh asks anew)"


def table_summary(table: TableChanges, moves: int = 0) -> str:
    """``+2 ~1 -0, 48 renamed, 1 split move, 14 unchanged``."""
    parts = [f"+{len(table.added):,} ~{len(table.after):,} -{len(table.removed):,}"]
    parts += [f"{len(table.renamed_after):,} renamed"] if len(table.renamed_after) else []
    parts += [count(moves, "split move")] if moves else []
    return ", ".join([*parts, f"{table.unchanged:,} unchanged"])


def _rows(table: TableChanges, *, verbose: bool) -> Iterator[str]:
    key = table.key
    limit = None if verbose else _ROWS_SHOWN
    for sign, found in (("+", table.added), ("-", table.removed)):
        for row in diff.rows(found, limit):
            yield f"    {sign} {key_text(row[k] for k in key)}"
        if limit is not None and len(found) > limit:
            yield f"    {sign} and {count(len(found) - limit, 'more row')}"
    for changed in table.changed(limit):
        fields = "; ".join(f"{c} {change(old, new)}" for c, (old, new) in changed.fields.items())
        yield f"    ~ {key_text(changed.key.values())}: {fields}"
    if limit is not None and len(table.after) > limit:
        yield f"    ~ and {count(len(table.after) - limit, 'more row')}"
    yield from _renamed(table, limit)


def _renamed(table: TableChanges, limit: int | None) -> Iterator[str]:
    """Rows under another key, in a section of their own."""
    if not len(table.renamed_after):
        return
    yield "    renamed:"
    for row in table.renamed(limit):
        fields = "; ".join(f"{c} {change(old, new)}" for c, (old, new) in row.fields.items())
        keys = f"{key_text(row.before.values())} -> {key_text(row.key.values())}"
        yield f"      ~ {keys} (by {row.way.value})" + (f": {fields}" if fields else "")
    if limit is not None and len(table.renamed_after) > limit:
        yield f"      ~ and {count(len(table.renamed_after) - limit, 'more row')}"


def built(report: Report) -> str:
    """What a build did: whether it wrote, and what where no row and no metadata changed."""
    rows = [_of(n, name) for name, n in (report.rows or {}).items() if n]
    what = "Built" if report.written else "Up to date"
    line = f"{what}: {printable(report.metadata_url or '')} ({', '.join(rows) or 'empty'})"
    if report.verdict is not Verdict.UP_TO_DATE:
        return line
    if report.written:
        stayed = f"rows and metadata stayed as they were{_answers(report)}"
        return f"{line}\n  {stayed}; written anew: {joined(report.files)}"
    return f"{line}{_answers(report)}"
