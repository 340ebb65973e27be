"""Building: what is written and when not, and what others did to a Croissant since it was built."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import copick
import mlcroissant
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from compiling import with_code
from copick.ops.croissant import export_croissant
from projects import (
    Features,
    Mesh,
    PickableObject,
    Picks,
    Project,
    ProjectSpec,
    Run,
    Segmentation,
    Tomogram,
    copick_root,
    write_project,
)

from croissant_recipes import Options, Planned, build, from_croissant, plan, stores
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.croissant import manifest
from croissant_recipes.croissant.build_record import RECORD_FILE, ROWS_FILE
from croissant_recipes.croissant.serialize import read_csv
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.sources import folder_project
from croissant_recipes.sources.file_facts import FileReader

SPEC = ProjectSpec(
    runs=tuple(
        Run(
            name,
            tomograms=(Tomogram(10.0, "wbp"), Tomogram(20.0, "wbp")),
            features=(Features(10.0, "wbp", "sobel"),),
            picks=(Picks("alice", "1", "ribosome", voxel_spacing=10.0), Picks("tool", "0", "vlp")),
            meshes=(Mesh("alice", "1", "membrane"),),
            segmentations=(Segmentation(10.0, "alice", "1", "membrane"),),
        )
        for name in ("TS_1", "TS_2", "TS_3")
    ),
    objects=(
        PickableObject("ribosome", label=1, radius=130.0, density_map=True),
        PickableObject("vlp", label=2),
        PickableObject("membrane", is_particle=False, label=3),
    ),
)


class Lab:
    """A project, and recipes over it that are built into ``out``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project: Project = write_project(folder / "lab", SPEC)
        self.out = folder / "out"
        self.croissant = self.out / "Croissant"
        self.manifest = self.croissant / "metadata.json"
        self.recipe = self.write("recipe.yaml")

    def write(
        self,
        name: str,
        layers: str = "  - {export: lab, picks: [ribosome]}\n",
        *,
        out: str = "out",
        more: str = "",
        start: str | None = None,
        description: str = "Rows of a test.",
    ) -> Path:
        if start is None:
            start = (
                f"dataset:\n  name: Lab\n  description: {description}\n  version: 1.0.0\n  license: MIT\n"
                "  date_published: 2026-01-15\n  url: https://example.org\n  creators: [{name: Lab}]\n"
                f'output: {{project_root: {out}, base_url: "file://{self.project.root}"}}\n'
            )
        path = self.folder / name
        path.write_text(
            f"recipe: 1\nname: lab\n{start}sources:\n  lab: {{copick: {{config: lab/filesystem.json}}}}\n"
            f"layers:\n{layers}{more}",
            encoding="utf-8",
        )
        return path

    def build(self, *recipes: Path, **options: Any) -> Planned:
        return build(*(recipes or (self.recipe,)), options=Options(**options))[0]

    def rows(self, name: str, *columns: str) -> list[tuple[object, ...]]:
        table = read_csv((self.croissant / f"{name}.csv").read_bytes(), name)[0]
        return list(table[list(columns or RECORD_SETS[name].key)].itertuples(index=False, name=None))

    def document(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.manifest.read_bytes())
        return loaded

    def objects(self) -> dict[str, dict[str, Any]]:
        return {o["name"]: o for o in self.document()["copick:config"]["pickable_objects"]}

    def edit_manifest(self, change: Callable[[dict[str, Any]], object]) -> None:
        document = self.document()
        change(document)
        self.manifest.write_text(json.dumps(document))

    def add_picks(self, session: str = "9", open_with: Callable[[str], Any] = from_croissant) -> None:
        picks = open_with(str(self.manifest)).get_run("TS_1").new_picks("ribosome", session, "bob")
        picks.points = []
        picks.store()

    def remove_row(self) -> None:
        root = from_croissant(str(self.manifest))
        key = {"run": "TS_2", "user_id": "alice", "session_id": "1", "object_name": "ribosome"}
        root.index.remove_row("copick/picks", key)


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests are validated in tests of their own; here it would be half of all the time."""
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder, with the time of its last change; also hidden ones."""
    files = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return {str(f.relative_to(folder)): (f.read_bytes(), f.stat().st_mtime_ns) for f in files}


RIBOSOMES = [(run, "alice", "1", "ribosome") for run in ("TS_1", "TS_2", "TS_3")]
ADDED = ("TS_1", "bob", "9", "ribosome")


# Writing


def test_a_build_writes_every_file_and_its_record(lab: Lab) -> None:
    result = lab.build()
    assert result.written
    assert result.ok
    assert result.metadata_url == str(lab.manifest)
    assert set(os.listdir(lab.croissant)) == {
        "metadata.json",
        RECORD_FILE,
        ROWS_FILE,
        *(r.csv_name for r in RECORD_SETS.values()),
    }
    assert lab.rows("picks") == RIBOSOMES
    assert result.prepared is not None
    assert not result.prepared.changes.exists


def test_a_second_build_touches_nothing(lab: Lab) -> None:
    lab.build()
    before = contents(lab.folder)
    result = lab.build()
    assert (result.ok, result.written) == (True, False)
    assert result.prepared is not None
    assert not result.prepared.changes
    assert result.prepared.touched == ()
    assert contents(lab.folder) == before


def test_a_plan_writes_nothing_at_all(lab: Lab) -> None:
    before = contents(lab.folder)
    (planned,) = plan(lab.recipe)
    assert planned.ok
    assert not planned.written
    assert contents(lab.folder) == before
    lab.build()
    lab.add_picks()
    before = contents(lab.folder)
    plan(lab.recipe, options=Options(on_drift="discard"))
    assert contents(lab.folder) == before


def test_the_plan_is_what_the_build_writes(lab: Lab) -> None:
    (planned,) = plan(lab.recipe)
    built = lab.build()
    assert planned.prepared is not None
    assert built.prepared is not None
    assert planned.prepared.files == built.prepared.files
    assert {n: (lab.croissant / n).read_bytes() for n in os.listdir(lab.croissant)} == dict(planned.prepared.files)


def test_what_changes_is_told_and_replaced(lab: Lab) -> None:
    lab.build()
    lab.write("recipe.yaml", "  - {export: lab, picks: [vlp], runs: [TS_1, TS_2]}\n", description="Others.")
    result = lab.build()
    assert result.prepared is not None
    changes = result.prepared.changes
    picks = changes.tables["picks"]
    assert (len(picks.added), len(picks.removed), picks.unchanged) == (2, 3, 0)
    assert list(changes.tables["runs"].removed["name"]) == ["TS_3"]
    assert changes.metadata["description"] == ("Rows of a test.", "Others.")
    assert lab.rows("picks") == [(run, "tool", "0", "vlp") for run in ("TS_1", "TS_2")]


