"""Reports as Markdown, for a comment under a pull request: the verdict, what breaks, how much, why; the rest folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from croissant_recipes.croissant.diff import ChangedObject, Changes
from croissant_recipes.differences import shown as both
from croissant_recipes.render import layer_text, point_text, row_text, summary
from croissant_recipes.render.findings import count
from croissant_recipes.render.markup import code, html, text
from croissant_recipes.render.row_text import SIGNS
from croissant_recipes.render.view import View
from croissant_recipes.report import Report, Verdict
from croissant_recipes.review.causes import Cause
from croissant_recipes.review.groups import KINDS, Group
from croissant_recipes.review.risks import Risk

MOST_BYTES = 60_000
"""What a comment has at most. GitHub takes 65,536 characters."""

_FOR_NOTES = 2_000
"""Bytes that are kept for what is said of what is left out."""

_RISKS, _GROUPS, _DETAILS = 0.35, 0.75, 0.9
"""How far of its part of the bytes a report has come, at most after its risks, its groups and all but its rows."""

_LEAST = 2_500
"""Bytes below which nothing but a line is said of a report."""


def comment(reports: Sequence[Report], view: View) -> str:
    """The reports in at most ``MOST_BYTES``. Rows are shown where the view is of all."""
    page = _Page(MOST_BYTES - _FOR_NOTES)
    quiet = [report for report in reports if report.verdict is Verdict.UP_TO_DATE]
    told = [report for report in reports if report.verdict is not Verdict.UP_TO_DATE]
    each = (page.left - 200 * len(quiet)) // max(len(told), 1)
    if told and each < _LEAST:
        # So many that each has a line.
        _lines_only(page, reports)
        return page.text
    for i, report in enumerate(told):
        page.until(page.left // (len(told) - i) if i < len(told) - 1 else page.left - 200 * len(quiet))
        _report(page, report, view)
    page.until(page.whole)
    _lines_only(page, quiet)
    return page.text


class _Page:
    """Lines of Markdown up to a number of bytes."""

    def __init__(self, most: int) -> None:
        self._parts: list[str] = []
        self._used = 0
        self.whole = most
        self._end = most

    @property
    def text(self) -> str:
        return "\n".join(self._parts).rstrip("\n")

    @property
    def left(self) -> int:
        """How many bytes there are left of all."""
        return self.whole - self._used

    @property
    def used(self) -> int:
        return self._used

    def until(self, more: int) -> None:
        """What follows has so many bytes."""
        self._end = min(self._used + max(more, 0), self.whole)

    @property
    def end(self) -> int:
        return self._end

    def add(self, *lines: str, until: int | None = None) -> bool:
        """Adds lines that belong together, or none of them where they come too far."""
        size = sum(len(line.encode()) + 1 for line in lines)
        if until is not None and self._used + size > until:
            return False
        self._parts += lines
        self._used += size
        return True


def _lines_only(page: _Page, reports: Sequence[Report]) -> None:
    for i, report in enumerate(reports):
        if not page.add(f"- {_title(report)}: {_line(report)}", until=page.whole):
            page.add(f"- {count(len(reports) - i, 'result')} omitted")
            return


def _title(report: Report) -> str:
    name = f", output {code(report.output_name)}" if report.output_name else ""
    return f"{code(report.path)}{name}"


def _line(report: Report) -> str:
    if report.verdict is Verdict.UP_TO_DATE:
        since = summary.since_build(report)
        return f"no changes; {text(since)}" if since else "no changes"
    return text(summary.line(report)).removeprefix("<!-- -->").replace("&#126;", "\\~")


def _report(page: _Page, report: Report, view: View) -> None:
    start, end = page.used, page.end

    def part(share: float) -> int:
        return int(start + (end - start) * share)

    page.add(f"### {_title(report)}: {text(summary.verdict(report))}", "")
    page.add(f"**{_line(report)}**", "")
    review, changes = report.review, report.changes
    if review is not None and review.version.before is not None and (said := summary.version(review.version)):
        page.add(text(said[0].upper() + said[1:]) + ".", "")
    if since := summary.since_build(report):
        page.add(text(since[0].upper() + since[1:]) + ".", "")
    if report.verdict is Verdict.STOPPED:
        _findings(page, report, part(_RISKS))
    if review is not None and review.risks:
        _risks(page, review.risks, part(_RISKS))
    if changes is None:
        return
    _counts(page, changes)
    groups = [g for g in summary.worst_first(review.groups if review else ()) if view.shows(g.kind)]
    if changes.exists and groups:
        _groups(page, groups, part(_GROUPS))
    if review is not None and review.geometry and review.geometry.picks:
        (_, total), *objects = point_text.lines(review.geometry)
        _listed(
            page,
            [f"- points of {text(total)}", *(f"  - {code(name)}: {text(what)}" for name, what in objects)],
            part(_DETAILS),
            "object",
        )
    for name, lines in _details(report, changes, view):
        _folded(page, name, lines, part(_DETAILS))
    if view.whole and groups:
        _rows(page, groups, changes, end)
    page.add("")


def _findings(page: _Page, report: Report, until: int) -> None:
    lines = []
    for found in report.findings:
        where = f"{code(str(found.span))}: " if found.span else ""
        hint = f" {text(found.hint, 1_000)}" if found.hint else ""
        lines.append(f"- {where}**{found.severity.value} {found.code.value}** {text(found.message, 1_000)}{hint}")
    _listed(page, lines, until, "finding")


def _risks(page: _Page, risks: Sequence[Risk], until: int) -> None:
    _listed(page, map(_risk, risks), until, "risk", len(risks))


def _risk(risk: Risk) -> str:
    if risk.standing:
        how = "as before"
    elif risk.allowed:
        how = "allowed"
    else:
        how = f"allow it with {code(f'--allow {risk.word}')}"
    return f"- **{risk.change_class.value}**: {text(risk.text)} ({how})"


def _listed(page: _Page, lines: Iterable[str], until: int, one: str, n: int | None = None) -> None:
    """A list, and how much of it is omitted."""
    told = 0
    lines = list(lines) if n is None else lines
    n = n if n is not None else len(lines)  # type: ignore[arg-type]
    for line in lines:
        if not page.add(line, until=until):
            break
        told += 1
    if told < n:
        page.add(f"- {count(n - told, one)} omitted")
    if n:
        page.add("")


def _counts(page: _Page, changes: Changes) -> None:
    tables = {name: table for name, table in changes.tables.items() if table}
    if not tables:
        return
    if not changes.exists:
        page.add("| record set | rows |", "| --- | ---: |")
        page.add(*(f"| {name} | {len(table.added):,} |" for name, table in tables.items()), "")
        return
    page.add(f"| record set | {' | '.join(KINDS)} | unchanged |", "| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, table in tables.items():
        counts = (len(table.added), len(table.after), len(table.removed), len(table.renamed_after), table.unchanged)
        page.add(f"| {name} | {' | '.join(f'{n:,}' for n in counts)} |")
    page.add("")


def _groups(page: _Page, groups: Sequence[Group], until: int) -> None:
    page.add("| | rows | class | why | |", "| --- | ---: | --- | --- | --- |")
    for i, group in enumerate(groups):
        at = summary.place(group.cause)
        fields = f": {', '.join(map(code, group.fields))}" if group.fields else ""
        declared = " as the recipe says" if group.declared else " as it seems" if group.kind == "renamed" else ""
        what = f"{group.record_set.replace('_', ' ')} {group.kind}{declared}{fields}"
        row = (what, f"{len(group.rows):,}", group.change_class.value, text(summary.sentence(group.cause)))
        if not page.add(f"| {' | '.join(row)} | {code(at) if at else ''} |", until=until):
            rows = sum(len(g.rows) for g in groups[i:])
            page.add("", f"{count(len(groups) - i, 'group')} with {count(rows, 'row')} omitted")
            break
    page.add("")


def _details(report: Report, changes: Changes, view: View) -> Iterator[tuple[str, list[str]]]:
    """What is folded, but for rows."""
    causes = report.review.causes if report.review else None
    objects = [found for found in changes.objects if view.shows(found.kind)]
    if changes.exists and objects:
        yield (
            count(len(objects), "object"),
            [f"- {_object(found)}{_at(causes.objects.get(found.name) if causes else None)}" for found in objects],
        )
    if changes.exists and changes.metadata and view.shows("changed"):
        fields = [
            f"- {code(key)}: {_change(old, new)}{_at(causes.metadata.get(key) if causes else None)}"
            for key, (old, new) in changes.metadata.items()
        ]
        yield f"{count(len(fields), 'key')} of the dataset", fields
    if report.layers:
        yield "What each layer does", [*_layers(report)]
    splits = layer_text.splits(report)
    if splits:
        yield "Splits", [f"- {text(splits)}"]
    if report.findings and report.verdict is not Verdict.STOPPED:
        told = (
            f"{f'{d.span}: ' if d.span else ''}{d.severity.value} {d.code.value}: {d.message}" for d in report.findings
        )
        yield count(len(report.findings), "finding"), [f"- {text(line, 1_000)}" for line in told]


def _layers(report: Report) -> Iterator[str]:
    for layer in report.layers:
        yield f"- {text(layer_text.head(layer))}"
        yield from (f"  - {text(line.strip())}" for line in layer_text.details(layer, report, verbose=False))


def _object(found: ChangedObject) -> str:
    fields = [f"{code(k)} {_change(old, new)}" for k, (old, new) in found.fields.items()]
    return f"{code(found.name)} {found.kind}" + (f": {'; '.join(fields)}" if fields else "")


def _at(cause: Cause | None) -> str:
    return f" ({text(summary.origin(cause))})" if cause is not None else ""


def _change(old: object, new: object) -> str:
    return " → ".join(map(code, both(old, new)))


def _folded(page: _Page, name: str, lines: Sequence[str], until: int) -> None:
    head = ("<details>", f"<summary>{html(name)}</summary>", "")
    if not page.add(*head, until=until):
        return
    _listed(page, lines, until, "line", len(lines))
    page.add("</details>", "")


def _rows(page: _Page, groups: Sequence[Group], changes: Changes, until: int) -> None:
    """The rows of each group, as many as there is room for."""
    rows = sum(len(group.rows) for group in groups)
    page.add("<details>", f"<summary>{count(rows, 'row')}</summary>", "")
    told = 0
    for group in groups:
        if not page.add(f"- {text(summary.group(group, is_new=not changes.exists))}", until=until):
            break
        sign = SIGNS[group.kind]
        for line in row_text.of_group(group, changes.tables[group.record_set]):
            if not page.add(f"  - {code(f'{sign} {line}')}", until=until):
                break
            told += 1
    if told < rows:
        page.add("", f"**{count(rows - told, 'row')} omitted**", "")
    page.add("</details>")
