"""Why something differs: one test for each cause, each over a build and a later plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from causing import HEADER, Told, built, compared, lines, planned, told
from compiling import artifacts, inventory, obj

from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import drift
from croissant_recipes.croissant.build_record import RECORD_FILE
from croissant_recipes.croissant.content import METADATA
from croissant_recipes.croissant.drift import Existing
from croissant_recipes.sources.base import Inventory

PICKS = [
    ("TS_1", "ada", "1", "ribosome"),
    ("TS_1", "bob", "2", "virus"),
    ("TS_2", "ada", "1", "ribosome"),
    ("TS_3", "ada", "1", "ribosome"),
]
TOMOGRAMS = [("TS_1", 10.0, "wbp"), ("TS_2", 10.0, "wbp")]


def lab(*more: tuple[str, ...], without: tuple[str, ...] = (), **given: Any) -> Inventory:
    """A project, with more picks or without those of some runs."""
    kept = [row for row in (*PICKS, *more) if row[0] not in without]
    return inventory(
        picks=artifacts("picks", *kept),
        tomograms=artifacts("tomograms", *(row for row in TOMOGRAMS if row[0] not in without)),
        **given,
    )


OTHER = inventory(picks=artifacts("picks", ("TS_1", "ada", "1", "ribosome"), ("TS_9", "cem", "1", "vlp")))
SOURCES = {"lab": lab(), "other": OTHER}

LAYER = """\
layers:
  - export: lab
    picks: [ribosome, virus]
    tomograms: all
    others: exclude
