"""What a source resolved to is one digest: the same for the same data wherever it lies, another for other data."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
from croissants import write_croissant
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
    write_project,
)
from source_layers import Watched, layer

from croissant_recipes import Options, planning
from croissant_recipes.language import checks
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.language.source_kinds import CopickSource, CroissantSource
from croissant_recipes.progress import Silent
from croissant_recipes.sources import folder_project
from croissant_recipes.sources.base import Means, Source
from croissant_recipes.sources.copick_source import open_copick
from croissant_recipes.sources.croissant_source import open_croissant
from croissant_recipes.sources.identity import digest, rows_digest
from croissant_recipes.work import Workers

SPEC = ProjectSpec(
    (
        Run(
            "TS_001",
            (Tomogram(10.0, "wbp"),),
            (Features(10.0, "wbp", "sobel"),),
            (Picks("alice", "1", "ribosome", voxel_spacing=10.0), Picks("bob", "1", "ribosome")),
            (Mesh("alice", "1", "membrane"),),
            (Segmentation(10.0, "alice", "1", "membrane", "multilabel"),),
        ),
        Run("TS_002", (Tomogram(10.0, "wbp"),), picks=(Picks("alice", "1", "ribosome", voxel_spacing=10.0),)),
    ),
    (PickableObject("ribosome", density_map=True), PickableObject("membrane", is_particle=False, label=2)),
)
PICKS = "ExperimentRuns/TS_001/Picks/alice_1_ribosome.json"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return write_project(tmp_path / "lab", SPEC)


def opened(config: Path) -> Source:
    return open_copick("lab", CopickSource(config=str(config)), Means(Path("/"), Workers(4)))


def identity(
    config: Path, *layers: LayerSpec, also: Sequence[LayerSpec] = (), sha256: bool = True, files: str = ""
) -> str:
    """That of some layers, which need the files whose path holds a text, of a source that is scanned for others too."""
    source = opened(config)
    wanted = layers or (layer(),)
    found = source.scan([*also, *wanted], Silent())
    tables = [inventory.table(artifact) for inventory in found for artifact in ("picks", "meshes")]
    everything = sorted({row for t in tables for row in t[["root", "path"]].itertuples(index=False, name=None)})
    source.read_files(everything, sha256=sha256, progress=Silent())
    return source.identity(wanted, [row for row in everything if files in row[1]])


def test_it_is_a_digest_and_the_same_again(project: Project) -> None:
    first = identity(project.config)
    assert len(first) == 64
    assert int(first, 16)
    assert identity(project.config) == first


def test_a_project_that_lies_elsewhere_has_the_same(project: Project, tmp_path: Path) -> None:
    before = identity(project.config)
    shutil.copytree(project.root, tmp_path / "elsewhere" / "copy")
    values = {**json.loads(project.config.read_text()), "overlay_root": "copy"}
    moved = tmp_path / "elsewhere" / "config.json"
    moved.write_text(json.dumps(values))
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, (1, 1))
    assert identity(moved) == before
    shutil.rmtree(project.root)
    assert identity(moved) == before


def test_neither_the_order_of_listings_nor_the_cache_matters(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in project.root.rglob("*"):
        os.utime(path, (1, 1))
    monkeypatch.setattr("croissant_recipes.sources.fact_cache.REST_NS", -(10**18))
    first = identity(project.config)
    assert (tmp_path / "cache").exists()
    assert identity(project.config) == first
    real = folder_project.open_lister
    for seed in range(4):
        monkeypatch.setattr(folder_project, "open_lister", lambda *a, s=seed: Watched(real(*a), [], s))
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        assert identity(project.config) == first


def _change_picks(root: Path) -> None:
    text = (root / PICKS).read_text()
    (root / PICKS).write_text(text.replace("angstrom", "Angstrom"))


def _change_mesh(root: Path) -> None:
    (root / "ExperimentRuns/TS_001/Meshes/alice_1_membrane.glb").write_bytes(b"other")


def _add_tomogram(root: Path) -> None:
    (root / "ExperimentRuns/TS_002/VoxelSpacing10.000/denoised.zarr").mkdir()


def _add_run(root: Path) -> None:
    (root / "ExperimentRuns/TS_003").mkdir()


def _remove_picks(root: Path) -> None:
    (root / PICKS).unlink()


def _rename_segmentation(root: Path) -> None:
    folder = root / "ExperimentRuns/TS_001/Segmentations"
    (folder / "10.000_alice_1_membrane-multilabel.zarr").rename(folder / "10.000_alice_1_membrane.zarr")


def _remove_map(root: Path) -> None:
    shutil.rmtree(root / "Objects" / "ribosome.zarr")


CHANGES = (_change_picks, _change_mesh, _add_tomogram, _add_run, _remove_picks, _rename_segmentation, _remove_map)


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
def test_other_data_have_another(project: Project, change: Callable[[Path], None]) -> None:
    before = identity(project.config)
    change(project.root)
    assert identity(project.config) != before


def test_another_object_of_the_config_is_another(project: Project) -> None:
    before = identity(project.config)
    values = json.loads(project.config.read_text())
    values["pickable_objects"][0]["label"] = 7
    project.config.write_text(json.dumps(values))
    assert identity(project.config) != before


@pytest.mark.parametrize("change", [_change_mesh, _add_tomogram, _add_run, _rename_segmentation, _remove_map])
def test_what_no_layer_takes_does_not_matter(project: Project, change: Callable[[Path], None]) -> None:
    alone = layer(("picks",), runs=["TS_001"], picks=["ribosome:alice/*"])
    before = identity(project.config, alone, files="TS_001/Picks/alice")
    other = project.root / "ExperimentRuns/TS_001/Picks/bob_1_ribosome.json"
    other.write_text(other.read_text().replace("angstrom", "Angstrom"))
    (project.root / "ExperimentRuns/TS_002/Picks/alice_2_ribosome.json").write_text("{}")
    change(project.root)
    assert identity(project.config, alone, files="TS_001/Picks/alice") == before
    _change_picks(project.root)
    assert identity(project.config, alone, files="TS_001/Picks/alice") != before


def test_a_recipe_has_the_same_alone_and_with_others(project: Project) -> None:
    mine, others = layer(("picks",), runs=["TS_001"]), [layer(), layer(("tomograms",))]
    alone = identity(project.config, mine, files="TS_001/Picks")
    assert identity(project.config, mine, also=others, files="TS_001/Picks") == alone
    assert identity(project.config, others[1]) != alone


def test_checksums_count_where_they_are_asked_for(project: Project) -> None:
    before = identity(project.config, sha256=False)
    _change_picks(project.root)
    assert identity(project.config, sha256=False) == before


# Object stores


def test_another_etag_is_another_object(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    version = "1"
    real = MemoryFileSystem.ls

    def ls(fs: MemoryFileSystem, path: str, detail: bool = True, **kwargs: Any) -> Any:
        found = real(fs, path, detail=True, **kwargs)
        return [{**e, "ETag": version} if e["type"] == "file" else e for e in found]

    fsspec.filesystem("memory").put(str(project.root), "/identity", recursive=True)
    monkeypatch.setattr(MemoryFileSystem, "ls", ls)
    values = {**json.loads(project.config.read_text()), "overlay_root": "memory://identity"}
    project.config.write_text(json.dumps(values))
    first = identity(project.config)
    assert identity(project.config) == first
    version = "2"
    assert identity(project.config) != first


# Croissants

ROWS = {"runs": {"name": ["TS_1", "TS_2"]}, "objects": {"name": ["ribosome"], "url": ["Objects/ribosome.zarr"]}}


def croissant(manifest: Path) -> str:
    spec = CroissantSource(url=str(manifest), fs_args={"secret": "x"})
    source = open_croissant("old", spec, Means(Path("/"), Workers(2)))
    source.scan([layer()], Silent())
    return source.identity([layer()], [])


def test_a_croissant_is_its_manifest_and_its_csvs(tmp_path: Path) -> None:
    one = croissant(write_croissant(tmp_path / "a", ROWS))
    assert croissant(write_croissant(tmp_path / "b", ROWS)) == one
    more = {**ROWS, "runs": {"name": ["TS_1", "TS_2", "TS_3"]}}
    assert croissant(write_croissant(tmp_path / "c", more)) != one
    manifest = write_croissant(tmp_path / "d", ROWS)
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**document, "version": "9.9.9"}))
    assert croissant(manifest) != one


def test_a_croissant_without_checksums_has_an_identity_too(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path, ROWS)
    document = json.loads(manifest.read_text())
    for entry in document["distribution"]:
        entry.pop("sha256", None)
    manifest.write_text(json.dumps(document))
    before = croissant(manifest)
    runs = tmp_path / "Croissant" / "runs.csv"
    runs.write_text(runs.read_text().replace("TS_2", "TS_9"))
    assert croissant(manifest) != before


def test_a_project_over_a_croissant_is_both(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path / "published", ROWS)
    overlay = tmp_path / "overlay" / "ExperimentRuns" / "TS_1" / "Picks"
    overlay.mkdir(parents=True)
    (overlay / "alice_1_ribosome.json").write_text("{}")
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "config_type": "mlcroissant",
                "pickable_objects": [],
                "croissant_url": str(manifest),
                "overlay_root": str(tmp_path / "overlay"),
            }
        )
    )
    before = identity(config)
    assert identity(config) == before
    (overlay / "alice_1_ribosome.json").write_text("{ }")
    changed = identity(config)
    assert changed != before
    shutil.rmtree(tmp_path / "published")
    write_croissant(tmp_path / "published", {**ROWS, "runs": {"name": ["TS_1"]}})
    assert identity(config) != changed


# Digests


def test_digests_tell_tables_apart() -> None:
    base = pd.DataFrame({"a": pd.Series(["x", "yz"], dtype="str"), "size": [1.0, np.nan], "flag": [True, False]})
    others = [
        base.assign(a=pd.Series(["xy", "z"], dtype="str")),
        base.assign(size=[1.0, 2.0]),
        base.assign(flag=[True, True]),
        base.rename(columns={"a": "b"}),
        base.head(1),
        base.iloc[::-1],
        base.assign(more=[None, "x"]),
    ]
    assert rows_digest(base) == rows_digest(base.copy())
    assert len({rows_digest(t) for t in [base, *others]}) == len(others) + 1
    negative = base.assign(size=[1.0, -np.nan])
    assert rows_digest(negative) == rows_digest(base)


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1}, {"b": [2]})


def test_random_projects_differ(tmp_path: Path) -> None:
    from projects import random_spec

    found = [
        identity(write_project(tmp_path / str(n), random_spec(random.Random(n), nasty=n % 2 == 0)).config)
        for n in range(6)
    ]
    assert len(set(found)) == 6


def test_a_plan_says_what_its_sources_resolved_to(project: Project, tmp_path: Path) -> None:
    dataset = {"name": "A", "description": "B", "version": "1.0.0", "license": "MIT", "date_published": "2026-01-15"}
    value = {
        "recipe": 1,
        "name": "example",
        "dataset": dataset,
        "output": {"project_root": str(project.root)},
        "sources": {"lab": {"copick": {"config": str(project.config)}}},
        "layers": [{"export": "lab", "picks": ["ribosome:alice/1"]}],
    }
    (tmp_path / "recipe.json").write_text(json.dumps(value), encoding="utf-8")
    (tmp_path / "other.json").write_text(json.dumps({**value, "layers": [{"export": "lab"}]}), encoding="utf-8")

    def planned(*names: str) -> list[Mapping[str, str]]:
        checked = [checks.check_recipe(tmp_path / name) for name in names]
        recipes = [(recipe, found) for recipe, found in checked if recipe]
        with Workers(2) as workers:
            return [o.plan.identities for o in planning.make_plans(recipes, Options(), workers, Silent())]

    (alone,) = planned("recipe.json")
    assert alone.keys() == {"lab"}
    both = planned("other.json", "recipe.json")
    assert both[1] == alone != both[0]
