"""Writes the sample project, ``recipes/sample``: ``python recipes/make_sample.py [FOLDER]``.

The project is real in kind and tiny in size: OME-Zarr arrays of at most 16 voxels a side, picks, meshes, segmentations
of all four types and a density map, all written by copick. The values mean nothing.

The same versions of copick, zarr, ome-zarr, numcodecs and trimesh give the same bytes: voxels and positions are
integers of a seeded generator, nothing reads a clock, and each array is one chunk. The runs and objects that the
folder holds are removed first. The config names its own folder as the root (``"overlay_root": "."``), so the project
can be moved; copick takes that from the directory it is started in, and the compiler from the config's folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from copick.impl.filesystem import CopickConfigFSSpec, CopickRootFSSpec
from copick.util.ome import volume_pyramid, write_ome_zarr_3d

SAMPLE = Path(__file__).parent / "sample"
SIZES = {10.0: 16, 20.0: 8}
"""Voxels along each axis of an array, by its voxel size in Å."""

CONFIG: dict[str, Any] = {
    "config_type": "filesystem",
    "name": "Sample project",
    "description": "A tiny copick project with one artifact of every kind.",
    "version": "1.0.0",
    "pickable_objects": [
        {
            "name": "ribosome",
            "is_particle": True,
            "label": 1,
            "color": [0, 117, 220, 255],
            "identifier": "GO:0022626",
            "radius": 130.0,
        },
        {
            "name": "proteasome",
            "is_particle": True,
            "label": 2,
            "color": [43, 206, 72, 255],
            "identifier": "GO:0000502",
            "radius": 75.0,
        },
        {
            "name": "membrane",
            "is_particle": False,
            "label": 3,
            "color": [153, 63, 0, 255],
            "identifier": "GO:0016020",
        },
    ],
    "overlay_root": ".",
    "overlay_fs_args": {"auto_mkdir": True},
}

TOMOGRAMS: Mapping[str, tuple[tuple[float, str], ...]] = {
    "TS_001": ((10.0, "wbp"), (10.0, "denoised"), (20.0, "wbp")),
    "TS_002": ((10.0, "wbp"), (10.0, "denoised")),
    "TS_003": ((10.0, "wbp"),),
    "TS_004": ((20.0, "wbp"),),
}
PICKS = (
    ("TS_001", "template-matching", "tm-1", "ribosome", 12),
    ("TS_001", "template-matching", "tm-1", "proteasome", 5),
    ("TS_001", "curator", "round-1", "ribosome", 9),
    ("TS_001", "curator", "round-2", "ribosome", 8),
    ("TS_002", "template-matching", "tm-1", "ribosome", 7),
    ("TS_002", "curator", "round-1", "ribosome", 6),
    ("TS_002", "curator", "round-1", "proteasome", 2),
    ("TS_003", "template-matching", "tm-1", "ribosome", 4),
)
SEGMENTATIONS = (
    ("TS_001", "segmenter", "membrane", "binary"),
    ("TS_001", "segmenter", "all-objects", "multilabel"),
    ("TS_001", "segmenter", "ribosome", "instance"),
    ("TS_001", "segmenter", "cell", "panoptic"),
    ("TS_002", "segmenter", "membrane", "binary"),
)
MESHES = (("TS_001", "segmenter", "v1", "membrane"),)


def write_sample(folder: Path) -> None:
    """Writes the sample project into ``folder``, in place of the runs and objects that are there."""
    for part in ("ExperimentRuns", "Objects"):
        shutil.rmtree(folder / part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    root = CopickRootFSSpec(CopickConfigFSSpec(**{**CONFIG, "overlay_root": str(folder.resolve())}))
    for name, tomograms in TOMOGRAMS.items():
        run = root.new_run(name)
        for voxel_size, tomo_type in tomograms:
            _write_tomogram(run.new_voxel_spacing(voxel_size, exist_ok=True), tomo_type)
    _write_features(root.get_run("TS_001").get_voxel_spacing(10.0).get_tomograms("wbp")[0])
    for name, user, session, object_name, count in PICKS:
        _write_picks(root.get_run(name), user, session, object_name, count)
    for name, user, segmentation, kind in SEGMENTATIONS:
        _write_segmentation(root.get_run(name), user, segmentation, kind)
    for name, user, session, object_name in MESHES:
        mesh = root.get_run(name).new_mesh(object_name, session, user)
        mesh.mesh = trimesh.creation.icosphere(subdivisions=1, radius=60.0)
        mesh.store()
    _write_volume(root.get_object("ribosome").zarr(), _noise("density map", 8), 20.0)
    (folder / "filesystem.json").write_text(json.dumps(CONFIG, indent=4) + "\n")


def _generator(what: str) -> np.random.Generator:
    """A generator of the artifact's own, so that adding one artifact leaves the others as they are."""
    return np.random.default_rng(zlib.crc32(what.encode()))


def _noise(what: str, side: int) -> np.ndarray:
    return _generator(what).integers(-8, 8, (side, side, side)).astype(np.float32)


def _write_volume(store: Any, volume: np.ndarray, voxel_size: float) -> None:
    # copick's from_numpy pads small arrays to chunks of 256 voxels a side, which is larger than the project.
    write_ome_zarr_3d(store, volume_pyramid(volume, voxel_size, 1), chunk_size=volume.shape)


def _write_tomogram(spacing: Any, tomo_type: str) -> None:
    what = f"{spacing.run.name} {spacing.voxel_size} {tomo_type}"
    volume = _noise(what, SIZES[spacing.voxel_size])
    _write_volume(spacing.new_tomogram(tomo_type).zarr(), volume, spacing.voxel_size)


def _write_features(tomogram: Any) -> None:
    volume = np.abs(np.gradient(tomogram.numpy(), axis=0))
    _write_volume(tomogram.new_features("gradient").zarr(), volume, tomogram.voxel_spacing.voxel_size)


def _write_picks(run: Any, user: str, session: str, object_name: str, count: int) -> None:
    generator = _generator(f"{run.name} {user} {session} {object_name}")
    picks = run.new_picks(object_name, session, user)
    picks.meta.voxel_spacing = 10.0
    picks.from_numpy(
        positions=generator.integers(0, 1600, (count, 3)) / 10.0,
        scores=generator.integers(50, 100, count) / 100.0,
    )


def _write_segmentation(run: Any, user: str, name: str, kind: str) -> None:
    voxel_size = 10.0
    labels = np.zeros((SIZES[voxel_size],) * 3, dtype=np.uint8)
    instances = np.zeros_like(labels, dtype=np.uint16)
    labels[2:4] = 3
    for number, start in enumerate((5, 8, 11), start=1):
        labels[start : start + 2, 4:7, 4:7] = 1
        instances[start : start + 2, 4:7, 4:7] = number
    data = {
        "binary": (labels == 3).astype(np.uint8),
        "multilabel": labels,
        "instance": instances,
        "panoptic": np.stack([labels, instances]),
    }[kind]
    flags = {} if kind == "binary" else {f"is_{kind}": True}
    segmentation = run.new_segmentation(voxel_size, name, "v1", user_id=user, **flags)
    metadata: dict[str, Any] = {}
    if kind == "panoptic":
        metadata = {"copick": {"segmentation_type": "panoptic", "channels": ["label", "instance"]}}
    write_ome_zarr_3d(
        segmentation.zarr(),
        {voxel_size: data},
        chunk_size=labels.shape,
        channel_axis=kind == "panoptic",
        metadata=metadata,
    )


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE)
