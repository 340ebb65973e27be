"""copick projects as sources: the artifacts that copick itself lists, and a word on every name that it cannot read."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from croissants import CONFIG, write_croissant
from fsspec.implementations.memory import MemoryFileSystem
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
    copick_keys,
    copick_root,
    random_spec,
    write_project,
)
from source_layers import Watched, keys, layer

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import DiagnosticError, Severity
from croissant_recipes.language.source_kinds import CopickSource
from croissant_recipes.location import Location
from croissant_recipes.progress import Silent
from croissant_recipes.sources import folder_project
from croissant_recipes.sources.base import Inventory, Means, Root, Source
from croissant_recipes.sources.copick_source import open_copick
from croissant_recipes.sources.listing import list_in
from croissant_recipes.work import Workers

OBJECTS = (PickableObject("ribosome", density_map=True), PickableObject("membrane", is_particle=False, label=2))


def opened(config: Path | str, folder: Path = Path("/")) -> Source:
    return open_copick("lab", CopickSource(config=str(config)), Means(folder, Workers(4)))


def scanned(config: Path | str, **given: Any) -> Inventory:
    return opened(config).scan([layer(**given)], Silent())[0]


def listed_by_copick(project: Project) -> dict[str, set[tuple[object, ...]]]:
    found = copick_keys(copick_root(project))
    # Voxel sizes of picks are facts of files, which a scan does not read.
    return {**found, "picks": {key[:-1] for key in found["picks"]}}


def messages(inventory: Inventory) -> list[str]:
    return [d.message for d in inventory.diagnostics]


def refused(config: Path | str, folder: Path = Path("/")) -> list[tuple[Code, str, str | None]]:
    with pytest.raises(DiagnosticError) as caught:
        opened(config, folder).scan([layer()], Silent())
    return [(d.code, d.message, d.hint) for d in caught.value.diagnostics]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One run with an artifact of each kind."""
    run = Run(
        "TS_001",
        (Tomogram(10.0, "wbp"),),
        (Features(10.0, "wbp", "sobel"),),
        (Picks("alice", "1", "ribosome"),),
        (Mesh("alice", "1", "membrane"),),
        (Segmentation(10.0, "alice", "1", "membrane", "multilabel"),),
    )
    return write_project(tmp_path, ProjectSpec((run,), OBJECTS))


# The same as copick


@pytest.mark.parametrize("seed", range(16))
def test_a_project_holds_what_copick_lists(tmp_path: Path, seed: int) -> None:
    project = write_project(tmp_path, random_spec(random.Random(seed), nasty=seed % 2 == 1))
    inventory = scanned(project.config)
    expected = listed_by_copick(project)
    # copick lists a density map of anything, but takes only those of particles for a Croissant.
    particles = {o["name"] for o in inventory.objects if o["is_particle"]}
    expected["objects"] = {key for key in expected["objects"] if key[0] in particles}
    assert keys(inventory) == expected


@pytest.mark.parametrize("seed", range(8))
def test_every_row_says_where_the_artifact_lies(tmp_path: Path, seed: int) -> None:
    inventory = scanned(write_project(tmp_path, random_spec(random.Random(seed), nasty=True)).config)
    for artifact, table in inventory.tables.items():
        for row in table.to_dict("records") if artifact != "runs" else ():
            assert Path(inventory.roots[row["root"]].location.path, row["path"]).exists()


FRAGMENTS = (
    "a",
    "wbp",
    "_",
    "_",
    "_",
    ".json",
    ".zarr",
    "features",
    "_features",
    "10.000",
    "-multilabel",
    "b",
    ".",
    "1",
    "nan",
)


