"""A base and splits, and nothing else: what ``copick config set-splits`` does to a Croissant, a recipe does too.

The same edit is made by copick, in place, and by a recipe, in place or into another folder. Every CSV is compared,
and what both readers say of the runs. copick leaves the manifest's list of splits as it was, so ours is compared
with an export that has the splits from the start.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copick
import pytest
from click.testing import CliRunner
from copick.cli.config import set_croissant_splits_cmd
from copick.ops.croissant import export_croissant
from projects import PickableObject, Picks, Project, ProjectSpec, Run, Tomogram, copick_root, write_project

from croissant_recipes import Planned, build, from_croissant, plan
from croissant_recipes.cli import main
from croissant_recipes.schema import RECORD_SETS

NAMES = ("TS_1", "TS_2", "TS_3", "TS_4", "TS_5")
SPEC = ProjectSpec(
    runs=tuple(
        Run(name, tomograms=(Tomogram(10.0, "wbp"),), picks=(Picks("alice", "a", "ribosome", voxel_spacing=10.0),))
        for name in NAMES
    ),
    objects=(PickableObject("ribosome", label=1, radius=130.0),),
)
FILE = "split,run\ntrain,TS_1\ntrain,TS_2\nval,TS_4\n"


@dataclass(frozen=True)
class Edit:
    """One edit: the lines under ``splits:``, the flags of copick, and the runs that have a split afterwards."""

    recipe: str
    flags: tuple[str, ...]
    after: dict[str, str]


EDITS = {
    "assign": Edit(
        "{assign: {train: [TS_3, TS_4], holdout: TS_5}}",
        ("--split", "train=TS_3,TS_4", "--split", "holdout=TS_5"),
        {"TS_1": "train", "TS_2": "val", "TS_3": "train", "TS_4": "train", "TS_5": "holdout"},
    ),
    "move": Edit("{assign: {test: TS_1}}", ("--split", "test=TS_1"), {"TS_1": "test", "TS_2": "val", "TS_3": "val"}),
    "file": Edit(
        "{file: splits.csv}",
        ("--splits-file", "splits.csv"),
        {"TS_1": "train", "TS_2": "train", "TS_3": "val", "TS_4": "val"},
    ),
    "file and assign": Edit(
        "{file: splits.csv, assign: {train: TS_5, test: TS_3}}",
        ("--splits-file", "splits.csv", "--split", "train=TS_5", "--split", "test=TS_3"),
        {"TS_1": "train", "TS_2": "val", "TS_3": "test", "TS_4": "val", "TS_5": "train"},
    ),
    "clear, file and assign": Edit(
        "{clear: true, file: splits.csv, assign: {train: [TS_4], val: [TS_1]}}",
        ("--clear-all", "--splits-file", "splits.csv", "--split", "train=TS_4", "--split", "val=TS_1"),
        {"TS_1": "val", "TS_4": "train"},
    ),
    "unassign": Edit("{unassign: [TS_1, TS_5]}", ("--unassign", "TS_1,TS_5"), {"TS_2": "val", "TS_3": "val"}),
    "assign and unassign": Edit(
        "{assign: {test: [TS_4, TS_5]}, unassign: [TS_5, TS_2]}",
        ("--split", "test=TS_4,TS_5", "--unassign", "TS_5,TS_2"),
        {"TS_1": "train", "TS_3": "val", "TS_4": "test"},
    ),
    "clear": Edit("{clear: true}", ("--clear-all",), {}),
    "clear and assign": Edit(
        "{clear: true, assign: {train: TS_5}}", ("--clear-all", "--split", "train=TS_5"), {"TS_5": "train"}
    ),
    "clear and file": Edit(
        "{clear: true, file: splits.csv}",
        ("--clear-all", "--splits-file", "splits.csv"),
        {"TS_1": "train", "TS_2": "train", "TS_4": "val"},
    ),
}


class Lab:
    """A Croissant of copick's in ``base``, three of whose five runs have a split."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project: Project = write_project(folder / "lab", SPEC)
        (folder / "splits.csv").write_text(FILE)
        self.export("base", {"TS_1": "train", "TS_2": "val", "TS_3": "val"})

    def export(self, name: str, splits: Mapping[str, str]) -> Path:
        """The folder of copick's export with some splits by run."""
        named = {split: [run for run in splits if splits[run] == split] for split in splits.values()}
        root, target = copick_root(self.project), self.folder / name
        export_croissant(
            root,
            str(target),
            base_url=str(self.project.root),
            splits=named,
            date_published="2026-01-15",
            validate=False,
        )
        return target / "Croissant"

    def copick(self, flags: Sequence[str]) -> Path:
        """The folder in which copick has made an edit."""
        shutil.copytree(self.folder / "base", self.folder / "copick")
        manifest = self.folder / "copick" / "Croissant" / "metadata.json"
        done = CliRunner().invoke(set_croissant_splits_cmd, ["--croissant", str(manifest), *flags])
        assert done.exit_code == 0, done.output
        return manifest.parent

    def recipe(self, out: str, more: str) -> Path:
        path = self.folder / "recipe.yaml"
        start = "recipe: 1\nname: splits\nbase: base/Croissant/metadata.json\n"
        path.write_text(f"{start}output: {{project_root: {out}}}\n{more}", encoding="utf-8")
        return path

    def build(self, out: str, more: str) -> Planned:
        (result,) = build(self.recipe(out, more))
        assert result.ok, "\n".join(map(str, result.diagnostics))
        return result


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path)


