"""What copick's tests hold of its export, append and set-splits, held of recipes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import copick
import mlcroissant as mlc
import numpy as np
import pytest
from click.testing import CliRunner, Result
from copick.ops.croissant import export_croissant
from projects import PickableObject, Picks, ProjectSpec, Run, Tomogram, copick_root, write_project
from samples import DATASET, READERS

from croissant_recipes import Options, Planned, build, from_croissant, load_recipe
from croissant_recipes.cli import main
from croissant_recipes.codes import Code
from croissant_recipes.croissant import manifest

OBJECTS = (
    PickableObject("ribosome", label=1, color=(200, 100, 100, 255)),
    PickableObject("proteasome", label=2, color=(100, 200, 100, 255)),
    PickableObject("membrane", is_particle=False, label=3, color=(100, 100, 200, 255)),
)
SPEC = ProjectSpec(
    runs=(
        Run(
            "TS_001",
            tomograms=(Tomogram(10.0, "wbp"),),
            picks=(
                Picks("alice", "1", "ribosome", voxel_spacing=10.0),
                Picks("alice", "1", "proteasome", voxel_spacing=7.84),
                Picks("bob", "2", "ribosome"),
            ),
        ),
        Run("TS_002", picks=(Picks("alice", "1", "ribosome"),)),
    ),
    objects=OBJECTS,
)
EXPORT = "  - export: lab\n"
RIBOSOMES = '  - {export: lab, picks: "ribosome:*/*"}\n'
PROTEASOMES = '  - {append: lab, picks: "proteasome:*/*", others: exclude}\n'
SPLITS = "splits: {assign: {train: TS_001, val: TS_002}}\n"


class Lab:
    """A project of two runs, and recipes over it that are built into its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = write_project(folder, SPEC)
        self.croissant = self.project.root / "Croissant"
        self.metadata = self.croissant / "metadata.json"

    def recipe(self, layers: str = "", more: str = "", *, base: bool = False, name: str = "lab") -> Path:
        start = "base: project/Croissant/metadata.json\n" if base else DATASET
        source = "sources:\n  lab: {copick: {config: filesystem.json}}\n" if layers else ""
        body = f"layers:\n{layers}" if layers else ""
        path = self.folder / "recipe.yaml"
        path.write_text(f"recipe: 1\nname: {name}\n{start}output: {{project_root: project}}\n{source}{body}{more}")
        return path

    def build(self, layers: str = "", more: str = "", *, base: bool = False, **options: Any) -> Planned:
        (result,) = build(self.recipe(layers, more, base=base), options=Options(**options))
        return result

    def built(self, layers: str = "", more: str = "", *, base: bool = False) -> Planned:
        result = self.build(layers, more, base=base)
        assert [str(d) for d in result.diagnostics if d.is_error] == []
        return result

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.croissant / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def picks(self, *columns: str) -> list[tuple[str, ...]]:
        return [tuple(row[c] for c in columns or ("run", "user_id", "object_name")) for row in self.rows("picks")]

    def splits(self) -> dict[str, str]:
        return {row["name"]: row["split"] for row in self.rows("runs")}

    def document(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.metadata.read_bytes())
        return loaded

    def objects(self) -> dict[str, dict[str, Any]]:
        return {o["name"]: o for o in self.document()["copick:config"]["pickable_objects"]}

    def record_set(self, name: str) -> dict[str, Any] | None:
        return next((r for r in self.document()["recordSet"] if r["@id"] == f"copick/{name}"), None)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Manifests are validated where a test is about that; elsewhere it would be half of all the time."""
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)
    return Lab(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def errors(result: Planned) -> list[Code]:
    return [d.code for d in result.diagnostics if d.is_error]


def validation(metadata: Path) -> tuple[set[str], set[str]]:
    issues = mlc.Dataset(jsonld=str(metadata)).metadata.ctx.issues
    return issues.errors, issues.warnings


# export


def test_an_export_has_every_csv_and_is_read_again(lab: Lab) -> None:
    result = lab.built(EXPORT)
    assert result.metadata_url == str(lab.metadata)
    names = ("runs", "voxel_spacings", "tomograms", "features", "picks", "meshes", "segmentations", "objects")
    assert {f"{name}.csv" for name in names} <= {p.name for p in lab.croissant.iterdir()}
    for reader in READERS.values():
        root = reader(str(lab.metadata))
        assert root.mode == "A"
        assert root.config.name
        assert [r.name for r in root.runs] == ["TS_001", "TS_002"]
        (picks,) = root.get_run("TS_002").picks
        assert (picks.user_id, picks.session_id, picks.pickable_object_name) == ("alice", "1", "ribosome")
        assert [p.location.x for p in picks.points] == [0.0, 10.0]


@pytest.mark.parametrize(
    ("layer", "runs", "picks"),
    [
        ("runs: TS_001", ["TS_001"], [("alice", "proteasome"), ("alice", "ribosome"), ("bob", "ribosome")]),
        ('picks: "ribosome:*/*"', ["TS_001", "TS_002"], [("alice", "ribosome"), ("bob", "ribosome")]),
        ('runs: TS_001, picks: "ribosome:alice/*"', ["TS_001"], [("alice", "ribosome")]),
        (
            'runs: TS_001, picks: ["ribosome:*/*", "proteasome:alice/*"]',
            ["TS_001"],
            [("alice", "proteasome"), ("alice", "ribosome"), ("bob", "ribosome")],
        ),
        (
            "objects: ribosome, allow_empty: true",
            ["TS_001", "TS_002"],
            [("alice", "proteasome"), ("alice", "ribosome"), ("bob", "ribosome")],
        ),
    ],
)
def test_filters(lab: Lab, layer: str, runs: Sequence[str], picks: Sequence[tuple[str, str]]) -> None:
    """A filter is of its own type alone; only runs are of all."""
    lab.built(f"  - {{export: lab, {layer}}}\n")
    assert [row["name"] for row in lab.rows("runs")] == runs
    assert sorted(set(lab.picks("user_id", "object_name"))) == picks
    assert {row["run"] for row in lab.rows("picks")} == set(runs)
    assert lab.objects().keys() == {"ribosome", "proteasome", "membrane"}


def test_a_run_that_is_not_there_is_an_error_unless_nothing_is_fine(lab: Lab) -> None:
    """copick skips it and writes a Croissant without a row."""
    result = lab.build("  - {export: lab, runs: TS_nonexistent}\n")
    assert errors(result) == [Code.NO_MATCH]
    assert not lab.croissant.exists()
    lab.built("  - {export: lab, runs: TS_nonexistent, allow_empty: true}\n")
    assert lab.rows("runs") == []


def test_what_is_built_passes_the_validator(tmp_path: Path) -> None:
    """Whole, filtered, with splits and with an append over it."""
    lab = Lab(tmp_path)
    filtered = '  - {export: lab, runs: TS_001, picks: ["ribosome:*/*", "proteasome:alice/*"]}\n'
    empty = "  - {export: lab, runs: nothing, allow_empty: true}\n"
    for layers, more in ((EXPORT, ""), (filtered, ""), (EXPORT, SPLITS), (RIBOSOMES + PROTEASOMES, ""), (empty, "")):
        lab.built(layers, more)
        assert validation(lab.metadata) == (set(), set())


def test_the_command_exports_with_filters(lab: Lab) -> None:
    recipe = lab.recipe('  - {export: lab, runs: TS_001, picks: "ribosome:*/*"}\n')
    result = run("build", str(recipe))
    assert result.exit_code == 0, result.output
    assert [row["name"] for row in lab.rows("runs")] == ["TS_001"]
    assert lab.picks() == [("TS_001", "alice", "ribosome"), ("TS_001", "bob", "ribosome")]


def test_renamed_objects_keep_what_they_were_called(lab: Lab) -> None:
    lab.built("  - {export: lab, rename: {objects: {ribosome: rib}}}\n")
    assert set(lab.picks("object_name")) == {("rib",), ("proteasome",)}
    assert set(lab.picks("portal_object_name")) == {("",)}
    assert lab.objects().keys() == {"rib", "proteasome", "membrane"}
    assert lab.objects()["rib"]["metadata"]["portal_original_name"] == "ribosome"
    assert lab.objects()["rib"]["color"] == [200, 100, 100, 255]


@pytest.mark.parametrize(
    "layer",
    [
        'session_id: "{method_type}"',
        "picks: {where: {ground_truth_status: true}}",
        "picks: {authors: [Alice]}",
        "segmentations: {where: {method_type: manual}}",
        "tomograms: {authors: [Alice]}",
    ],
)
def test_what_only_the_portal_knows_is_refused_for_other_sources(lab: Lab, layer: str) -> None:
    recipe = lab.recipe(f"  - {{export: lab, {layer}}}\n")
    with pytest.raises(ValueError, match="portal"):
        load_recipe(recipe)


def test_a_croissant_is_replaced_only_where_a_recipe_built_it_or_with_force(lab: Lab) -> None:
    """copick refuses every Croissant that is there, and a build its own only where others changed it."""
    export_croissant(copick_root(lab.project), str(lab.project.root), base_url=str(lab.project.root), validate=False)
    before = lab.metadata.read_bytes()
    assert errors(lab.build(EXPORT)) == [Code.FOREIGN]
    assert lab.metadata.read_bytes() == before
    assert lab.build(EXPORT, force=True).written
    assert lab.document()["name"] == "Sample"
    assert lab.build(EXPORT).ok
    again = lab.recipe(EXPORT)
    again.write_text(again.read_text().replace("name: Sample", "name: Overwritten"))
    assert build(again)[0].written
    assert lab.document()["name"] == "Overwritten"


def test_the_voxel_size_of_picks_is_that_of_their_file(lab: Lab) -> None:
    lab.built(EXPORT)
    found = {(r["run"], r["user_id"], r["object_name"]): r["voxel_size"] for r in lab.rows("picks")}
    assert float(found["TS_001", "alice", "ribosome"]) == 10.0
    assert float(found["TS_001", "alice", "proteasome"]) == 7.84
    assert found["TS_002", "alice", "ribosome"] == ""


# append


def test_an_append_brings_more_rows(lab: Lab) -> None:
    lab.built(RIBOSOMES)
    assert set(lab.picks("object_name")) == {("ribosome",)}
    lab.built(RIBOSOMES + PROTEASOMES)
    assert set(lab.picks("object_name")) == {("ribosome",), ("proteasome",)}


def test_rows_that_are_appended_have_absolute_urls_and_the_others_theirs(lab: Lab) -> None:
    lab.built(RIBOSOMES + PROTEASOMES)
    urls = dict(lab.picks("object_name", "url"))
    assert urls["proteasome"] == f"file://{lab.project.root}/ExperimentRuns/TS_001/Picks/alice_1_proteasome.json"
    assert urls["ribosome"].startswith("ExperimentRuns/")
    for reader in READERS.values():
        (picks,) = reader(str(lab.metadata)).get_run("TS_001").get_picks("proteasome")
        assert len(picks.points) == 2


def test_the_same_rows_appended_again_are_replaced(lab: Lab) -> None:
    lab.built(RIBOSOMES)
    before = lab.picks()
    again = '  - {append: lab, picks: "ribosome:*/*", others: exclude}\n'
    lab.built(RIBOSOMES + again)
    assert lab.picks() == before
    assert all("://" in url for (url,) in lab.picks("url")), "the last append wins"


def test_an_append_brings_its_pickable_objects(lab: Lab) -> None:
    other = lab.folder / "other"
    write_project(other, ProjectSpec(objects=(*OBJECTS, PickableObject("virus", label=4))))
    recipe = lab.recipe(EXPORT + "  - append: other\n")
    sources = "sources:\n  other: {copick: {config: other/filesystem.json}}\n"
    recipe.write_text(recipe.read_text().replace("sources:\n", sources))
    (result,) = build(recipe)
    assert result.written
    assert lab.objects().keys() == {"ribosome", "proteasome", "membrane", "virus"}


def test_an_append_to_a_croissant_that_copick_exported(lab: Lab) -> None:
    """By the command, as a recipe with the Croissant as base, in its place."""
    export_croissant(
        copick_root(lab.project),
        str(lab.project.root),
        base_url=f"file://{lab.project.root}",
        dataset_name="By copick",
        picks=["ribosome:*/*"],
    )
    recipe = lab.recipe(PROTEASOMES, base=True)
    result = run("build", str(recipe), "--force")
    assert result.exit_code == 0, result.output
    assert set(lab.picks("object_name")) == {("ribosome",), ("proteasome",)}
    assert lab.document()["name"] == "By copick", "what the dataset says of itself is kept"


def test_an_append_without_a_source_is_an_error_that_names_the_key(lab: Lab) -> None:
    lab.built(EXPORT)
    recipe = lab.recipe('  - {append: lab, picks: "ribosome"}\n', base=True)
    recipe.write_text(recipe.read_text().replace("sources:\n  lab: {copick: {config: filesystem.json}}\n", ""))
    result = run("build", str(recipe))
    assert result.exit_code == 2
    assert "sources" in result.output


# splits


def test_splits_are_a_column_and_a_record_set_of_their_own(lab: Lab) -> None:
    lab.built(EXPORT, "splits: {assign: {train: TS_001, holdout: TS_002}}\n")
    assert lab.splits() == {"TS_001": "train", "TS_002": "holdout"}
    record_set = lab.record_set("splits")
    assert record_set is not None
    assert record_set["key"] == {"@id": "copick/splits/name"}
    urls = {d["copick/splits/name"]: d["copick/splits/url"] for d in record_set["data"]}
    assert urls == {"train": "https://mlcommons.org/definitions/training_split", "holdout": ""}
    runs = lab.record_set("runs")
    assert runs is not None
    (field,) = (f for f in runs["field"] if f["@id"] == "copick/runs/split")
    assert field["references"] == {"field": {"@id": "copick/splits/name"}}
    lab.built(EXPORT, SPLITS)
    record_set = lab.record_set("splits")
    assert record_set is not None
    assert [d["copick/splits/url"] for d in record_set["data"]] == [
        "https://mlcommons.org/definitions/training_split",
        "https://mlcommons.org/definitions/validation_split",
    ]


def test_without_splits_there_is_neither(lab: Lab) -> None:
    lab.built(EXPORT)
    assert lab.record_set("splits") is None
    runs = lab.record_set("runs")
    assert runs is not None
    assert not any("references" in field for field in runs["field"])
    assert copick_root(lab.project).get_run("TS_001").split is None, "and other projects have none"


def test_a_split_of_a_run_that_is_not_there_is_an_error(lab: Lab) -> None:
    assert errors(lab.build(EXPORT, "splits: {assign: {train: TS_does_not_exist}}\n")) == [Code.SPLIT_RUN]
    assert not lab.croissant.exists()


def test_a_run_in_two_splits_is_an_error(lab: Lab) -> None:
    with pytest.raises(ValueError, match="TS_001"):
        load_recipe(lab.recipe(EXPORT, "splits: {assign: {train: TS_001, val: TS_001}}\n"))


def test_splits_of_a_file(lab: Lab) -> None:
    (lab.folder / "splits.csv").write_text("split,run\ntrain,TS_001\nval,TS_002\n")
    lab.built(EXPORT, "splits: {file: splits.csv}\n")
    assert from_croissant(str(lab.metadata)).splits == {"train": ["TS_001"], "val": ["TS_002"]}
    assert copick.from_croissant(str(lab.metadata)).splits == {"train": ["TS_001"], "val": ["TS_002"]}
    lab.built(EXPORT, "splits: {file: splits.csv, assign: {val: TS_001, train: TS_002}}\n")
    assert lab.splits() == {"TS_001": "val", "TS_002": "train"}, "what is assigned replaces a split of the file"


def test_an_append_keeps_the_splits_that_runs_have_and_can_give_others(lab: Lab) -> None:
    lab.built(EXPORT, SPLITS)
    lab.built(PROTEASOMES, base=True)
    assert lab.splits() == {"TS_001": "train", "TS_002": "val"}
    lab.built('  - {append: lab, picks: "ribosome", others: exclude, split: {test: TS_001}}\n', base=True)
    assert lab.splits() == {"TS_001": "test", "TS_002": "val"}


def test_splits_alone(lab: Lab) -> None:
    """copick's set-splits: on top of what is there, from nothing, and for single runs."""
    lab.built(EXPORT)
    for splits, expected in (
        ("assign: {train: TS_001, val: TS_002}", {"TS_001": "train", "TS_002": "val"}),
        ("assign: {test: TS_002}", {"TS_001": "train", "TS_002": "test"}),
        ("unassign: TS_002", {"TS_001": "train", "TS_002": ""}),
        ('clear: true, assign: {test: "TS_00[12]"}', {"TS_001": "test", "TS_002": "test"}),
        ("clear: true", {"TS_001": "", "TS_002": ""}),
    ):
        result = run("build", str(lab.recipe("", f"splits: {{{splits}}}\n", base=True)))
        assert result.exit_code == 0, result.output
        assert lab.splits() == expected, splits
    assert lab.picks(), "the rows stay"


