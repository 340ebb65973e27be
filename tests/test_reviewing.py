"""What a change means: its class, what breaks somebody, the word that lets it, and the version that it asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from samples import copy_sample, write_recipe

from croissant_recipes import allowing, tables
from croissant_recipes.cli import main
from croissant_recipes.codes import ExitCode
from croissant_recipes.review.classes import of_move
from croissant_recipes.review.reviewing import Review, review
from croissant_recipes.review.side import Side
from croissant_recipes.review.versions import Step, of_change
from croissant_recipes.schema import RECORD_SETS

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

RUNS = [{"name": "TS_1", "split": "train"}, {"name": "TS_2", "split": "test"}, {"name": "TS_3", "split": ""}]


def pick(run: str, **more: Any) -> dict[str, Any]:
    name = more.get("object_name", "ribosome")
    given = {"run": run, "user_id": "ada", "session_id": "1", "object_name": name, **more}
    return {"url": f"{run}/{given['session_id']}_{name}.json", **given}


BEFORE: Rows = {"runs": RUNS, "picks": [pick("TS_1", sha256="a"), pick("TS_2", sha256="b"), pick("TS_3", sha256="c")]}
RIBOSOME = {"name": "ribosome", "label": 1, "is_particle": True, "radius": 130.0, "color": [0, 0, 0, 255]}


def manifest(*objects: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": "1.0.0", "copick:config": {"pickable_objects": list(objects or [RIBOSOME])}, **more}


def side(rows: Rows, document: Mapping[str, Any] | None = None) -> Side:
    return Side({name: _table(name, rows.get(name, ())) for name in RECORD_SETS}, document or manifest())


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    given = {c: [row.get(c, "") for row in rows] for c in RECORD_SETS[name].columns if any(c in r for r in rows)}
    return tables.records(name, given)


def changed(after: Rows, *allowed: str, before: Rows = BEFORE) -> Review:
    return review(side(before), side({**before, **after}), allowed)


def objects(*after: Mapping[str, Any], before: Sequence[Mapping[str, Any]] = (RIBOSOME,)) -> Review:
    return review(side(BEFORE, manifest(*before)), side(BEFORE, manifest(*after)))


def words(found: Review) -> list[str]:
    return [risk.word for risk in found.against]


# Classes


def test_the_same_is_no_change() -> None:
    found = changed({})
    assert (found.change_class, found.risks, found.groups) == ("none", (), ())
    assert found.exit_code(writes=False) is ExitCode.GOOD


def test_more_is_additive() -> None:
    more = [*BEFORE["picks"], pick("TS_1", session_id="2")]
    found = changed({"picks": more, "runs": [*RUNS[:2], {"name": "TS_3", "split": "train"}]})
    assert (found.change_class, words(found), found.version.step) == ("additive", [], Step.MINOR)
    assert found.exit_code(writes=True) is ExitCode.CHANGES


def test_what_is_told_of_the_same_file_is_metadata() -> None:
    moved = [{**row, "url": f"https://example.org/{row['url']}"} for row in BEFORE["picks"]]
    assert changed({"picks": moved}).change_class == "metadata"
    unknown = [{**row, "sha256": ""} for row in BEFORE["picks"]]
    assert changed({"picks": BEFORE["picks"]}, before={**BEFORE, "picks": unknown}).change_class == "metadata"
    titled = review(side(BEFORE), side(BEFORE, manifest(name="Other")))
    assert (titled.change_class, titled.version.step) == ("metadata", Step.PATCH)


@pytest.mark.parametrize("edit", [{"sha256": "z"}, {"sha256": "", "url": "other.json"}, {"portal_annotation_id": "7"}])
def test_other_data_breaks(edit: Mapping[str, str]) -> None:
    start = [{**pick("TS_1"), "portal_annotation_id": "6"}] if "portal_annotation_id" in edit else BEFORE["picks"]
    found = changed({"picks": [{**start[0], **edit}, *start[1:]]}, before={**BEFORE, "picks": start})
    assert (found.change_class, words(found)) == ("breaking", ["changed:picks:ribosome"])
    assert found.risks[0].text == "1 picks of ribosome hold other data"
    assert found.exit_code(writes=True) is ExitCode.BREAKING


def test_rows_that_go_are_told_by_what_people_look_for_and_with_their_run() -> None:
    found = changed({"picks": BEFORE["picks"][:1]})
    assert [(r.word, r.rows, r.text) for r in found.risks] == [
        ("removed:picks:ribosome", 2, "2 picks of ribosome are gone")
    ]
    found = changed({"picks": BEFORE["picks"][1:], "runs": RUNS[1:]})
    assert [(r.word, r.rows, r.text) for r in found.risks] == [("removed:runs:TS_1", 2, "run TS_1 is gone, with 1 row")]


def test_renamed_rows_break_by_their_name_and_those_of_a_run_with_it() -> None:
    again = [{**row, "session_id": "final"} for row in BEFORE["picks"]]
    found = changed({"picks": again})
    assert [(r.word, r.rows) for r in found.risks] == [("renamed:picks:ribosome", 3)]
    runs = [{"name": "A_1", "split": "train"}, *RUNS[1:]]
    found = changed({"runs": runs, "picks": [{**BEFORE["picks"][0], "run": "A_1"}, *BEFORE["picks"][1:]]})
    assert [r.text for r in found.risks] == ["run TS_1 is called A_1"]
    edits = [{**BEFORE["picks"][0], "run": "A_1", "sha256": "z"}, *BEFORE["picks"][1:]]
    portal = [{**r, "portal_run_id": str(i)} for i, r in enumerate(RUNS)]
    found = changed(
        {"runs": [{**portal[0], "name": "A_1"}, *portal[1:]], "picks": edits}, before={**BEFORE, "runs": portal}
    )
    assert [r.word for r in found.risks] == ["changed:picks:ribosome", "renamed:runs:TS_1"]


# Splits


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("train", "test", "split-unsafe"),
        ("Validation", "train", "split-unsafe"),
        ("", "eval", "split-unsafe"),
        ("test", "", "split-unsafe"),
        ("test", "val", "split-unsafe"),
        ("val", "validation", "breaking"),
        ("train", "fold-1", "breaking"),
        ("", "train", "additive"),
    ],
)
def test_moves_between_splits(before: str, after: str, expected: str) -> None:
    assert of_move(before, after) == expected
    start = {"runs": [{"name": "TS_1", "split": before}]}
    found = changed({"runs": [{"name": "TS_1", "split": after}]}, before=start)
    assert found.change_class == expected
    assert words(found) == ([] if expected == "additive" else ["split:TS_1"])


@pytest.mark.parametrize(("column", "shared"), [("sha256", "1 file"), ("url", "1 array or file")])
def test_the_same_data_in_two_splits_is_told_of_the_one_that_is_kept_apart(column: str, shared: str) -> None:
    more = [*BEFORE["picks"], {**pick("TS_2", session_id="copy"), column: BEFORE["picks"][0][column]}]
    found = changed({"picks": more})
    assert (found.change_class, words(found)) == ("split-unsafe", ["leak:TS_2"])
    assert found.risks[0].text == f"run TS_2 (test) shares {shared} with TS_1 (train)"
    # It only came to what was there, so that the version takes a small step.
    assert found.version.step is Step.MINOR
    again = changed({}, before={**BEFORE, "picks": more})
    assert (again.change_class, [r.standing for r in again.risks], words(again)) == ("none", [True], [])


def test_one_portal_run_under_two_names_in_two_splits_leaks() -> None:
    runs = [{**RUNS[0], "portal_run_id": "5"}, {**RUNS[1], "portal_run_id": "5"}]
    found = review(None, side({"runs": runs}))
    assert [r.text for r in found.risks] == ["run TS_2 (test) shares 1 portal run with TS_1 (train)"]
    assert found.change_class == "split-unsafe"
    without = [{**runs[0], "split": ""}, runs[1]]
    assert review(None, side({"runs": without})).risks == ()


# Objects, columns, and what is not copick's


def test_objects() -> None:
    assert objects(RIBOSOME, {"name": "new", "label": 2}).change_class == "additive"
    assert objects({**RIBOSOME, "color": [1, 1, 1, 1]}).change_class == "metadata"
    for edit in ({"radius": 1.0}, {"is_particle": False}, {"identifier": "GO:1"}):
        start = {"identifier": "GO:0", **RIBOSOME}
        found = objects({**start, **edit}, before=(start,))
        assert (found.change_class, words(found)) == ("breaking", ["changed:objects:ribosome"])
    found = objects({"name": "other", "label": 9})
    assert words(found) == ["removed:objects:ribosome"]
    found = objects({**RIBOSOME, "name": "80S"})
    assert [r.text for r in found.risks] == ["object ribosome is called 80S"]


def test_a_label_that_moves_or_means_something_else() -> None:
    found = objects({**RIBOSOME, "label": 4})
    assert [(r.word, r.text) for r in found.risks] == [
        ("labels:ribosome", "object ribosome has the label 4 in place of 1")
    ]
    found = objects({"name": "apo", "label": 1, "radius": 1.0})
    assert [r.word for r in found.risks] == ["removed:objects:ribosome", "labels:apo"]
    assert found.risks[1].text == "label 1 means apo in place of 'ribosome'"


def test_columns_and_record_sets_of_others_that_go() -> None:
    def sets(*fields: str, others: bool) -> list[dict[str, Any]]:
        picks = {"@id": RECORD_SETS["picks"].id, "field": [{"@id": f"x/{f}"} for f in fields]}
        return [picks, *([{"@id": "scores", "field": [{"@id": "scores/f1"}]}] * others)]

    before = side(BEFORE, manifest(recordSet=sets("run", "url", others=True)))
    found = review(before, side(BEFORE, manifest(recordSet=sets("run", others=False))))
    assert [(r.word, r.text) for r in found.risks] == [
        ("removed:others:scores", "record set scores is gone"),
        ("columns:picks:url", "column url of picks is gone"),
    ]
    more = review(before, side(BEFORE, manifest(recordSet=[*sets("run", "url", others=True), {"@id": "more"}])))
    assert (more.change_class, more.risks) == ("additive", ())


# Words


@pytest.mark.parametrize("word", ["removed", "removed:picks", "removed:picks:ribosome"])
def test_a_word_allows_what_it_names_and_nothing_else(word: str) -> None:
    after = {"picks": BEFORE["picks"][:1], "runs": RUNS[:2]}
    if allowing.problem(word):
        word = "removed:picks"
    found = changed(after, word)
    assert words(found) == ["removed:runs:TS_3"]
    assert found.exit_code(writes=True) is ExitCode.BREAKING
    assert changed(after, word, "removed:runs:TS_3").exit_code(writes=True) is ExitCode.CHANGES


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("remove:picks", "did you mean 'removed'"),
        ("removed", "Write removed:RECORD_SET"),
        ("removed:pick", "did you mean 'picks'"),
        ("split:", "a name is missing"),
        ("", "is nothing to allow"),
    ],
)
def test_words_that_are_none(word: str, says: str) -> None:
    assert says in (allowing.problem(word) or "")


def test_names_in_words_may_have_any_sign() -> None:
    assert allowing.problem("split:a:b c") is None
    assert allowing.covers("removed:picks", "removed:picks:a:b")
    assert not allowing.covers("removed:picks:a", "removed:picks:a:b")


# Versions


@pytest.mark.parametrize(
    ("there", "step", "asked"),
    [
        ("1.2.3", Step.PATCH, "1.2.4"),
        ("1.2.3", Step.MINOR, "1.3.0"),
        ("1.2.3", Step.MAJOR, "2.0.0"),
        ("0.2.3", Step.MAJOR, "0.3.0"),
        ("0.2.3", Step.MINOR, "0.2.4"),
        ("2.0.0-rc.1", Step.MAJOR, "2.0.0-rc.1"),
        ("1.2.3", Step.NONE, None),
        ("2026", Step.MAJOR, None),
    ],
)
def test_the_version_that_a_change_asks_for(there: str, step: Step, asked: str | None) -> None:
    version = of_change(step, {"version": there}, {"version": there})
    assert version.asked == asked
    assert version.enough == (asked is None or asked == there)
    if asked is not None:
        assert of_change(step, {"version": there}, {"version": asked}).enough


def test_announced_versions_come_before_what_they_announce() -> None:
    assert not of_change(Step.MAJOR, {"version": "1.0.0"}, {"version": "2.0.0-rc.1"}).enough
    assert of_change(Step.MAJOR, {"version": "2.0.0-rc.2"}, {"version": "2.0.0-rc.10"}).enough
    assert not of_change(Step.PATCH, {"version": "2.0.0-rc.2"}, {"version": "2.0.0-beta"}).enough


# The command


def test_numbers_longer_than_python_reads() -> None:
    long = "9" * 5_000
    version = of_change(Step.MAJOR, {"version": f"{long}.0.0"}, {"version": f"{long}.0.0"})
    assert (version.asked, version.enough) == (None, True)
    assert of_change(Step.MAJOR, {"version": "2.0.0-rc.9"}, {"version": f"2.0.0-rc.{long}"}).enough
    assert not of_change(Step.MAJOR, {"version": f"2.0.0-rc.{long}"}, {"version": "2.0.0-rc.9"}).enough


def test_exit_codes_words_and_the_version_through_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy_sample(tmp_path)
    write_recipe(tmp_path, "  - export: lab\n    picks: '*'\n")

    def run(*given: str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(main, [*given, "--format", "json", "sample.yaml"])
        (told,) = json.loads(done.stdout)["recipes"]
        return done.exit_code, told

    assert run("plan", "--exit-code")[0] == ExitCode.CHANGES
    assert run("build", "--check")[0] == ExitCode.CHANGES
    assert not (tmp_path / "sample/Croissant").exists()
    assert run("build")[0] == ExitCode.GOOD
    assert [run(*how)[0] for how in (("plan", "--exit-code"), ("build", "--check"), ("plan",))] == [0, 0, 0]
    write_recipe(tmp_path, "  - export: lab\n    picks: 'ribosome:curator/*'\n")
    code, told = run("build", "--check")
    assert code == ExitCode.BREAKING
    review = told["review"]
    risks = {(r["word"], r["allowed"]) for r in review["risks"]}
    assert ("removed:picks:ribosome", False) in risks
    assert (review["class"], review["version"]["step"], review["version"]["enough"]) == ("breaking", "major", False)
    assert [f["code"] for f in told["diagnostics"] if f["code"] == "CR424"] == ["CR424"]
    given = [x for word, _ in sorted(risks) for x in ("--allow", word)]
    code, told = run("plan", "--exit-code", *given, "--allow", "split:TS_009")
    assert code == ExitCode.CHANGES
    assert [f["message"] for f in told["diagnostics"] if f["code"] == "CR425"] == [
        "--allow split:TS_009 allows nothing of this change"
    ]
    assert run("plan")[0] == ExitCode.GOOD
