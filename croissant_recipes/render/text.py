"""Reports as text: what a change comes to in one screen, or all of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice

from croissant_recipes.croissant.diff import ChangedObject, Changes, TableChanges
from croissant_recipes.diagnostics import joined
from croissant_recipes.differences import change
from croissant_recipes.render import layer_text, point_text, row_text, summary
from croissant_recipes.render.findings import count
from croissant_recipes.render.row_text import SIGNS
from croissant_recipes.render.view import Line, Section, View, cut, ending, fitted
from croissant_recipes.report import Report, Verdict
from croissant_recipes.review.causes import Cause, Causes
from croissant_recipes.review.classes import ChangeClass
from croissant_recipes.review.geometry import Geometry
from croissant_recipes.review.groups import KINDS, Group
from croissant_recipes.review.risks import Risk
from croissant_recipes.review.wording import counted
from croissant_recipes.shown import printable

_SAMPLES = 3
_FEWEST = 5
_TABLE = (*KINDS, "unchanged")
_ROLES = {ChangeClass.SPLIT_UNSAFE: "error", ChangeClass.BREAKING: "error", ChangeClass.ADDITIVE: "+"}


def of_all(reports: Sequence[Report], view: View | None = None) -> str:
    """The plans of recipes, one after the other; of several, each has its part of the lines that there are."""
    view = view or View()
    of_recipes = [[*each] for _, each in groupby(reports, key=lambda report: report.path)]
    if view.height is not None:
        view = replace(view, height=max(view.height // max(len(of_recipes), 1), _FEWEST))
    return "\n\n".join(text for each in of_recipes if (text := planned(each, view)))


def planned(reports: Sequence[Report], view: View | None = None) -> str:
    """The plan of a recipe: what would change in each of its results and why, and what each layer does.

    Unless the view is of all, it has no more lines than the view has.
    """
    view = view or View()
    told = [report for report in reports if report.has_plan]
    if not told:
        return ""
    if len(told) == 1:
        return "\n".join(_one(told[0], view))
    return "\n".join(_several(told, view))


def _one(report: Report, view: View) -> Iterator[str]:
    if report.verdict is Verdict.UP_TO_DATE and not view.whole:
        yield _nothing(report, view)
        return
    verdict = "a new Croissant" if report.verdict is Verdict.NEW else summary.verdict(report)
    above = [Line(_title(report, view), _role(report), f": {verdict}")]
    above += _summed(report)
    version = summary.version(report.review.version) if report.review else ""
    above += [Line(version)] if version and report.review and report.review.version.before else []
    since = summary.since_build(report)
    above += [Line(since)] if since else []
    below = _summed(report)
    # A blank line after the first and one before the last.
    room = None if view.lines is None else view.lines - len(above) - len(below) - 2 * bool(below)
    body = fitted([*_changed(report, view), *_made(report, view)], room)
    yield from _shown([above, *body, below], view)


def _several(told: Sequence[Report], view: View) -> Iterator[str]:
    """The results of one recipe: what they share, and then each of them."""
    if all(report.verdict is Verdict.UP_TO_DATE for report in told) and not view.whole:
        yield from _of_many([_nothing(report, view) for report in told], view.lines)
        return
    first = next(report for report in told if report.speaks)
    above = [Line(_title(first, view), end=f": {count(len(told), 'result')}")]
    few = len(told) if view.lines is None else max(view.lines // 3, 1)
    worst = [Line(f"{report.output_name}: {summary.line(report)}", _role(report)) for report in told]
    worst = [*worst[:few], *([Line(f"and {count(len(worst) - few, 'more result')} (--full)")] if worst[few:] else [])]
    room = None if view.lines is None else view.lines - len(above) - 2 * len(worst) - 2
    sections = [*_made(first, view)]
    changed = [report for report in told if report.verdict is not Verdict.UP_TO_DATE or view.whole]
    for report in changed if room is None else changed[: room // _FEWEST]:
        hidden = [Line(f"  {text}") for text in layer_text.hidden(report, first.hides, verbose=view.whole)]
        at = ending(report.output or "", None if view.whole else view.width // 2)
        head = Line(f"Output {report.output_name}, {at}", end=f": {summary.word(report)}")
        sections.append(Section([[[head, *hidden], [head]]]))
        sections += [_optional(section) for section in _changed(report, view)]
    yield from _shown([[*above, *worst], *fitted(sections, room), worst], view)


def _of_many(lines: Sequence[str], most: int | None) -> Iterator[str]:
    """As many lines as there may be."""
    yield from lines if most is None or len(lines) <= most else lines[: most - 1]
    if most is not None and len(lines) > most:
        yield f"and {len(lines) - most + 1:,} more"


def _title(report: Report, view: View) -> str:
    """What is planned, or compared. Of a long path the end is shown, and of a long name the beginning."""
    width = None if view.whole else view.width
    path = ending(report.path, width and width // 2)
    name = printable(report.name or "")
    name = name if width is None else cut(name, width // 4)
    if report.between is not None:
        before, after = (ending(each, width and width // 4) for each in report.between)
        what = f"{name}, {path}" if report.path not in report.between else name
        return f"{before} -> {after} ({what})"
    against = f", against {report.against.revision}" if report.against is not None else ""
    return f"Plan of {path} ({name}){against}"


def _optional(section: Section) -> Section:
    """The same, where nothing of it need be shown."""
    forms = [[*block, []] for block in section.blocks]
    return replace(section, blocks=forms, least=0, minor=section.minor and section.forms > 1)


def _shown(parts: Sequence[Sequence[Line]], view: View) -> Iterator[str]:
    width = None if view.whole else view.width
    for i, lines in enumerate(part for part in parts if part):
        if i:
            yield ""
        yield from (line.within(width, view.paint) for line in lines)


def _summed(report: Report) -> list[Line]:
    numbers, of, verdict = summary.line(report).rpartition(": ")
    return [Line(numbers, _role(report), of + verdict)] if report.changes is not None else []


def _role(report: Report) -> str:
    if report.verdict is Verdict.STOPPED:
        return "error"
    return _ROLES.get(report.review.change_class, "") if report.review and report.verdict is Verdict.CHANGES else ""


# Nothing


def _nothing(report: Report, view: View) -> str:
    """The one line of a Croissant that is as it should be, or of two versions that do not differ."""
    if report.between is not None or report.against is not None:
        since = summary.since_build(report)
        told = Line(_title(report, view), end=f": no changes{f'; {since}' if since else ''}")
        return told.within(view.width, view.paint)
    parts = [f"No changes: {unchanged(report)}."]
    standing = len(report.review.risks) if report.review else 0
    parts += [f"{count(standing, 'risk')} stood before (-v)."] if standing else []
    line = " ".join(parts)
    of = f", {report.output_name}" if report.output_name else ""
    return cut(printable(f"{ending(report.path, view.width // 2)}{of}: {line[0].lower()}{line[1:]}"), view.width)


def unchanged(report: Report) -> str:
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


# What changes


def _changed(report: Report, view: View) -> Iterator[Section]:
    changes = report.changes
    if changes is None:
        return
    if report.verdict is Verdict.UP_TO_DATE:
        yield Section([[[Line(f"No changes: {unchanged(report)}.")]]])
    if report.review is not None:
        yield _risks(report.review.risks, view)
    yield _counts(changes, view)
    if report.review is not None and (changes.exists or view.whole):
        yield _groups(report.review.groups, changes, view)
    if report.review is not None and report.review.geometry and report.review.geometry.picks:
        yield _points(report.review.geometry)
    yield _others(changes, report.review.causes if report.review else None, view)


def _risks(risks: Sequence[Risk], view: View) -> Section:
    told = risks if view.lines is None else risks[: view.lines]
    lines = [[[_risk(risk)]] for risk in told]
    return Section(lines, lambda n: f"! and {count(n, 'more risk')} (--full shows all)", n=len(risks))


def _risk(risk: Risk) -> Line:
    text = f"! {risk.change_class}: {risk.text}"
    if risk.standing:
        return Line(text, end=" (as before)")
    if risk.allowed:
        return Line(text, end=" (allowed)")
    return Line(text, "error", f" (--allow {risk.word})")


def _counts(changes: Changes, view: View) -> Section:
    """A table of the record sets that change; of a new Croissant, of those that have rows."""
    found = {name: table for name, table in changes.tables.items() if table}
    if not found:
        return Section([])
    if changes.exists:
        rows = [["record set", *_TABLE], *([name, *_numbers(table)] for name, table in found.items())]
    else:
        rows = [["record set", "rows"], *([name, f"{len(table.added):,}"] for name, table in found.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        Line(
            "  " + f"{row[0]:<{widths[0]}}" + "".join(f"{c:>{w + 2}}" for c, w in zip(row[1:], widths[1:], strict=True))
        )
        for row in rows
    ]
    if changes.exists:
        return Section(
            [[[line]] for line in lines[1:]], lambda n: f"  and {count(n, 'more record set')} (--full)", lines[:1]
        )
    told = ", ".join(counted(len(table.added), name) for name, table in found.items())
    short = [Line(f"  {line}") for line in textwrap.wrap(told, view.width - 2)]
    return Section([[lines, short]], minor=True)


def _numbers(table: TableChanges) -> list[str]:
    counts = (len(table.added), len(table.after), len(table.removed), len(table.renamed_after), table.unchanged)
    return [f"{n:,}" for n in counts]


def _groups(groups: Sequence[Group], changes: Changes, view: View) -> Section:
    """Rows by what they have in common, with a few of each."""
    of_kinds = [group for group in summary.worst_first(tuple(groups)) if view.shows(group.kind)]
    told = of_kinds if view.lines is None else of_kinds[: view.lines]
    blocks = [_group(group, changes, view) for group in told]
    rest = [len(group.rows) for group in of_kinds]

    def more(n: int) -> str:
        return f"  and {count(n, 'more group')} with {count(sum(rest[len(rest) - n :]), 'row')} (--full shows all)"

    return Section(blocks, more, n=len(of_kinds))


def _group(group: Group, changes: Changes, view: View) -> list[list[Line]]:
    sign = SIGNS[group.kind]
    what = f"{sign} {summary.group(group, is_new=not changes.exists)}"
    head, table = Line(what, sign), changes.tables[group.record_set]
    why = [Line(f"    {summary.why(group.cause)}")] if changes.exists else []
    if view.whole:
        return [[head, *why, *(Line(f"    {text}", sign) for text in row_text.of_group(group, table))]]
    samples = [*islice(row_text.of_group(group, table, _SAMPLES), _SAMPLES)]
    left = len(group.rows) - len(samples)
    more = f" and {left:,} more" if left else ""
    each = [Line(f"    {text}", end=more if i == len(samples) else "") for i, text in enumerate(samples, 1)]
    joint = Line(f"    {'; '.join(samples)}", end=more)
    return [[head, *why, *each], [head, *why, joint], [Line(f"{what}, {summary.why(group.cause)}", sign), joint]]


def _points(geometry: Geometry) -> Section:
    """What became of the points of changed picks."""
    (_, total), *objects = point_text.lines(geometry)
    blocks = [[[Line(f"  {name}: {what}")]] for name, what in objects]
    return Section(
        blocks, lambda n: f"  and {count(n, 'more object')} (--full shows all)", [Line(f"points of {total}")]
    )


def _others(changes: Changes, causes: Causes | None, view: View) -> Section:
    """Pickable objects and metadata that differ."""
    objects = [found for found in changes.objects if view.shows(found.kind)]
    if not changes.exists and not view.whole:
        names = joined([found.name for found in objects])
        return Section([[[Line(f"objects: {names}")]]] if objects else [])
    # What made it is another one wherever anything is.
    keys = [key for key in changes.metadata if view.whole or not key.startswith("prov:")]
    known = causes if changes.exists else None
    told = [_object(found, known.objects.get(found.name) if known else None) for found in objects]
    if changes.exists and view.shows("changed"):
        told += [
            Line(f"~ {key}: {change(*changes.metadata[key])}", "~", _at(causes.metadata.get(key) if causes else None))
            for key in keys
        ]
    blocks = [[[line]] for line in told]
    return Section(blocks, lambda n: f"  and {n:,} more objects or keys of the dataset (--full shows all)")


def _object(found: ChangedObject, cause: Cause | None) -> Line:
    fields = [f"{k} {change(old, new)}" for k, (old, new) in found.fields.items()]
    sign = SIGNS[found.kind]
    return Line(f"{sign} object {found.name}" + (f": {'; '.join(fields)}" if fields else ""), sign, _at(cause))


def _at(cause: Cause | None) -> str:
    """Where what is no row comes from."""
    return f" ({summary.origin(cause)})" if cause is not None else ""


# How it comes about


def _made(report: Report, view: View) -> Iterator[Section]:
    yield _layers(report, view)
    splits = layer_text.splits(report)
    if splits:
        table = [Line(text) for text in layer_text.shares(report, verbose=view.whole)]
        yield Section([[[Line(splits), *table], [Line(splits)], []]], minor=True)
    filled = [Line(f"  {text}") for text in layer_text.filled(report, verbose=view.whole)]
    if filled:
        head = "dataset, where the recipe leaves it open:"
        short = f"dataset, where the recipe leaves it open: {', '.join(f.key for f in report.filled)}"
        yield Section([[[Line(head), *filled], [Line(short)], []]], minor=True)


def _layers(report: Report, view: View) -> Section:
    """What each layer contributed."""
    blocks = []
    if report.base is not None:
        blocks.append([[Line(f"base {report.base}: {count(report.base_rows, 'row')}")]])
    for layer in report.layers if view.lines is None else report.layers[: view.lines]:
        head = Line(layer_text.head(layer))
        if view.full and not view.verbose:
            blocks.append([[head]])
            continue
        details = layer_text.details(layer, report, verbose=view.verbose)
        # One more than there is room for is too many, however many there are.
        told = [*(details if view.lines is None else islice(details, view.lines))]
        blocks.append([[head, *(Line(f"  {text}") for text in told)], [head]])
    n = len(report.layers) + (report.base is not None)
    return Section(blocks, lambda n: f"and {count(n, 'more layer')} (--full shows all)", n=n, minor=True)


# What a build did


def built(report: Report) -> str:
    """What a build did: whether it wrote, and what where no row and no metadata changed."""
    rows = [counted(n, name) for name, n in (report.rows or {}).items() if n]
    what = "Built" if report.written else "Up to date"
    line = f"{what}: {printable(report.metadata_url or '')} ({', '.join(rows) or 'empty'})"
    if report.verdict is not Verdict.UP_TO_DATE:
        return line
    if report.written:
        stayed = f"rows and metadata stayed as they were{_answers(report)}"
        return f"{line}\n  {stayed}; written anew: {joined(report.files)}"
    return f"{line}{_answers(report)}"
