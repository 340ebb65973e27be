"""copick projects of a type without a reader of its own, walked through copick's root."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import copick
import fsspec
import numpy as np
import pandas as pd
import pytest
import zarr
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
    random_spec,
    write_project,
)
from source_layers import keys, layer

from croissant_recipes import build
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.language import source_kinds
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.language.source_kinds import CopickSource
from croissant_recipes.location import Location
from croissant_recipes.progress import Silent
from croissant_recipes.schema import ARTIFACT_TYPES
from croissant_recipes.sources.base import Inventory, Means, Root, Source
from croissant_recipes.sources.copick_source import open_copick
from croissant_recipes.sources.walked_project import WalkedProject
from croissant_recipes.work import Workers

OBJECTS = (PickableObject("ribosome", density_map=True), PickableObject("membrane", is_particle=False, label=2))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has a reader for projects in folders."""
    monkeypatch.delitem(source_kinds.CONFIG_TYPES, "filesystem")


def opened(config: Path) -> Source:
    return open_copick("lab", CopickSource(config=str(config)), Means(Path("/"), Workers(4)))


def scanned(config: Path, *layers: LayerSpec) -> Inventory:
    return opened(config).scan(layers or [layer()], Silent())[0]


def walked(config: Path, *layers: LayerSpec) -> Inventory:
    source = opened(config)
    assert isinstance(source, WalkedProject)
    return source.scan(layers or [layer()], Silent())[0]


def everything_in(folder: Path) -> dict[str, Any]:
    return {
        str(p): p.read_bytes() if p.is_file() else sorted(q.name for q in p.iterdir()) for p in folder.rglob("*")
    } | {"": sorted(p.name for p in folder.iterdir())}


def facts_of(source: Source, inventory: Inventory) -> dict[tuple[str, str], str]:
    both = pd.concat([inventory.table(a)[["root", "path"]] for a in ("picks", "meshes")])
    asked = list(both.itertuples(index=False, name=None))
    return {key: repr(found) for key, found in source.read_files(asked, sha256=True, progress=Silent()).items()}