@pytest.mark.parametrize("seed", range(40))
def test_odd_names_are_in_a_table_exactly_if_copick_reads_them_back(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)

    def name(ending: str) -> str:
        return "".join(rng.choices(FRAGMENTS, k=rng.randint(1, 7))) + ending

    run = tmp_path / "project" / "ExperimentRuns" / "r"
    for folder, ending in (("Picks", ".json"), ("Meshes", ".glb")):
        (run / folder).mkdir(parents=True)
        (run / folder / name(ending)).write_text("{}")
    for folder in ("VoxelSpacing10.000", "VoxelSpacing10.000", "Segmentations", "InstanceSegmentations"):
        for _ in range(3):
            (run / folder / name(".zarr")).mkdir(parents=True, exist_ok=True)
    project = write_project(tmp_path / "other", ProjectSpec(objects=OBJECTS))
    project.config.write_text(json.dumps({"pickable_objects": [], "overlay_root": str(tmp_path / "project")}))

    inventory = scanned(project.config)
    found = copick_root(project).get_run("r")
    sizes = [v for v in found.voxel_spacings if v.voxel_size == 10.0]
    tomograms = {t for v in sizes for t in v.tomograms}
    segmentations = found.get_segmentations(is_instance=None, is_panoptic=None)

    def places(artifact: str) -> set[str]:
        return {str(tmp_path / "project" / p) for p in inventory.table(artifact)["path"]}

    def there(paths: set[str]) -> set[str]:
        return {p for p in paths if os.path.exists(p)}

    assert places("tomograms") == there({t.overlay_path for t in tomograms if t.tomo_type})
    assert places("features") == there({f.path for t in tomograms if t.tomo_type for f in t.features if f.feature_type})
    good = {s.path for s in segmentations if 0 < s.voxel_size < float("inf")}
    assert places("segmentations") == there(good)
    for artifact, parts in (("picks", "picks"), ("meshes", "meshes")):
        try:
            expected = {a.path for a in getattr(found, parts) if a.user_id and a.session_id and a.pickable_object_name}
        except IndexError:
            # copick crashes on a name with fewer parts.
            expected = set()
        assert places(artifact) == there(expected)
    left_out = {d.message.split(" is left out")[0].removeprefix("source 'lab': ") for d in inventory.diagnostics}
    everything = {str(p) for p in run.glob("*/*") if not p.name.startswith(".")}
    assert left_out == everything - set().union(*(places(a) for a in inventory.tables if a not in ("runs", "objects")))


def test_the_overlay_wins(tmp_path: Path) -> None:
    picks = tuple(Picks("alice", s, "ribosome", place=p) for s, p in (("1", "static"), ("2", "overlay"), ("3", "both")))
    project = write_project(tmp_path, ProjectSpec((Run("TS_001", picks=picks),), two_roots=True))
    inventory = scanned(project.config)
    assert inventory.table("picks")[["session_id", "root", "path"]].values.tolist() == [
        ["1", "static", "ExperimentRuns/TS_001/Picks/alice_1_ribosome.json"],
        ["2", "overlay", "ExperimentRuns/TS_001/Picks/alice_2_ribosome.json"],
        ["3", "overlay", "ExperimentRuns/TS_001/Picks/alice_3_ribosome.json"],
    ]
    assert inventory.roots == {
        "static": Root(Location.parse(project.root), primary=True, reads_files=True),
        "overlay": Root(Location.parse(project.overlay), primary=False, reads_files=True),
    }


def test_features_of_a_tomogram_in_the_other_root(tmp_path: Path) -> None:
    run = Run("TS_001", (Tomogram(10.0, "wbp"),), (Features(10.0, "wbp", "sobel", place="overlay"),))
    inventory = scanned(write_project(tmp_path, ProjectSpec((run,), two_roots=True)).config)
    assert inventory.table("features")[["tomo_type", "feature_type", "root"]].values.tolist() == [
        ["wbp", "sobel", "overlay"]
    ]
    assert not inventory.diagnostics


@pytest.mark.parametrize("static", [None, "the overlay"])
def test_a_single_root_is_primary(project: Project, static: str | None) -> None:
    config = json.loads(project.config.read_text())
    if static:
        config["static_root"] = config["overlay_root"] + "/"
        project.config.write_text(json.dumps(config))
    inventory = scanned(project.config)
    assert inventory.roots == {"overlay": Root(Location.parse(project.root), primary=True, reads_files=True)}
    assert set(inventory.table("picks")["root"]) == {"overlay"}


def test_objects_and_config_are_plain_values(project: Project) -> None:
    inventory = scanned(project.config)
    assert json.loads(json.dumps(inventory.objects)) == list(inventory.objects)
    assert [o["name"] for o in inventory.objects] == ["ribosome", "membrane"]
    assert inventory.objects[0]["color"] == [100, 100, 100, 255]
    assert inventory.config == {
        "name": "Test project",
        "description": "A project written by a test.",
        "version": "1.0.0",
        "user_id": None,
        "session_id": None,
    }


def test_a_link_to_a_folder_is_followed(project: Project, tmp_path: Path) -> None:
    runs = project.root / "ExperimentRuns"
    (runs / "TS_001" / "Picks").rename(tmp_path / "Elsewhere")
    (runs / "TS_001" / "Picks").symlink_to(tmp_path / "Elsewhere")
    (runs / "TS_002").symlink_to(runs / "TS_001")
    assert keys(scanned(project.config))["picks"] == {(r, "alice", "1", "ribosome") for r in ("TS_001", "TS_002")}


