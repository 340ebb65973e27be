"""Writes large copick projects to measure on: ``python -m benchmarks.projects DIR --runs 2000``.

Each run has one tomogram and one segmentation (directories without voxels, which no export reads), picks of about 50
points each in the JSON that copick writes, and meshes of a few KB. The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import textwrap
from collections.abc import Sequence
from pathlib import Path

OBJECTS = ("ribosome", "proteasome", "apoferritin", "thyroglobulin", "virus-like-particle")
VOXEL_SIZE = 10.0
"""Å, of every tomogram and segmentation."""

POINTS_PER_PICK = 50
_POOL = 400
_BOX = 6000.0  # Å, the edge of the volume that points lie in


def write_project(folder: Path, runs: int, picks_per_run: int = 10, meshes_per_run: int = 1, seed: int = 0) -> Path:
    """Writes a project of ``runs`` runs into ``folder`` and returns the path of its copick config.

    Raises:
        FileExistsError: If ``folder`` already holds runs.
    """
    rng = random.Random(seed)
    points = [_point(rng) for _ in range(_POOL)]
    mesh = rng.randbytes(3000)
    experiments = folder / "ExperimentRuns"
    experiments.mkdir(parents=True)
    for number in range(1, runs + 1):
        _write_run(experiments / f"TS_{number:05d}", rng, points, mesh, picks_per_run, meshes_per_run)
    for name in OBJECTS:
        # copick's export makes the density maps that it does not find, so a project without them would change under it.
        (folder / "Objects" / f"{name}.zarr").mkdir(parents=True)
    config = folder / "filesystem.json"
    config.write_text(json.dumps(_config(folder), indent=4))
    return config


def _config(folder: Path) -> dict[str, object]:
    return {
        "config_type": "filesystem",
        "name": "Benchmark",
        "description": "A generated project without voxels.",
        "version": "1.0.0",
        "pickable_objects": [
            {"name": name, "is_particle": name in OBJECTS, "label": label, "color": [40 * label, 100, 200, 255]}
            for label, name in enumerate((*OBJECTS, "membrane"), start=1)
        ],
        "overlay_root": str(folder.resolve()),
    }


def _write_run(
    run: Path, rng: random.Random, points: Sequence[str], mesh: bytes, picks_per_run: int, meshes_per_run: int
) -> None:
    for zarr in (
        run / f"VoxelSpacing{VOXEL_SIZE:.3f}" / "wbp.zarr",
        run / "Segmentations" / f"{VOXEL_SIZE:.3f}_segmenter_1_membrane.zarr",
    ):
        zarr.mkdir(parents=True)
    (run / "Picks").mkdir()
    for number in range(picks_per_run):
        object_name = OBJECTS[number % len(OBJECTS)]
        session = f"round-{number // len(OBJECTS) + 1}"
        text = _picks_text(run.name, session, object_name, rng.sample(points, POINTS_PER_PICK))
        (run / "Picks" / f"picker_{session}_{object_name}.json").write_text(text)
    (run / "Meshes").mkdir()
    for number in range(meshes_per_run):
        (run / "Meshes" / f"mesher_round-{number + 1}_membrane.glb").write_bytes(b"glTF" + run.name.encode() + mesh)


def _picks_text(run: str, session: str, object_name: str, points: Sequence[str]) -> str:
    """A picks file, put together from rendered points: Python's indenting JSON encoder would take minutes."""
    empty = {
        "pickable_object_name": object_name,
        "user_id": "picker",
        "session_id": session,
        "run_name": run,
        "voxel_spacing": VOXEL_SIZE,
        "unit": "angstrom",
        "points": [],
        "trust_orientation": True,
    }
    return json.dumps(empty, indent=4).replace("[]", "[\n" + ",\n".join(points) + "\n    ]")


def _point(rng: random.Random) -> str:
    """A point with a random position and a random rotation about z, as it stands in a picks file."""
    angle = rng.uniform(0.0, 2.0 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    point = {
        "location": {axis: rng.uniform(0.0, _BOX) for axis in "xyz"},
        "transformation_": [[cos, -sin, 0.0, 0.0], [sin, cos, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
        "instance_id": 0,
        "score": rng.random(),
    }
    return textwrap.indent(json.dumps(point, indent=4), " " * 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--picks-per-run", type=int, default=10)
    parser.add_argument("--meshes-per-run", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(write_project(given.folder, given.runs, given.picks_per_run, given.meshes_per_run, given.seed))


if __name__ == "__main__":
    main()