"""
NEXT = "  - append: other\n    others: include\n"


@cache
def build(body: str = LAYER, header: str = HEADER) -> Existing:
    """What a build of a recipe leaves. Nothing in it says where the recipe was, so that tests can share it."""
    with TemporaryDirectory() as folder:
        return built(planned(Path(folder), body, SOURCES, header))


def changed(
    folder: Path,
    after: str,
    before: str = LAYER,
    *,
    moved: Mapping[str, Inventory] | None = None,
    headers: tuple[str, str] = (HEADER, HEADER),
    **origin: Any,
) -> list[Told]:
    """Why a plan differs from a build: of another recipe, over sources some of which moved."""
    first = build(before, headers[0]) if not origin else built(planned(folder, before, SOURCES, headers[0]), **origin)
    return told(first, planned(folder, after, {**SOURCES, **(moved or {})}, headers[1]))


@pytest.mark.parametrize("after", [LAYER, f"# why\n{LAYER}", LAYER.replace("picks: [", "picks:  [")])
def test_a_comment_or_layout_is_no_change(tmp_path: Path, after: str) -> None:
    assert changed(tmp_path, after) == []


# Sources


def test_a_source_that_has_more(tmp_path: Path) -> None:
    found = changed(tmp_path, LAYER, moved={"lab": lab(("TS_2", "cem", "1", "virus"), ("TS_4", "cem", "1", "virus"))})
    assert lines(found) == [
        ("runs", "added", "source", 8, 1, 1),
        ("picks", "added", "source", 8, 1, 2),
    ]
    assert found[1].what == "new in source 'lab'"


def test_a_source_that_has_less(tmp_path: Path) -> None:
    found = changed(tmp_path, LAYER, moved={"lab": lab(without=("TS_2",))})
    assert lines(found) == [
        ("runs", "removed", "source", 8, 1, 1),
        ("voxel_spacings", "removed", "source", 8, 1, 1),
        ("tomograms", "removed", "source", 8, 1, 1),
        ("picks", "removed", "source", 8, 1, 1),
    ]
    assert {t.what for t in found} == {"gone from source 'lab'"}


def test_a_source_that_has_something_else(tmp_path: Path) -> None:
    tables = dict(lab().tables)
    tables["picks"] = tables["picks"].assign(sha256=pd.Series(["a", "", "", ""], dtype="str"))
    (found,) = changed(tmp_path, LAYER, moved={"lab": replace(lab(), tables=tables)})
    assert found == Told("picks", "changed", "source", 8, 1, "changed in source 'lab'", 1)


def test_a_deposition_is_named(tmp_path: Path) -> None:
    def of(*depositions: str) -> Inventory:
        rows = [("1", "data-portal", str(n), "ribosome") for n in range(len(depositions))]
        picks = artifacts("picks", *rows).assign(portal_deposition_id=pd.Series(list(depositions), dtype="str"))
        return inventory(picks=picks)

    body = "layers: [{export: lab, picks: all, others: exclude}]\n"
    first = built(planned(tmp_path, body, {"lab": of("7")}))
    after = planned(tmp_path, body, {"lab": of("7", "7", "10358", "10358", "10358")})
    changes, causes = compared(first, after)
    assert len(changes.tables["picks"].added) == 4
    ids = causes.rows["picks"]["added"]
    by = {c.depositions: (c.what, int((ids == n).sum())) for n, c in enumerate(causes.all)}
    assert by[7,] == ("new in source 'lab', deposition 7", 1)
    assert by[10358,] == ("new in source 'lab', deposition 10358", 3)
    many = [str(n) for n in range(1, 13)]
    (found,) = told(built(planned(tmp_path, body, {"lab": of()})), planned(tmp_path, body, {"lab": of(*many)}))[1:]
    assert (found.what, found.rows) == ("new in source 'lab', 12 depositions", 12)


# What leaves a row out


@pytest.mark.parametrize(
    ("after", "where", "what", "rows"),
    [
        (LAYER.replace(", virus", ""), 12, "'ribosome' of layer 1 (export lab) does not select these picks", 1),
        (LAYER.replace("virus", "vi"), 12, "the selectors of layer 1 (export lab) do not select these picks", 1),
        (LAYER.replace("[ribosome, virus]", "none"), 12, "layer 1 (export lab) takes no picks", 4),
        (LAYER.replace("    picks: [ribosome, virus]\n", ""), 13, "layer 1 (export lab) takes no picks", 4),
        (
            LAYER.replace("[ribosome, virus]", "\n      select: '*'\n      exclude: [v*]"),
            14,
            "`exclude` 'v*' of layer 1 (export lab) leaves out these picks",
            1,
        ),
        (f"{LAYER}    runs: TS_[12]\n", 15, "'TS_[12]' of layer 1 (export lab) does not select these runs", 1),
        (
            f"{LAYER}    runs:\n      exclude: TS_1\n",
            16,
            "`exclude` 'TS_1' of layer 1 (export lab) leaves out these runs",
            2,
        ),
        (
            f"{LAYER}    runs:\n      having: tomograms\n",
            16,
            "`having` of layer 1 (export lab) leaves out runs that lack tomograms",
            1,
        ),
        (
            f"{LAYER}    runs:\n      lacking:\n        picks: virus\n",
            17,
            "`lacking` of layer 1 (export lab) leaves out runs that have picks 'virus'",
            2,
        ),
    ],
)
def test_the_line_that_leaves_rows_out(tmp_path: Path, after: str, where: int, what: str, rows: int) -> None:
    after += "    allow_empty: true\n"
    found = [t for t in changed(tmp_path, after, f"{LAYER}    allow_empty: true\n") if t.record_set == "picks"]
    assert found == [Told("picks", "removed", "recipe", where, 1, what, rows)]
    # Whichever way a change goes, it is of the recipe.
    back = [t for t in changed(tmp_path, LAYER, after) if t.record_set == "picks"]
    assert {(t.kind, t.cause, t.layer) for t in back} == {("added", "recipe", 1)}
    assert sum(t.rows for t in back) == rows


def test_a_run_that_a_source_makes_fall_out(tmp_path: Path) -> None:
    """The condition stands where it stood: it is the source that moved."""
    lacking = f"{LAYER}    runs:\n      lacking:\n        picks: virus\n"
    found = changed(tmp_path, lacking, lacking, moved={"lab": lab(("TS_3", "cem", "1", "virus"))})
    assert lines(found) == [("runs", "removed", "source", 17, 1, 1), ("picks", "removed", "source", 17, 1, 1)]
    assert found[0].what == (
        "source 'lab' moved, and `lacking` of layer 1 (export lab) leaves out runs that have picks 'virus'"
    )


def test_a_collision_leaves_rows_out(tmp_path: Path) -> None:
    body = "layers:\n  - export: lab\n    picks: all\n    others: exclude\n    on_collision: first\n"
    found = changed(
        tmp_path, f"{body}    rename:\n      users: {{bob: ada}}\n      objects: {{virus: ribosome}}\n", body
    )
    assert [(t.record_set, t.kind, t.cause) for t in found] == [("picks", "renamed", "recipe")]
    session = "      sessions: {'2': '1'}\n"
    found = changed(
        tmp_path, f"{body}    rename:\n      users: {{bob: ada}}\n      objects: {{virus: ribosome}}\n{session}", body
    )
    assert [(t.record_set, t.kind, t.cause, t.layer, t.rows) for t in found] == [("picks", "removed", "recipe", 1, 1)]
    assert found[0].what == "in layer 1 (export lab), picks of one key collide, and another one is kept"


def test_a_later_layer_replaces_what_it_did_not(tmp_path: Path) -> None:
    renamed = LAYER + NEXT + "    rename:\n      sessions: {'1': v1}\n"
    found = changed(tmp_path, LAYER + NEXT, renamed)
    assert {(t.kind, t.cause, t.layer, t.rows) for t in found} == {
        ("removed", "recipe", 2, 1),
        ("changed", "recipe", 2, 1),
        ("renamed", "recipe", 2, 1),
    }


# Layers


def test_a_new_layer(tmp_path: Path) -> None:
    found = changed(tmp_path, LAYER + NEXT)
    assert lines(found) == [
        ("runs", "added", "recipe", 15, 2, 1),
        ("picks", "added", "recipe", 15, 2, 1),
        ("picks", "changed", "recipe", 15, 2, 1),
    ]
    assert {t.what for t in found} == {"layer 2 (append other) is new"}


def test_a_layer_that_is_gone(tmp_path: Path) -> None:
    found = changed(tmp_path, LAYER, LAYER + NEXT)
    assert lines(found) == [
        ("runs", "removed", "recipe", 10, None, 1),
        ("picks", "removed", "recipe", 10, None, 1),
        ("picks", "changed", "recipe", 10, None, 1),
    ]
    assert {t.what for t in found} == {"the layer that was layer 2 (append other) is gone"}


def test_layers_in_another_order(tmp_path: Path) -> None:
    """Which of two rows of one key counts is what the order says."""

    def of(sha256: str) -> Inventory:
        picks = artifacts("picks", ("TS_1", "ada", "1", "ribosome"))
        return inventory(picks=picks.assign(sha256=pd.Series([sha256], dtype="str")))

    sources = {"lab": of("a"), "other": of("b")}
    bodies = [
        f"layers:\n  - export: {one}\n    others: include\n  - append: {two}\n    others: include\n"
        for one, two in (("lab", "other"), ("other", "lab"))
    ]
    (found,) = told(built(planned(tmp_path, bodies[0], sources)), planned(tmp_path, bodies[1], sources))
    assert (found.record_set, found.kind, found.cause, found.line, found.layer) == ("picks", "changed", "recipe", 13, 2)
    assert found.what == "layer 2 (append lab) comes after layer 1 (export other), and replaces it"


def test_one_source_of_several_that_moved_is_named(tmp_path: Path) -> None:
    """A run has what ``having`` asks for in one source, and its rows in another."""
    body = (
        "layers:\n  - export: [lab, other]\n    picks: all\n    runs: {having: {picks: virus}}\n"
        "    on_collision: last\n    others: exclude\n"
    )
    moved = {"lab": inventory(picks=artifacts("picks", ("TS_9", "ada", "1", "virus")))}
    found = changed(tmp_path, body, body, moved=moved)
    of_other = next(t for t in found if (t.record_set, t.kind) == ("picks", "added") and "together" in t.what)
    assert (of_other.cause, of_other.line, of_other.layer) == ("source", 8, 1)
    assert of_other.what == "source 'lab' moved, which layer 1 (export lab and other) takes together with 'other'"


def test_a_row_that_a_new_layer_brings_again_is_the_sources(tmp_path: Path) -> None:
    """It would be there without the layer."""
    moved = {"lab": lab(("TS_2", "cem", "1", "virus"))}
    again = f"{LAYER}{LAYER.partition(chr(10))[2].replace('export', 'append')}"
    found = changed(tmp_path, again, moved=moved)
    assert [(t.kind, t.cause, t.layer) for t in found if t.kind == "added"] == [("added", "source", 1)]


def test_a_row_that_its_layer_and_its_source_lost_is_nobodys(tmp_path: Path) -> None:
    both = f"{LAYER}{LAYER.partition(chr(10))[2].replace('export', 'append')}"
    found = changed(tmp_path, LAYER, both, moved={"lab": lab(without=("TS_2",))})
    assert {(t.record_set, t.cause) for t in found if t.kind == "removed" and t.record_set == "picks"} == {
        ("picks", "unknown")
    }


def test_layers_are_known_again_where_one_comes_before_them(tmp_path: Path) -> None:
    """Another layer in front makes nothing new but its own rows."""
    after = "layers:\n  - export: other\n" + LAYER.split("\n", 1)[1].replace("export", "append")
    found = changed(tmp_path, after, moved={"lab": lab(("TS_2", "cem", "1", "virus"))})
    by_cause = {(t.record_set, t.kind): (t.cause, t.line, t.layer) for t in found if t.kind == "added"}
    assert by_cause["runs", "added"] == ("recipe", 11, 1)
    assert {(t.cause, t.layer) for t in found if t.record_set == "picks" and t.kind == "added"} == {
        ("recipe", 1),
        ("source", 2),
    }


def test_a_source_more_and_one_less_in_a_layer(tmp_path: Path) -> None:
    both = "layers:\n  - export: [lab, other]\n    picks: all\n    others: exclude\n    on_collision: last\n"
    one = both.replace("[lab, other]", "lab")
    more = changed(tmp_path, both, one)
    assert ("picks", "added", "recipe", 11, 1, 1) in lines(more)
    assert (
        next(t.what for t in more if t.kind == "added") == "layer 1 (export lab and other) takes source 'other' since"
    )
    less = changed(tmp_path, one, both)
    assert ("picks", "removed", "recipe", 11, 1, 1) in lines(less)
    assert next(t.what for t in less if t.kind == "removed") == "layer 1 (export lab) takes source 'other' no more"


# Sources as the recipe names them


def test_another_config_is_the_recipes_doing(tmp_path: Path) -> None:
    header = HEADER.replace("config: lab.json", "config: lab-2.json")
    found = changed(
        tmp_path,
        LAYER,
        moved={"lab": lab(("TS_4", "cem", "1", "virus"), without=("TS_3",))},
        headers=(HEADER, header),
    )
    assert {(t.cause, t.line, t.what) for t in found} == {("recipe", 8, "`config` of source 'lab' is another one")}


def test_another_base_url_moves_rows(tmp_path: Path) -> None:
    header = HEADER.replace("config: other.json", 'config: other.json, base_url: "https://example.org/there"')
    (found,) = changed(tmp_path, LAYER + NEXT, LAYER + NEXT, headers=(HEADER, header))
    assert (found.kind, found.cause, found.line, found.layer) == ("changed", "recipe", 9, 2)


# Names


@pytest.mark.parametrize(
    ("given", "where", "what"),
    [
        (
            "rename:\n      objects:\n        ribosome: ribo",
            17,
            "`rename` of layer 1 (export lab) calls 'ribosome' 'ribo'",
        ),
        ("rename:\n      sessions:\n        '*': '0'", 17, "`rename` of layer 1 (export lab) calls '*' '0'"),
        ('session_id: "{user}-{session}"', 15, "`session_id` of layer 1 (export lab) names these"),
        ('user_id: "{user}-x"', 15, "`user_id` of layer 1 (export lab) names these"),
    ],
)
def test_what_renames_rows(tmp_path: Path, given: str, where: int, what: str) -> None:
    found = changed(tmp_path, f"{LAYER}    {given}\n")
    assert {(t.record_set, t.kind, t.cause, t.line, t.layer, t.what) for t in found} == {
        ("picks", "renamed", "recipe", where, 1, what)
    }
    back = changed(tmp_path, LAYER, f"{LAYER}    {given}\n")
    assert {(t.record_set, t.kind, t.cause, t.layer) for t in back} == {("picks", "renamed", "recipe", 1)}
    assert sum(t.rows for t in back) == sum(t.rows for t in found)


def test_a_recipes_own_rename_is_where_it_stands(tmp_path: Path) -> None:
    found = changed(tmp_path, f"rename:\n  objects:\n    ribosome: ribo\n{LAYER}")
    assert lines(found) == [("picks", "renamed", "recipe", 12, 1, 3)]


def test_a_fragments_line_is_in_the_fragment(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("# names\nrename:\n  objects:\n    ribosome: ribo\n", encoding="utf-8")
    first = build()
    _, causes = compared(first, planned(tmp_path, LAYER, SOURCES, f"include: names.yaml\n{HEADER}"))
    (number,) = set(causes.rows["picks"]["renamed"].tolist())
    cause = causes.all[number]
    assert (cause.kind, cause.file, cause.line) == ("recipe", str(tmp_path / "names.yaml"), 4)


def test_what_a_source_calls_otherwise_is_new_there(tmp_path: Path) -> None:
    """Told by its checksum: the recipe declares nothing."""

    def of(session: str) -> Inventory:
        picks = artifacts("picks", ("TS_1", "ada", session, "ribosome"))
        return inventory(picks=picks.assign(sha256=pd.Series(["ab"], dtype="str")))

    body = "layers: [{export: lab, picks: all, others: exclude}]\n"
    first = built(planned(tmp_path, body, {"lab": of("1")}))
    (found,) = told(first, planned(tmp_path, body, {"lab": of("v1")}))
    assert found == Told("picks", "renamed", "source", 8, 1, "renamed in source 'lab'", 1)


def test_there_and_back_is_no_change(tmp_path: Path) -> None:
    first = build()
    swapped = planned(tmp_path, f"{LAYER}    rename:\n      users: {{ada: bob, bob: ada}}\n", SOURCES)
    assert [(t.kind, t.cause, t.rows) for t in told(first, swapped)] == [
        ("renamed", "recipe", 1),
        ("renamed", "recipe", 3),
    ]
    assert {t.kind for t in told(built(swapped), planned(tmp_path, LAYER, SOURCES))} == {"renamed"}
    assert told(first, planned(tmp_path, LAYER, SOURCES)) == []


# The tool


def test_another_version_of_the_tool(tmp_path: Path) -> None:
    first = built(planned(tmp_path, LAYER, SOURCES), version="0.0.1")
    after = planned(tmp_path, LAYER, {**SOURCES, "lab": lab(("TS_2", "cem", "1", "virus"))})
    same = replace(after, identities=first.record.origin.sources)  # type: ignore[union-attr]
    (found,) = told(first, same)
    assert (found.kind, found.cause, found.layer, found.rows) == ("added", "tool", 1, 1)
    assert "0.0.1" in found.what
    (found,) = told(first, after)
    assert (found.cause, found.layer) == ("unknown", 1)
    assert found.what.startswith("new in source 'lab', or made otherwise by croissant-recipes ")


# Others


def with_csv(there: Existing, name: str, *edits: tuple[str, str]) -> Existing:
    """What is there, after somebody edited a CSV."""
    text = there.files[name].decode()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    found = drift.parse({**there.files, name: text.encode()}, "out")
    assert found is not None
    return found


def test_what_others_did(tmp_path: Path) -> None:
    plan = planned(tmp_path, LAYER, SOURCES)
    first = built(plan)
    row = next(line for line in first.files["picks.csv"].decode().splitlines() if line.startswith("TS_3"))
    added = row.replace("TS_3,ada", "TS_2,eve").replace("TS_3", "TS_2").replace("ada", "eve")
    edited = with_csv(first, "picks.csv", (row, added))
    found = told(edited, plan)
    assert {(t.record_set, t.kind, t.cause, t.rows) for t in found} == {
        ("picks", "added", "others", 1),
        ("picks", "removed", "others", 1),
    }
    assert {t.what for t in found} == {
        "others added it since the last build",
        "others removed it since the last build",
    }


def test_what_others_changed(tmp_path: Path) -> None:
    plan = planned(tmp_path, LAYER, SOURCES)
    edited = with_csv(built(plan), "runs.csv", ("TS_2,,", "TS_2,,val"))
    (found,) = told(edited, plan)
    assert found == Told("runs", "changed", "others", None, None, "others changed it since the last build", 1)
    both = planned(tmp_path, f"{LAYER}splits: {{assign: {{test: TS_2}}}}\n", SOURCES)
    (found,) = told(edited, both)
    assert (found.cause, found.what) == (
        "unknown",
        "others changed it since the last build, and it would be another one now",
    )


# Splits


def test_what_moves_runs_between_splits(tmp_path: Path) -> None:
    before = f"{LAYER}splits:\n  assign:\n    train: [TS_1, TS_2]\n"
    after = f"{LAYER}splits:\n  assign:\n    train: TS_1\n    test: TS_2\n"
    changes, causes = compared(build(before), planned(tmp_path, after, SOURCES))
    assert list(changes.split_moves["run"]) == ["TS_2"]
    (number,) = causes.split_moves.tolist()
    assert (causes.all[number].kind, causes.all[number].line) == ("recipe", 18)
    assert causes.rows["runs"]["changed"].tolist() == [number]
    out = planned(tmp_path, f"{LAYER}splits:\n  assign:\n    train: [TS_1]\n", SOURCES)
    (found,) = told(build(before), out)
    assert (found.cause, found.line, found.what) == (
        "recipe",
        15,
        "the recipe does not say any more which split runs are in",
    )


def test_the_lines_of_a_split_file_are_one_reason(tmp_path: Path) -> None:
    body = f"{LAYER}splits: {{file: splits.csv}}\n"
    (tmp_path / "splits.csv").write_text("split,run\ntrain,TS_1\ntrain,TS_2\ntrain,TS_3\n", encoding="utf-8")
    first = built(planned(tmp_path, body, SOURCES))
    (tmp_path / "splits.csv").write_text("split,run\ntrain,TS_1\nval,TS_2\ntest,TS_3\n", encoding="utf-8")
    _, causes = compared(first, planned(tmp_path, body, SOURCES))
    (number,) = set(causes.split_moves.tolist())
    cause = causes.all[number]
    assert (cause.kind, Path(cause.file or "").name, cause.line) == ("recipe", "splits.csv", 3)


@pytest.mark.parametrize("runs", ["[TS_1, TS_2, TS_3]", "\n      - TS_1\n      - TS_2\n      - TS_3"])
def test_the_runs_of_a_list_are_one_reason(runs: str, tmp_path: Path) -> None:
    first = build(f"{LAYER}splits:\n  assign:\n    train: {runs}\n")
    _, causes = compared(first, planned(tmp_path, f"{LAYER}splits:\n  assign:\n    test: {runs}\n", SOURCES))
    (number,) = set(causes.split_moves.tolist())
    assert causes.all[number].line == 17 + runs.count("\n", 0, 1)


# Objects and metadata


def objects_of(first: Plan, after: Plan) -> dict[str, tuple[str, int | None]]:
    _, causes = compared(built(first), after)
    return {name: (str(c.kind), c.line) for name, c in causes.objects.items()}


def test_why_an_object_differs(tmp_path: Path) -> None:
    sources = {"lab": lab(objects=[obj("ribosome", 1), obj("virus", 2)])}
    first = planned(tmp_path, LAYER, sources)
    given = f"objects:\n  ribosome:\n    radius: 130\n{LAYER}"
    assert objects_of(first, planned(tmp_path, given, sources)) == {"ribosome": ("recipe", 12)}
    more = {"lab": lab(objects=[obj("ribosome", 1), obj("virus", 2, radius=60.0), obj("vlp", 3)])}
    assert objects_of(first, planned(tmp_path, LAYER, more)) == {"virus": ("source", 8), "vlp": ("source", 8)}
    called = planned(tmp_path, f"{LAYER}    rename:\n      objects: {{virus: vlp}}\n", sources)
    assert objects_of(first, called) == {"virus": ("recipe", 16), "vlp": ("recipe", 16)}


@pytest.mark.parametrize(
    ("old", "new", "key", "where"),
    [
        ("license: MIT", "license: CC0-1.0", "license", 4),
        ("version: 1.0.0", "version: 1.1.0", "version", 4),
        ("example.org/small", "example.org/large", "url", 5),
        ("Example Lab", "Another Lab", "creator", 5),
        ("example.org/data", "example.org/moved", "copick:baseUrl", 6),
    ],
)
def test_why_metadata_differs(tmp_path: Path, old: str, new: str, key: str, where: int) -> None:
    first = build()
    _, causes = compared(first, planned(tmp_path, LAYER, SOURCES, HEADER.replace(old, new)))
    assert (causes.metadata[key].kind, causes.metadata[key].line) == ("recipe", where)
    made = causes.metadata["prov:wasGeneratedBy"]
    assert (made.kind, made.line) == ("recipe", 1)


def test_metadata_that_others_changed(tmp_path: Path) -> None:
    plan = planned(tmp_path, LAYER, SOURCES)
    first = built(plan)
    manifest = json.loads(first.files[METADATA]) | {"license": "https://example.org/licence"}
    edited = drift.parse({**first.files, METADATA: json.dumps(manifest).encode()}, "out")
    _, causes = compared(edited, plan)
    assert {key: str(c.kind) for key, c in causes.metadata.items()} == {"license": "others"}


# What is not known


def test_croissants_that_nobody_knows_differ_for_unknown_reasons(tmp_path: Path) -> None:
    first = build()
    foreign = drift.parse({n: d for n, d in first.files.items() if not n.startswith("croissant-recipe")}, "out")
    found = told(foreign, planned(tmp_path, LAYER.replace(", virus", ""), SOURCES))
    assert [(t.kind, t.cause, t.line) for t in found] == [("removed", "unknown", None)]


def test_an_old_record_is_still_read(tmp_path: Path) -> None:
    """It says nothing of the parts of a recipe: layers are still known by what they do."""
    first = built(planned(tmp_path, LAYER, SOURCES), parts={})
    assert "parts" not in json.loads(first.files[RECORD_FILE])
    assert told(first, planned(tmp_path, LAYER, SOURCES)) == []
    found = told(first, planned(tmp_path, LAYER.replace(", virus", ""), SOURCES))
    assert lines(found) == [("picks", "removed", "recipe", 12, 1, 1)]
    more = {**SOURCES, "lab": lab(("TS_2", "cem", "1", "virus"))}
    assert lines(told(first, planned(tmp_path, LAYER, more))) == [("picks", "added", "source", 8, 1, 1)]
    # That the source is the same one is not noted, and the recipe is another one.
    (found,) = told(first, planned(tmp_path, LAYER + "splits: {assign: {train: TS_1}}\n", more))[1:]
    assert (found.kind, found.cause) == ("added", "unknown")


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [{"layer": "x"}],
        [{"layer": 1}],
        [{"layer": 1, "source": "lab"}],
        [{"layer": 1, "source": "lab", "takes": {"picks": {"select": ["a:b:c"]}}}],
        ["no layer"],
    ],
)
def test_a_spoilt_record_tells_less_and_stops_nobody(tmp_path: Path, layers: list[Any]) -> None:
    first = built(planned(tmp_path, LAYER, SOURCES), layers=layers)
    after = planned(tmp_path, LAYER.replace("virus", "'*'"), {**SOURCES, "lab": lab(("TS_2", "cem", "1", "x"))})
    assert sum(t.rows for t in told(first, after) if t.kind == "added") == 1


def test_recipe_and_source_both_changed(tmp_path: Path) -> None:
    """Each row has its own cause: what the layer would have taken as it was came from the source."""
    after = LAYER.replace("[ribosome, virus]", "[ribosome, virus, vlp]")
    moved = {"lab": lab(("TS_1", "cem", "1", "vlp"), ("TS_2", "cem", "1", "virus"), without=("TS_3",))}
    found = [t for t in changed(tmp_path, after, moved=moved) if t.record_set == "picks"]
    assert {(t.kind, t.cause, t.line, t.rows) for t in found} == {
        ("added", "recipe", 12, 1),
        ("added", "source", 8, 1),
        ("removed", "source", 8, 1),
    }


# Two plans


def test_two_plans_over_the_same_sources_differ_by_the_recipe(tmp_path: Path) -> None:
    first = planned(tmp_path, LAYER, SOURCES)
    for after in (LAYER.replace(", virus", ""), f"{LAYER}    runs: TS_1\n", LAYER + NEXT):
        found = told(first, planned(tmp_path, after, SOURCES))
        assert found
        assert {t.cause for t in found} == {"recipe"}
    assert told(first, planned(tmp_path, LAYER, SOURCES)) == []


def test_no_cause_tells_a_password(tmp_path: Path) -> None:
    header = HEADER.replace("config: other.json", "config: 'https://bob:hunter2@example.org/other.json?token=hunter2'")
    changes, causes = compared(build(LAYER + NEXT), planned(tmp_path, LAYER + NEXT, SOURCES, header))
    assert changes
    assert "hunter2" not in repr(causes)
    assert "hunter2" not in repr(built(planned(tmp_path, LAYER + NEXT, SOURCES, header)).files)


def test_three_thousand_rows_of_one_reason_have_one_cause(tmp_path: Path) -> None:
    rows = [(f"TS_{n:04}", "ada", "1", "ribosome") for n in range(3000)]
    sources = {"lab": inventory(picks=artifacts("picks", *rows))}
    body = "layers: [{export: lab, picks: all, others: exclude}]\n"
    out = "layers: [{export: lab, picks: 'x*', others: exclude, allow_empty: true}]\n"
    found = told(built(planned(tmp_path, body, sources)), planned(tmp_path, out, sources))
    assert [(t.record_set, t.rows) for t in found] == [("picks", 3000)]
