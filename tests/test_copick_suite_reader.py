"""What copick's tests hold of a project that is read from a Croissant, held with our reader in the place of copick's
and with copick's, in Mode A (what is saved goes to the project) and Mode B (to an overlay).
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copick
import numpy as np
import pytest
import trimesh
import zarr
from copick.models import CopickLocation, CopickPicksFile, CopickPoint
from copick.ops import add, export, sync
from copick.util.uri import get_copick_objects_by_type, resolve_copick_objects
from samples import READERS, built, content, contents, copy_sample, snapshot, write_recipe

from croissant_recipes.croissant import manifest

RIBOSOME = "GO:0022626"
RUN = "ExperimentRuns/TS_001"


@dataclass(frozen=True)
class Place:
    """A project with its Croissant, and how it is opened.

    Attributes:
        folder: Holds the project as ``sample`` and, in Mode B, ``overlay``.
        reader: Opens a Croissant.
        mode: ``A`` or ``B``.
    """

    folder: Path
    reader: Callable[..., Any]
    mode: str

    @property
    def project(self) -> Path:
        return self.folder / "sample"

    @property
    def croissant(self) -> Path:
        return self.project / "Croissant"

    @property
    def saved(self) -> Path:
        """Where saved files go."""
        return self.folder / "overlay" if self.mode == "B" else self.project

    def open(self, **given: Any) -> Any:
        if self.mode == "B":
            given = {"overlay_root": str(self.saved), "overlay_fs_args": {"auto_mkdir": True}, **given}
        return self.reader(str(self.croissant / "metadata.json"), **given)

    def again(self) -> Any:
        """The project as it is now, which reading with ours tells soonest."""
        return READERS["ours"](str(self.croissant / "metadata.json"))

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.croissant / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def document(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.croissant / "metadata.json").read_bytes())
        return loaded


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample project, and what a tool made of it (session 0), with the Croissant of all of it."""
    folder = tmp_path_factory.mktemp("suite")
    run = copy_sample(folder) / RUN
    picks = json.loads((run / "Picks/curator_round-1_ribosome.json").read_text())
    (run / "Picks/gapstop_0_ribosome.json").write_text(json.dumps({**picks, "user_id": "gapstop", "session_id": "0"}))
    shutil.copy(run / "Meshes/segmenter_v1_membrane.glb", run / "Meshes/membrain_0_membrane.glb")
    membrane = run / "Segmentations/10.000_segmenter_v1_membrane.zarr"
    shutil.copytree(membrane, membrane.with_name("20.000_membrain_0_membrane.zarr"))
    patch = pytest.MonkeyPatch()
    patch.setattr(manifest, "_check", lambda *_, **__: None)
    built(write_recipe(folder, "  - export: lab\n"))
    patch.undo()
    return folder


EVERY = [(reader, mode) for reader in READERS for mode in "AB"]
IDS = [f"{reader}, Mode {mode}" for reader, mode in EVERY]


@pytest.fixture(params=EVERY[:3], ids=IDS[:3])
def place(request: pytest.FixtureRequest, original: Path, tmp_path: Path) -> Place:
    """A copy of the project for one test, which copick's reader takes in Mode A: it writes the same in Mode B, only
    elsewhere, and opening takes it a tenth of a second and more."""
    reader, mode = request.param
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path, READERS[reader], mode)


@pytest.fixture(params=READERS)
def project(request: pytest.FixtureRequest, original: Path, tmp_path: Path) -> Place:
    """A copy of the project for one test that is about Mode A."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path, READERS[request.param], "A")


@pytest.fixture(params=READERS)
def overlaid(request: pytest.FixtureRequest, original: Path, tmp_path: Path) -> Place:
    """A copy of the project for one test that is about Mode B."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path, READERS[request.param], "B")