def test_hidden_files_and_other_files_are_nothing(project: Project) -> None:
    before = keys(scanned(project.config))
    run = project.root / "ExperimentRuns" / "TS_001"
    for path in (".hidden", "README.txt", "TS_001/Picks/._alice_1_ribosome.json", "TS_001/Picks/notes.txt"):
        (project.root / "ExperimentRuns" / path).write_text("x")
    (run / "Other").mkdir()
    (run / "VoxelSpacing10.000" / ".wbp.zarr").mkdir()
    inventory = scanned(project.config)
    assert keys(inventory) == before
    assert not inventory.diagnostics


# Only what is asked for


def asked(
    config: Path, monkeypatch: pytest.MonkeyPatch, *layers: Any, seed: int | None = None
) -> tuple[list[str], Inventory]:
    paths: list[str] = []
    real = folder_project.open_lister
    monkeypatch.setattr(folder_project, "open_lister", lambda *a: Watched(real(*a), paths, seed))
    return paths, opened(config).scan(layers, Silent())[0]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ((), {"", "ExperimentRuns"}),
        (("objects",), {"", "ExperimentRuns", "Objects"}),
        (("picks",), {"", "ExperimentRuns", "ExperimentRuns/TS_001", "ExperimentRuns/TS_001/Picks"}),
        (("features",), {"", "ExperimentRuns", "ExperimentRuns/TS_001", "ExperimentRuns/TS_001/VoxelSpacing10.000"}),
    ],
)
def test_only_the_folders_of_types_that_a_layer_takes_are_listed(
    project: Project, monkeypatch: pytest.MonkeyPatch, types: tuple[str, ...], expected: set[str]
) -> None:
    paths, inventory = asked(project.config, monkeypatch, layer(types))
    assert sorted(paths) == sorted(expected)
    assert {a for a in types if len(inventory.table(a))} == set(types)


def test_only_the_runs_that_a_layer_takes_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tuple(Run(f"TS_{n}", picks=(Picks("alice", "1", "ribosome"),)) for n in range(1, 6))
    project = write_project(tmp_path, ProjectSpec(runs))
    layers = (layer(("picks",), runs=["TS_[1-3]"], exclude_runs=["TS_2"]), layer(("picks",), runs=["TS_5"]))
    paths, inventory = asked(project.config, monkeypatch, *layers)
    assert {p.split("/")[1] for p in paths if p.count("/") == 2} == {"TS_1", "TS_3", "TS_5"}
    assert list(inventory.table("picks")["run"]) == ["TS_1", "TS_3", "TS_5"]
    assert len(inventory.table("runs")) == 5


def test_no_zarr_store_is_opened_and_no_folder_listed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write_project(tmp_path, random_spec(random.Random(3)))
    paths, _ = asked(project.config, monkeypatch, layer(), layer())
    assert len(paths) == len(set(paths))
    assert not [p for p in paths if ".zarr" in p]


def test_layers_share_one_inventory(project: Project) -> None:
    first, second = opened(project.config).scan([layer(("picks",)), layer(("meshes",))], Silent())
    assert first is second
    assert len(first.table("picks")) == len(first.table("meshes")) == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_listings_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    project = write_project(tmp_path, random_spec(random.Random(seed)))
    for run in (project.root / "ExperimentRuns").iterdir():
        (run / "Picks").mkdir(exist_ok=True)
        for bad in ("x.json", "a_b.json", "a_b_c_d.json"):
            (run / "Picks" / bad).write_text("{}")
    _, one = asked(project.config, monkeypatch, layer())
    monkeypatch.undo()
    _, other = asked(project.config, monkeypatch, layer(), seed=seed)
    assert one.diagnostics == other.diagnostics
    assert one.diagnostics
    for artifact, table in one.tables.items():
        pd.testing.assert_frame_equal(table, other.tables[artifact])


# Names that copick cannot read back

