"""What a page says of one report: words and numbers in the order of the page, for its template."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from croissant_recipes import differences
from croissant_recipes.comparing import Against
from croissant_recipes.croissant import diff
from croissant_recipes.croissant.diff import ChangedObject, Changes
from croissant_recipes.diagnostics import Diagnostic, key_text
from croissant_recipes.render import bars, changed_rows, layer_graph, point_text, summary
from croissant_recipes.render.bars import Plot
from croissant_recipes.render.layer_graph import Graph
from croissant_recipes.report import Report, Verdict
from croissant_recipes.review.causes import Cause
from croissant_recipes.review.groups import Group
from croissant_recipes.review.reviewing import Review
from croissant_recipes.review.risks import Risk
from croissant_recipes.shown import shown

_STATIC_ROWS = 200
"""How many rows a page shows without its script."""

_SAMPLES = 3
_RISKS, _MOST_RISKS = 12, 1_000
_MOVES = 2_000
_GROUPS = 1_000
_COMMIT = 10

_SIGNS = {"added": "+", "changed": "~", "removed": "−", "renamed": "→"}


@dataclass(frozen=True)
class CountsView:
    """The changes of one record set in numbers."""

    record_set: str
    added: int
    changed: int
    removed: int
    renamed: int
    unchanged: int


@dataclass(frozen=True)
class GroupView:
    """Rows of one cause: what they share, how many they are, and a few of them."""

    number: int
    kind: str
    sign: str
    told: str
    record_set: str
    change_class: str
    rank: int
    cause: Cause
    fields: tuple[str, ...]
    n: int
    samples: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "kind": self.kind,
            "sign": self.sign,
            "record_set": self.record_set,
            "change_class": self.change_class,
            "rank": self.rank,
            "cause": shown(summary.sentence(self.cause)),
            "total": self.n,
        }


@dataclass(frozen=True)
class SinceView:
    """What changed since the last build without anything that the recipe now does."""

    change_class: str
    summary: str
    groups: tuple[GroupView, ...]
    groups_omitted: int


@dataclass(frozen=True)
class FieldView:
    """A field of an object before and after; colours as CSS has them, where the field is one."""

    name: str
    before: str
    after: str
    colour_before: str | None = None
    colour_after: str | None = None


@dataclass(frozen=True)
class ObjectView:
    """A pickable object that differs."""

    name: str
    kind: str
    sign: str
    fields: tuple[FieldView, ...]
    cause: Cause | None


@dataclass(frozen=True)
class KeyView:
    """A key of the dataset before and after."""

    key: str
    before: str
    after: str
    cause: Cause | None


@dataclass(frozen=True)
class MoveView:
    """A run that is in another split; ``""`` is none."""

    run: str
    before: str
    after: str
    cause: Cause


@dataclass(frozen=True)
class LayerView:
    """What a layer did."""

    number: int
    operation: str
    sources: str
    adds: str
    replaces: int
    shadowed: int
    changed: int


@dataclass(frozen=True)
class ResultView:
    """One result of a recipe, as its section of the page has it. ``data`` is JSON with the rows."""

    id: str
    path: str
    between: tuple[str, str] | None
    name: str | None
    output_name: str | None
    output: str | None
    against: str
    verdict: str
    verdict_class: str
    stopped: bool
    summary: str
    version_line: str
    exists: bool
    findings: tuple[Diagnostic, ...]
    risks: tuple[Risk, ...]
    more_risks: tuple[Risk, ...]
    risks_omitted: int
    counts: tuple[CountsView, ...]
    groups: tuple[GroupView, ...]
    groups_omitted: int
    since: SinceView | None
    points: tuple[tuple[str, str], ...]
    split_moves: tuple[MoveView, ...]
    moves_omitted: int
    objects: tuple[ObjectView, ...]
    metadata: tuple[KeyView, ...]
    rows: tuple[tuple[Mapping[str, str], GroupView], ...]
    rows_in_all: int
    rows_omitted: int
    data: Markup
    plots: tuple[Plot, ...]
    graph: Graph | None
    layers: tuple[LayerView, ...]


def of(report: Report, number: int) -> ResultView:
    """What the page says of the ``number``-th report."""
    review = report.review
    changes, risks = (review.changes, review.risks) if review else (None, ())
    exists = changes is not None and changes.exists
    grouped = summary.worst_first(review.groups if review else ())
    groups = grouped[:_GROUPS]
    most = changed_rows.shares([len(group) for group in groups], changed_rows.MOST)
    told = [
        changed_rows.of_group(group, changes.tables[group.record_set], n)
        for group, n in zip(groups, most, strict=True)
        if changes
    ]
    views = tuple(_group(i, group, rows) for i, (group, rows) in enumerate(zip(groups, told, strict=True)))
    changed = _changed_by_layer(views)
    few = changed_rows.shares([len(rows) for rows in told], _STATIC_ROWS)
    return ResultView(
        id=f"result-{number}",
        path=report.path,
        between=report.between,
        name=report.name,
        output_name=report.output_name,
        output=report.output,
        against=_against(report.against, report.path) if report.against else "",
        verdict=summary.word(report),
        verdict_class=summary.word(report).replace(" ", "-"),
        stopped=report.verdict is Verdict.STOPPED,
        summary=summary.numbers(changes) if changes is not None else "no plan",
        version_line=summary.version(review.version) if review else "",
        exists=exists,
        findings=report.findings,
        risks=risks[:_RISKS],
        more_risks=risks[_RISKS:_MOST_RISKS],
        risks_omitted=max(len(risks) - _MOST_RISKS, 0),
        counts=tuple(_counts(changes)) if changes else (),
        groups=views,
        groups_omitted=len(grouped) - len(groups),
        since=_since(report.against.since) if report.against and report.against.since else None,
        points=tuple(point_text.lines(review.geometry)) if review and review.geometry else (),
        split_moves=tuple(_moves(review)) if review else (),
        moves_omitted=max(len(changes.split_moves) - _MOVES, 0) if changes else 0,
        objects=tuple(_object(found, review.causes.objects.get(found.name)) for found in review.changes.objects)
        if review
        else (),
        metadata=tuple(_metadata(review)) if review and exists else (),
        rows=tuple(
            (row, view) for view, rows, n in zip(views, told, few, strict=True) for row in list(rows.each())[:n]
        ),
        rows_in_all=sum(map(len, grouped)),
        rows_omitted=sum(map(len, grouped)) - sum(most),
        data=_island([{**view.to_json(), **rows.to_json()} for view, rows in zip(views, told, strict=True)]),
        plots=tuple(bars.plots(review.composition())) if review else (),
        graph=layer_graph.graph(report, changed) if report.has_plan else None,
        layers=tuple(_layers(report, changed)),
    )


def _counts(changes: Changes) -> Iterator[CountsView]:
    for name, table in changes.tables.items():
        counts = (len(table.added), len(table.after), len(table.removed), len(table.renamed_after), table.unchanged)
        if any(counts):
            yield CountsView(name, *counts)


def _group(number: int, group: Group, rows: changed_rows.Rows) -> GroupView:
    samples = [key_text(rows.now[c][i] for c in rows.key) for i in range(len(rows))[:_SAMPLES]]
    differing = rows.shown["differs"]
    return GroupView(
        number,
        group.kind,
        _SIGNS[group.kind],
        _kind(group),
        group.record_set,
        group.change_class.value,
        group.change_class.rank,
        group.cause,
        group.fields,
        len(group),
        tuple(f"{key}: {differs}" if differs else key for key, differs in zip(samples, differing, strict=False)),
    )


def _kind(group: Group) -> str:
    """Names that the recipe gives are told apart from those that are taken for the same."""
    if group.kind != "renamed":
        return group.kind
    return "renamed by the recipe" if group.declared else "renamed, as it seems"


def _against(against: Against, path: str) -> str:
    """``main (1a2b3c4d5e)``; where the recipe had another name there, with that."""
    parts = [against.commit[:_COMMIT]]
    if against.path is None:
        parts.append("without this recipe")
    elif posixpath.basename(against.path) != os.path.basename(path):
        parts.append(f"there {against.path}")
    return shown(f"{against.revision} ({', '.join(parts)})")


def _since(review: Review) -> SinceView | None:
    if not review.changes:
        return None
    grouped = summary.worst_first(review.groups)
    told = [changed_rows.of_group(g, review.changes.tables[g.record_set], _SAMPLES) for g in grouped[:_GROUPS]]
    views = tuple(_group(i, g, rows) for i, (g, rows) in enumerate(zip(grouped, told, strict=False)))
    return SinceView(
        review.change_class.value, summary.numbers(review.changes), views, max(len(grouped) - len(views), 0)
    )


def _changed_by_layer(views: Sequence[GroupView]) -> dict[int, int]:
    changed: dict[int, int] = {}
    for view in views:
        if view.cause.layer is not None:
            changed[view.cause.layer] = changed.get(view.cause.layer, 0) + view.n
    return changed


def _moves(review: Review) -> Iterator[MoveView]:
    moves, causes = diff.rows(review.changes.split_moves, _MOVES), review.causes
    for move, number in zip(moves, causes.split_moves[:_MOVES], strict=True):
        yield MoveView(move["run"], move["before"], move["after"], causes.all[number])


def _object(found: ChangedObject, cause: Cause | None) -> ObjectView:
    fields = tuple(_field(name, old, new) for name, (old, new) in found.fields.items())
    if found.kind != "changed":
        told = _whole(found.after or found.before or {})
        colour = _colour((found.after or found.before or {}).get("color"))
        was, now = (told, "") if found.kind == "removed" else ("", told)
        fields = (FieldView("", was, now, *((colour, None) if found.kind == "removed" else (None, colour))),)
    return ObjectView(found.name, found.kind, _SIGNS[found.kind], fields, cause)


def _whole(fields: Mapping[str, Any]) -> str:
    """All that is said of an object, in a line; its colour is shown beside it."""
    told = (f"{name} {differences.shown(value, value)[0]}" for name, value in fields.items() if value is not None)
    return shown(", ".join(text for text in told if not text.startswith(("name ", "color "))))


def _field(name: str, old: object, new: object) -> FieldView:
    before, after = differences.shown(old, new)
    colours = (_colour(old), _colour(new)) if name == "color" else (None, None)
    return FieldView(shown(name), shown(before), shown(after), *colours)


def _colour(value: object) -> str | None:
    """A colour of copick, red, green, blue and opacity from 0 to 255, as CSS has it."""
    if not isinstance(value, Sequence) or len(value) < 3 or not all(isinstance(v, int) for v in value):
        return None
    red, green, blue = (min(max(v, 0), 255) for v in value[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"


def _metadata(review: Review) -> Iterator[KeyView]:
    for key, (old, new) in review.changes.metadata.items():
        before, after = differences.shown(old, new)
        yield KeyView(key, shown(before), shown(after), review.causes.metadata.get(key))


def _layers(report: Report, changed: Mapping[int, int]) -> Iterator[LayerView]:
    for layer in report.layers:
        yield LayerView(
            layer.number,
            layer.operation,
            shown(", ".join(layer.sources)),
            layer_graph.adds(layer),
            sum(len(r.keys) for r in layer.replaces),
            sum(layer.shadowed.values()),
            changed.get(layer.number, 0),
        )


def _island(value: Any) -> Markup:
    """JSON inside a script element, of characters that mean nothing to HTML."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
