"""A project with one artifact of every type, written by copick, and Croissants over it with names of their own."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import copick
import numpy as np
import pytest
import trimesh
import zarr
from copick.impl.filesystem import CopickRootFSSpec
from croissants import CONFIG, Rows, write_croissant

VOLUME = np.arange(64, dtype="float32").reshape(4, 4, 4)
LABELS = (VOLUME % 2).astype("uint8")
PANOPTIC = np.stack([LABELS, LABELS * 3]).astype("uint16")
FEATURES = np.arange(128, dtype="float32").reshape(2, 4, 4, 4)
POINTS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
BOX = trimesh.creation.box()

_OBJECTS = [
    {"name": "ribosome", "is_particle": True, "label": 1, "radius": 100.0},
    {"name": "membrane", "is_particle": False, "label": 2},
]
_SEGMENTATIONS: Mapping[str, dict[str, bool]] = {
    "binary": {},
    "multilabel": {"is_multilabel": True},
    "instance": {"is_instance": True},
    "panoptic": {"is_panoptic": True},
}

URLS = {
    "tomograms": "ExperimentRuns/ts/VoxelSpacing10.000/wbp.zarr",
    "features": "ExperimentRuns/ts/VoxelSpacing10.000/wbp_edges_features.zarr",
    "picks": "ExperimentRuns/ts/Picks/ann_s1_ribosome.json",
    "meshes": "ExperimentRuns/ts/Meshes/ann_s1_membrane.glb",
    "binary": "ExperimentRuns/ts/Segmentations/10.000_ann_s1_membrane.zarr",
    "multilabel": "ExperimentRuns/ts/Segmentations/10.000_ann_s1_membrane-multilabel.zarr",
    "instance": "ExperimentRuns/ts/InstanceSegmentations/10.000_ann_s1_membrane.zarr",
    "panoptic": "ExperimentRuns/ts/PanopticSegmentations/10.000_ann_s1_membrane.zarr",
    "objects": "Objects/ribosome.zarr",
}
"""Where the data of each type lies in the project."""


def write_project(folder: Path) -> None:
    """The files of ``URLS``, and nothing else that matters."""
    config = {"config_type": "filesystem", "name": "Small", "description": "", "version": "1", "user_id": "ann"}
    places = {"overlay_root": f"local://{folder}", "overlay_fs_args": {"auto_mkdir": True}}
    root: CopickRootFSSpec = copick.from_string(json.dumps({**config, "pickable_objects": _OBJECTS, **places}))
    run = root.new_run("ts")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(VOLUME)
    features = tomogram.new_features("edges")
    zarr.open(features.zarr(), "w")["0"] = FEATURES
    run.new_picks("ribosome", "s1", "ann").from_numpy(POINTS)
    mesh = run.new_mesh("membrane", "s1", "ann")
    mesh.mesh = BOX
    mesh.store()
    for kind, flags in _SEGMENTATIONS.items():
        segmentation = run.new_segmentation(10.0, "membrane", "s1", user_id="ann", **flags)
        segmentation.from_numpy(PANOPTIC if kind == "panoptic" else LABELS)
    root.get_object("ribosome").from_numpy(VOLUME, 10.0)
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
    assert set(URLS.values()) <= found, set(URLS.values()) - found


def rows_of(urls: Mapping[str, str], *, renamed: bool) -> Rows:
    """Rows of every type, under the names of their files or other ones."""
    run, tomo_type, feature_type, user, name = (
        ("grid", "best", "fine", "bob", "membrane") if renamed else ("ts", "wbp", "edges", "ann", "membrane")
    )
    of_run = {"run": [run]}
    tomogram = {**of_run, "voxel_size": [10.0], "tomo_type": [tomo_type]}
    annotation = {**of_run, "user_id": [user], "session_id": ["s1"]}

    def segmentation(kind: str) -> dict[str, list[object]]:
        return {**annotation, "voxel_size": [10.0], "name": [name], "url": [urls[kind]]}

    shared = {**annotation, "voxel_size": [10.0], "name": [name]}
    both = {column: values * 2 for column, values in shared.items()}
    return {
        "runs": {"name": [run]},
        "voxel_spacings": {**of_run, "voxel_size": [10.0]},
        "tomograms": {**tomogram, "url": [urls["tomograms"]]},
        "features": {**tomogram, "feature_type": [feature_type], "url": [urls["features"]]},
        "picks": {**annotation, "object_name": ["ribosome"], "url": [urls["picks"]]},
        "meshes": {**annotation, "object_name": ["membrane"], "url": [urls["meshes"]]},
        "segmentations": {**both, "is_multilabel": [False, True], "url": [urls["binary"], urls["multilabel"]]},
        "instance_segmentations": segmentation("instance"),
        "panoptic_segmentations": segmentation("panoptic"),
        "objects": {"name": ["vault" if renamed else "ribosome"], "url": [urls["objects"]]},
    }


def write_rows(folder: Path, urls: Mapping[str, str] = URLS, *, renamed: bool = False, **given: Any) -> Path:
    """A Croissant in a folder over ``rows_of``; the path of its manifest."""
    vault = {"name": "vault", "is_particle": True, "label": 3}
    config = {**CONFIG, "pickable_objects": [*CONFIG["pickable_objects"], vault]}
    return write_croissant(folder, rows_of(urls, renamed=renamed), config=config, **given)


def urls_below(base: str) -> dict[str, str]:
    return {kind: f"{base.rstrip('/')}/{url}" for kind, url in URLS.items()}


def artifacts(root: Any, run: Any = None) -> dict[str, Any]:
    """The artifact of each type of a run, by default the only one, as a user finds them."""
    if run is None:
        (run,) = root.runs
    (spacing,) = run.voxel_spacings
    (tomogram,) = spacing.tomograms
    return {
        "tomograms": tomogram,
        "features": tomogram.features[0],
        "picks": run.picks[0],
        "meshes": run.meshes[0],
        **{s.segmentation_type: s for s in run.segmentations},
        "objects": root.get_object("vault" if run.name == "grid" else "ribosome"),
    }


def content(kind: str, artifact: Any) -> Any:
    """What an artifact holds, as a user reads it."""
    if kind == "picks":
        return artifact.numpy()[0]
    if kind == "meshes":
        (geometry,) = artifact.mesh.geometry.values()
        return np.asarray(geometry.bounds)
    return artifact.numpy()


EXPECTED: Mapping[str, Any] = {
    "tomograms": VOLUME,
    "features": FEATURES,
    "picks": POINTS,
    "meshes": BOX.bounds,
    "binary": LABELS,
    "multilabel": LABELS,
    "instance": LABELS,
    "panoptic": PANOPTIC,
    "objects": VOLUME,
}


def assert_everything_opens(root: Any, kinds: Iterable[str] = tuple(URLS)) -> None:
    found = artifacts(root)
    for kind in kinds:
        np.testing.assert_array_equal(content(kind, found[kind]), EXPECTED[kind], err_msg=kind)


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder below a folder, with the time of its last change."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"")
        for p in sorted([folder, *folder.rglob("*")])
    }


@cache
def _written() -> Path:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    write_project(Path(folder.name))
    return Path(folder.name)


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    """The folder of a project of the test's own."""
    return Path(shutil.copytree(_written(), tmp_path / "project"))
