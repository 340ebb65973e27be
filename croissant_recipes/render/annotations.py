"""Reports for the log of a GitHub Action: the Markdown, and what GitHub shows at the lines of the recipe.

GitHub takes lines that begin with ``::`` for commands, and ``##[`` anywhere. No text of others makes one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from croissant_recipes.diagnostics import Severity, Span
from croissant_recipes.render import markdown, summary
from croissant_recipes.render.findings import count
from croissant_recipes.render.view import View
from croissant_recipes.report import Report
from croissant_recipes.review.wording import counted
from croissant_recipes.shown import printable, shown

LEVELS = ("error", "warning", "notice")

MOST = 10
"""How many of each level GitHub shows of one step."""

_LEVEL_OF = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_IN_ONE = 10


@dataclass(frozen=True)
class Annotation:
    """Something to say at a line."""

    level: str
    title: str
    message: str
    span: Span | None = None

    def command(self, folder: str | None) -> str:
        """It as a workflow command.

        Args:
            folder: Of the repository: paths are relative to it, where they are below.
        """
        properties = {"title": shown(self.title)}
        if self.span is not None:
            span = self.span
            properties = {
                "file": _path(span.file, folder),
                "line": str(span.line),
                "col": str(span.column),
                **properties,
            }
            if span.end_line == span.line and span.end_column is not None and span.end_column > span.column:
                properties["endColumn"] = str(span.end_column)
        told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
        return f"::{self.level} {told}::{_data(self.message)}"


def log(reports: Sequence[Report], view: View) -> str:
    """The Markdown, and the annotations after it."""
    folder = os.environ.get("GITHUB_WORKSPACE")
    commands = [each.command(folder) for each in of(reports)]
    return "\n".join([markdown.comment(reports, view), *(["", *commands] if commands else [])])


def of(reports: Sequence[Report]) -> list[Annotation]:
    """What there is to say at lines of recipes: at most as many of each level as GitHub shows, the worst first."""
    found = list(dict.fromkeys(each for report in reports for each in (*_findings(report), *_changes(report))))
    told = []
    for level in LEVELS:
        of_level = [each for each in found if each.level == level]
        told += of_level[: MOST if len(of_level) <= MOST else MOST - 1]
        if len(of_level) > MOST:
            left = len(of_level) - MOST + 1
            told.append(Annotation(level, "croissant-recipe", f"and {left:,} more, all of which the report has"))
    return told


def _findings(report: Report) -> Iterator[Annotation]:
    for d in report.findings:
        parts = [d.message, *d.notes[:_IN_ONE], *([f"hint: {d.hint}"] if d.hint else [])]
        yield Annotation(_LEVEL_OF[d.severity], f"{d.code.value} {d.code.title}", "\n".join(map(shown, parts)), d.span)


def _changes(report: Report) -> Iterator[Annotation]:
    """What changes because of a line, and how much that hurts."""
    review = report.review
    if review is None or not review.changes.exists:
        return
    placed = [g for g in summary.worst_first(review.groups) if g.cause.file is not None and g.cause.line is not None]
    against = bool(review.against)

    def key(group: object) -> tuple[str, int]:
        cause = group.cause  # type: ignore[attr-defined]
        return cause.file, cause.line

    for (file, line), each in groupby(sorted(placed, key=key), key=key):
        groups = [*each]
        worst = groups[0].change_class
        level = ("error" if against else "warning") if worst.needs_approval else "notice"
        lines = [
            f"{counted(len(g.rows), g.record_set)} {g.kind}: {summary.sentence(g.cause)}" for g in groups[:_IN_ONE]
        ]
        if len(groups) > _IN_ONE:
            lines.append(f"and {count(len(groups) - _IN_ONE, 'more group')}")
        columns = {g.cause.column for g in groups}
        span = Span(file, line, next(iter(columns)) or 1 if len(columns) == 1 else 1)
        yield Annotation(level, f"{report.name}: {worst.value}", "\n".join(map(shown, lines)), span)
    unplaced = [risk for risk in review.against if not placed]
    for risk in unplaced:
        yield Annotation("error", f"{report.name}: {risk.change_class.value}", f"{risk.text} (--allow {risk.word})")


def _path(file: str, folder: str | None) -> str:
    if folder is None:
        return file
    inside = os.path.relpath(os.path.realpath(file), os.path.realpath(folder))
    return file if inside.startswith(os.pardir) else inside


def _data(text: str) -> str:
    """As ``escapeData`` of GitHub's toolkit has it."""
    lines = "\n".join(map(printable, text.split("\n")))
    return lines.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As ``escapeProperty`` of GitHub's toolkit has it."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