def rows(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of every record set, by record set, in the order of their keys."""
    found = {}
    for name, schema in RECORD_SETS.items():
        with (folder / schema.csv_name).open(newline="", encoding="utf-8") as file:
            found[name] = sorted(csv.DictReader(file), key=lambda row: tuple(row[c] for c in schema.key))
    return found


def splits_of(folder: Path) -> set[tuple[str, str]]:
    """The names and definitions of the splits that a manifest lists."""
    document = json.loads((folder / "metadata.json").read_bytes())
    listed = [r for r in document["recordSet"] if r["@id"] == "copick/splits"]
    return {(d["copick/splits/name"], d["copick/splits/url"]) for r in listed for d in r["data"]}


def by_run(root: Any) -> dict[str, str]:
    return {run.name: run.split for run in root.runs if run.split}


@pytest.mark.parametrize("out", ["base", "elsewhere"])
@pytest.mark.parametrize("name", EDITS)
def test_a_recipe_sets_splits_as_copick_does(lab: Lab, name: str, out: str) -> None:
    edit = EDITS[name]
    copicks = lab.copick(edit.flags)
    before = rows(lab.folder / "base" / "Croissant")
    lab.build(out, f"splits: {edit.recipe}\n")
    ours = lab.folder / out / "Croissant"
    assert rows(ours) == rows(copicks)
    assert splits_of(ours) == splits_of(lab.export("exported", edit.after))
    assert by_run(from_croissant(str(ours / "metadata.json"))) == edit.after
    assert by_run(copick.from_croissant(str(ours / "metadata.json"))) == edit.after
    assert {n: r for n, r in rows(ours).items() if n != "runs"} == {n: r for n, r in before.items() if n != "runs"}


def test_nothing_but_splits_is_changed_in_the_manifest(lab: Lab) -> None:
    before = json.loads((lab.folder / "base/Croissant/metadata.json").read_bytes())
    lab.build("elsewhere", "splits: {clear: true}\n")
    after = json.loads((lab.folder / "elsewhere/Croissant/metadata.json").read_bytes())
    ours = {"@context", "conformsTo", "distribution", "recordSet", "prov:wasDerivedFrom", "prov:wasGeneratedBy"}
    assert {k: v for k, v in after.items() if k not in ours} == {k: v for k, v in before.items() if k not in ours}


def test_setting_splits_in_place_again_changes_nothing(lab: Lab) -> None:
    more = "splits: {assign: {test: [TS_4]}}\n"
    lab.build("base", more)
    first = {p.name: p.read_bytes() for p in (lab.folder / "base/Croissant").iterdir()}
    result = lab.build("base", more)
    assert {p.name: p.read_bytes() for p in (lab.folder / "base/Croissant").iterdir()} == first
    assert result.prepared is not None
    assert not result.prepared.changes


def test_a_plan_without_layers_can_be_shown(lab: Lab) -> None:
    recipe = lab.recipe("base", "splits: {assign: {test: [TS_4]}}\n")
    shown = CliRunner().invoke(main, ["plan", str(recipe)]).stdout
    assert "base base/Croissant/metadata.json: " in shown
    assert "splits: test 1, train 1, val 2, none 1" in shown
    assert "! split-unsafe: run TS_4 moves into test (--allow split:TS_4)" in shown
    (planned,) = json.loads(CliRunner().invoke(main, ["plan", str(recipe), "--format", "json"]).stdout)["recipes"]
    assert planned["layers"] == []
    assert planned["splits"] == {"test": ["TS_4"], "train": ["TS_1"], "val": ["TS_2", "TS_3"]}


@pytest.mark.parametrize("more", ["", "sources: {}\nlayers: []\n"], ids=["left out", "empty"])
def test_a_base_alone_is_copied(lab: Lab, more: str) -> None:
    lab.build("elsewhere", more)
    assert rows(lab.folder / "elsewhere/Croissant") == rows(lab.folder / "base/Croissant")


def test_expectations_and_objects_need_no_layer(lab: Lab) -> None:
    more = "objects: {ribosome: {radius: 140}}\nexpect: {runs: 5, splits: {train: 1}}\n"
    lab.build("elsewhere", more)
    document = json.loads((lab.folder / "elsewhere/Croissant/metadata.json").read_bytes())
    assert document["copick:config"]["pickable_objects"][0]["radius"] == 140.0
    (result,) = build(lab.recipe("again", "expect: {splits: {train: 2}}\n"))
    assert not result.written
    assert [d.code.value for d in result.diagnostics] == ["CR404"]


def test_splits_that_a_source_brings_are_cleared_too(lab: Lab) -> None:
    path = lab.folder / "recipe.yaml"
    path.write_text(
        "recipe: 1\nname: splits\n"
        "dataset: {name: A, description: B, version: 1.0.0, license: MIT, date_published: 2026-01-15,\n"
        "  url: https://example.org, creators: [{name: C}]}\n"
        "output: {project_root: out, base_url: https://example.org/x}\n"
        "sources: {old: {croissant: {url: base/Croissant/metadata.json}}}\n"
        "layers: [{export: old}]\n"
        "splits: {clear: true, assign: {test: [TS_2]}}\n"
    )
    (result,) = plan(path)
    assert result.plan is not None
    runs = result.plan.content.tables["runs"]
    assert dict(zip(runs["name"], runs["split"], strict=True)) == dict.fromkeys(NAMES, "") | {"TS_2": "test"}
