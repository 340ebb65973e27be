"""Our reader where nothing can be written, and where many read at once."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from samples import built, contents, copy_sample, opened_here, snapshot, write_recipe

from croissant_recipes import from_croissant
from croissant_recipes.croissant import manifest

RENAMING = "  - {export: lab, rename: {tomo_types: {wbp: raw}, objects: {ribosome: particle, membrane: bilayer}}}\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample project with a Croissant in which much is called otherwise."""
    folder = tmp_path_factory.mktemp("renamed")
    copy_sample(folder)
    patch = pytest.MonkeyPatch()
    patch.setattr(manifest, "_check", lambda *_, **__: None)
    built(write_recipe(folder, RENAMING))
    patch.undo()
    return folder / "sample"


@pytest.fixture
def locked(project: Path) -> Iterator[Path]:
    """The project, of which nothing can be written (but by root, whom a snapshot convicts)."""
    for path in (project, *project.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield project
    for path in (project, *project.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("relative", [False, True])
def test_a_folder_that_cannot_be_written_is_read(
    locked: Path, relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(locked)
    monkeypatch.chdir(locked.parent if relative else tmp_path)
    metadata = "sample/Croissant/metadata.json" if relative else f"{locked}/Croissant/metadata.json"
    found = contents(from_croissant(metadata))
    assert len(found) == 23
    assert all(data.size for data in found.values())
    laid_over = contents(from_croissant(metadata, overlay_root=str(tmp_path / "overlay")))
    assert found.keys() == laid_over.keys()
    assert [key for key in found if not np.array_equal(found[key], laid_over[key])] == []
    assert snapshot(locked) == before
    assert not (tmp_path / "overlay").exists()


def test_eight_processes_read_at_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One process imports everything and the others come of it, which spares seven imports.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["samples", "trimesh", "pandas", "pytest"])
    before = snapshot(project)
    metadata = str(project / "Croissant/metadata.json")
    with ProcessPoolExecutor(8, mp_context=context) as pool:
        digests = list(pool.map(opened_here, [metadata] * 8))
    assert set(digests) == {opened_here(metadata)}
    assert snapshot(project) == before
