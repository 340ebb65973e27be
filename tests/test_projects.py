"""copick reads back what ``projects`` writes, and the sample project is what it claims to be."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from projects import (
    SEGMENTATION_TYPES,
    Features,
    Mesh,
    PickableObject,
    Picks,
    ProjectSpec,
    Run,
    Segmentation,
    Tomogram,
    copick_keys,
    copick_root,
    random_spec,
    spec_keys,
    write_project,
)

SAMPLE = Path(__file__).parent.parent / "recipes" / "sample"

ONE_ROOT = ProjectSpec(
    runs=(
        Run(
            "TS_001",
            tomograms=(Tomogram(10.0, "wbp"), Tomogram(7.8412, "wbp")),
            features=(Features(10.0, "wbp", "sobel"),),
            picks=(Picks("curator", "1", "ribosome", 3, 10.0), Picks("tool", "0", "ribosome", 0)),
            meshes=(Mesh("curator", "1", "membrane"),),
            segmentations=tuple(Segmentation(10.0, "curator", "1", "membrane", kind) for kind in SEGMENTATION_TYPES),
        ),
        Run("TS_002"),
    ),
    objects=(
        PickableObject("ribosome", label=1, color=(0, 255, 0, 255), radius=130.0, density_map=True),
        PickableObject("membrane", is_particle=False, label=2),
    ),
)

TWO_ROOTS = ProjectSpec(
    runs=(
        Run(
            "TS_001",
            tomograms=(Tomogram(10.0, "wbp"), Tomogram(10.0, "denoised", "overlay"), Tomogram(20.0, "wbp", "both")),
            features=(Features(10.0, "wbp", "sobel", "overlay"),),
            picks=(
                Picks("tool", "0", "ribosome"),
                Picks("curator", "1", "ribosome", place="overlay"),
                Picks("curator", "2", "ribosome", place="both"),
            ),
            meshes=(Mesh("curator", "1", "ribosome", "both"),),
            segmentations=(
                Segmentation(10.0, "tool", "0", "ribosome"),
                Segmentation(10.0, "curator", "1", "ribosome", "instance", "overlay"),
            ),
        ),
        Run("TS_002", picks=(Picks("curator", "1", "ribosome", place="overlay"),)),
        Run("TS_003"),
    ),
    objects=(PickableObject("ribosome", density_map=True, place="overlay"),),
    two_roots=True,
)


def test_one_root_holds_the_files_that_copick_would_write(tmp_path: Path) -> None:
    project = write_project(tmp_path, ONE_ROOT)
    found = {str(p.relative_to(project.root)) for p in project.root.rglob("*") if p.name != ".zgroup"}
    run = "ExperimentRuns/TS_001"
    assert found >= {
        f"{run}/VoxelSpacing10.000/wbp.zarr",
        f"{run}/VoxelSpacing7.841/wbp.zarr",
        f"{run}/VoxelSpacing10.000/wbp_sobel_features.zarr",
        f"{run}/Picks/curator_1_ribosome.json",
        f"{run}/Meshes/curator_1_membrane.glb",
        f"{run}/Segmentations/10.000_curator_1_membrane.zarr",
        f"{run}/Segmentations/10.000_curator_1_membrane-multilabel.zarr",
        f"{run}/InstanceSegmentations/10.000_curator_1_membrane.zarr",
        f"{run}/PanopticSegmentations/10.000_curator_1_membrane.zarr",
        "ExperimentRuns/TS_002",
        "Objects/ribosome.zarr",
    }
    assert project.overlay is None


def test_copick_reads_back_one_root(tmp_path: Path) -> None:
    keys = spec_keys(ONE_ROOT)
    # A folder's name keeps three decimals.
    keys["tomograms"] = {("TS_001", 10.0, "wbp"), ("TS_001", 7.841, "wbp")}
    root = copick_root(write_project(tmp_path, ONE_ROOT))
    assert copick_keys(root) == keys
    given = {(o.name, o.is_particle, o.label, o.color, o.radius) for o in ONE_ROOT.objects}
    assert {(o.name, o.is_particle, o.label, o.color, o.radius) for o in root.pickable_objects} == given


def test_copick_reads_back_two_roots(tmp_path: Path) -> None:
    project = write_project(tmp_path, TWO_ROOTS)
    assert copick_keys(copick_root(project)) == spec_keys(TWO_ROOTS)
    assert project.overlay is not None
    static, overlay = (
        {str(p.relative_to(root / "ExperimentRuns")) for p in root.glob("ExperimentRuns/*/*/*")}
        for root in (project.root, project.overlay)
    )
    assert static & overlay == {
        "TS_001/VoxelSpacing20.000/wbp.zarr",
        "TS_001/Picks/curator_2_ribosome.json",
        "TS_001/Meshes/curator_1_ribosome.glb",
    }
    assert "TS_001/Picks/tool_0_ribosome.json" in static - overlay
    assert "TS_002/Picks/curator_1_ribosome.json" in overlay - static
    for shared in ("TS_001/Picks/curator_2_ribosome.json", "TS_001/Meshes/curator_1_ribosome.glb"):
        path = Path("ExperimentRuns") / shared
        assert (project.root / path).read_bytes() != (project.overlay / path).read_bytes()


@pytest.mark.parametrize("nasty", [False, True], ids=["ordinary", "nasty"])
def test_copick_reads_back_random_projects(nasty: bool, tmp_path: Path) -> None:
    for seed in range(25):
        spec = random_spec(random.Random(seed), nasty=nasty)
        root = copick_root(write_project(tmp_path / str(seed), spec))
        assert copick_keys(root) == spec_keys(spec), f"seed {seed}"


def test_copick_stores_picks_in_the_same_bytes(tmp_path: Path) -> None:
    project = write_project(tmp_path, ONE_ROOT)
    files = sorted(project.root.glob("ExperimentRuns/*/Picks/*.json"))
    before = [file.read_bytes() for file in files]
    picks = [p for run in copick_root(project).runs for p in run.picks]
    assert len(files) == len(picks) == 2
    for file in files:
        file.write_bytes(file.read_bytes() + b"\n")  # so that a store that does nothing is noticed
    for p in picks:
        p.meta = p.load()
        p.store()
    assert [file.read_bytes() for file in files] == before


def test_random_projects_are_diverse_and_repeat() -> None:
    specs = [random_spec(random.Random(seed), nasty=True) for seed in range(60)]
    assert specs == [random_spec(random.Random(seed), nasty=True) for seed in range(60)]
    assert {spec.two_roots for spec in specs} == {False, True}
    assert {len(spec.runs) for spec in specs} == {2, 3, 4, 5}
    artifacts = [a for spec in specs for run in spec.runs for a in run.artifacts]
    assert {a.place for a in artifacts} == {"static", "overlay", "both"}
    assert {type(a) for a in artifacts} == {Tomogram, Features, Picks, Mesh, Segmentation}
    assert {a.type for a in artifacts if isinstance(a, Segmentation)} == set(SEGMENTATION_TYPES)
    names = {run.name for spec in specs for run in spec.runs}
    assert {"0042", "1e5", "NA", "null", "nan", "a,b", 'q"q', "TS_001"} <= names


def test_one_root_has_no_overlay() -> None:
    with pytest.raises(ValueError, match="has no overlay"):
        ProjectSpec(runs=(Run("TS_001", meshes=(Mesh("u", "1", "membrane", "overlay"),)),))


def _sample(monkeypatch: pytest.MonkeyPatch) -> Any:
    import copick

    monkeypatch.chdir(SAMPLE)
    return copick.from_file("filesystem.json")


def test_the_sample_holds_one_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    root = _sample(monkeypatch)
    keys = copick_keys(root)
    assert keys["runs"] == {("TS_001",), ("TS_002",), ("TS_003",), ("TS_004",)}
    assert {(size, kind) for _, size, kind in keys["tomograms"]} == {(10.0, "wbp"), (10.0, "denoised"), (20.0, "wbp")}
    assert keys["features"] == {("TS_001", 10.0, "wbp", "gradient")}
    assert {(user, name) for _, user, _, name, _ in keys["picks"]} == {
        (user, name) for user in ("template-matching", "curator") for name in ("ribosome", "proteasome")
    }
    assert keys["meshes"] == {("TS_001", "segmenter", "v1", "membrane")}
    assert {kind for *_, kind in keys["segmentations"]} == set(SEGMENTATION_TYPES)
    assert keys["objects"] == {("ribosome",)}
    assert {(o.name, o.is_particle) for o in root.pickable_objects} == {
        ("ribosome", True),
        ("proteasome", True),
        ("membrane", False),
    }


def test_every_array_mesh_and_pick_of_the_sample_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    root = _sample(monkeypatch)
    side = {10.0: 16, 20.0: 8}
    for run in root.runs:
        for spacing in run.voxel_spacings:
            for tomogram in spacing.tomograms:
                for array in (tomogram.numpy(), *(f.numpy() for f in tomogram.features)):
                    assert array.shape == (side[spacing.voxel_size],) * 3
                    assert array.dtype == "float32"
                    assert array.std() > 0
        for segmentation in run.get_segmentations(is_instance=None, is_panoptic=None):
            array = segmentation.numpy()
            assert array.shape == ((2,) if segmentation.is_panoptic else ()) + (16,) * 3
            assert array.any()
        for picks in run.picks:
            positions, _ = picks.numpy()
            assert len(positions) > 0
            assert (positions >= 0).all()
            assert (positions <= 160.0).all(), "inside the tomogram"
        for mesh in run.meshes:
            assert mesh.mesh.bounds.tolist() != [[0.0] * 3] * 2
    assert root.get_object("ribosome").numpy().shape == (8, 8, 8)


def test_the_sample_is_small_and_can_be_moved() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert len(files) < 100
    assert sum(path.stat().st_size for path in files) < 300_000
    assert json.loads((SAMPLE / "filesystem.json").read_text())["overlay_root"] == "."
