"""What each layer of a plan did, and what the sources fill of the dataset's metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from croissant_recipes.compiler.merging import Replacement
from croissant_recipes.compiler.withholding import Hidden
from croissant_recipes.diagnostics import joined, key_text
from croissant_recipes.render import share_table
from croissant_recipes.render.findings import count
from croissant_recipes.report import LayerReport, Report
from croissant_recipes.review.wording import counted

_FEW = 3


def adds(layer: LayerReport) -> str:
    """``adds 4 runs, 1 mesh``."""
    parts = [counted(n, artifact) for artifact, n in layer.adds.items() if n]
    return "adds " + ", ".join(parts) if parts else "adds nothing"


def head(layer: LayerReport) -> str:
    """``layer 1 (export lab): adds 4 runs, 1 mesh``, and how many rows of it are replaced or replace others."""
    parts = [adds(layer)]
    replaced = sum(len(r.keys) for r in layer.replaces)
    parts += [f"replaces {count(replaced, 'row')}"] if replaced else []
    return f"{layer.label}: {', '.join(parts)}"


def details(layer: LayerReport, report: Report, *, verbose: bool) -> Iterator[str]:
    """What its selectors took, what it renames, which rows collide and which it replaces. Unless it is ``verbose``, a
    few of each."""
    few = None if verbose else _FEW
    for s in layer.selectors:
        verb = "leaves out" if s.role == "exclude" else "selects"
        yield f"{s.artifact} {s.text!r} {verb} {s.matched:,}"
    if layer.held_runs is not None:
        parts = [
            f"{key} {joined(texts)}" for key, texts in (("having", layer.having), ("lacking", layer.lacking)) if texts
        ]
        yield f"runs {' and '.join(parts)}: {layer.held_runs:,}"
    for r in layer.renames:
        yield f"renames {r.old} to {r.new} ({count(r.rows, 'row')})"
    for old, new in list(layer.run_names.items())[:few]:
        yield f"names run {old} {new}"
    if few is not None and len(layer.run_names) > few:
        yield f"and {count(len(layer.run_names) - few, 'more run')}"
    for c in layer.collisions:
        key = key_text(c.key.values())
        chosen = "not resolved" if c.kept is None else f"row {c.kept + 1} of {len(c.rows)} kept"
        yield f"collision in {c.artifact}: {key} ({chosen})"
    for replacement in layer.replaces:
        yield from _replacement(replacement, report, few)
    if verbose:
        for request in layer.requests:
            cached = f", from cache ({request.age_seconds or 0:.0f} s old)" if request.cached else ""
            yield f"request {request.what}: {count(request.rows, 'row')}, {count(request.bytes, 'byte')}{cached}"


def _replacement(replacement: Replacement, report: Report, few: int | None) -> Iterator[str]:
    earlier = (report.labels or {})[replacement.earlier]
    yield f"replaces {counted(len(replacement.keys), replacement.artifact)} of {earlier}"
    for key in replacement.keys[:few]:
        yield f"  {key_text(key)}"
    if few is not None and len(replacement.keys) > few:
        yield f"  and {len(replacement.keys) - few:,} more"


def filled(report: Report, *, verbose: bool) -> Iterator[str]:
    """What of the dataset's metadata the recipe leaves open, and what it is filled with."""
    for field in report.filled:
        given = field.value if isinstance(field.value, tuple) else (field.value,)
        values = [v["name"] if isinstance(v, Mapping) else str(v) for v in given]
        limit = len(values) if verbose else _FEW
        more = [f"{len(values) - limit} more"] if len(values) > limit else []
        yield f"{field.key}: {joined([*values[:limit], *more])} ({field.origin})"


def splits(report: Report) -> str:
    """``splits: train 2, val 1, none 1``; nothing where there are none."""
    named = {name: len(runs) for name, runs in (report.runs_of_splits or {}).items()}
    if not named:
        return ""
    without = report.runs - sum(named.values())
    return "splits: " + ", ".join([f"{s} {n:,}" for s, n in named.items()] + [f"none {without:,}"] * bool(without))


def shares(report: Report, *, verbose: bool) -> Sequence[str]:
    """How the rows of each object are shared out among the splits, as a table."""
    return [*share_table.lines(report.shares, verbose=verbose)] if report.runs_of_splits else []


def hidden(report: Report, hides: Mapping[str, Hidden], *, verbose: bool) -> Iterator[str]:
    """What one of several results does not show."""
    found = hides.get(report.output_name or "")
    if found is None:
        return
    for split, counts in found.withheld.items():
        parts = [counted(n, artifact) for artifact, n in counts.items() if n]
        yield f"withholds {joined(parts) if parts else 'nothing'} of {split}"
    new = {entry.run for entry in found.given}
    names = list(found.names.items())
    few = None if verbose else _FEW
    for run, name in names[:few]:
        yield f"calls {run} {name}" + (", a new name" if run in new else "")
    if few is not None and len(names) > few:
        yield f"and {count(len(names) - few, 'more run')} otherwise"
