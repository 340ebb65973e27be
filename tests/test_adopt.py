"""``adopt``: drift becomes something that the recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compiling import with_code
from test_build import ADDED, RIBOSOMES, Lab, contents, run

from croissant_recipes import from_croissant
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.croissant import manifest
from croissant_recipes.language.recipe_edits import Edits, edited


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


LAYERS = "  - export: lab  # ours\n    picks: ['ribosome:alice']\n"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.write("recipe.yaml", LAYERS)
    lab.build()
    return lab


def no_drift(lab: Lab) -> None:
    result = lab.build()
    assert [d for d in result.diagnostics if d.code is Code.DRIFT] == []
    assert result.ok


@pytest.mark.parametrize("relocatable", [False, True])
def test_rows_are_adopted_and_the_next_build_asks_no_more(lab: Lab, relocatable: bool) -> None:
    if relocatable:
        start = lab.recipe.read_text().split("sources:")[0].split("name: lab\n", 1)[1]
        start = start.replace(f'project_root: out, base_url: "file://{lab.project.root}"', "project_root: lab/project")
        lab.write("recipe.yaml", LAYERS, start=start)
        lab.out, lab.croissant = lab.project.root, lab.project.root / "Croissant"
        lab.manifest = lab.croissant / "metadata.json"
        lab.build()
    lab.add_picks()
    rows, before = (lab.croissant / "picks.csv").read_bytes(), lab.recipe.read_text()
    assert run("adopt", "--dry-run", str(lab.recipe)).exit_code == ExitCode.GOOD
    assert lab.recipe.read_text() == before
    assert sorted(p.name for p in lab.folder.iterdir() if "adopt" in p.name or "trial" in p.name) == []
    result = run("adopt", str(lab.recipe))
    assert result.exit_code == ExitCode.GOOD, result.output
    after = lab.recipe.read_text()
    assert [line for line in after.splitlines() if line not in before.splitlines()] == [
        "  adopted:",
        "    croissant:",
        "      url: recipe-adopted/Croissant/metadata.json",
        "  - append: adopted",
    ]
    assert [line for line in after.splitlines() if line in before.splitlines()] == before.splitlines()
    no_drift(lab)
    assert sorted((lab.croissant / "picks.csv").read_bytes().splitlines()) == sorted(rows.splitlines())
    assert len(from_croissant(str(lab.manifest)).get_run("TS_1").get_picks(user_id="bob")) == 1
    lab.add_picks("10")
    assert run("adopt", str(lab.recipe)).exit_code == ExitCode.GOOD
    assert lab.recipe.read_text() == after, "the recipe says it already"
    no_drift(lab)
    assert {ADDED, ("TS_1", "bob", "10", "ribosome"), *RIBOSOMES} == set(lab.rows("picks"))


def test_splits_objects_and_metadata_are_said_and_the_rest_is_left(lab: Lab) -> None:
    from_croissant(str(lab.manifest)).set_splits({"train": ["TS_1"]})
    lab.remove_row()

    def change(document: dict[str, Any]) -> None:
        document["description"] = "By hand."
        document["ours:note"] = "a note"
        objects = document["copick:config"]["pickable_objects"]
        objects[0]["radius"] = 150.0
        objects.append({"name": "capsid", "is_particle": True, "label": 9, "color": [1, 2, 3, 255]})

    lab.edit_manifest(change)
    result = run("adopt", str(lab.recipe))
    assert result.exit_code == ExitCode.GOOD, result.output
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    assert told.notes == (
        "- picks: TS_2, alice, 1, ribosome",
        "~ metadata.json: ours:note: nothing -> a note",
    )
    for note in told.notes:
        assert note in result.stdout
    assert lab.build(on_drift="discard").written
    assert lab.rows("runs", "name", "split") == [("TS_1", "train"), ("TS_2", ""), ("TS_3", "")]
    assert lab.document()["description"] == "By hand."
    assert lab.objects()["capsid"]["label"] == 9
    assert lab.objects()["ribosome"]["radius"] == 150.0


def test_a_recipe_that_could_not_be_built_afterwards_is_left_alone(lab: Lab) -> None:
    lab.write("recipe.yaml", LAYERS, more="expect: {picks: 3}\n")
    lab.add_picks()
    before = {n: d for n, (d, _) in contents(lab.folder).items()}
    result = run("adopt", str(lab.recipe))
    assert result.exit_code == ExitCode.BLOCKED
    assert "CR404" in result.stderr
    assert {n: d for n, (d, _) in contents(lab.folder).items()} == before


def test_nothing_to_adopt(lab: Lab) -> None:
    before = contents(lab.folder)
    result = run("adopt", str(lab.recipe))
    assert (result.exit_code, result.stdout) == (ExitCode.GOOD, f"Nothing to adopt: {lab.recipe}\n")
    assert contents(lab.folder) == before


@pytest.mark.parametrize(
    ("before", "runs", "after"),
    [
        # A run leaves the list that it stands in by name.
        (
            "splits: {assign: {train: [TS_1, TS_2], val: TS_3}}\n",
            {"val": ["TS_1"]},
            'splits: {assign: {train: [TS_2], val: [TS_3, "TS_1"]}}\n',
        ),
        (
            "splits:\n  assign:\n    train: TS_2\n  unassign: [TS_1, TS_3]   # for now\n",
            {"val": ["TS_1", "TS_2"]},
            'splits:\n  assign:\n    val:\n    - "TS_1"\n    - "TS_2"\n  unassign: [TS_3]         # for now\n',
        ),
        # Runs may be given by what is known of them.
        (
            "splits:\n  assign: {train: [TS_3, {source: two}], val: {where: {id: 3}, source: b}}\n",
            {"train": ["TS_1"], "val": ["TS_2"]},
            'splits:\n  assign: {train: [TS_3, {source: two}, "TS_1"], val: [{where: {id: 3}, source: b}, "TS_2"]}\n',
        ),
        (
            "splits:\n  assign:\n    train: {source: two}   # all of these\n    val: TS_3\n",
            {"train": ["TS_1"]},
            "splits:\n  assign:\n    train:                 # all of these\n"
            '    - {source: two}\n    - "TS_1"\n    val: TS_3\n',
        ),
    ],
)
def test_runs_are_said_where_their_split_is(before: str, runs: dict[str, list[str]], after: str) -> None:
    assert edited(before, Edits(assign=runs)) == after


def test_what_a_recipe_says_otherwise_all_the_same_is_left(lab: Lab) -> None:
    lab.write("recipe.yaml", LAYERS, more="splits: {assign: {val: TS_3}, unassign: {source: lab}}\n")
    assert lab.build().written
    before = lab.recipe.read_text()
    from_croissant(str(lab.manifest)).set_splits({"train": ["TS_1"]})
    result = run("adopt", str(lab.recipe))
    assert "~ runs: TS_1: split nothing -> train" in result.stdout
    assert lab.recipe.read_text() == before


def test_what_others_wrote_controls_no_terminal(lab: Lab) -> None:
    def change(document: dict[str, Any]) -> None:
        document["ours:note\x9b2J"] = document["description"] = "\u202eover"

    lab.edit_manifest(change)
    for more in ((), ("--format", "json")):
        told = run("adopt", "--dry-run", *more, str(lab.recipe)).stdout
        assert "ours:note" in told
        assert all(c.isprintable() for c in told.replace("\n", ""))


def test_a_run_moves_from_split_to_split(lab: Lab) -> None:
    lab.write("recipe.yaml", LAYERS, more="splits: {assign: {train: [TS_1, TS_2], val: TS_3}}\n")
    assert lab.build().written
    from_croissant(str(lab.manifest)).set_splits({"val": ["TS_1"]})
    assert run("adopt", str(lab.recipe)).exit_code == ExitCode.GOOD
    no_drift(lab)
    assert lab.rows("runs", "name", "split") == [("TS_1", "val"), ("TS_2", "train"), ("TS_3", "val")]


def test_the_rest_of_a_recipe_stays_as_somebody_wrote_it() -> None:
    text = (
        "# top\nrecipe:   1\nsplits: {assign: {train: [a,b], val: x}}   # odd blanks\n\n\n"
        "sources:\n    lab: {copick: {config:   'a.json'}}\nlayers:\n"
        "-   export: lab\n    picks: [\n      a,\n      b ]\n# end\n"
    )
    after = edited(text, Edits(croissant="r-adopted/Croissant/metadata.json", assign={"val": ["run[1]"]}))
    kept = [line for line in text.splitlines() if not line.startswith("splits:")]
    assert [line for line in after.splitlines() if line in kept] == kept
    assert 'val: [x, "run[[]1]"]' in after
    assert "append: adopted" in after