@pytest.mark.parametrize("seed", range(12))
def test_it_finds_what_the_folder_reader_finds(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write_project(tmp_path / "lab", random_spec(random.Random(seed), nasty=seed % 2 == 1))
    fast = opened(project.config)
    expected = fast.scan([layer()], Silent())[0]
    facts = facts_of(fast, expected)
    before = everything_in(tmp_path / "lab")
    monkeypatch.delitem(source_kinds.CONFIG_TYPES, "filesystem")
    slow = opened(project.config)
    assert isinstance(slow, WalkedProject)
    inventory = slow.scan([layer()], Silent())[0]
    assert inventory.tables.keys() == set(ARTIFACT_TYPES)
    for artifact, table in expected.tables.items():
        pd.testing.assert_frame_equal(inventory.table(artifact), table)
    assert inventory.roots == expected.roots
    assert inventory.objects == expected.objects
    assert inventory.config == expected.config
    assert {d.code for d in inventory.diagnostics} == {d.code for d in expected.diagnostics}
    assert facts_of(slow, inventory) == facts
    assert everything_in(tmp_path / "lab") == before


@pytest.fixture
def project(tmp_path: Path) -> Project:
    run = Run(
        "TS_001",
        (Tomogram(10.0, "wbp"),),
        (Features(10.0, "wbp", "sobel"),),
        (Picks("alice", "1", "ribosome", voxel_spacing=10.0),),
        (Mesh("alice", "1", "membrane"),),
        tuple(
            Segmentation(10.0, "alice", "1", "membrane", kind)
            for kind in ("binary", "multilabel", "instance", "panoptic")
        ),
    )
    return write_project(tmp_path / "lab", ProjectSpec((run, Run("TS_002")), OBJECTS))


def test_every_type_of_segmentation_and_the_maps_of_particles(project: Project, unlisted: None) -> None:
    found = keys(walked(project.config))
    assert {key[-1] for key in found["segmentations"]} == {"binary", "multilabel", "instance", "panoptic"}
    assert found["objects"] == {("ribosome",)}
    assert found["runs"] == {("TS_001",), ("TS_002",)}


def test_no_store_is_made_and_none_is_opened(project: Project, unlisted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything_in(project.root)

    def never(*given: Any, **named: Any) -> Any:
        raise AssertionError("a store is opened")

    monkeypatch.setattr(zarr.storage.FSStore, "__init__", never)
    source = opened(project.config)
    facts_of(source, source.scan([layer()], Silent())[0])
    assert everything_in(project.root) == before


@pytest.mark.parametrize("types", [(), ("picks",), ("features",), ("objects",), ("segmentations", "meshes")])
def test_only_what_layers_take_is_asked_for(project: Project, unlisted: None, types: tuple[str, ...]) -> None:
    found = keys(walked(project.config, layer(types)))
    assert {a for a in ARTIFACT_TYPES[1:] if found[a]} == set(types)
    assert not any(keys(walked(project.config, layer(runs=["TS_002"])))[a] for a in ("picks", "tomograms"))


def test_what_a_croissant_has_no_place_for_is_told(project: Project, unlisted: None) -> None:
    (project.root / "Objects" / "membrane.zarr").mkdir()
    filaments = project.root / "ExperimentRuns" / "TS_001" / "Filaments"
    filaments.mkdir()
    (filaments / "alice_1_membrane.json").write_text("{}")
    inventory = walked(project.config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            source_kinds.CONFIG_TYPES,
            "filesystem",
            source_kinds.ConfigType("filesystem", "croissant_recipes.sources.folder_project:FilesystemProject"),
        )
        expected = scanned(project.config)
    assert [str(d) for d in inventory.diagnostics] == [str(d) for d in expected.diagnostics]
    assert {d.code for d in inventory.diagnostics} == {Code.NOT_EXPORTED}


def test_what_copick_lists_and_would_not_find_again_is_left_out(project: Project, unlisted: None) -> None:
    folder = project.root / "ExperimentRuns" / "TS_001" / "Segmentations"
    (folder / "10.0_bob_1_membrane.zarr").mkdir()
    inventory = walked(project.config)
    assert not any("bob" in key for key in keys(inventory)["segmentations"])
    (told,) = inventory.diagnostics
    assert told.code is Code.FILE_NAME
    assert f"copick looks for it at {folder}/10.000_bob_1_membrane.zarr, and nothing is there" in told.message


def test_what_copick_cannot_list_is_an_error(project: Project, unlisted: None) -> None:
    (project.root / "ExperimentRuns" / "TS_001" / "Picks" / "bad.json").write_text("{}")
    with pytest.raises(DiagnosticError) as caught:
        walked(project.config)
    (told,) = caught.value.diagnostics
    assert told.code is Code.UNREACHABLE
    assert told.message.startswith("source 'lab': copick cannot list the picks of run 'TS_001': IndexError")


def test_a_root_that_is_not_there_is_an_error(project: Project, unlisted: None) -> None:
    shutil.rmtree(project.root)
    with pytest.raises(DiagnosticError, match="copick finds no run in it"):
        walked(project.config)
    assert not project.root.exists()


def test_identity(project: Project, tmp_path: Path, unlisted: None) -> None:
    def identity(config: Path) -> str:
        source = opened(config)
        found = source.scan([layer()], Silent())[0]
        return source.identity([layer()], list(facts_of(source, found)))

    before = identity(project.config)
    shutil.copytree(project.root, tmp_path / "other" / "lab")
    moved = tmp_path / "other" / "config.json"
    moved.write_text(json.dumps({**json.loads(project.config.read_text()), "overlay_root": "lab"}))
    assert identity(moved) == before
    (tmp_path / "other/lab/ExperimentRuns/TS_001/Picks/alice_1_ribosome.json").write_text("{}")
    assert identity(moved) != before


# A type that copick has and this package has never heard of


class _Archive:
    """A root of copick whose tomograms and picks lie elsewhere than in the roots of its config."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        from copick.impl.filesystem import CopickConfigFSSpec, CopickRootFSSpec

        self._inner = CopickRootFSSpec(CopickConfigFSSpec(**{**values, "overlay_root": values["archive"]}))
        self.config = self._inner.config
        self.runs = self._inner.runs
        self.pickable_objects = self._inner.pickable_objects


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> None:
    real = copick.from_string

    def from_string(text: str) -> Any:
        values = json.loads(text)
        return _Archive(values) if values.get("config_type") == "archive" else real(text)

    monkeypatch.setattr(copick, "from_string", from_string)


def archived(project: Project, place: str, **values: Any) -> Path:
    config = {**json.loads(project.config.read_text()), "config_type": "archive", "archive": place, **values}
    project.config.write_text(json.dumps(config))
    return project.config


def test_another_type_of_copick_is_read(project: Project, tmp_path: Path, archive: None) -> None:
    (tmp_path / "empty").mkdir()
    config = archived(project, str(project.root), overlay_root=str(tmp_path / "empty"))
    inventory = walked(config)
    assert keys(inventory)["picks"] == {("TS_001", "alice", "1", "ribosome")}
    picks = inventory.table("picks").iloc[0]
    assert (picks["root"], picks["path"]) == ("files", "ExperimentRuns/TS_001/Picks/alice_1_ribosome.json")
    assert inventory.roots["files"] == Root(Location.parse(project.root), primary=False, reads_files=True)
    assert not inventory.roots["overlay"].published, "it lies on top of what is elsewhere"
    source = opened(config)
    (facts,) = (f for k, f in facts_of(source, source.scan([layer()], Silent())[0]).items() if "Picks" in k[1])
    assert "voxel_size=10.0" in facts


def test_it_is_built_and_copick_opens_what_is_built(project: Project, tmp_path: Path, archive: None) -> None:
    store = zarr.NestedDirectoryStore(str(project.root / "ExperimentRuns/TS_001/VoxelSpacing10.000/wbp.zarr"))
    array = zarr.open(store, mode="w")
    array.array("0", np.arange(8, dtype=np.float32).reshape(2, 2, 2), dimension_separator="/")
    config = archived(project, str(project.root))
    dataset = {"name": "A", "description": "B", "version": "1.0.0", "license": "MIT", "date_published": "2026-01-15"}
    recipe = tmp_path / "recipe.json"
    recipe.write_text(
        json.dumps(
            {
                "recipe": 1,
                "name": "example",
                "dataset": dataset,
                "output": {"project_root": str(project.root)},
                "sources": {"lab": {"copick": {"config": str(config)}}},
                "layers": [{"export": "lab"}],
            }
        )
    )
    (built,) = build(recipe)
    assert [str(d) for d in built.diagnostics if d.is_error] == []
    root = copick.from_croissant(str(project.root / "Croissant/metadata.json"))
    run = root.get_run("TS_001")
    assert run.get_voxel_spacing(10.0).get_tomogram("wbp").numpy().sum() == 28
    assert [p.pickable_object_name for p in run.picks] == ["ribosome"]


def test_what_lies_on_another_system_keeps_its_url(project: Project, archive: None) -> None:
    fsspec.filesystem("memory").put(str(project.root), "/walked", recursive=True)
    inventory = walked(archived(project, "memory://walked"))
    tomogram = inventory.table("tomograms").iloc[0]
    root = inventory.roots[tomogram["root"]]
    assert root.base_url is not None
    assert not root.primary
    place = f"{root.base_url.rstrip('/')}/{tomogram['path']}"
    assert fsspec.url_to_fs(place)[0].exists(place)


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"config_type": "filesytem"}, "config_type 'filesytem' is unknown", "did you mean 'filesystem'?"),
        (
            {"config_type": "zip"},
            "config_type 'zip' is unknown",
            "the types are 'cryoet_data_portal', 'filesystem' and 'mlcroissant'",
        ),
    ],
)
def test_a_type_that_copick_does_not_know(tmp_path: Path, values: dict[str, Any], message: str, hint: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"pickable_objects": [], "overlay_root": ".", **values}))
    with pytest.raises(DiagnosticError) as caught:
        opened(tmp_path / "config.json")
    (told,) = caught.value.diagnostics
    assert (told.code, told.hint) == (Code.CONFIG, hint)
    assert told.message == f"source 'lab': copick config {tmp_path}/config.json: {message}"


def test_what_copick_refuses_is_told_of_any_type(project: Project, unlisted: None) -> None:
    config = {**json.loads(project.config.read_text()), "pickable_objects": [{"name": "a_b", "is_particle": True}]}
    project.config.write_text(json.dumps(config))
    with pytest.raises(DiagnosticError) as caught:
        opened(project.config)
    assert all(d.code is Code.CONFIG for d in caught.value.diagnostics)
    assert "pickable_objects.0" in caught.value.diagnostics[0].message


def test_no_credential_is_told(project: Project, archive: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(values: Mapping[str, Any]) -> Any:
        raise RuntimeError(f"no access with {values['overlay_fs_args']['key']}")

    monkeypatch.setitem(globals(), "_Archive", broken)
    with pytest.raises(DiagnosticError) as caught:
        walked(archived(project, "memory://nowhere", overlay_fs_args={"key": "a-secret-of-mine"}))
    assert "copick cannot open it: no access with" in str(caught.value)
    assert "a-secret-of-mine" not in str(caught.value)