BAD_NAMES = {
    "Picks/alice_ribosome.json": (
        "its name has 2 parts between underscores, and copick reads user_session_object",
        "name it <user>_<session>_<object>.json",
    ),
    "Picks/ribosome.json": (
        "its name has 1 part between underscores, and copick reads user_session_object",
        "name it <user>_<session>_<object>.json",
    ),
    "Picks/alice_1_my_ribosome.json": (
        "its name has 4 parts between underscores, and copick reads user_session_object",
        "name it 'alice_1_my-ribosome.json', say",
    ),
    "Picks/alice__ribosome.json": (
        "a part of user_session_object in its name is empty",
        "name it <user>_<session>_<object>.json",
    ),
    "Picks/alice_1_ribosome.json.json": (
        "copick takes every '.json' out of the name",
        "name it 'alice_1_ribosome.json'",
    ),
    "Picks/alice_1_folder.json/": ("it is a folder, not a file", None),
    "Meshes/alice.glb": (
        "its name has 1 part between underscores, and copick reads user_session_object",
        "name it <user>_<session>_<object>.glb",
    ),
    "VoxelSpacing/": (
        "'' in its name is no voxel size",
        "name it after the voxel size in Å, such as 'VoxelSpacing10.000'",
    ),
    "VoxelSpacing_old/": (
        "'_old' in its name is no voxel size",
        "name it after the voxel size in Å, such as 'VoxelSpacing10.000'",
    ),
    "VoxelSpacingnan/": (
        "'nan' in its name is no voxel size",
        "name it after the voxel size in Å, such as 'VoxelSpacing10.000'",
    ),
    "VoxelSpacing0.000/": (
        "'0.000' in its name is no voxel size",
        "name it after the voxel size in Å, such as 'VoxelSpacing10.000'",
    ),
    "VoxelSpacing-5.000/": (
        "'-5.000' in its name is no voxel size",
        "name it after the voxel size in Å, such as 'VoxelSpacing10.000'",
    ),
    "VoxelSpacing10/": ("copick looks for voxel size 10 in 'VoxelSpacing10.000'", "name it 'VoxelSpacing10.000'"),
    "VoxelSpacing7.840": ("it is a file, not a folder of tomograms", None),
    "VoxelSpacing10.000/wbp_features.zarr/": (
        "copick lists features only with their tomogram, and no tomogram in VoxelSpacing10.000 has the name it starts "
        "with",
        "name it <tomogram>_<feature>_features.zarr",
    ),
    "VoxelSpacing10.000/other_sobel_features.zarr/": (
        "copick lists features only with their tomogram, and no tomogram in VoxelSpacing10.000 has the name it starts "
        "with",
        "name it <tomogram>_<feature>_features.zarr",
    ),
    "VoxelSpacing10.000/wbp-with-features.zarr/": (
        "copick takes no name that holds 'features' for a tomogram",
        "give the tomogram a name without 'features'; features end in '_features.zarr'",
    ),
    "VoxelSpacing10.000/raw.zarr.zarr/": ("copick takes every '.zarr' out of the name", "name it 'raw.zarr'"),
    "VoxelSpacing10.000/raw.zarr": ("it is a file, and copick reads folders of zarr", None),
    "Segmentations/10.000_alice_membrane.zarr/": (
        "copick reads voxelsize_user_session_name, and its name has too few parts",
        "name it <voxel size>_<user>_<session>_<name>.zarr, such as '10.000_alice_1_membrane.zarr'",
    ),
    "Segmentations/big_alice_1_membrane.zarr/": (
        "'big' in its name is no voxel size",
        "name it <voxel size>_<user>_<session>_<name>.zarr, such as '10.000_alice_1_membrane.zarr'",
    ),
    "Segmentations/inf_alice_1_membrane.zarr/": (
        "'inf' in its name is no voxel size",
        "name it <voxel size>_<user>_<session>_<name>.zarr, such as '10.000_alice_1_membrane.zarr'",
    ),
    "Segmentations/10.000_alice_1_-multilabel.zarr/": (
        "a part of voxelsize_user_session_name in its name is empty",
        "name it <voxel size>_<user>_<session>_<name>.zarr, such as '10.000_alice_1_membrane.zarr'",
    ),
    "Segmentations/10_alice_1_cell_wall-multilabel.zarr/": (
        "copick looks for it as '10.000_alice_1_cell_wall-multilabel.zarr'",
        "name it '10.000_alice_1_cell_wall-multilabel.zarr'",
    ),
    "InstanceSegmentations/7.8400_alice_1_membrane.zarr/": (
        "copick looks for it as '7.840_alice_1_membrane.zarr'",
        "name it '7.840_alice_1_membrane.zarr'",
    ),
    "../../Objects/unknown.zarr/": (
        "no pickable object is named 'unknown'",
        "the pickable objects are 'membrane' and 'ribosome'",
    ),
    "../../Objects/ribosom.zarr/": ("no pickable object is named 'ribosom'", "did you mean 'ribosome'?"),
}