@pytest.fixture(scope="module", params=EVERY, ids=IDS)
def reading(request: pytest.FixtureRequest, original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An open project for tests that only read, which leave it as it is."""
    reader, mode = request.param
    folder = tmp_path_factory.mktemp("reading")
    shutil.copytree(original, folder, dirs_exist_ok=True)
    before = snapshot(folder, times_of_folders=reader == "ours")
    yield Place(folder, READERS[reader], mode).open()
    assert snapshot(folder, times_of_folders=reader == "ours") == before


# Reading


def test_a_root_has_the_runs_and_objects_of_the_project(reading: Any) -> None:
    assert [r.name for r in reading.runs] == ["TS_001", "TS_002", "TS_003", "TS_004"]
    assert {o.name for o in reading.pickable_objects} == {"membrane", "proteasome", "ribosome"}
    assert reading.get_object("ribosome").name == "ribosome"
    assert reading.get_object("nucleus") is None
    assert reading.get_run("TS_002").name == "TS_002"
    assert reading.get_run("TS_005") is None


def test_a_root_knows_the_project_and_who_works_on_it(reading: Any) -> None:
    assert reading.config.name
    assert reading.config.description
    assert (reading.user_id, reading.session_id) == (None, None)
    reading.user_id, reading.session_id = "ada", "0"
    assert (reading.user_id, reading.session_id) == ("ada", "0")
    reading.user_id = reading.session_id = None


def test_objects_have_their_attributes(reading: Any) -> None:
    ribosome = reading.get_object("ribosome")
    assert (ribosome.is_particle, ribosome.label, ribosome.color) == (True, 1, (0, 117, 220, 255))
    assert (ribosome.radius, ribosome.identifier) == (130.0, RIBOSOME)
    assert reading.get_object("membrane").is_particle is False


def test_children_are_listed_when_they_are_asked_for(place: Place) -> None:
    root = place.open()
    assert (root._runs, root._objects) == (None, None)
    run = root.get_run("TS_001")
    assert root._runs is None, "one run by its name lists no others"
    assert (run._voxel_spacings, run._picks, run._meshes, run._segmentations) == (None, None, None, None)
    spacing = run.get_voxel_spacing(10.0)
    assert run._voxel_spacings is None
    assert spacing._tomograms is None
    (tomogram,) = spacing.get_tomograms("wbp")
    assert tomogram._features is None
    (mesh,) = run.get_meshes("membrane", user_id="segmenter")
    assert mesh._mesh is None
    assert isinstance(mesh.load(), trimesh.parent.Geometry)
    assert mesh._mesh is mesh.mesh
    for level in (tomogram, spacing, run, root):
        level.refresh()
    assert len(root._runs) == 4
    assert (len(run._voxel_spacings), len(run._picks), len(run._meshes), len(run._segmentations)) == (2, 5, 2, 5)
    assert [t.tomo_type for t in sorted(spacing._tomograms, key=lambda t: t.tomo_type)] == ["denoised", "wbp"]
    assert [f.feature_type for f in tomogram._features] == ["gradient"]


def test_what_a_run_holds(reading: Any) -> None:
    run = reading.get_run("TS_001")
    assert sorted(v.voxel_size for v in run.voxel_spacings) == [10.0, 20.0]
    assert run.get_voxel_spacing(20.0).voxel_size == 20.0
    assert run.get_voxel_spacing(30.0) is None
    spacing = run.get_voxel_spacing(10.0)
    assert sorted(t.tomo_type for t in spacing.tomograms) == ["denoised", "wbp"]
    assert [t.tomo_type for t in spacing.get_tomograms("denoised")] == ["denoised"]
    assert spacing.get_tomogram("SIRT") is None
    wbp = spacing.get_tomogram("wbp")
    assert [f.feature_type for f in wbp.features] == ["gradient"]
    assert wbp.get_features("gradient").tomo_type == "wbp"
    assert wbp.get_features("sift") is None
    assert len(run.picks) == 5
    assert len(run.meshes) == 2


def test_artifacts_are_found_by_object_user_and_session(reading: Any) -> None:
    run = reading.get_run("TS_001")
    assert len(run.get_picks("ribosome")) == 4
    assert len(run.get_picks("ribosome", user_id="curator")) == 2
    (picks,) = run.get_picks(object_name="ribosome", user_id="gapstop", session_id="0")
    assert (picks.pickable_object_name, picks.user_id, picks.session_id) == ("ribosome", "gapstop", "0")
    assert picks.from_tool
    assert picks.trust_orientation is True
    assert picks.color == (0, 117, 220, 255)
    (mesh,) = run.get_meshes(user_id="membrain")
    assert (mesh.pickable_object_name, mesh.session_id, mesh.from_tool) == ("membrane", "0", True)
    assert run.get_meshes(object_name="ribosome") == []
    assert len(run.get_segmentations()) == 3, "binary and multilabel ones"
    assert [s.user_id for s in run.get_segmentations(voxel_size=20.0)] == ["membrain"]
    assert {s.name for s in run.get_segmentations(voxel_size=10.0)} == {"membrane", "all-objects"}
    assert len(run.get_segmentations(name="membrane")) == 2
    (multilabel,) = run.get_segmentations(is_multilabel=True, session_id="v1")
    assert (multilabel.name, multilabel.is_multilabel) == ("all-objects", True)
    assert [s.name for s in run.get_segmentations(is_instance=True)] == ["ribosome"]
    assert [s.name for s in run.get_segmentations(is_panoptic=True)] == ["cell"]


def test_artifacts_are_of_a_tool_or_of_a_user(reading: Any) -> None:
    run = reading.get_run("TS_001")
    assert [p.user_id for p in run.tool_picks()] == ["gapstop"]
    assert len(run.user_picks()) == 4
    assert [m.user_id for m in run.tool_meshes()] == ["membrain"]
    assert [m.user_id for m in run.user_meshes()] == ["segmenter"]
    assert [s.user_id for s in run.tool_segmentations()] == ["membrain"]
    assert {s.user_id for s in run.user_segmentations()} == {"segmenter"}
    reading.config.user_id = "curator"
    assert len(run.user_picks()) == 2
    assert run.user_meshes() == []
    assert run.user_segmentations() == []
    reading.config.user_id = None


def test_everything_opens_with_the_data_of_the_project(reading: Any, original: Path) -> None:
    config = json.loads((original / "sample/filesystem.json").read_text())
    source = copick.from_string(json.dumps({**config, "overlay_root": str(original / "sample")}))
    expected, found = contents(source), contents(reading)
    assert found.keys() == expected.keys()
    assert [key for key in expected if not np.array_equal(found[key], expected[key])] == []


def test_arrays_are_read_by_region_and_as_zarr(reading: Any) -> None:
    run = reading.get_run("TS_001")
    tomogram = run.get_voxel_spacing(10.0).get_tomogram("wbp")
    arrays = (tomogram, run.get_segmentations(name="membrane", user_id="segmenter")[0], reading.get_object("ribosome"))
    for array in arrays:
        whole = array.numpy()
        part = array.numpy(x=slice(1, 3), y=slice(0, 4), z=slice(2, 7))
        assert part.shape == (5, 4, 2), "z, y, x"
        assert np.array_equal(part, whole[2:7, 0:4, 1:3])
        ((_, first),) = zarr.open(array.zarr(), mode="r").arrays()
        assert np.array_equal(first[:], whole)
    features = tomogram.features[0]
    assert np.array_equal(features.numpy(slices=(slice(1, 3),) * 3), features.numpy()[1:3, 1:3, 1:3])
    assert reading.get_object("membrane").zarr() is None, "no density map of what is no particle"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_picks_are_read_as_points_arrays_and_tables(reading: Any) -> None:
    (picks,) = reading.get_run("TS_001").get_picks("ribosome", user_id="gapstop")
    assert isinstance(picks.load(), CopickPicksFile)
    positions, transforms = picks.numpy()
    assert (positions.shape, transforms.shape) == ((9, 3), (9, 4, 4))
    assert positions[0].tolist() == [picks.points[0].location.x, picks.points[0].location.y, picks.points[0].location.z]
    assert len(picks.df(format="relion")) == 9


def test_everything_can_be_shown(reading: Any) -> None:
    run = reading.get_run("TS_001")
    tomogram = run.get_voxel_spacing(10.0).get_tomogram("wbp")
    levels = (reading, run, tomogram.voxel_spacing, tomogram, tomogram.features[0], reading.get_object("ribosome"))
    for each in (*levels, run.picks[0], run.meshes[0], run.segmentations[0]):
        assert repr(each)
    assert "TS_001" in repr(run)


def test_copicks_uris_are_resolved(reading: Any) -> None:
    def found(uri: str, kind: str, run: str | None = None) -> list[Any]:
        return list(resolve_copick_objects(uri, reading, kind, run))

    (picks,) = found("ribosome:gapstop/0", "picks", "TS_001")
    assert picks.user_id == "gapstop"
    assert {p.pickable_object_name for p in found("ribosome", "picks")} == {"ribosome"}
    assert {p.user_id for p in found("*:gap*/*", "picks")} == {"gapstop"}
    assert {p.session_id for p in found(r"re:.*:.*/(\d+)", "picks")} == {"0"}
    assert [m.user_id for m in found("membrane:membrain/0", "mesh", "TS_001")] == ["membrain"]
    assert [s.voxel_size for s in found("membrane:membrain/0@20.0", "segmentation", "TS_001")] == [20.0]
    assert {s.is_multilabel for s in found("*:*/*@*", "segmentation")} == {True, False}
    assert {s.is_multilabel for s in found("*:*/*@*?multilabel=true", "segmentation")} == {True}
    assert len(found("*@10.0", "tomogram")) == 5
    assert [f.feature_type for f in found("wbp@10.0:gradient", "feature")] == ["gradient"]
    assert len(found("*@*:*", "feature")) == 1
    assert len(get_copick_objects_by_type(reading, "picks")) == 9
    assert {p.run.name for p in get_copick_objects_by_type(reading, "picks", run_name="TS_002")} == {"TS_002"}
    with pytest.raises(ValueError, match="not found"):
        get_copick_objects_by_type(reading, "picks", run_name="TS_009")


def test_copicks_exports_of_artifacts_take_the_root(reading: Any, tmp_path: Path) -> None:
    run = reading.get_run("TS_001")
    (picks,) = run.get_picks("ribosome", user_id="gapstop")
    export.export_picks(picks, str(tmp_path / "picks.csv"), "csv", run_name="TS_001")
    assert len((tmp_path / "picks.csv").read_text().splitlines()) == 10
    tomogram = run.get_voxel_spacing(10.0).get_tomogram("wbp")
    export.export_tomogram(tomogram, str(tmp_path / "wbp.zarr"), "zarr")
    assert np.array_equal(zarr.open(str(tmp_path / "wbp.zarr"), mode="r")["0"][:], tomogram.numpy())


# Saving


def _exists(place: Place, path: str) -> bool:
    return (place.saved / path).exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_new_is_listed_saved_and_found_again(place: Place) -> None:
    root = place.open()
    run = root.new_run("TS_005")
    assert run in root.runs
    assert _exists(place, "ExperimentRuns/TS_005")
    spacing = run.new_voxel_spacing(30.0)
    assert spacing in run.voxel_spacings
    volume = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    tomogram = spacing.new_tomogram("isonet")
    tomogram.from_numpy(volume, levels=1)
    assert tomogram in spacing.tomograms
    features = tomogram.new_features("sift")
    zarr.array(volume, store=features.zarr(), chunks=(4, 4, 4))
    assert features in tomogram.features
    picks = run.new_picks("ribosome", "7", "ada")
    picks.from_numpy(np.array([[1.0, 2.0, 3.0]]))
    root.config.user_id = "user.test"
    mine = run.new_picks("proteasome", "1234")
    assert mine.user_id == "user.test"
    assert mine in run.picks
    (curated,) = root.get_run("TS_002").get_picks("proteasome")
    mine.from_df(curated.df(format="relion"), format="relion")
    mesh = run.new_mesh("membrane", "7", "ada")
    mesh.mesh = trimesh.creation.box()
    mesh.store()
    for flags in ({"is_multilabel": False}, {"is_multilabel": True}, {"is_instance": True}, {"is_panoptic": True}):
        made = run.new_segmentation(30.0, "membrane", "7", user_id="ada", **flags)
        shape = (2, 4, 4, 4) if "is_panoptic" in flags else (4, 4, 4)
        zarr.array(np.ones(shape, np.uint16), store=made.zarr())
        assert made in run.get_segmentations(is_instance=None, is_panoptic=None)
    below = "ExperimentRuns/TS_005"
    for path in (
        "VoxelSpacing30.000/isonet.zarr",
        "VoxelSpacing30.000/isonet_sift_features.zarr",
        "Picks/ada_7_ribosome.json",
        "Picks/user.test_1234_proteasome.json",
        "Meshes/ada_7_membrane.glb",
        "Segmentations/30.000_ada_7_membrane.zarr",
        "Segmentations/30.000_ada_7_membrane-multilabel.zarr",
        "InstanceSegmentations/30.000_ada_7_membrane.zarr",
        "PanopticSegmentations/30.000_ada_7_membrane.zarr",
    ):
        assert _exists(place, f"{below}/{path}"), path

    root.refresh()
    again = root.get_run("TS_005")
    assert len(root.runs) == 5
    assert len(again.picks) == 2
    assert np.array_equal(again.get_voxel_spacing(30.0).get_tomogram("isonet").numpy(), volume)
    (found,) = again.get_picks("ribosome")
    assert found.numpy()[0].tolist() == [[1.0, 2.0, 3.0]]
    assert len(content(("mesh",), again.meshes[0])) == 8
    assert len(again.get_segmentations(is_instance=None, is_panoptic=None)) == 4
    rows = [row["name"] for row in place.rows("runs")]
    assert rows == [f"TS_00{n}" for n in range(1, 6 if place.mode == "A" else 5)]


def test_what_is_there_is_not_made_twice_unless_that_is_fine(place: Place) -> None:
    root = place.open()
    run = root.get_run("TS_001")
    spacing = run.get_voxel_spacing(10.0)
    wbp = spacing.get_tomogram("wbp")
    segmentation: dict[str, Any] = {"voxel_size": 10.0, "name": "all-objects", "session_id": "v1"}
    segmentation |= {"user_id": "segmenter", "is_multilabel": True}
    for make in (
        lambda: root.new_run("TS_001"),
        lambda: run.new_voxel_spacing(10.0),
        lambda: spacing.new_tomogram("denoised"),
        lambda: wbp.new_features("gradient"),
        lambda: run.new_picks("ribosome", "0", "gapstop"),
        lambda: run.new_mesh("membrane", "0", "membrain"),
        lambda: run.new_segmentation(**segmentation),
        lambda: root.new_object("ribosome", is_particle=True),
        lambda: run.new_picks("nucleus", "0", "gapstop"),
        lambda: run.new_mesh("nucleus", "0", "gapstop"),
        lambda: run.new_segmentation(10.0, "nucleus", "0", is_multilabel=False, user_id="gapstop"),
    ):
        with pytest.raises(ValueError, match=r"exist|defined|found|Object"):
            make()
    assert root.new_run("TS_001", exist_ok=True) is root.get_run("TS_001")
    assert run.new_voxel_spacing(10.0, exist_ok=True).voxel_size == 10.0
    assert spacing.new_tomogram("wbp", exist_ok=True).tomo_type == "wbp"
    assert wbp.new_features("gradient", exist_ok=True).feature_type == "gradient"
    for old, same in (
        (run.get_picks("ribosome", user_id="gapstop")[0], run.new_picks("ribosome", "0", "gapstop", exist_ok=True)),
        (run.get_meshes(user_id="membrain")[0], run.new_mesh("membrane", "0", "membrain", exist_ok=True)),
        (run.get_segmentations(is_multilabel=True)[0], run.new_segmentation(**segmentation, exist_ok=True)),
    ):
        assert old.path == same.path


def test_what_was_made_can_be_deleted(place: Place) -> None:
    root = place.open()
    run = root.get_run("TS_001")
    spacing = run.get_voxel_spacing(10.0)
    wbp = spacing.get_tomogram("wbp")
    tomogram, features = spacing.new_tomogram("gone"), wbp.new_features("gone")
    segmentation = run.new_segmentation(10.0, "gone", "1", is_multilabel=True, user_id="ada")
    for each in (tomogram, features, segmentation):
        zarr.create((5, 5, 5), store=each.zarr())
    picks = [run.new_picks(o, s, "ada") for o, s in (("ribosome", "1"), ("proteasome", "1"), ("proteasome", "2"))]
    mesh = run.new_mesh("membrane", "1", "ada")
    mesh.mesh = trimesh.creation.box()
    for each in (*picks, mesh):
        each.store()
    paths = [
        place.saved / RUN / path
        for path in (
            "VoxelSpacing10.000/gone.zarr",
            "VoxelSpacing10.000/wbp_gone_features.zarr",
            "Segmentations/10.000_ada_1_gone-multilabel.zarr",
            "Picks/ada_1_ribosome.json",
            "Picks/ada_2_proteasome.json",
            "Meshes/ada_1_membrane.glb",
        )
    ]
    assert [p for p in paths if not p.exists()] == []
    for each in (tomogram, features, segmentation, picks[0]):
        each.delete()
    run.delete_picks(user_id="ada", object_name="proteasome")
    run.delete_meshes(user_id="ada")
    assert [p for p in paths if p.exists()] == []
    root.refresh()
    run = root.get_run("TS_001")
    assert (len(run.picks), len(run.meshes), len(run.get_segmentations())) == (5, 2, 3)
    assert len(run.get_voxel_spacing(10.0).tomograms) == 2

    made = root.new_run("TS_GONE")
    made.new_voxel_spacing(15.0)
    made.delete_voxel_spacings(15.0)
    assert made.voxel_spacings == []
    root.delete_run("TS_GONE")
    assert not _exists(place, "ExperimentRuns/TS_GONE")
    assert [r.name for r in place.again().runs] == ["TS_001", "TS_002", "TS_003", "TS_004"]


def test_arrays_are_written_whole_and_by_region(place: Place) -> None:
    run = place.open().get_run("TS_001")
    spacing = run.get_voxel_spacing(10.0)
    volume, part = np.zeros((8, 8, 8), np.float32), np.ones((2, 3, 4), np.float32)
    region = (slice(1, 3), slice(2, 5), slice(3, 7))
    tomogram = spacing.new_tomogram("made")
    tomogram.from_numpy(volume, levels=1)
    segmentation = run.new_segmentation(10.0, "ribosome", "9", is_multilabel=False, user_id="ada")
    segmentation.from_numpy(volume.astype(np.uint8), levels=1)
    features = spacing.get_tomogram("wbp").new_features("made")
    zarr.group(features.zarr()).create_dataset("0", data=volume, chunks=(8, 8, 8))
    for array in (tomogram, segmentation):
        array.set_region(part, x=region[2], y=region[1], z=region[0])
    features.set_region(part, slices=region)
    volume[region] = part
    for array in (tomogram, segmentation, features):
        assert np.array_equal(array.numpy(), volume)


def test_in_mode_b_what_the_croissant_holds_cannot_be_saved_over(place: Place) -> None:
    run = place.open().get_run("TS_001")
    for each in (run.get_picks("ribosome", user_id="gapstop")[0], run.get_meshes(user_id="membrain")[0]):
        each.load()
        if place.mode == "B":
            with pytest.raises(PermissionError):
                each.store()
        else:
            each.store()


def test_objects_are_made_and_kept_in_a_config(place: Place) -> None:
    root = place.open(output_path=str(place.folder / "config.json"))
    made = root.new_object("test-object", is_particle=True, label=50, color=(128, 64, 192, 255), radius=75.0)
    assert root.get_object("test-object") is made
    assert (made.label, made.color, made.radius, made.read_only) == (50, (128, 64, 192, 255), 75.0, False)
    assert root.new_object("other", is_particle=False, metadata={"a": 1}).label not in (0, 50)
    with pytest.raises(ValueError, match="already exists"):
        root.new_object("test-object", is_particle=True)
    volume = np.full((4, 4, 4), 2, np.float32)
    made.from_numpy(volume, 10.0)
    assert np.array_equal(made.numpy()[:4, :4, :4], volume)
    assert root.new_object("test-object", is_particle=False, exist_ok=True).is_particle is False
    root.save_config(str(place.folder / "config.json"))
    again = copick.from_file(str(place.folder / "config.json"))
    assert again.get_object("test-object").label == 50
    assert [r.name for r in again.runs] == [r.name for r in root.runs]


def test_copicks_operations_take_the_root(place: Place) -> None:
    root = place.open()
    assert add.add_run(root, "TS_005").name == "TS_005"
    with pytest.raises(ValueError, match=r"exist|defined|found|Object"):
        add.add_run(root, "TS_005")
    # copick's add_features looks for a spacing of 1 Å whichever it is given.
    assert add.add_voxelspacing(root, "TS_005", 1.0).voxel_size == 1.0
    volume = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    tomogram = add.add_tomogram(root, "TS_005", "wbp", volume, voxel_spacing=1.0, chunks=(4, 4, 4))
    assert np.array_equal(tomogram.numpy(), volume)
    add.add_features(root, "TS_005", 1.0, "wbp", "edge", volume, chunks=(4, 4, 4))
    assert np.array_equal(root.get_run("TS_005").get_voxel_spacing(1.0).tomograms[0].features[0].numpy(), volume)
    add.add_object(root, "virus", is_particle=True, volume=volume, voxel_size=1.0)
    assert root.get_object("virus").zarr() is not None

    other = place.folder / "other"
    other.mkdir()
    objects = [o.meta.model_dump() for o in root.pickable_objects]
    config = {"config_type": "filesystem", "pickable_objects": objects, "overlay_root": str(other)}
    target = copick.from_string(json.dumps({**config, "overlay_fs_args": {"auto_mkdir": True}}))
    sync.sync_picks(root, target, source_objects=["ribosome"], source_users=["curator"], max_workers=1)
    target.refresh()
    assert {(r.name, p.session_id) for r in target.runs for p in r.picks} == {
        ("TS_001", "round-1"),
        ("TS_001", "round-2"),
        ("TS_002", "round-1"),
    }


# Modes, and where the data lies


def test_the_mode_follows_from_the_overlay(reading: Any, request: pytest.FixtureRequest) -> None:
    mode = request.node.callspec.params["reading"][1]
    assert reading.mode == mode
    assert reading.static_is_overlay is (mode == "A")


def test_in_mode_a_what_is_saved_becomes_a_row_and_a_checksum(project: Place) -> None:
    before = {e["@id"]: e["sha256"] for e in project.document()["distribution"]}
    picks = project.open().get_run("TS_003").new_picks("ribosome", "99", "bob")
    picks.points = [CopickPoint(location=CopickLocation(x=10.0, y=20.0, z=30.0))]
    picks.store()
    (row,) = (row for row in project.rows("picks") if row["user_id"] == "bob")
    assert (row["run"], row["session_id"], row["object_name"]) == ("TS_003", "99", "ribosome")
    assert row["url"] == "ExperimentRuns/TS_003/Picks/bob_99_ribosome.json"
    after = {e["@id"]: e["sha256"] for e in project.document()["distribution"]}
    assert {i for i in after if after[i] != before[i]} == {"picks-csv"}
    (again,) = project.open().get_run("TS_003").get_picks(user_id="bob")
    assert again.points[0].location.z == 30.0


def test_in_mode_a_a_batch_is_one_commit(project: Place) -> None:
    root = project.open()
    metadata = project.croissant / "metadata.json"
    before = metadata.read_bytes()
    with root.batch():
        for user in ("u0", "u1", "u2"):
            picks = root.get_run("TS_003").new_picks("ribosome", "1", user)
            picks.points = [CopickPoint(location=CopickLocation(x=1.0, y=0.0, z=0.0))]
            picks.store()
        assert metadata.read_bytes() == before
    assert metadata.read_bytes() != before
    assert len(project.again().get_run("TS_003").picks) == 4


def test_in_mode_b_the_croissant_stays_as_it_is(overlaid: Place) -> None:
    ours = overlaid.reader is READERS["ours"]
    before = snapshot(overlaid.project, times_of_folders=ours)
    picks = overlaid.open().get_run("TS_001").new_picks("ribosome", "7", "carol")
    picks.points = [CopickPoint(location=CopickLocation(x=5.0, y=5.0, z=5.0))]
    picks.store()
    assert snapshot(overlaid.project, times_of_folders=ours) == before
    assert (overlaid.saved / RUN / "Picks/carol_7_ribosome.json").is_file()


def test_an_overlay_in_the_place_of_the_data_lists_nothing_twice(project: Place) -> None:
    metadata = str(project.croissant / "metadata.json")
    overlay = {"overlay_root": f"file://{project.project}", "overlay_fs_args": {"auto_mkdir": True}}
    root = project.reader(metadata, **overlay)
    assert (root.mode, root.static_is_overlay) == ("B", True)
    run = root.get_run("TS_001")
    assert (len(run.picks), len(run.meshes), len(run.voxel_spacings)) == (5, 2, 2)
    assert len(run.get_segmentations(is_instance=None, is_panoptic=None)) == 5


def test_data_that_was_moved_is_read_at_its_new_place(project: Place, tmp_path: Path) -> None:
    document = project.document()
    document["copick:baseUrl"] = "https://example.org/gone"
    (project.croissant / "metadata.json").write_text(json.dumps(document))
    moved = tmp_path / "moved"
    shutil.copytree(project.project, moved)
    root = project.reader(str(moved / "Croissant/metadata.json"), croissant_base_url=f"file://{moved}")
    assert len(root.get_run("TS_001").get_picks("ribosome", user_id="gapstop")[0].points) == 9


def test_arguments_of_the_data_reach_its_file_system_and_not_the_croissant(project: Place) -> None:
    given = {"host": "example.com", "port": 22}
    root = project.reader(
        str(project.croissant / "metadata.json"), overlay_root=str(project.folder / "overlay"), static_fs_args=given
    )
    assert root.index.static_fs_args == given
    assert "example.com" not in (project.croissant / "metadata.json").read_text()


def test_a_place_that_is_read_anonymously_is_not_written_to(project: Place) -> None:
    root = project.open(static_fs_args={"anon": True})
    assert root.mode == "A"
    with pytest.raises(PermissionError, match="overlay_root"):
        root.get_run("TS_001").new_picks("ribosome", "99", "bob")


# Picks of the portal


@pytest.mark.parametrize("column", [True, False])
def test_points_in_voxels_are_read_in_angstroms(project: Place, column: bool) -> None:
    """The voxel size of the row counts; where the row has none, that in the URL. Older Croissants have no column."""
    url = "10000/TS_003/Reconstructions/VoxelSpacing10.000/Annotations/100/ribosome-1.0_orientedpoint.ndjson"
    file = project.project / url
    file.parent.mkdir(parents=True)
    points: list[dict[str, Any]] = [{"location": {"x": 1.0, "y": 2.0, "z": 3.0}}]
    points += [{"location": {"x": 4.0, "y": 5.0, "z": 6.0}, "xyz_rotation_matrix": np.eye(3).tolist()}]
    file.write_text("".join(json.dumps(p) + "\n" for p in points))
    (row,) = (row for row in project.rows("picks") if row["run"] == "TS_003")
    rows = [{**row, "url": url, "sha256": "", "session_id": v, "voxel_size": v.strip("-")} for v in ("20.0", "-")]
    _replace_picks(project, [r if column else {k: v for k, v in r.items() if k != "voxel_size"} for r in rows])
    for picks in project.open().get_run("TS_003").picks:
        size = 20.0 if column and picks.session_id == "20.0" else 10.0
        first, second = picks.points
        assert (first.location.x, first.location.y, first.location.z) == (size, 2 * size, 3 * size)
        assert (second.location.x, second.location.z) == (4 * size, 6 * size)
        assert (picks.meta.unit, picks.meta.voxel_spacing, picks.meta.trust_orientation) == ("angstrom", size, True)
        assert np.array_equal(np.array(second.transformation_), np.eye(4))


def _replace_picks(place: Place, rows: list[dict[str, str]]) -> None:
    """Another ``picks.csv``, with the columns of its rows, and the manifest that goes with it."""
    path = place.croissant / "picks.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    document = place.document()
    for record_set in document["recordSet"]:
        if record_set["@id"] == "copick/picks":
            record_set["field"] = [f for f in record_set["field"] if f["@id"].rsplit("/")[-1] in rows[0]]
    for entry in document["distribution"]:
        if entry["@id"] == "picks-csv":
            entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (place.croissant / "metadata.json").write_text(json.dumps(document))


def test_picks_of_copick_may_have_any_layout(project: Place) -> None:
    file = project.project / "ExperimentRuns/TS_003/Picks/template-matching_tm-1_ribosome.json"
    written = json.loads(file.read_text())
    (picks,) = project.open().get_run("TS_003").picks
    for indent in (None, 7):
        file.write_text(json.dumps(written, indent=indent))
        assert picks.load().points[0].location.x == written["points"][0]["location"]["x"]


# Splits


def test_splits_are_set_read_and_cleared(project: Place) -> None:
    root = project.open()
    assert root.get_run("TS_001").split is None
    root.get_run("TS_001").split = "train"
    assert root.get_run("TS_001").split == "train"
    assert project.open().splits == {"train": ["TS_001"]}
    root.set_splits({"train": ["TS_001"], "val": ["TS_002", "TS_003"]})
    assert root.splits == {"train": ["TS_001"], "val": ["TS_002", "TS_003"]}
    assert [r.name for r in root.get_runs_in_split("val")] == ["TS_002", "TS_003"]
    root.set_splits({"test": ["TS_001"]}, clear_existing=True)
    assert project.again().splits == {"test": ["TS_001"]}
    root.set_splits({"val": ["TS_002"]})
    root.clear_splits(["TS_001"])
    assert root.splits == {"val": ["TS_002"]}
    root.clear_splits()
    assert (root.splits, project.again().splits) == ({}, {})


def test_in_mode_b_there_are_no_new_splits(overlaid: Place) -> None:
    root = overlaid.open()
    run = root.get_run("TS_001")
    with pytest.raises(PermissionError, match="read-only"):
        run.split = "train"
    with pytest.raises(PermissionError, match="read-only"):
        root.set_splits({"train": ["TS_001"]})
    with pytest.raises(PermissionError, match="read-only"):
        root.clear_splits()
