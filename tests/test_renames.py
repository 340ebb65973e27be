"""Rows under another key: told by what they are, and neither lost nor told twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from croissant_recipes.cli import main
from croissant_recipes.croissant.diff import Changes, TableChanges, compare, rows
from croissant_recipes.schema import RECORD_SETS
from tests.croissants import Given, tables_of
from tests.projects import Picks, ProjectSpec, Run, write_project


def changes_of(before: Given, after: Given) -> Changes:
    return compare(tables_of(before), tables_of(after), {}, {})


def picks(run: str, name: str = "ribosome", **more: str) -> dict[str, Any]:
    return {"run": run, "user_id": "ada", "session_id": "1", "object_name": name, **more}


def told(changes: TableChanges) -> list[tuple[str, str, str]]:
    """Old key, new key and what tells it."""
    return [
        ("/".join(map(str, r.before.values())), "/".join(map(str, r.key.values())), r.way) for r in changes.renamed()
    ]


def counts(changes: TableChanges) -> tuple[int, int, int, int, int]:
    """Added, changed, removed, renamed and unchanged rows."""
    sizes = (len(t) for t in (changes.added, changes.after, changes.removed, changes.renamed_after))
    added, changed, removed, renamed = sizes
    return added, changed, removed, renamed, changes.unchanged


@pytest.mark.parametrize(
    ("same", "way"),
    [
        ({"portal_annotation_file_id": "7"}, "portal id"),
        ({"portal_annotation_id": "7"}, "portal id"),
        ({"sha256": "aa"}, "sha256"),
        ({"url": "a.json"}, "url"),
    ],
)
def test_a_row_is_known_again_by(same: dict[str, str], way: str) -> None:
    found = changes_of({"picks": [picks("TS_1", **same)]}, {"picks": [picks("TS_1", "ribo", **same)]}).tables["picks"]
    assert told(found) == [("TS_1/ada/1/ribosome", "TS_1/ada/1/ribo", way)]
    assert counts(found) == (0, 0, 0, 1, 0)
    assert found


def test_the_portals_id_counts_more_than_the_file_and_the_file_more_than_its_place() -> None:
    before = [picks("TS_1", "a", portal_annotation_id="1", sha256="x"), picks("TS_1", "b", sha256="y", url="u")]
    after = [
        picks("TS_1", "c", portal_annotation_id="1", sha256="new"),
        picks("TS_1", "d", sha256="x", url="u"),
        picks("TS_1", "e", sha256="y", url="v"),
    ]
    found = changes_of({"picks": before}, {"picks": after}).tables["picks"]
    assert [(old[-1], new[-1], way) for old, new, way in told(found)] == [("a", "c", "portal id"), ("b", "e", "sha256")]
    assert [r.fields for r in found.renamed()] == [{"sha256": ("x", "new")}, {"url": ("u", "v")}]
    assert list(found.added["object_name"]) == ["d"]


@pytest.mark.parametrize("column", ["portal_annotation_id", "sha256", "url"])
@pytest.mark.parametrize("side", ["before", "after", "a row that stays"])
def test_what_several_rows_have_tells_none(column: str, side: str) -> None:
    same = {column: "x"}
    before, after = [picks("TS_1", "a", **same)], [picks("TS_1", "b", **same)]
    if side != "after":
        before.append(picks("TS_2", "c", **same))
    if side != "before":
        after.append(picks("TS_2", "c" if side == "a row that stays" else "d", **same))
    found = changes_of({"picks": before}, {"picks": after}).tables["picks"]
    assert told(found) == []
    assert "b" in set(found.added["object_name"])
    assert "a" in set(found.removed["object_name"])


def test_nothing_in_common_tells_nothing() -> None:
    """Not even where both have no checksum and no place."""
    found = changes_of({"picks": [picks("TS_1", "a")]}, {"picks": [picks("TS_1", "b")]}).tables["picks"]
    assert counts(found) == (1, 0, 1, 0, 0)


def test_a_copy_under_another_name_is_an_addition() -> None:
    first = picks("TS_1", sha256="x")
    found = changes_of({"picks": [first]}, {"picks": [first, picks("TS_1", "copy", sha256="x")]}).tables["picks"]
    assert counts(found) == (1, 0, 0, 0, 1)


def test_a_renamed_run_takes_along_what_is_in_it() -> None:
    spacing = {"voxel_size": 10.0}
    before = {
        "runs": [{"name": "TS_1", "portal_run_id": "5", "split": "train"}, {"name": "TS_2"}],
        "voxel_spacings": [{"run": "TS_1", **spacing}, {"run": "TS_2", **spacing}],
        "segmentations": [{"run": "TS_1", "name": "membrane", "user_id": "ada", "session_id": "1", **spacing}],
    }
    after = {
        "runs": [{"name": "one", "portal_run_id": "5", "split": "test"}, {"name": "TS_2"}],
        "voxel_spacings": [{"run": "one", **spacing}, {"run": "TS_2", **spacing}, {"run": "one", "voxel_size": 5.0}],
        "segmentations": [{"run": "one", "name": "membrane", "user_id": "ada", "session_id": "1", **spacing}],
    }
    found = changes_of(before, after)
    assert told(found.tables["runs"]) == [("TS_1", "one", "portal id")]
    assert told(found.tables["voxel_spacings"]) == [("TS_1/10.0", "one/10.0", "run")]
    assert counts(found.tables["voxel_spacings"]) == (1, 0, 0, 1, 1)
    assert [way for _, _, way in told(found.tables["segmentations"])] == ["run"]
    assert rows(found.split_moves) == [{"run": "one", "before": "train", "after": "test"}]


def test_a_run_that_nothing_but_its_rows_tells_is_known_by_them() -> None:
    before = {"runs": [{"name": "TS_1"}], "picks": [picks("TS_1", sha256="x"), picks("TS_1", "vlp")]}
    after = {"runs": [{"name": "one"}], "picks": [picks("one", sha256="x"), picks("one", "vlp")]}
    found = changes_of(before, after)
    assert told(found.tables["runs"]) == [("TS_1", "one", "rows")]
    assert sorted(way for _, _, way in told(found.tables["picks"])) == ["run", "sha256"]


def test_two_runs_that_become_one_are_renamed_neither() -> None:
    before = {
        "runs": [{"name": "TS_1"}, {"name": "TS_2"}],
        "picks": [picks("TS_1", sha256="x"), picks("TS_2", "vlp", sha256="y")],
    }
    after = {"runs": [{"name": "one"}], "picks": [picks("one", sha256="x"), picks("one", "vlp", sha256="y")]}
    found = changes_of(before, after)
    assert counts(found.tables["runs"]) == (1, 0, 2, 0, 0)
    assert counts(found.tables["picks"]) == (0, 0, 0, 2, 0)


def test_two_runs_of_the_portal_are_two_though_the_same_picks_are_in_both() -> None:
    before = {"runs": [{"name": "TS_1", "portal_run_id": "1"}], "picks": [picks("TS_1", sha256="x")]}
    after = {"runs": [{"name": "one", "portal_run_id": "2"}], "picks": [picks("one", sha256="x")]}
    found = changes_of(before, after)
    assert counts(found.tables["runs"]) == (1, 0, 1, 0, 0)


def test_split_moves_are_of_runs_that_stay() -> None:
    before = {"runs": [{"name": n, "split": s} for n, s in (("a", "train"), ("b", "train"), ("c", ""), ("d", "val"))]}
    after = {"runs": [{"name": n, "split": s} for n, s in (("b", "test"), ("c", "val"), ("d", "val"), ("e", "val"))]}
    found = changes_of(before, after)
    assert rows(found.split_moves) == [
        {"run": "b", "before": "train", "after": "test"},
        {"run": "c", "before": "", "after": "val"},
    ]


def test_objects_field_by_field() -> None:
    def config(*objects: dict[str, Any]) -> dict[str, Any]:
        return {"copick:config": {"pickable_objects": list(objects)}}

    stays, gone = {"name": "a", "label": 1, "radius": 60.0}, {"name": "b", "label": 2}
    new = {"name": "c", "label": 3}
    nothing = tables_of({})
    found = compare(nothing, nothing, config(stays, gone), config({**stays, "label": 4}, new)).objects
    assert [(o.name, o.kind, o.fields) for o in found] == [
        ("a", "changed", {"label": (1, 4)}),
        ("b", "removed", {}),
        ("c", "added", {}),
    ]


names = st.sampled_from(["a", "b", "c"])
values = st.sampled_from(["", "1", "2", "3"])
one = st.fixed_dictionaries(
    {
        "run": names,
        "user_id": names,
        "object_name": names,
        "sha256": values,
        "url": values,
        "portal_annotation_id": values,
    }
)
some_picks = st.lists(one, max_size=7, unique_by=lambda r: (r["run"], r["user_id"], r["object_name"]))
some_runs = st.lists(
    st.fixed_dictionaries({"name": names, "portal_run_id": values, "split": values}),
    max_size=3,
    unique_by=lambda r: r["name"],
)
some = st.fixed_dictionaries({"picks": some_picks, "runs": some_runs})


@given(some, some)
@settings(max_examples=60, deadline=None, database=None)
def test_the_changes_of_a_table_make_the_new_one_of_the_old_one(before: Given, after: Given) -> None:
    old, new = tables_of(before), tables_of(after)
    forth, back = compare(old, new, {}, {}), compare(new, old, {}, {})
    for name in ("picks", "runs"):
        key = RECORD_SETS[name].key

        def by_key(table: pd.DataFrame, key: tuple[str, ...] = key) -> dict[tuple[Any, ...], Any]:
            found = {tuple(row[k] for k in key): row for row in rows(table)}
            assert len(found) == len(table), "no row twice"
            return found

        change, reverse = forth.tables[name], back.tables[name]
        made = by_key(old[name])
        for gone in (change.removed, change.renamed_before, change.before):
            for at in by_key(gone):
                del made[at]
        for come in (change.added, change.renamed_after, change.after):
            found = by_key(come)
            assert not found.keys() & made.keys()
            made |= found
        assert made == by_key(new[name])
        # There and back again: the same pairs, told by the same.
        assert sorted((b, a, w) for a, b, w in told(reverse)) == sorted(told(change))
        assert len(change.removed) == len(reverse.added)


def test_a_renaming_recipe_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sets = tuple(Picks("ada", str(n), "ribosome", points=n) for n in range(1, 13))
    write_project(tmp_path / "lab", ProjectSpec(runs=(Run("TS_1", picks=sets), Run("TS_2"))))
    recipe = (
        "recipe: 1\nname: lab\n"
        "dataset:\n  {name: Lab, description: Rows., version: 1.0.0, license: MIT, date_published: 2026-01-15, "
        "url: 'https://example.org', creators: [{name: Lab}]}\n"
        "output: {project_root: out, base_url: 'https://example.org/lab'}\n"
        "sources: {lab: {copick: {config: lab/filesystem.json}}}\n"
        "layers: [{export: lab, picks: ribosome"
    )
    Path("recipe.yaml").write_text(recipe + "}]\nsplits: {assign: {train: [TS_1]}}\n")
    assert CliRunner().invoke(main, ["build", "recipe.yaml"]).exit_code == 0
    sessions = ", ".join(f"'{n}': v{n}" for n in range(1, 13))
    Path("recipe.yaml").write_text(
        recipe + f", rename: {{sessions: {{{sessions}}}}}}}]\nsplits: {{assign: {{val: [TS_1]}}}}\n"
    )
    planned = CliRunner().invoke(main, ["plan", "recipe.yaml"])
    told = planned.stdout.splitlines()
    assert told[1] == told[-1] == "+0 ~1 -0, 12 renamed, 1 split move: split-unsafe"
    assert ["runs", "0", "1", "0", "0", "1"] in [line.split() for line in told]
    assert ["picks", "0", "0", "0", "12", "0"] in [line.split() for line in told]
    start = next(
        i
        for i, line in enumerate(told)
        if line.startswith("~ 1 picks renamed (breaking; declared; session_id), recipe.yaml:7: ")
    )
    assert told[start + 1] == "    TS_1, ada, 1, ribosome -> TS_1, ada, v1, ribosome (by source name)"
    assert told[start + 8] == "  and 8 more groups with 8 rows (--full shows all)"
    document = json.loads(CliRunner().invoke(main, ["plan", "--format", "json", "recipe.yaml"]).stdout)
    changes = document["recipes"][0]["changes"]
    of_picks = changes["record_sets"]["picks"]
    assert (of_picks["added"], of_picks["removed"], len(of_picks["renamed"])) == ([], [], 12)
    key = {"run": "TS_1", "user_id": "ada", "object_name": "ribosome"}
    assert of_picks["renamed"][0] == {
        "kind": "renamed",
        "before": {**key, "session_id": "1"},
        "key": {**key, "session_id": "v1"},
        "fields": {},
        "by": "source name",
    }
    assert changes["split_moves"] == [{"run": "TS_1", "before": "train", "after": "val"}]
