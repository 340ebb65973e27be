"""Pairs of versions, and all that is said of the change between them, in every rendering."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import review_pairs
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from croissant_recipes import __version__, api
from croissant_recipes.render.formats import FORMATS
from croissant_recipes.render.view import View
from croissant_recipes.review.classes import CLASSES

PAIRS = {pair.name: pair for pair in review_pairs.pairs()}

RENDERINGS = {
    "txt": ("text", View()),
    "full": ("text", View(verbose=True)),
    "md": ("markdown", View(full=True)),
    "log": ("github", View()),
    "json": ("json", View()),
    "html": ("html", View()),
}
"""By the ending of the files: the format, and how much of it."""

_OF_ALL_PAGES = re.compile(r"<(style|script)\b[^>]*>.*?</\1>|<meta http-equiv[^>]*>", re.DOTALL)


def _extension(ending: str) -> type[SingleFileSnapshotExtension]:
    """Files that one reads as what they are."""
    return type("Shown", (SingleFileSnapshotExtension,), {"_write_mode": WriteMode.TEXT, "file_extension": ending})


def _as_anywhere(text: str, folder: Path) -> str:
    """A rendering without what is of this machine, this version and every page."""
    text = text.replace(str(folder), "<folder>").replace(
        f"croissant-recipes {__version__}", "croissant-recipes <version>"
    )
    # Of a long path the end is shown: how much of it depends on where it is.
    text = re.sub(r"…\S*/(\w+/Croissant)", r"…/\1", text)
    return _OF_ALL_PAGES.sub("", text) + "\n"


@pytest.mark.parametrize("name", PAIRS)
def test_pair(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    pair = PAIRS[name]
    monkeypatch.chdir(tmp_path)
    results = pair.planned(tmp_path)
    reports = [result.report for result in results]
    assert reports[0].review is not None
    told = {
        "class": str(max((r.review.change_class for r in reports if r.review), key=CLASSES.index)),
        "exit": int(api.change_exit_code(results)),
        "groups": [group for report in reports for group in review_pairs.groups_of(report)],
        "risks": [risk for report in reports for risk in review_pairs.risks_of(report)],
        "others": review_pairs.others_of(reports),
    }
    assert told == pair.expected
    for ending, (form, view) in RENDERINGS.items():
        if form in FORMATS:
            made = _as_anywhere(FORMATS[form].makes(reports, view), tmp_path)
            assert made == snapshot.use_extension(_extension(ending))
    _fits(FORMATS["text"].makes(reports, View()))
    jsonschema.validate(json.loads(FORMATS["json"].makes(reports, View())), SCHEMA)


SCHEMA = json.loads(api.plan_schema_text())


def _fits(text: str) -> None:
    lines = text.split("\n")
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80


def test_there_are_pairs_of_each_class_and_cause() -> None:
    """What a case says of itself is what comes of it, as the test above shows."""
    assert len(PAIRS) >= 20
    assert {pair.expected["class"] for pair in PAIRS.values()} == {str(c) for c in CLASSES}
    groups = [group for pair in PAIRS.values() for group in pair.expected["groups"]]
    assert {group.split()[1] for group in groups} == {"added", "changed", "removed", "renamed"}
    causes = {group.partition(": ")[2].split()[0] for group in groups}
    causes |= {cause.split()[0] for pair in PAIRS.values() for cause in pair.expected["others"].values()}
    assert causes == {"recipe", "source", "tool", "others", "unknown"}
    words = {risk.split(":")[0] for pair in PAIRS.values() for risk in pair.expected["risks"]}
    assert words == {"removed", "changed", "renamed", "labels", "split", "leak"}
