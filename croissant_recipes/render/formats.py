"""The formats in which reports can be had, each by its name. What makes one is imported when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from croissant_recipes.render.view import View
    from croissant_recipes.report import Report

KINDS = ("added", "changed", "removed", "renamed")
"""Those of ``review.groups``, which takes long to import."""


@dataclass(frozen=True)
class Format:
    """One way to write reports.

    Attributes:
        name: What ``--format`` calls it.
        ending: How the names of such files end; empty for what has no ending of its own.
        makes: What makes the text, without a newline at its end.
        chooses: Whether it shows a part of the rows, so that there is something to choose (``View.only``, ``full``).
        tells_findings: Whether it tells of what was found in the recipe, as well.
    """

    name: str
    ending: str
    makes: Callable[[Sequence[Report], View], str]
    chooses: bool
    tells_findings: bool


def _text(reports: Sequence[Report], view: View) -> str:
    from croissant_recipes.render import text

    return text.of_all(reports, view)


def _json(reports: Sequence[Report], view: View) -> str:  # noqa: ARG001 - it is complete
    from croissant_recipes.render import as_json

    return as_json.reports(reports)


def _markdown(reports: Sequence[Report], view: View) -> str:
    from croissant_recipes.render import markdown

    return markdown.comment(reports, view)


def _github(reports: Sequence[Report], view: View) -> str:
    from croissant_recipes.render import annotations

    return annotations.log(reports, view)


def _html(reports: Sequence[Report], view: View) -> str:  # noqa: ARG001 - whoever reads it chooses
    from croissant_recipes.render import html_report

    return html_report.page(reports).rstrip("\n")


FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format("text", ".txt", _text, chooses=True, tells_findings=False),
        Format("json", ".json", _json, chooses=False, tells_findings=True),
        Format("markdown", ".md", _markdown, chooses=True, tells_findings=True),
        Format("html", ".html", _html, chooses=False, tells_findings=True),
        Format("github", "", _github, chooses=True, tells_findings=True),
    )
}


def of_file(path: str, otherwise: str) -> Format:
    """The format of a file by its ending, or the one that is asked for."""
    ending = os.path.splitext(path)[1].lower()
    return next((f for f in FORMATS.values() if f.ending and f.ending == ending), FORMATS[otherwise])