def make(path: Path, text: str) -> None:
    if text.endswith("/"):
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_copick_cannot_read_back_is_told(project: Project, name: str) -> None:
    before = keys(scanned(project.config))
    path = Path(os.path.normpath(project.root / "ExperimentRuns" / "TS_001" / name))
    make(path, name)
    inventory = scanned(project.config)
    problem, hint = BAD_NAMES[name]
    assert [(d.code, d.severity, d.message, d.hint) for d in inventory.diagnostics] == [
        (Code.FILE_NAME, Severity.WARNING, f"source 'lab': {path} is left out: {problem}", hint)
    ]
    assert keys(inventory) == before


def test_nothing_is_told_of_types_that_no_layer_takes(project: Project) -> None:
    for name in BAD_NAMES:
        make(
            Path(os.path.normpath(project.root / "ExperimentRuns" / "TS_001" / name)), name
        ) if "json" not in name else None
    assert not scanned(project.config, types=("picks",)).diagnostics


def test_features_of_two_tomograms_whose_names_go_on_in_each_other(tmp_path: Path) -> None:
    run = Run(
        "TS_001", (Tomogram(10.0, "wbp"), Tomogram(10.0, "wbp_denoised")), (Features(10.0, "wbp_denoised", "sobel"),)
    )
    project = write_project(tmp_path, ProjectSpec((run,)))
    inventory = scanned(project.config)
    assert keys(inventory)["features"] == listed_by_copick(project)["features"]
    assert len(inventory.table("features")) == 2


@pytest.mark.parametrize(
    ("run", "tomo_type", "feature_type"),
    [("r", "wbp[1]", "sobel"), ("r.zarr", "wbp", "sobel"), ("r", "wbp", ".sobel"), ("r", "wbp", "")],
)
def test_features_that_copick_does_not_find(tmp_path: Path, run: str, tomo_type: str, feature_type: str) -> None:
    features = Features(10.0, tomo_type, feature_type)
    project = write_project(tmp_path, ProjectSpec((Run(run, (Tomogram(10.0, tomo_type),), (features,)),)))
    inventory = scanned(project.config)
    assert listed_by_copick(project)["features"] <= {(run, 10.0, "wbp", "")}
    assert inventory.table("features").empty
    assert keys(inventory)["tomograms"] == {(run, 10.0, tomo_type)}
    assert [d.code for d in inventory.diagnostics] == [Code.FILE_NAME]


def test_a_run_whose_name_is_a_pattern_for_copick(tmp_path: Path) -> None:
    runs = (Run("TS[1]", picks=(Picks("alice", "1", "ribosome"),)), Run("TS1", picks=(Picks("bob", "1", "ribosome"),)))
    project = write_project(tmp_path, ProjectSpec(runs))
    inventory = scanned(project.config)
    assert keys(inventory)["runs"] == {("TS[1]",), ("TS1",)}
    assert keys(inventory)["picks"] == {("TS1", "bob", "1", "ribosome")}
    place = project.root / "ExperimentRuns" / "TS[1]"
    assert messages(inventory) == [
        f"source 'lab': what {place} holds is left out: copick takes '[' in the name of a run for a pattern and finds "
        "nothing in it"
    ]


def test_a_link_that_leads_nowhere_is_told(project: Project) -> None:
    link = project.root / "ExperimentRuns" / "TS_002"
    link.symlink_to("nowhere")
    inventory = scanned(project.config)
    assert messages(inventory) == [f"source 'lab': {link} is left out: it is a link that leads to no folder"]
    assert keys(inventory)["runs"] == {("TS_001",)}


def test_a_name_that_is_not_utf8_is_told(project: Project) -> None:
    folder = project.root / "ExperimentRuns" / "TS_001" / "Picks"
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9_1_ribosome.json")).write_text("{}")
    Path(os.fsdecode(os.fsencode(project.root) + b"/ExperimentRuns/TS_\xff")).mkdir()
    inventory = scanned(project.config)
    assert messages(inventory) == [
        f"source 'lab': {folder}/caf\\xe9_1_ribosome.json is left out: its name is not valid UTF-8",
        f"source 'lab': {project.root}/ExperimentRuns/TS_\\xff is left out: its name is not valid UTF-8",
    ]
    for message in messages(inventory):
        message.encode()
    assert len(inventory.table("picks")) == 1