def test_output_and_base_url_can_be_given(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab.folder)
    result = lab.build(output="elsewhere", base_url="https://mirror.example.org/x")
    assert not lab.out.exists()
    document = json.loads((lab.folder / "elsewhere" / "Croissant" / "metadata.json").read_bytes())
    assert document["copick:baseUrl"] == "https://mirror.example.org/x"
    assert document["distribution"][0]["contentUrl"].startswith("https://mirror.example.org/x/Croissant/")
    assert result.metadata_url == str(lab.folder / "elsewhere" / "Croissant" / "metadata.json")


def test_without_file_sha256_only_that_is_missing(lab: Lab) -> None:
    lab.build()
    whole = lab.rows("picks", "run", "voxel_size", "sha256")
    assert all(len(str(sha)) == 64 for _, _, sha in whole)
    lab.build(file_sha256=False)
    assert lab.rows("picks", "run", "voxel_size", "sha256") == [(run, size, "") for run, size, _ in whole]


def test_parquet_files_go_when_the_recipe_no_longer_asks_for_them(lab: Lab) -> None:
    text = lab.recipe.read_text()
    lab.recipe.write_text(text.replace("project_root: out,", "project_root: out, parquet: true,"))
    lab.build()
    assert (lab.croissant / "picks.parquet").exists()
    lab.recipe.write_text(text)
    result = lab.build()
    assert result.prepared is not None
    assert "picks.parquet" in result.prepared.stale
    assert [p.name for p in lab.croissant.glob("*.parquet")] == [ROWS_FILE]


# Nothing is written


@pytest.mark.parametrize(
    ("layers", "more", "code", "exit_code"),
    [
        ("  - {export: lab, picks: [ribosme]}\n", "", Code.NO_MATCH, ExitCode.INVALID),
        ("  - {export: lab, pick: [ribosome]}\n", "", Code.UNKNOWN_KEY, ExitCode.INVALID),
        ("  - export: lab\n", "expect: {runs: 9}\n", Code.EXPECTATION, ExitCode.BLOCKED),
        ("  - export: lab\n", "splits: {assign: {train: [TS_9]}}\n", Code.SPLIT_RUN, ExitCode.INVALID),
        (
            "  - {export: lab, picks: ['*:*'], rename: {tomo_types: {wbp: a}, objects: {vlp: x, membrane: x}}}\n"
            "  - {append: lab, rename: {objects: {vlp: ribosome}}, picks: [vlp], others: exclude}\n",
            "objects: {virus: {label: 9}}\n",
            Code.OBJECT_UNKNOWN,
            ExitCode.INVALID,
        ),
    ],
)
def test_nothing_is_written_when_something_is_wrong(
    lab: Lab, layers: str, more: str, code: Code, exit_code: ExitCode
) -> None:
    lab.build()
    before = contents(lab.out)
    lab.write("recipe.yaml", layers, more=more)
    result = lab.build(force=True, on_drift="discard")
    assert not result.written
    assert with_code(result.diagnostics, code)
    assert contents(lab.out) == before
    assert run("build", str(lab.recipe)).exit_code == exit_code


def test_nothing_is_written_on_a_collision(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, rename: {tomo_types: {wbp: tomo}, objects: {vlp: x, ribosome: x}}}\n")
    for name in ("TS_1", "TS_2", "TS_3"):
        picks = lab.project.root / "ExperimentRuns" / name / "Picks"
        (picks / "alice_1_vlp.json").write_bytes((picks / "alice_1_ribosome.json").read_bytes())
    result = lab.build()
    assert [d.code for d in result.diagnostics if d.is_error] == [Code.COLLISION]
    assert not lab.out.exists()
    assert run("build", str(lab.recipe)).exit_code == ExitCode.BLOCKED


def test_nothing_is_written_when_a_source_cannot_be_read(lab: Lab) -> None:
    lab.build()
    before = contents(lab.out)
    lab.project.config.unlink()
    result = lab.build()
    assert [d.code for d in result.diagnostics if d.is_error] == [Code.UNREACHABLE]
    assert contents(lab.out) == before
    assert run("build", str(lab.recipe)).exit_code == ExitCode.UNREACHABLE


def test_nothing_is_written_when_a_file_cannot_be_read(lab: Lab) -> None:
    (lab.project.root / "ExperimentRuns/TS_2/Picks/alice_1_ribosome.json").write_text("{")
    result = lab.build()
    (told,) = with_code(result.diagnostics, Code.FILE_CONTENT)
    assert told.is_error
    assert told.notes[0].startswith("ExperimentRuns/TS_2/Picks/alice_1_ribosome.json: ")
    assert not lab.out.exists()
    lab.write("recipe.yaml", "  - {export: lab, picks: {select: ribosome, exclude: '*:alice'}}\n")
    assert lab.build().ok, "a file that no row names is not read"


def test_strict_makes_errors_of_what_other_readers_change(lab: Lab) -> None:
    (lab.project.root / "ExperimentRuns" / "NA").mkdir()
    result = lab.build(strict=True)
    (told,) = with_code(result.diagnostics, Code.READERS_CHANGE)
    assert told.is_error
    assert "runs.csv row 2, column name: copick and mlcroissant read 'NA' as nothing" in told.message
    assert not lab.out.exists()
    assert lab.build().ok


# Drift


@pytest.mark.parametrize("open_with", [from_croissant, copick.from_croissant])
def test_rows_that_copick_added_stop_a_build_and_are_shown(lab: Lab, open_with: Callable[[str], Any]) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.add_picks(open_with=open_with)
    before = contents(lab.out)
    result = lab.build()
    assert not result.written
    assert [str(d) for d in result.diagnostics if d.is_error] == [
        f"error[CR502]: {lab.croissant} changed since it was built\n"
        "  + picks: TS_1, bob, 9, ribosome\n"
        "  hint: keep these changes with --on-drift keep, or lose them with --on-drift discard"
    ]
    assert contents(lab.out) == before
    (planned,) = plan(lab.recipe)
    assert with_code(planned.diagnostics, Code.DRIFT), "a plan says so too"
    assert run("build", str(lab.recipe)).exit_code == ExitCode.BLOCKED


def drifted(lab: Lab, change: Callable[[Any], object]) -> tuple[str, ...]:
    """What a build says after a change through copick of what the recipe does not look for."""
    layer = "{export: lab, runs: 'TS_[1-3]', picks: 'ribosome:alice', segmentations: 'membrane', others: include}"
    lab.write("recipe.yaml", f"  - {layer}\n")
    lab.build()
    change(from_croissant(str(lab.manifest)))
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    return told.notes


def test_a_split_is_drift(lab: Lab) -> None:
    assert drifted(lab, lambda root: root.set_splits({"train": ["TS_1", "TS_3"]})) == (
        "~ runs: TS_1: split nothing -> train",
        "~ runs: TS_3: split nothing -> train",
    )