def test_a_recipe_that_changes_nothing_is_up_to_date(lab: Lab) -> None:
    """copick's set-splits says that there is nothing to do and ends with an error."""
    lab.built(EXPORT, SPLITS)
    recipe = str(lab.recipe("", base=True))
    assert run("build", recipe).exit_code == 0
    before = lab.metadata.read_bytes()
    again = run("build", recipe)
    assert again.exit_code == 0
    assert "Up to date" in again.output
    assert lab.metadata.read_bytes() == before
    assert lab.splits() == {"TS_001": "train", "TS_002": "val"}


# The config that opens it


def test_arguments_of_the_source_are_in_no_file(lab: Lab) -> None:
    """copick puts them into the config that it emits; a build writes no credentials."""
    config = json.loads(lab.project.config.read_text())
    lab.project.config.write_text(json.dumps({**config, "overlay_fs_args": {"auto_mkdir": True}}))
    emitted = lab.folder / "emitted.json"
    result = run("build", str(lab.recipe(EXPORT)), "--emit-config", str(emitted))
    assert result.exit_code == 0, result.output
    written = json.loads(emitted.read_text())
    assert written["croissant_url"] == str(lab.metadata)
    assert (written["static_fs_args"], written["croissant_fs_args"]) == ({}, {})
    assert "fs_args" not in lab.metadata.read_text()
    assert [r.name for r in copick.from_file(str(emitted)).runs] == ["TS_001", "TS_002"]