def test_filaments_are_counted(project: Project) -> None:
    for run in ("TS_001", *(f"TS_10{n}" for n in range(6))):
        folder = project.root / "ExperimentRuns" / run / "Filaments"
        folder.mkdir(parents=True)
        (folder / "alice_1_microtubule.json").write_text("{}")
        (folder / "alice_2_actin_like.json").write_text("{}")
        (folder / "notafilament.json").write_text("{}")
    root = copick_root(project)
    assert sum(len(run.filaments) for run in root.runs) == 14
    (found,) = scanned(project.config).diagnostics
    assert (found.code, found.severity) == (Code.NOT_EXPORTED, Severity.WARNING)
    assert found.message == (
        "source 'lab': 14 sets of filaments in runs 'TS_001', 'TS_100', 'TS_101', 'TS_102', 'TS_103' and 2 more are "
        "left out: a Croissant has no place for filaments"
    )


def test_a_density_map_of_no_particle_is_told(tmp_path: Path) -> None:
    spec = ProjectSpec(objects=(PickableObject("membrane", is_particle=False, density_map=True),))
    project = write_project(tmp_path, spec)
    inventory = scanned(project.config)
    (found,) = inventory.diagnostics
    assert (found.code, found.severity) == (Code.NOT_EXPORTED, Severity.WARNING)
    assert found.message == (
        f"source 'lab': {project.root}/Objects/membrane.zarr is left out: only particles have a density map in a "
        "Croissant"
    )
    assert inventory.table("objects").empty


# Configs


def write_config(folder: Path, **values: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps({"config_type": "filesystem", "pickable_objects": [], **values}))
    return path


@pytest.mark.parametrize("root", ["project", "./project/", "local://project", "file://project", "../conf/project"])
def test_a_relative_root_starts_at_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    (tmp_path / "conf" / "project" / "ExperimentRuns" / "TS_001").mkdir(parents=True)
    config = write_config(tmp_path / "conf", overlay_root=root)
    monkeypatch.chdir("/")
    inventory = open_copick("lab", CopickSource(config="conf/config.json"), Means(tmp_path, Workers(1))).scan(
        [layer()], Silent()
    )[0]
    assert inventory.roots["overlay"].location == Location.parse(tmp_path / "conf" / "project")
    assert keys(inventory)["runs"] == {("TS_001",)}
    assert config.exists()


def test_a_config_without_a_type_is_a_filesystem(project: Project) -> None:
    values = json.loads(project.config.read_text())
    del values["config_type"]
    project.config.write_text(json.dumps(values))
    assert len(scanned(project.config).table("picks")) == 1


def test_a_missing_config(tmp_path: Path) -> None:
    assert refused("lab/none.json", tmp_path) == [
        (
            Code.UNREACHABLE,
            f"source 'lab': copick config {tmp_path}/lab/none.json cannot be read: there is no such file or folder",
            "correct the path",
        )
    ]


def test_a_missing_root(tmp_path: Path) -> None:
    config = write_config(tmp_path, overlay_root="overlay", static_root="static")
    (tmp_path / "overlay" / "ExperimentRuns").mkdir(parents=True)
    assert refused(config) == [
        (
            Code.UNREACHABLE,
            f"source 'lab': copick config {config}: its static_root {tmp_path}/static does not exist, or is empty",
            "correct static_root, or mount it",
        )
    ]
    # An overlay is made when something is first written to it.
    (tmp_path / "static").mkdir()
    (tmp_path / "overlay").rename(tmp_path / "static" / "overlay")
    assert scanned(config).table("runs").empty


def test_an_unreadable_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = str(project.root / "ExperimentRuns" / "TS_001" / "Picks")
    real = os.scandir

    def scandir(path: str) -> Any:
        if path == denied:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert refused(project.config) == [
        (
            Code.UNREACHABLE,
            f"source 'lab': {project.root} cannot be read: Permission denied ({denied})",
            "give access to it, or the credentials in the fs_args of the source",
        )
    ]