def test_a_new_run_tomogram_and_segmentation_are_drift(lab: Lab) -> None:
    def change(root: Any) -> None:
        made = root.new_run("TS_4").new_voxel_spacing(10.0).new_tomogram("wbp")
        made.zarr()
        root.get_run("TS_1").new_segmentation(10.0, "vlp", "1", True, "bob").zarr()

    assert drifted(lab, change) == (
        "+ runs: TS_4",
        "+ voxel_spacings: TS_4, 10.0",
        "+ tomograms: TS_4, 10.0, wbp",
        "+ segmentations: TS_1, 10.0, bob, 1, vlp, True",
    )


def test_a_deleted_row_is_drift(lab: Lab) -> None:
    lab.build()
    lab.remove_row()
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    assert told.notes == ("- picks: TS_2, alice, 1, ribosome",)


def test_many_changes_are_counted(lab: Lab) -> None:
    def change(root: Any) -> None:
        with root.batch():
            for i in range(14):
                picks = root.get_run("TS_1").new_picks("vlp", f"s{i:02d}", "bob")
                picks.points = []
                picks.store()

    notes = drifted(lab, change)
    assert notes[0] == "+ picks: TS_1, bob, s00, vlp"
    assert len(notes) == 11
    assert notes[-1] == "+ picks: 4 more rows"


def test_edited_metadata_and_objects_are_drift(lab: Lab) -> None:
    lab.build()
    lab.edit_manifest(lambda d: d.update(description="By hand."))
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    assert told.notes == ("~ metadata.json: description: Rows of a test. -> By hand.",)
    lab.build(on_drift="discard")
    lab.edit_manifest(lambda d: d["copick:config"]["pickable_objects"][0].update(label=42))
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    assert told.notes == ("~ metadata.json: object ribosome: label 1 -> 42",)


def test_values_that_the_recipe_changes_meanwhile_are_not_taken_for_what_was_written(lab: Lab) -> None:
    lab.build()
    root = from_croissant(str(lab.manifest))
    root.set_splits({"train": ["TS_1", "TS_3"]})
    lab.edit_manifest(lambda d: d.update(description="By hand."))
    more = "splits: {assign: {val: TS_1}}\n"
    lab.write("recipe.yaml", "  - {export: lab, runs: [TS_1, TS_2]}\n", more=more, description="Others.")
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    assert told.notes == (
        "~ runs: TS_1: split train, and the recipe says val now",
        "~ runs: TS_3 (the recipe has this row no more)",
        "~ metadata.json: description: By hand., and the recipe says Others. now",
    )


