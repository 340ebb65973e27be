"""The sample project with its real arrays, for tests that open data: copied, built into a Croissant, opened, read."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import copick
import numpy as np
import zarr

from croissant_recipes import Options, Planned, build, from_croissant

SAMPLE = Path(__file__).resolve().parent.parent / "recipes/sample"

READERS: Mapping[str, Callable[..., Any]] = {"ours": from_croissant, "copick": copick.from_croissant}

DATASET = """\
dataset:
  name: Sample
  description: A tiny copick project.
  version: 1.0.0
  license: CC-BY-4.0
  date_published: 2026-01-15
  url: https://example.org/sample
  creators: [{name: Example Lab, url: https://example.org}]
"""

Key = tuple[object, ...]
"""The type of an artifact, its run, and what else tells it from others of its type."""


def copy_sample(folder: Path) -> Path:
    """The sample project without a Croissant, as ``folder/sample``."""
    made = shutil.ignore_patterns("Croissant", ".croissant-recipe.lock")
    return shutil.copytree(SAMPLE, folder / "sample", ignore=made)


def write_recipe(
    folder: Path, layers: str, *, name: str = "sample", start: str = DATASET, out: str = "sample", more: str = ""
) -> Path:
    """A recipe over the project in ``folder/sample``, as ``folder/<name>.yaml``."""
    path = folder / f"{name}.yaml"
    source = "" if "sources:" in more else "sources:\n  lab: {copick: {config: sample/filesystem.json}}\n"
    output = "" if "output:" in more or "outputs:" in more else f"output: {{project_root: {out}}}\n"
    body = f"layers:\n{layers}" if layers else ""
    path.write_text(f"recipe: 1\nname: {name}\n{start}{output}{source}{body}{more}", encoding="utf-8")
    return path


def built(*recipes: Path, **options: Any) -> Planned:
    """The first of some recipes, after all of them have been built without an error."""
    results = build(*recipes, options=Options(**options))
    assert [str(d) for r in results for d in r.diagnostics if d.is_error] == []
    return results[0]


def artifacts(root: Any) -> Iterator[tuple[Key, Any]]:
    """Everything of a project that has data. Segmentations go by their type."""
    for run in root.runs:
        for spacing in run.voxel_spacings:
            for tomogram in spacing.tomograms:
                yield ("tomogram", run.name, spacing.voxel_size, tomogram.tomo_type), tomogram
                for f in tomogram.features:
                    yield ("features", run.name, spacing.voxel_size, f.tomo_type, f.feature_type), f
        for kind, found in (("picks", run.picks), ("mesh", run.meshes)):
            for each in found:
                yield (kind, run.name, each.user_id, each.session_id, each.pickable_object_name), each
        for s in run.get_segmentations(is_instance=None, is_panoptic=None):
            yield (s.segmentation_type, run.name, s.voxel_size, s.user_id, s.session_id, s.name), s
    with_map = {row["name"] for row in root.index.objects} if hasattr(root, "index") else {"ribosome"}
    for each in root.pickable_objects:
        if each.name in with_map:
            yield ("density map", "", each.name), each


def content(key: Key, artifact: Any) -> np.ndarray:
    """All data of an artifact: voxels, positions and scores of picks, or vertices of a mesh.

    Raises:
        Exception: Whatever its reader raises, when it does not open.
    """
    if key[0] == "picks":
        return np.array([(*(p.location.x, p.location.y, p.location.z), p.score) for p in artifact.load().points])
    if key[0] == "mesh":
        mesh = artifact.load()
        return np.asarray((mesh.to_mesh() if hasattr(mesh, "to_mesh") else mesh).vertices)
    return np.asarray(artifact.numpy())


def stored(key: Key, artifact: Any) -> np.ndarray:
    """The same, but arrays other than tomograms' are read through their stores: ``numpy()``, which is one function for
    all of them, takes twenty requests where these are six."""
    if key[0] in ("picks", "mesh", "tomogram"):
        return content(key, artifact)
    return np.asarray(zarr.Array(artifact.zarr(), path="0", read_only=True)[...])


def contents(root: Any) -> dict[Key, np.ndarray]:
    return {key: content(key, artifact) for key, artifact in artifacts(root)}


def opened_here(metadata: str) -> str:
    """A digest of all data of a Croissant, opened with our reader in whatever process this runs."""
    found = contents(from_croissant(metadata))
    return hashlib.sha256(b"".join(found[key].tobytes() for key in sorted(found, key=str))).hexdigest()


def snapshot(folder: Path, *, times_of_folders: bool = True) -> dict[str, tuple[int, int, bytes]]:
    """Every file and folder below a folder: when it was changed, its size, and of the Croissant's files the bytes.

    A folder's time shows what was made in it and taken away again, as copick does beside a manifest that it reads.
    """
    found = {}
    for path in folder.rglob("*"):
        status, is_file = path.stat(), path.is_file()
        timed = status.st_mtime_ns if is_file or times_of_folders else 0
        kept = path.read_bytes() if is_file and path.parent.name == "Croissant" else b""
        found[str(path.relative_to(folder))] = (timed, status.st_size if is_file else 0, kept)
    return found