BAD_OBJECT = {"name": "a b", "is_particle": True, "label": 0}
BAD_CONFIGS: Mapping[str, tuple[str, list[tuple[str, str | None]]]] = {
    "no JSON": (
        "{",
        [
            (
                "it is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
                "write it anew as JSON, as copick takes it",
            )
        ],
    ),
    "no object": ("[]", [("it is no JSON object", "a copick config holds pickable_objects and overlay_root")]),
    "a Croissant": (
        json.dumps({"@context": {}, "@type": "sc:Dataset", "copick:config": {}}),
        [
            (
                "it is a Croissant, and no copick config",
                "a Croissant is another kind of source: write `croissant: {url: …}` instead of `copick: {config: …}`",
            )
        ],
    ),
    "no keys": ("{}", [("pickable_objects is missing", None), ("overlay_root is missing", None)]),
    "wrong type": (
        '{"config_type": "filesytem"}',
        [("config_type 'filesytem' is unknown", "did you mean 'filesystem'?")],
    ),
    "bad objects": (
        json.dumps({"pickable_objects": [BAD_OBJECT], "overlay_root": "x"}),
        [
            (
                "pickable_objects.0.name: Name 'a b' contains invalid characters. Use copick.escape.sanitize_name() to "
                "clean it.",
                None,
            ),
            ("pickable_objects.0.label: Label 0 is reserved for background.", None),
        ],
    ),
    "an object twice": (
        json.dumps({"pickable_objects": [{"name": "a", "is_particle": True}] * 2, "overlay_root": "x"}),
        [("pickable object 'a' stands there twice", "remove one of them")],
    ),
    "no root": (
        json.dumps({"pickable_objects": [], "overlay_root": ""}),
        [("overlay_root is empty", "write '.' for the folder of the config")],
    ),
}


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_config_that_copick_refuses(tmp_path: Path, case: str, recwarn: pytest.WarningsRecorder) -> None:
    text, problems = BAD_CONFIGS[case]
    config = tmp_path / "config.json"
    config.write_text(text)
    assert refused(config) == [
        (Code.CONFIG, f"source 'lab': copick config {config}: {p}", hint) for p, hint in problems
    ]
    assert not [w for w in recwarn if "sanitized" in str(w.message)]


# Remote and mlcroissant


@pytest.fixture
def memory() -> Any:
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield MemoryFileSystem()
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def test_a_project_in_another_filesystem(project: Project, memory: Any) -> None:
    config = {**json.loads(project.config.read_text()), "overlay_root": "proj/"}
    memory.pipe_file("/lab/config.json", json.dumps(config).encode())
    memory.put(str(project.root), "/lab/proj", recursive=True)
    local, remote = scanned(project.config), scanned("memory://lab/config.json")
    assert remote.roots == {"overlay": Root(Location.parse("memory://lab/proj"), primary=True, reads_files=True)}
    for artifact, table in local.tables.items():
        pd.testing.assert_frame_equal(table, remote.tables[artifact])


class _Store:
    """A filesystem with links, and folders that list themselves as object stores do."""

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        if path != "bucket/runs":
            raise FileNotFoundError(path)
        found = {"": "directory", "a/": "directory", "b": "file", "c": "link", "d": "link", "e": "other"}
        return [
            {"name": f"bucket/runs/{name}", "type": kind, "size": 1, "ETag": f'"{name}"'}
            for name, kind in found.items()
        ]

    def isdir(self, path: str) -> bool:
        return path in ("bucket/runs/c", "bucket/runs/e")


def test_what_a_listing_of_another_filesystem_means() -> None:
    there, missing = list_in(_Store(), "bucket/runs"), list_in(_Store(), "bucket/none")
    assert [(e.name, e.is_dir, e.is_link) for e in there] == [
        ("a", True, False),
        ("b", False, False),
        ("c", True, False),
        ("d", False, True),
        ("e", True, False),
    ]
    assert (there[1].size, there[1].token) == (1, '"b"')
    assert missing == []


ROWS = {
    "runs": {"name": ["TS_001", "TS_002"], "split": ["train", ""]},
    "voxel_spacings": {"run": ["TS_001"], "voxel_size": [10.0]},
    "tomograms": {
        "run": ["TS_001"],
        "voxel_size": [10.0],
        "tomo_type": ["wbp"],
        "url": ["ExperimentRuns/TS_001/VoxelSpacing10.000/wbp.zarr"],
    },
    "picks": {
        "run": ["TS_001", "TS_002"],
        "user_id": ["alice", "alice"],
        "session_id": ["1", "1"],
        "object_name": ["ribosome", "ribosome"],
        "voxel_size": [10.0, 10.0],
        "url": ["p/one.json", "https://example.org/two.json"],
        "sha256": ["a" * 64, "b" * 64],
    },
}


def croissant_config(folder: Path, **values: Any) -> Path:
    described = {**CONFIG, "user_id": "them", "session_id": None}
    write_croissant(folder / "data", ROWS, base_url="https://example.org/data", config=described)
    values = {"config_type": "mlcroissant", "croissant_url": "data/Croissant/metadata.json", **values}
    return write_config(folder, **values)