def test_what_the_recipe_changes_in_the_same_way_is_no_drift(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.remove_row()
    root = from_croissant(str(lab.manifest))
    root.set_splits({"train": ["TS_1"], "val": ["TS_3"]})
    for run in ("TS_1", "TS_3"):
        url = f"ExperimentRuns/{run}/Picks/tool_0_vlp.json"
        sha256 = hashlib.sha256((lab.project.root / url).read_bytes()).hexdigest()
        key = {"run": run, "user_id": "tool", "session_id": "0", "object_name": "vlp"}
        root.index.add_row("copick/picks", {**key, "url": url, "sha256": sha256})

    def change(document: dict[str, Any]) -> None:
        document["description"] = "By hand."
        document["copick:config"]["pickable_objects"][0]["radius"] = 150.0

    lab.edit_manifest(change)
    layers = (
        "  - {export: lab, runs: [TS_1, TS_3], picks: ['ribosome:alice', vlp]}\n"
        "  - {append: lab, runs: TS_2, picks: none}\n"
    )
    more = "objects: {ribosome: {radius: 150}}\nsplits: {assign: {train: TS_1"
    lab.write("recipe.yaml", layers, more=more + "}}\n", description="By hand.")
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    assert told.notes == ("~ runs: TS_3: split nothing -> val",), "all else is what the recipe says"
    lab.write("recipe.yaml", layers, more=more + ", val: TS_3}}\n", description="By hand.")
    assert lab.build().ok
    assert set(lab.rows("picks")) == {
        *(RIBOSOMES[0], RIBOSOMES[2]),
        *((run, "tool", "0", "vlp") for run in ("TS_1", "TS_3")),
    }
    assert lab.build().report.verdict == "up to date"


@pytest.mark.parametrize("name", ["runs", "voxel_spacings", "picks", "meshes", "objects"])
@pytest.mark.parametrize("parquet", [False, True])
def test_a_record_set_whose_last_row_somebody_deleted(lab: Lab, name: str, parquet: bool) -> None:
    lab.recipe.write_text(lab.recipe.read_text().replace("base_url", f"parquet: {str(parquet).lower()}, base_url"))
    lab.build()
    before = lab.rows(name)
    root = from_croissant(str(lab.manifest))
    with root.batch():
        for row in before:
            root.index.remove_row(f"copick/{name}", dict(zip(RECORD_SETS[name].key, row, strict=True)))
    assert lab.rows(name) == []
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    gone = [note for note in told.notes if "runs.csv does not list" not in note]
    assert gone == [f"- {name}: {', '.join(map(str, row))}" for row in before]
    assert len(told.notes) - len(gone) == (name == "runs"), "other rows go with their run"
    assert lab.build(on_drift="keep").ok
    assert lab.rows(name) == []
    assert name != "runs" or lab.rows("picks") == [], "nobody sees rows of a run that is not there"
    assert list(from_croissant(str(lab.manifest)).index.rows(name)) == []
    assert lab.build(on_drift="discard").ok
    assert lab.rows(name) == before


def test_a_file_written_anew_with_the_same_rows_is_no_drift(lab: Lab) -> None:
    """copick writes rows in its own order and drops nothing."""
    lab.build()
    root = from_croissant(str(lab.manifest))
    root.index.picks.reverse()
    root.index.mark_dirty("copick/picks")
    root.index.commit()
    assert lab.build().ok
    assert lab.rows("picks") == RIBOSOMES


def test_discard_builds_what_the_recipe_says(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    before = {name: data for name, (data, _) in contents(lab.croissant).items()}
    lab.add_picks()
    from_croissant(str(lab.manifest)).set_splits({"train": ["TS_1"]})
    lab.remove_row()
    lab.edit_manifest(lambda d: d.update(description="By hand."))
    assert lab.build(on_drift="discard").ok
    assert {name: data for name, (data, _) in contents(lab.croissant).items()} == before
    assert lab.build().ok, "and then there is none"


def test_keep_keeps_across_repeated_builds(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.add_picks()
    from_croissant(str(lab.manifest)).set_splits({"train": ["TS_1"]})
    lab.remove_row()
    expected = [ADDED, RIBOSOMES[0], RIBOSOMES[2]]
    for _ in range(3):
        assert lab.build(on_drift="keep").ok
        assert sorted(lab.rows("picks")) == sorted(expected)
        assert lab.rows("runs", "name", "split") == [("TS_1", "train"), ("TS_2", ""), ("TS_3", "")]
    assert with_code(lab.build().diagnostics, Code.DRIFT), "a build that is not told to keep does not lose them"
    assert sorted(lab.rows("picks")) == sorted(expected)
    root = from_croissant(str(lab.manifest))
    assert [p.session_id for p in root.get_run("TS_1").get_picks(user_id="bob")] == ["9"]
    assert root.splits == {"train": ["TS_1"]}


def test_a_kept_build_repeated_touches_nothing(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.add_picks()
    lab.build(on_drift="keep")
    before = contents(lab.out)
    again = lab.build(on_drift="keep")
    assert (again.ok, again.written) == (True, False)
    assert contents(lab.out) == before


def test_what_the_recipe_changes_meanwhile_is_built_beside_what_is_kept(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.add_picks()
    lab.write("recipe.yaml", "  - {export: lab, picks: ['vlp'], runs: [TS_1, TS_2]}\n", description="Others.")
    assert lab.build(on_drift="keep").ok
    assert sorted(lab.rows("picks")) == sorted([ADDED, ("TS_1", "tool", "0", "vlp"), ("TS_2", "tool", "0", "vlp")])
    assert lab.document()["description"] == "Others."
    # And once more: rows that the recipe dropped are not taken for somebody's.
    assert lab.build(on_drift="keep").ok
    assert len(lab.rows("picks")) == 3


def test_what_is_kept_stays_visible(lab: Lab) -> None:
    """The recipe drops the run and the voxel size that somebody added to."""
    lab.build()
    root = from_croissant(str(lab.manifest))
    root.get_run("TS_1").get_voxel_spacing(20.0).new_tomogram("denoised").zarr()
    picks = root.get_run("TS_2").new_picks("vlp", "9", "bob")
    picks.points = []
    picks.store()
    lab.write("recipe.yaml", "  - {export: lab, runs: [TS_1], tomograms: 'wbp@10', picks: [ribosome]}\n")
    assert lab.build(on_drift="keep").ok
    assert lab.rows("runs") == [("TS_1",), ("TS_2",)]
    assert lab.rows("voxel_spacings") == [("TS_1", 10.0), ("TS_1", 20.0)]
    root = from_croissant(str(lab.manifest))
    assert [t.tomo_type for t in root.get_run("TS_1").get_voxel_spacing(20.0).tomograms] == ["denoised"]
    assert [(p.user_id, p.session_id) for p in root.get_run("TS_2").picks] == [("bob", "9")]


def test_objects_that_were_changed_are_kept_and_the_recipes_changes_too(lab: Lab) -> None:
    lab.build()

    def change(document: dict[str, Any]) -> None:
        objects = document["copick:config"]["pickable_objects"]
        objects.append({"name": "capsid", "is_particle": True, "label": 9, "color": [1, 2, 3, 255]})
        next(o for o in objects if o["name"] == "vlp")["radius"] = 60.0

    lab.edit_manifest(change)
    lab.write("recipe.yaml", more="objects: {ribosome: {radius: 150, label: 7}}\n")
    for _ in range(2):
        assert lab.build(on_drift="keep").ok
        objects = lab.objects()
        assert objects["capsid"]["label"] == 9
        assert objects["vlp"]["radius"] == 60.0
        assert (objects["ribosome"]["radius"], objects["ribosome"]["label"]) == (150, 7)


def test_metadata_that_was_changed_is_kept_and_the_recipes_changes_too(lab: Lab) -> None:
    lab.build()
    lab.edit_manifest(lambda d: d.update({"license": "CC0-1.0", "ours:note": "by hand"}))
    lab.write("recipe.yaml", description="Others.")
    for _ in range(2):
        assert lab.build(on_drift="keep").ok
        document = lab.document()
        assert document["license"] == "CC0-1.0"
        assert document["ours:note"] == "by hand"
        assert document["description"] == "Others."


def test_drift_between_plan_and_write_is_not_lost(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody adds picks while a build works: it looks again under its lock."""
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.write("recipe.yaml", "  - {export: lab, picks: ['vlp']}\n")
    locked = stores.locked

    def meanwhile(output: Any, *args: Any) -> Any:
        lab.add_picks()
        return locked(output, *args)

    monkeypatch.setattr(stores, "locked", meanwhile)
    result = lab.build()
    assert not result.written
    assert with_code(result.diagnostics, Code.DRIFT)
    assert ADDED in lab.rows("picks")


# Foreign Croissants


def foreign(lab: Lab) -> None:
    """A Croissant that copick wrote, at the place of ours."""
    export_croissant(copick_root(lab.project), str(lab.out), base_url=str(lab.project.root), validate=False)


def test_a_foreign_croissant_is_not_overwritten(lab: Lab) -> None:
    foreign(lab)
    before = contents(lab.out)
    result = lab.build(on_drift="discard")
    (told,) = with_code(result.diagnostics, Code.FOREIGN)
    assert told.message.startswith(f"{lab.croissant} holds a Croissant that croissant-recipe did not write (3 runs, ")
    assert "--force" in str(told.hint)
    assert contents(lab.out) == before
    assert run("build", str(lab.recipe)).exit_code == ExitCode.BLOCKED
    assert contents(lab.out) == before


def test_force_replaces_a_foreign_croissant(lab: Lab) -> None:
    foreign(lab)
    assert run("build", "--force", str(lab.recipe)).exit_code == ExitCode.GOOD
    assert lab.rows("picks") == RIBOSOMES
    assert lab.build().ok, "now it is ours"


@pytest.mark.parametrize("data", [b"not JSON", b"[]", b"\xff\xfe"])
def test_what_cannot_be_read_is_foreign_too(lab: Lab, data: bytes) -> None:
    lab.build()
    lab.manifest.write_bytes(data)
    result = lab.build()
    assert [d.code for d in result.diagnostics if d.is_error] == [Code.FOREIGN]
    assert lab.manifest.read_bytes() == data
    assert lab.build(force=True).ok
    assert lab.rows("picks") == RIBOSOMES


def test_a_croissant_without_its_record_is_foreign(lab: Lab) -> None:
    """Without it nobody knows what others added."""
    lab.build()
    (lab.croissant / RECORD_FILE).write_text("{}")
    assert with_code(lab.build().diagnostics, Code.FOREIGN)


def test_a_record_of_a_later_version_is_refused_with_words(lab: Lab) -> None:
    lab.build()
    (lab.croissant / RECORD_FILE).write_text('{"format": 99}')
    (told,) = with_code(lab.build().diagnostics, Code.FOREIGN)
    assert "was built by another version of croissant-recipe: croissant-recipe.json is of format 99" in told.message
    assert lab.build(force=True).ok


def old_record(lab: Lab) -> None:
    """The record as the format before the present one had it."""
    record = json.loads((lab.croissant / RECORD_FILE).read_bytes())
    kept = {key: record[key] for key in ("files", "metadata", "config", "objects")}
    document = {"format": 1, "recipe": record["recipe"]["name"], "rows": {}, **kept}
    (lab.croissant / RECORD_FILE).write_text(json.dumps(document))
    (lab.croissant / ROWS_FILE).unlink()


@pytest.mark.parametrize("lose", [old_record, lambda lab: (lab.croissant / ROWS_FILE).unlink()])
def test_without_its_rows_a_record_tells_whether_others_changed_anything(lab: Lab, lose: Callable[[Lab], None]) -> None:
    lab.build()
    lose(lab)
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    assert lab.build().ok
    assert (lab.croissant / ROWS_FILE).exists()
    lose(lab)
    lab.add_picks()
    result = lab.build()
    (told,) = with_code(result.diagnostics, Code.DRIFT)
    assert "which rows did cannot be told" in told.message
    assert not result.written
    assert lab.build(on_drift="discard").ok


def test_force_does_not_lose_drift(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.add_picks()
    assert with_code(lab.build(force=True).diagnostics, Code.DRIFT)


def renamed(lab: Lab) -> Path:
    """The lab's recipe under another name."""
    lab.recipe.write_text(lab.recipe.read_text().replace("name: lab\n", "name: other\n", 1))
    return lab.recipe


@pytest.mark.parametrize("record", [lambda _: None, old_record])
def test_what_another_recipe_built_is_not_overwritten(lab: Lab, record: Callable[[Lab], None]) -> None:
    lab.build()
    record(lab)
    other, before = renamed(lab), contents(lab.out)
    result = lab.build(on_drift="discard")
    (told,) = [d for d in result.diagnostics if d.is_error]
    assert told.code is Code.FOREIGN
    assert told.message == (
        f"{lab.croissant} holds a Croissant that the recipe 'lab' built, and this one is called 'other'"
    )
    assert run("plan", str(other)).exit_code == ExitCode.BLOCKED
    assert run("build", str(other)).exit_code == ExitCode.BLOCKED
    assert contents(lab.out) == before
    assert run("build", "--force", str(other)).exit_code == ExitCode.GOOD
    assert lab.build().ok, "now it is the other recipe's"


def test_force_does_not_lose_what_was_added_to_another_recipes_croissant(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.add_picks()
    renamed(lab)
    assert with_code(lab.build(force=True).diagnostics, Code.DRIFT)
    assert lab.build(force=True, on_drift="keep").ok
    assert ADDED in lab.rows("picks")


def test_a_croissant_that_another_recipe_extended_is_that_recipes(lab: Lab) -> None:
    """Who built it first would otherwise lose the extension without a word."""
    lab.build()
    extending = lab.write(
        "extend.yaml",
        "  - {append: lab, picks: [vlp], others: exclude}\n",
        start="base: out/Croissant/metadata.json\noutput: {project_root: out}\n",
    )
    extending.write_text(extending.read_text().replace("name: lab\n", "name: extend\n", 1))
    assert lab.build(extending).ok, "its own base is input"
    assert len(lab.rows("picks")) == 6
    (told,) = [d for d in lab.build().diagnostics if d.is_error]
    assert (told.code, "the recipe 'extend' built" in told.message) == (Code.FOREIGN, True)
    assert lab.build(extending).ok


# Base


def base_recipe(lab: Lab, base: str = "base/Croissant/metadata.json", out: str = "out", more: str = "") -> Path:
    layer = "  - {append: lab, picks: [vlp], others: exclude}\n"
    return lab.write("recipe.yaml", layer, start=f"base: {base}\noutput: {{project_root: {out}}}\n", more=more)


def write_base(lab: Lab, folder: str = "base") -> Path:
    """A Croissant of copick's with splits and metadata that no recipe knows."""
    root = lab.folder / folder
    manifest = export_croissant(
        copick_root(lab.project),
        str(root),
        base_url=str(lab.project.root),
        validate=False,
        picks=["ribosome"],
        runs=["TS_1", "TS_2"],
        splits={"train": ["TS_1"]},
        description="Of the base.",
        date_published="2020-02-02",
    )
    document = json.loads(Path(manifest).read_bytes())
    document |= {"sc:award": "A prize", "funder": {"@type": "sc:Organization", "name": "A fund"}}
    document["copick:config"]["extra"] = {"kept": True}
    Path(manifest).write_text(json.dumps(document))
    return Path(manifest)


def test_a_base_keeps_what_it_has(lab: Lab) -> None:
    base = json.loads(write_base(lab).read_bytes())
    base_recipe(lab)
    assert lab.build().ok
    assert lab.rows("runs", "name", "split") == [("TS_1", "train"), ("TS_2", ""), ("TS_3", "")]
    assert lab.rows("picks") == sorted(
        [*RIBOSOMES[:2], *((run, "tool", "0", "vlp") for run in ("TS_1", "TS_2", "TS_3"))]
    )
    assert [r for r in lab.rows("tomograms") if r[0] == "TS_3"] == []
    assert ("TS_2", 20.0) in lab.rows("voxel_spacings")
    urls = dict(lab.rows("picks", "user_id", "url"))
    assert urls["alice"] == "ExperimentRuns/TS_2/Picks/alice_1_ribosome.json"
    assert urls["tool"] == f"file://{lab.project.root}/ExperimentRuns/TS_3/Picks/tool_0_vlp.json"
    document = lab.document()
    for key in ("description", "datePublished", "sc:award", "funder", "copick:baseUrl", "name", "license"):
        assert document[key] == base[key], key
    assert document["copick:config"]["extra"] == {"kept": True}
    assert lab.objects().keys() == {"ribosome", "vlp", "membrane"}
    root = from_croissant(str(lab.manifest))
    assert root.splits == {"train": ["TS_1"]}
    assert len(root.get_run("TS_1").get_picks("ribosome")[0].points) == 2
    assert len(root.get_run("TS_1").get_picks("vlp")[0].points) == 2


def test_a_base_read_somewhere_else_has_the_same_data(lab: Lab) -> None:
    """Rows that were relative to the base's URL are not relative to the output's."""
    write_base(lab)
    start = 'base: base/Croissant/metadata.json\noutput: {project_root: out, base_url: "https://example.org/x"}\n'
    lab.write("recipe.yaml", "  - {append: lab, picks: [vlp], others: exclude}\n", start=start)
    assert lab.build().ok
    assert dict(lab.rows("picks", "user_id", "url"))["alice"] == (
        f"file://{lab.project.root}/ExperimentRuns/TS_2/Picks/alice_1_ribosome.json"
    )
    assert lab.document()["copick:baseUrl"] == "https://example.org/x"


def test_the_splits_of_a_base_can_be_changed(lab: Lab) -> None:
    write_base(lab)
    base_recipe(lab, more="splits: {assign: {val: [TS_1], test: [TS_3]}}\n")
    lab.build()
    assert lab.rows("runs", "name", "split") == [("TS_1", "val"), ("TS_2", ""), ("TS_3", "test")]


def project_of(lab: Lab) -> dict[str, Any]:
    """What ``copick:config`` says beside objects."""
    return {key: value for key, value in lab.document()["copick:config"].items() if key != "pickable_objects"}


def test_the_project_is_called_as_the_source_calls_it(lab: Lab) -> None:
    """As an export of copick's does; the dataset has a name of its own."""
    said = {"name": "Test project", "description": "A project written by a test."}
    rest = {"version": "1.0.0", "user_id": None, "session_id": None}
    lab.build()
    assert project_of(lab) == {**said, **rest}
    assert (lab.document()["name"], lab.document()["description"]) == ("Lab", "Rows of a test.")
    assert from_croissant(str(lab.manifest)).config.name == "Test project"
    lab.write("recipe.yaml", more="project: {name: Curated}\n")
    result = lab.build()
    assert result.prepared is not None
    changes = dict(result.prepared.changes.metadata)
    del changes["prov:wasGeneratedBy"]
    assert changes == {"copick:config name": ("Test project", "Curated")}
    assert project_of(lab) == {**said, "name": "Curated", **rest}


def test_the_project_of_a_base_can_be_renamed(lab: Lab) -> None:
    write_base(lab)
    base_recipe(lab)
    lab.build()
    kept = project_of(lab)
    assert (kept["name"], kept["extra"]) == ("Test project", {"kept": True})
    base_recipe(lab, more="project: {name: Curated, description: By us.}\n")
    lab.build()
    assert project_of(lab) == {**kept, "name": "Curated", "description": "By us."}


@pytest.mark.parametrize("said", [None, {}, {"name": "Old project", "user_id": "them"}], ids=["none", "empty", "some"])
def test_a_source_that_says_nothing_of_the_project_leaves_the_dataset_s_name(
    lab: Lab, said: dict[str, Any] | None
) -> None:
    manifest = write_base(lab)
    document = json.loads(manifest.read_bytes())
    document["copick:config"] = {**(said or {}), "pickable_objects": []}
    if said is None:
        del document["copick:config"]
    manifest.write_text(json.dumps(document))
    text = lab.recipe.read_text().replace("copick: {config: lab/filesystem.json}", f"croissant: {{url: {manifest}}}")
    lab.recipe.write_text(text)
    assert lab.build().ok
    rest = {"description": "Rows of a test.", "version": None, "session_id": None}
    given = {"name": "Lab", "user_id": None} | (said or {})
    assert project_of(lab) == {**given, **rest}


def test_a_base_that_is_the_output_itself_is_appended_to(lab: Lab) -> None:
    write_base(lab, "out")
    base_recipe(lab, "out/Croissant/metadata.json")
    assert lab.build().ok, "it is input, so it is not foreign"
    first = contents(lab.croissant)
    assert len(lab.rows("picks")) == 5
    for _ in range(2):
        assert lab.build().ok
        assert contents(lab.croissant) == first


def test_what_others_add_to_a_base_that_is_the_output_stays(lab: Lab) -> None:
    write_base(lab, "out")
    base_recipe(lab, "out/Croissant/metadata.json")
    lab.build()
    lab.add_picks()
    assert lab.build().ok
    assert len(lab.rows("picks")) == 6
    assert ADDED in lab.rows("picks")


def test_what_others_add_while_a_base_that_is_the_output_is_worked_on_is_not_lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_base(lab, "out")
    base_recipe(lab, "out/Croissant/metadata.json")
    locked = stores.locked

    def meanwhile(output: Any, *args: Any) -> Any:
        lab.add_picks()
        return locked(output, *args)

    monkeypatch.setattr(stores, "locked", meanwhile)
    result = lab.build()
    assert not result.written
    assert [d.code for d in result.diagnostics if d.is_error] == [Code.DRIFT]
    assert ADDED in lab.rows("picks")
    monkeypatch.undo()
    assert lab.build().ok
    assert len(lab.rows("picks")) == 6


NOTES = b"run,note\r\nTS_1,thick\r\n"


def with_notes(document: dict[str, Any]) -> None:
    """A file and a record set of somebody else's."""
    source = {"fileObject": {"@id": "notes-csv"}, "extract": {"column": "note"}}
    field = {"@type": "cr:Field", "@id": "notes/note", "name": "note", "dataType": "sc:Text", "source": source}
    document["recordSet"].append({"@type": "cr:RecordSet", "@id": "notes", "name": "notes", "field": [field]})
    file_object = {"@type": "cr:FileObject", "@id": "notes-csv", "name": "notes.csv", "contentUrl": "notes.csv"}
    file_object |= {"encodingFormat": "text/csv", "sha256": hashlib.sha256(NOTES).hexdigest()}
    document["distribution"].append(file_object)


def add_notes(lab: Lab, at: Path | None = None) -> None:
    path = at or lab.manifest
    document = json.loads(path.read_bytes())
    with_notes(document)
    path.write_text(json.dumps(document))
    (path.parent / "notes.csv").write_bytes(NOTES)


def notes(at: Path) -> list[str]:
    """The notes, as mlcroissant reads them."""
    return [row["notes/note"].decode() for row in mlcroissant.Dataset(str(at)).records("notes")]


def test_files_and_record_sets_of_a_base_that_are_not_copicks_are_kept(lab: Lab) -> None:
    base = write_base(lab)
    add_notes(lab, base)
    result = lab.build(base_recipe(lab))
    assert result.ok
    assert notes(lab.manifest) == ["thick"]
    (told,) = [d for d in with_code(result.diagnostics, Code.OUTSIDE_ROOT) if "the base lists" in d.message]
    assert told.message == f"the base lists a file that stays where it is, below {base.parent}: 'notes.csv'"
    lab.add_picks()
    assert notes(lab.manifest) == ["thick"], "copick leaves them alone"
    assert [n for d in with_code(lab.build().diagnostics, Code.DRIFT) for n in d.notes] == [
        "+ picks: TS_1, bob, 9, ribosome"
    ]


def test_files_and_record_sets_of_a_base_that_is_the_output_stay_where_they_are(lab: Lab) -> None:
    add_notes(lab, write_base(lab, "out"))
    result = lab.build(base_recipe(lab, "out/Croissant/metadata.json"))
    assert result.ok
    assert not [d for d in result.diagnostics if "the base lists" in d.message]
    (listed,) = [e for e in lab.document()["distribution"] if e["@id"] == "notes-csv"]
    assert listed["contentUrl"] == "notes.csv"
    assert (lab.croissant / "notes.csv").read_bytes() == NOTES
    before = contents(lab.croissant)
    assert lab.build().ok
    assert contents(lab.croissant) == before


def test_columns_of_a_base_that_are_not_copicks_are_left_out_and_copick_can_write(lab: Lab) -> None:
    """With them the manifest would name a column that is gone with copick's first write."""
    base = write_base(lab)
    document = json.loads(base.read_bytes())
    table = pd.read_csv(base.parent / "picks.csv", dtype=str).assign(confidence="0.5")
    data = table.to_csv(index=False).encode()
    (base.parent / "picks.csv").write_bytes(data)
    (file_object,) = [e for e in document["distribution"] if e["@id"] == "picks-csv"]
    file_object["sha256"] = hashlib.sha256(data).hexdigest()
    (record_set,) = [e for e in document["recordSet"] if e["@id"] == "copick/picks"]
    source = {"fileObject": {"@id": "picks-csv"}, "extract": {"column": "confidence"}}
    record_set["field"].append(
        {"@type": "cr:Field", "@id": "copick/picks/confidence", "dataType": "sc:Float", "source": source}
    )
    base.write_text(json.dumps(document))
    result = lab.build(base_recipe(lab))
    (told,) = with_code(result.diagnostics, Code.CROISSANT)
    assert told.message.endswith("picks.csv has a column that copick does not know, left out: 'confidence'")
    lab.add_picks(open_with=copick.from_croissant)
    rows = list(mlcroissant.Dataset(str(lab.manifest)).records("copick/picks"))
    assert len(rows) == 6
    assert "copick/picks/confidence" not in rows[0]


def test_a_record_set_that_others_added_is_drift(lab: Lab) -> None:
    lab.build()
    add_notes(lab)
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    assert told.notes == ("+ metadata.json: distribution notes-csv", "+ metadata.json: recordSet notes")
    for _ in range(2):
        assert lab.build(on_drift="keep").ok
        assert notes(lab.manifest) == ["thick"]
    assert not any("notes" in f for f in json.loads((lab.croissant / RECORD_FILE).read_bytes())["others"])
    discarded = lab.build(on_drift="discard")
    assert discarded.prepared is not None
    assert set(discarded.prepared.changes.metadata) == {"distribution notes-csv", "recordSet notes"}
    assert not any(e["@id"] == "notes" for e in lab.document()["recordSet"])
    assert (lab.croissant / "notes.csv").read_bytes() == NOTES


def test_what_others_added_and_copick_does_not_see_is_drift_too(lab: Lab) -> None:
    lab.build()
    path = lab.croissant / "picks.csv"
    header, *lines = path.read_text().splitlines()
    stray = lines[0].replace("TS_1", "TS_9", 1)
    path.write_text("\n".join([f"{header},confidence", *(f"{line},0.5" for line in [*lines, stray])]) + "\n")
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    where = f"~ Croissant {lab.manifest}: "
    assert told.notes == (
        f"{where}picks.csv has a column that copick does not know, left out: 'confidence'",
        f"{where}runs.csv does not list 'TS_9', and rows of it are left out: 1 in picks.csv",
    )
    kept = lab.build(on_drift="keep")
    assert kept.ok
    assert [f"~ {d.message}" for d in with_code(kept.diagnostics, Code.CROISSANT)] == list(told.notes)
    assert lab.rows("picks") == RIBOSOMES
    assert not with_code(lab.build().diagnostics, Code.DRIFT)


def test_force_does_not_lose_drift_that_cannot_be_told(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    (lab.croissant / ROWS_FILE).unlink()
    lab.add_picks()
    assert with_code(lab.build(force=True).diagnostics, Code.DRIFT)
    assert ADDED in lab.rows("picks")


def test_a_base_that_is_not_there(lab: Lab) -> None:
    base_recipe(lab)
    result = lab.build()
    (told,) = [d for d in result.diagnostics if d.is_error]
    assert told.code is Code.UNREACHABLE
    assert told.span is not None
    assert (told.span.line, told.span.column) == (3, 7)


# Suites


def test_sources_that_recipes_share_are_read_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[str] = []
    scan, read = folder_project.scan_project, FileReader.read

    def counted_scan(source: str, *args: Any, **kwargs: Any) -> Any:
        scans.append(source)
        return scan(source, *args, **kwargs)

    files: list[Any] = []

    def counted_read(self: Any, wanted: Any, **kwargs: Any) -> Any:
        files.extend(wanted)
        return read(self, wanted, **kwargs)

    monkeypatch.setattr(folder_project, "scan_project", counted_scan)
    monkeypatch.setattr(FileReader, "read", counted_read)
    one = lab.write("one.yaml", "  - {export: lab, runs: [TS_1], picks: [ribosome]}\n", out="one")
    two = lab.write("two.yaml", "  - {export: lab, picks: ['*']}\n  - {append: lab, others: exclude}\n", out="two")
    results = build(one, two)
    assert all(r.ok for r in results)
    assert scans == ["lab"]
    assert len(files) == len(set(files)) == 9
    alone = {}
    for name in ("one", "two"):
        folder = lab.folder / name / "Croissant"
        alone[name] = {n: data for n, (data, _) in contents(folder).items()}
        build(lab.folder / f"{name}.yaml", options=Options(output=str(lab.folder / f"{name}-alone")))
        again = {n: data for n, (data, _) in contents(lab.folder / f"{name}-alone" / "Croissant").items()}
        assert again == alone[name], "a suite builds what each recipe builds alone"


def test_recipes_of_different_folders_share_a_source(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[str] = []
    scan = folder_project.scan_project
    monkeypatch.setattr(folder_project, "scan_project", lambda s, *a, **k: scans.append(s) or scan(s, *a, **k))
    below = lab.folder / "recipes"
    below.mkdir()
    text = lab.recipe.read_text()
    text = text.replace("lab/filesystem.json", '../lab/filesystem.json, base_url: "https://lab.example.org"')
    (below / "recipe.yaml").write_text(text)
    results = build(lab.recipe, below / "recipe.yaml")
    assert all(r.ok for r in results)
    assert scans == ["lab"]
    urls = [str(r.prepared.files["picks.csv"]) for r in results if r.prepared]
    assert ["https://lab.example.org/" in found for found in urls] == [False, True]


def test_one_recipe_with_an_error_blocks_the_suite(lab: Lab) -> None:
    good = lab.write("good.yaml", out="good")
    bad = lab.write("bad.yaml", out="bad", more="expect: {runs: 9}\n")
    results = build(good, bad)
    assert [r.written for r in results] == [False, False]
    assert [r.ok for r in results] == [True, False]
    assert not (lab.folder / "good").exists()
    assert not (lab.folder / "bad").exists()


def test_drift_of_one_output_blocks_the_suite(lab: Lab) -> None:
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    lab.build()
    lab.add_picks()
    other = lab.write("other.yaml", out="other")
    assert [r.written for r in build(other, lab.recipe)] == [False, False]
    assert not (lab.folder / "other").exists()


def test_two_recipes_cannot_have_one_output(lab: Lab) -> None:
    other = lab.write("other.yaml", "  - {export: lab, picks: [vlp]}\n")
    results = build(lab.recipe, other)
    assert [r.ok for r in results] == [True, False]
    assert f"{lab.recipe} is built into the same project_root" in results[1].diagnostics[0].message


def test_two_names_of_one_output_are_one_output(lab: Lab) -> None:
    (lab.folder / "link").symlink_to("out")
    results = build(lab.recipe, lab.write("other.yaml", out="link"))
    assert [r.ok for r in results] == [True, False]
    assert f"{lab.recipe} is built into the same project_root" in results[1].diagnostics[0].message
    assert not lab.out.exists()


def test_a_croissant_exported_again_is_the_same(lab: Lab) -> None:
    """Splits, portal ids, checksums and places of a Croissant come through a layer as they are."""
    lab.write(
        "recipe.yaml",
        "  - {export: lab}\n",
        more="splits: {assign: {train: [TS_1], val: [TS_2]}}\n",
    )
    lab.build()
    runs = lab.croissant / "runs.csv"
    runs.write_bytes(runs.read_bytes().replace(b"TS_1,,train", b"TS_1,16463,train"))
    lab.edit_manifest(
        lambda d: next(e for e in d["distribution"] if e["@id"] == "runs-csv").update(
            sha256=hashlib.sha256(runs.read_bytes()).hexdigest()
        )
    )
    text = lab.recipe.read_text().replace("project_root: out", "project_root: again")
    text = text.replace("{copick: {config: lab/filesystem.json}}", "{croissant: {url: out/Croissant/metadata.json}}")
    again = lab.folder / "again.yaml"
    again.write_text(text.split("layers:")[0] + "layers: [{export: lab}]\n")
    (result,) = build(again)
    assert result.ok
    assert result.prepared is not None
    for schema in RECORD_SETS.values():
        assert result.prepared.files[schema.csv_name] == (lab.croissant / schema.csv_name).read_bytes()
    objects = json.loads(result.prepared.files["metadata.json"])["copick:config"]["pickable_objects"]
    assert {o["name"]: o for o in objects} == lab.objects()


# The command


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, words)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def test_a_dry_run_writes_nothing(lab: Lab) -> None:
    before = contents(lab.folder)
    result = run("build", "--dry-run", "--emit-config", str(lab.folder / "copick.json"), str(lab.recipe))
    assert result.exit_code == ExitCode.GOOD
    assert contents(lab.folder) == before


def test_an_emitted_config_opens_the_croissant_for_writing(lab: Lab) -> None:
    path = lab.folder / "copick.json"
    assert run("build", "--emit-config", str(path), str(lab.recipe)).exit_code == ExitCode.GOOD
    root = copick.from_file(str(path))
    assert root.mode == "A"
    assert [r.name for r in root.runs] == ["TS_1", "TS_2", "TS_3"]
    picks = root.get_run("TS_1").new_picks("vlp", "9", "bob")
    picks.points = []
    picks.store()
    assert ("TS_1", "bob", "9", "vlp") in lab.rows("picks")


def test_an_emitted_config_with_an_overlay_leaves_the_croissant_alone(lab: Lab) -> None:
    path, overlay = lab.folder / "copick.json", lab.folder / "mine"
    result = run("build", "--emit-config", str(path), "--config-overlay", str(overlay), str(lab.recipe))
    assert result.exit_code == ExitCode.GOOD
    before = contents(lab.croissant)
    root = copick.from_file(str(path))
    assert root.mode == "B"
    picks = root.get_run("TS_1").new_picks("vlp", "9", "bob")
    picks.points = []
    picks.store()
    assert (overlay / "ExperimentRuns/TS_1/Picks/bob_9_vlp.json").exists()
    assert contents(lab.croissant) == before


def test_no_config_is_emitted_when_nothing_is_written(lab: Lab) -> None:
    lab.write("recipe.yaml", more="expect: {runs: 9}\n")
    assert run("build", "--emit-config", str(lab.folder / "copick.json"), str(lab.recipe)).exit_code == ExitCode.BLOCKED
    assert not (lab.folder / "copick.json").exists()


def test_mode_a_in_the_projects_own_folder(lab: Lab) -> None:
    """A relocatable Croissant lies in the project: what copick adds is a file of the source too, and no drift where
    the recipe takes it."""
    start = lab.recipe.read_text().split("sources:")[0].split("name: lab\n", 1)[1]
    start = start.replace(f'project_root: out, base_url: "file://{lab.project.root}"', "project_root: lab/project")
    lab.write("recipe.yaml", "  - {export: lab, picks: [ribosome]}\n", start=start)
    lab.out, lab.croissant = lab.project.root, lab.project.root / "Croissant"
    lab.manifest = lab.croissant / "metadata.json"
    assert lab.build().ok
    assert "copick:baseUrl" not in lab.document()
    lab.add_picks()
    assert lab.build().ok
    assert ADDED in lab.rows("picks")
    lab.write("recipe.yaml", "  - {export: lab, picks: 'ribosome:alice'}\n", start=start)
    assert lab.build().ok
    assert ADDED not in lab.rows("picks"), "the recipe had it, and drops it"
    lab.add_picks("10")
    assert with_code(lab.build().diagnostics, Code.DRIFT), "the recipe never had this one"


def test_changes_are_per_record(lab: Lab) -> None:
    """Everything a plan and a build compare is by key: a moved row is no change, a changed cell is one."""
    lab.build()
    spec = replace(SPEC.runs[0], picks=(Picks("alice", "1", "ribosome", points=5, voxel_spacing=20.0),))
    target = lab.project.root / "ExperimentRuns/TS_1/Picks/alice_1_ribosome.json"
    other = write_project(lab.folder / "new", replace(SPEC, runs=(spec,)))
    target.write_bytes((other.root / "ExperimentRuns/TS_1/Picks/alice_1_ribosome.json").read_bytes())
    (planned,) = plan(lab.recipe)
    assert planned.prepared is not None
    (changed,) = planned.prepared.changes.tables["picks"].changed()
    assert changed.key == {"run": "TS_1", "user_id": "alice", "session_id": "1", "object_name": "ribosome"}
    assert changed.fields.keys() == {"voxel_size", "sha256"}
    assert changed.fields["voxel_size"] == (10.0, 20.0)