def test_an_overlay_on_another_machine_is_written_as_it_is_given(lab: Lab) -> None:
    emitted = lab.folder / "emitted.json"
    words = ("--emit-config", str(emitted), "--config-overlay", "ssh:///remote/overlay")
    result = run("build", str(lab.recipe(EXPORT)), *words)
    assert result.exit_code == 0, result.output
    written = json.loads(emitted.read_text())
    assert written["overlay_root"] == "ssh:///remote/overlay"
    assert written["overlay_fs_args"] == {}
    assert not Path("/remote/overlay").exists()


def test_a_local_overlay_takes_picks_and_arrays(lab: Lab) -> None:
    emitted, overlay = lab.folder / "emitted.json", lab.folder / "overlay"
    result = run("build", str(lab.recipe(EXPORT)), "--emit-config", str(emitted), "--config-overlay", str(overlay))
    assert result.exit_code == 0, result.output
    written = json.loads(emitted.read_text())
    assert (written["overlay_root"].endswith(str(overlay)), written["overlay_fs_args"]) == (True, {"auto_mkdir": True})
    root = copick.from_file(str(emitted))
    assert root.mode == "B"
    tomogram = root.get_run("TS_002").new_voxel_spacing(10.0).new_tomogram("made")
    tomogram.from_numpy(np.ones((4, 4, 4), np.float32), levels=1)
    picks = root.get_run("TS_002").new_picks("ribosome", "9", "ada")
    picks.from_numpy(np.array([[1.0, 2.0, 3.0]]))
    below = overlay / "ExperimentRuns/TS_002"
    assert (below / "VoxelSpacing10.000/made.zarr/0/.zarray").is_file()
    assert (below / "Picks/ada_9_ribosome.json").is_file()
    assert len(lab.rows("picks")) == 4