def test_an_mlcroissant_project_is_its_croissant(tmp_path: Path) -> None:
    inventory = scanned(croissant_config(tmp_path, user_id="me", session_id="7"))
    assert inventory.roots == {
        "croissant": Root(Location.parse("https://example.org/data"), base_url="https://example.org/data")
    }
    assert inventory.table("picks")[["run", "root", "path", "sha256"]].values.tolist() == [
        ["TS_001", "croissant", "p/one.json", "a" * 64],
        ["TS_002", "", "https://example.org/two.json", "b" * 64],
    ]
    assert [o["name"] for o in inventory.objects] == ["ribosome", "membrane"]
    described = {key: CONFIG[key] for key in ("name", "description", "version")}
    assert inventory.config == {**described, "user_id": "them", "session_id": "7"}
    assert inventory.manifest is not None


def test_the_objects_of_the_config_count_before_those_of_the_croissant(tmp_path: Path) -> None:
    config = croissant_config(tmp_path, pickable_objects=[{"name": "vlp", "is_particle": True}])
    assert [o["name"] for o in scanned(config).objects] == ["vlp"]


def test_croissant_base_url_counts_before_the_croissants_own(tmp_path: Path) -> None:
    inventory = scanned(croissant_config(tmp_path, croissant_base_url="moved"))
    assert inventory.roots["croissant"] == Root(Location.parse(tmp_path / "moved"))


def test_an_overlay_lies_on_top_of_the_croissant(tmp_path: Path) -> None:
    config = croissant_config(tmp_path, overlay_root="overlay")
    run = tmp_path / "overlay" / "ExperimentRuns" / "TS_001"
    for path in (
        "Picks/alice_1_ribosome.json",
        "Picks/bob_1_ribosome.json",
        "VoxelSpacing10.000/wbp_sobel_features.zarr/",
        "VoxelSpacing10.000/raw_sobel_features.zarr/",
        "../TS_003/Meshes/bob_1_membrane.glb",
        "../../Objects/ribosome.zarr/",
    ):
        make(Path(os.path.normpath(run / path)), path)
    inventory = scanned(config)
    assert inventory.table("runs")[["name", "split"]].values.tolist() == [
        ["TS_001", "train"],
        ["TS_002", ""],
        ["TS_003", ""],
    ]
    assert inventory.table("picks")[["run", "user_id", "root", "sha256"]].values.tolist() == [
        ["TS_001", "alice", "overlay", ""],
        ["TS_001", "bob", "overlay", ""],
        ["TS_002", "alice", "", "b" * 64],
    ]
    assert inventory.table("features")[["tomo_type", "feature_type", "root"]].values.tolist() == [
        ["wbp", "sobel", "overlay"]
    ]
    assert list(inventory.table("tomograms")["root"]) == ["croissant"]
    assert list(inventory.table("objects")["root"]) == ["overlay"]
    assert inventory.roots["overlay"] == Root(Location.parse(tmp_path / "overlay"), primary=False, reads_files=True)
    assert [d.message.split(" is left out")[0].rpartition("/")[2] for d in inventory.diagnostics] == [
        "raw_sobel_features.zarr"
    ]

    import copick

    values = json.loads(config.read_text())
    values |= {
        "croissant_url": str(tmp_path / "data/Croissant/metadata.json"),
        "overlay_root": str(tmp_path / "overlay"),
    }
    config.write_text(json.dumps(values))
    root = copick.from_file(str(config))
    listed = {(r.name, p.user_id, p.session_id, p.pickable_object_name) for r in root.runs for p in r.picks}
    assert keys(inventory)["picks"] == listed
    assert keys(inventory)["runs"] == {(r.name,) for r in root.runs}
    assert keys(inventory)["features"] == {
        (r.name, v.voxel_size, t.tomo_type, f.feature_type)
        for r in root.runs
        for v in r.voxel_spacings
        for t in v.tomograms
        for f in t.features
    }


def test_an_overlay_where_the_croissants_data_lie_is_what_counts(tmp_path: Path) -> None:
    config = croissant_config(tmp_path, overlay_root="data", croissant_base_url="data")
    make(tmp_path / "data/ExperimentRuns/TS_001/Picks/bob_1_ribosome.json", "")
    inventory = scanned(config)
    assert keys(inventory)["picks"] == {("TS_001", "bob", "1", "ribosome")}
    assert keys(inventory)["tomograms"] == set()
    assert keys(inventory)["runs"] == {("TS_001",), ("TS_002",)}
