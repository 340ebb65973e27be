"""Every artifact opens by the URL of its row, and opening writes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from inspect import isroutine
from pathlib import Path
from typing import Any

import copick
import numpy as np
import pytest
import zarr
from opened_projects import (
    BOX,
    EXPECTED,
    FEATURES,
    LABELS,
    PANOPTIC,
    POINTS,
    URLS,
    VOLUME,
    artifacts,
    assert_everything_opens,
    project_copy,
    tree,
    urls_below,
    write_rows,
)

from croissant_recipes import from_croissant
from croissant_recipes.schema import RECORD_SETS

KINDS = tuple(URLS)
ARRAYS = tuple(k for k in KINDS if k not in ("picks", "meshes"))


project = project_copy


WAYS: dict[str, Callable[[Path], tuple[dict[str, str], str | None]]] = {
    "relative": lambda _: (URLS, None),
    "below a base": lambda project: (URLS, f"file://{project}"),
    "absolute": lambda project: (urls_below(f"file://{project}"), None),
    "beside a base": lambda project: (urls_below(f"file://{project}"), "https://example.org/lab"),
}
"""URLs of rows, and the base URL of their Croissant."""


@pytest.mark.parametrize("renamed", [False, True], ids=["own names", "renamed"])
@pytest.mark.parametrize("overlay", [False, True], ids=["mode A", "mode B"])
@pytest.mark.parametrize("way", WAYS)
def test_everything_opens_from_disk_and_nothing_is_written(
    project: Path, tmp_path: Path, way: str, overlay: bool, renamed: bool
) -> None:
    urls, base_url = WAYS[way](project)
    where = tmp_path / "built" if way != "relative" else project
    manifest = write_rows(where, urls, renamed=renamed, base_url=base_url)
    before = tree(tmp_path)
    root = from_croissant(str(manifest), overlay_root=str(tmp_path / "overlay") if overlay else None)
    assert_everything_opens(root)
    for kind in ARRAYS:
        group = zarr.open(artifacts(root)[kind].zarr(), mode="r")
        np.testing.assert_array_equal(group["0"], EXPECTED[kind])
        np.testing.assert_array_equal(zarr.open(artifacts(root)[kind].zarr())["0"], EXPECTED[kind])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("renamed", [False, True], ids=["own names", "renamed"])
@pytest.mark.parametrize("overlay", [False, True], ids=["mode A", "mode B"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_missed_and_not_made(
    project: Path, tmp_path: Path, kind: str, overlay: bool, renamed: bool
) -> None:
    manifest = write_rows(project, renamed=renamed)
    data = project / URLS[kind]
    shutil.rmtree(data) if data.is_dir() else data.unlink()
    before = tree(tmp_path)
    root = from_croissant(str(manifest), overlay_root=str(tmp_path / "overlay") if overlay else None)
    artifact = artifacts(root)[kind]
    readings: list[Callable[[], Any]] = [lambda: artifact.numpy()] if kind != "meshes" else [lambda: artifact.mesh]
    if kind in ARRAYS:
        readings.append(artifact.zarr)
    for read in readings:
        with pytest.raises(FileNotFoundError, match=r"has no (data in|file)"):
            read()
    assert tree(tmp_path) == before


def change(kind: str, artifact: Any) -> None:
    """Saves something over an artifact, in the way of its type."""
    if kind == "picks":
        artifact.from_numpy(POINTS[:1])
    elif kind == "meshes":
        artifact.store()
    elif kind == "objects":
        artifact.from_numpy(VOLUME * 2, 10.0)
    elif kind == "features":
        artifact.set_region(FEATURES * 2, slices=(slice(None),) * 4)
    else:
        artifact.from_numpy(PANOPTIC * 0 if kind == "panoptic" else VOLUME * 2)


def ways_to_change(kind: str) -> dict[str, Callable[[Any], Any]]:
    ways: dict[str, Callable[[Any], Any]] = {"save": lambda a: change(kind, a), "delete": lambda a: a.delete()}
    if kind in ARRAYS:
        whole = {"slices": (slice(None),) * 4} if kind == "features" else {}
        data = {"panoptic": PANOPTIC, "features": FEATURES}.get(kind, LABELS)
        ways["region"] = lambda a: a.set_region(data, **whole)
        ways["open to write"] = lambda a: zarr.open(a.zarr(), "w")
        ways["assign"] = lambda a: zarr.open(a.zarr())["0"].__setitem__(..., 0)
    return ways


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["renamed", "elsewhere", "overlay"])
def test_data_of_another_name_or_project_is_not_saved_over(
    project: Path, tmp_path: Path, kind: str, place: str
) -> None:
    urls = urls_below(f"file://{project}") if place == "elsewhere" else URLS
    where = tmp_path / "other" if place == "elsewhere" else project
    manifest = write_rows(where, urls, renamed=place == "renamed")
    root = from_croissant(str(manifest), overlay_root=str(tmp_path / "overlay") if place == "overlay" else None)
    if kind == "meshes":
        assert artifacts(root)[kind].mesh
    before = tree(tmp_path)
    for way in ways_to_change(kind).values():
        with pytest.raises(PermissionError, match=r"save (under|as) another .*overlay"):
            way(artifacts(root)[kind])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_data_in_its_own_place_is_saved_over(project: Path, kind: str) -> None:
    manifest = write_rows(project)
    rows = {p.name: p.read_bytes() for p in manifest.parent.glob("*.csv")}

    def found() -> Any:
        artifact = artifacts(from_croissant(str(manifest)))[kind]
        assert kind != "meshes" or artifact.mesh
        return artifact

    for name, way in ways_to_change(kind).items():
        if name not in ("delete", "open to write"):
            before = tree(project)
            way(found())
            assert tree(project) != before, name
    if kind in ARRAYS:
        assert not found().numpy().any()
        assert {p.name: p.read_bytes() for p in manifest.parent.glob("*.csv")} == rows
        zarr.open(found().zarr(), "w")["0"] = VOLUME
        np.testing.assert_array_equal(zarr.open(found().zarr(), "r")["0"], VOLUME)
    found().delete()
    assert not (project / URLS[kind]).exists()
    assert not any(row["url"] == URLS[kind] for row in every_row(from_croissant(str(manifest))))


def every_row(root: Any) -> list[dict[str, Any]]:
    with_urls = [r.name for r in RECORD_SETS.values() if "url" in r.columns]
    return [row for name in with_urls for row in root.index.rows(name)]


@pytest.mark.parametrize("kind", [k for k in ARRAYS if k != "features"])
def test_data_that_was_lost_can_be_saved_again(project: Path, kind: str) -> None:
    manifest = write_rows(project)
    shutil.rmtree(project / URLS[kind])
    change(kind, artifacts(from_croissant(str(manifest)))[kind])
    expected = PANOPTIC * 0 if kind == "panoptic" else VOLUME * 2
    np.testing.assert_array_equal(artifacts(from_croissant(str(manifest)))[kind].numpy(), expected)


def add_to(root: Any) -> None:
    """A new artifact of each type, made in the ways that users make them."""
    run = root.new_run("new")
    spacing = run.new_voxel_spacing(8.0)
    spacing.new_tomogram("wbp").from_numpy(VOLUME)
    zarr.open(spacing.new_tomogram("raw").zarr(), "w")["0"] = VOLUME
    tomogram = root.get_run("new").get_voxel_spacing(8.0).get_tomograms("wbp")[0]
    zarr.open(tomogram.new_features("edges").zarr(), "w")["0"] = FEATURES
    run.new_picks("ribosome", "s2", "me").from_numpy(POINTS)
    mesh = run.new_mesh("membrane", "s2", "me")
    mesh.mesh = BOX
    mesh.store()
    run.new_segmentation(8.0, "membrane", "s2", user_id="me").from_numpy(LABELS)
    again = run.new_segmentation(8.0, "membrane", "s2", user_id="me", exist_ok=True)
    zarr.open(again.zarr(), "w")["0"] = LABELS
    root.new_object("ferritin", True).from_numpy(VOLUME, 8.0)


@pytest.mark.parametrize("overlay", [False, True], ids=["mode A", "mode B"])
def test_what_is_new_is_saved_and_found(project: Path, tmp_path: Path, overlay: bool) -> None:
    manifest = write_rows(project, renamed=True)
    before = tree(project)
    arguments = {"overlay_root": str(tmp_path / "overlay")} if overlay else {}
    add_to(from_croissant(str(manifest), **arguments))
    assert overlay == (tree(project) == before)
    for opened in (from_croissant, copick.from_croissant):
        root = opened(str(manifest), **arguments)
        run = root.get_run("new")
        spacing = run.get_voxel_spacing(8.0)
        for tomogram in spacing.tomograms:
            np.testing.assert_array_equal(tomogram.numpy(), VOLUME)
        assert {t.tomo_type for t in spacing.tomograms} == {"wbp", "raw"}
        np.testing.assert_array_equal(spacing.get_tomograms("wbp")[0].features[0].numpy(), FEATURES)
        np.testing.assert_array_equal(run.picks[0].numpy()[0], POINTS)
        np.testing.assert_array_equal(run.segmentations[0].numpy(), LABELS)
        assert len(run.meshes) == 1
    assert ("ferritin" in {row["name"] for row in from_croissant(str(manifest)).index.objects}) is not overlay


def test_an_artifact_does_what_copicks_does_and_no_more(project: Path) -> None:
    manifest = str(write_rows(project))
    ours, theirs = artifacts(from_croissant(manifest)), artifacts(copick.from_croissant(manifest))
    hooks = {"assert_saving", "content", "making", "read_file"}
    for kind in URLS:
        methods = {name for name in dir(type(ours[kind])) if isroutine(getattr(type(ours[kind]), name))}
        assert {name for name in methods - hooks if not name.startswith("_")} <= set(dir(theirs[kind])), kind


@pytest.mark.parametrize("renamed", [False, True], ids=["own names", "renamed"])
def test_an_overlay_in_the_place_of_the_project_hides_no_row(project: Path, renamed: bool) -> None:
    """copick goes by the files alone there."""
    root = from_croissant(str(write_rows(project, renamed=renamed)), overlay_root=str(project))
    if renamed:
        assert {run.name for run in root.runs} == {"grid", "ts"}
        run, other = root.get_run("grid"), root.get_run("ts")
        assert [t.tomo_type for t in other.get_voxel_spacing(10.0).tomograms] == ["wbp"]
        found = artifacts(root, run)
    else:
        run, found = root.get_run("ts"), artifacts(root)
        np.testing.assert_array_equal(root.get_object("ribosome").numpy(), VOLUME)
    np.testing.assert_array_equal(found["tomograms"].numpy(), VOLUME)
    listed = [len(run.picks), len(run.meshes), len(run.segmentations), len(run.voxel_spacings[0].tomograms)]
    assert listed == [1, 1, 4, 1]
    assert {a.read_only for kind, a in found.items() if kind != "objects"} == {renamed}
