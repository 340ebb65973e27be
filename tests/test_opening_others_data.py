"""Nothing is saved over, or deleted with, the data of another row: after a rename a name is free, its file is not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from croissants import write_croissant
from opened_projects import URLS, project_copy, rows_of, write_rows

from croissant_recipes import build, from_croissant, load_recipe

project = project_copy
SAMPLE = Path(__file__).resolve().parent.parent / "recipes" / "sample"
HEAD = """\
recipe: 1
name: small
dataset: {name: Small, description: A few., version: 1.0.0, license: MIT, date_published: 2026-01-15}
output: {project_root: sample}
sources: {lab: {copick: {config: sample/filesystem.json}}}
layers:
"""


def opened(folder: Path, layers: str) -> Any:
    """The sample project, built in place by some layers, and opened."""
    shutil.copytree(SAMPLE, folder / "sample", ignore=shutil.ignore_patterns("Croissant", ".croissant*"))
    (folder / "recipe.yaml").write_text(HEAD + layers, encoding="utf-8")
    (built,) = build(folder / "recipe.yaml")
    assert built.written, built.diagnostics
    return from_croissant(built.metadata_url)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_name_that_a_rename_made_free_has_no_place_to_save(tmp_path: Path) -> None:
    names = "{tomo_types: {denoised: best, wbp: raw}, objects: {ribosome: ribo, membrane: skin}}"
    root = opened(tmp_path, f"  - {{export: lab, rename: {names}}}\n")
    root.new_object("ribosome", True, label=99)
    root.new_object("membrane", False, label=98)
    run = root.get_run("TS_001")
    spacing = run.get_voxel_spacing(10.0)
    data = np.zeros((4, 4, 4), dtype="float32")
    before = content(tmp_path / "sample" / "ExperimentRuns")

    def picks() -> None:
        run.new_picks("ribosome", "round-1", "curator").from_numpy(np.array([[9.0, 9.0, 9.0]]))

    def segmentation() -> None:
        new = run.new_segmentation(10.0, "membrane", "v1", is_multilabel=False, user_id="segmenter")
        new.from_numpy(data.astype("uint8"))

    for save in (lambda: spacing.new_tomogram("denoised").from_numpy(data), picks, segmentation):
        with pytest.raises(PermissionError, match=r"where the data of another row of .* lies"):
            save()
    with pytest.raises(PermissionError, match="another row of objects lies"):
        root.get_object("ribosome").from_numpy(data, 10.0)
    assert content(tmp_path / "sample" / "ExperimentRuns") == before
    assert spacing.get_tomogram("best").numpy().shape == (16, 16, 16)


def test_data_that_two_rows_share_is_not_changed_by_either(tmp_path: Path) -> None:
    append = "{append: lab, tomograms: wbp, rename: {tomo_types: {wbp: copy}}, others: exclude}"
    root = opened(tmp_path, f"  - {{export: lab}}\n  - {append}\n")
    spacing = root.get_run("TS_001").get_voxel_spacing(10.0)
    before = content(tmp_path / "sample" / "ExperimentRuns")
    tomogram = spacing.get_tomogram("wbp")
    for change in (tomogram.delete, lambda: tomogram.from_numpy(np.zeros((4, 4, 4), dtype="float32"))):
        with pytest.raises(PermissionError, match="another row of tomograms lies"):
            change()
    assert content(tmp_path / "sample" / "ExperimentRuns") == before
    assert (spacing.get_tomogram("copy").numpy() == tomogram.numpy()).all()


@pytest.mark.parametrize("linked", [False, True])
def test_an_overlay_in_the_place_of_the_project_saves_over_no_row_of_another_name(tmp_path: Path, linked: bool) -> None:
    root = opened(tmp_path, "  - {export: lab, rename: {tomo_types: {denoised: best}, objects: {ribosome: ribo}}}\n")
    overlay = tmp_path / "sample"
    if linked:
        overlay = tmp_path / "linked"
        overlay.symlink_to(tmp_path / "sample")
    root = from_croissant(str(tmp_path / "sample/Croissant/metadata.json"), overlay_root=str(overlay))
    run = root.get_run("TS_001")
    spacing = run.get_voxel_spacing(10.0)
    before = content(tmp_path / "sample")
    changes = (
        lambda: spacing.get_tomogram("denoised").from_numpy(np.zeros((4, 4, 4), dtype="float32")),
        run.get_picks("ribosome")[0].store,
        run.get_picks("ribosome")[0].delete,
        run.delete,
        spacing.delete,
    )
    for change in changes:
        with pytest.raises(PermissionError):
            change()
    assert content(tmp_path / "sample") == before
    spacing.new_tomogram("mine").from_numpy(np.zeros((4, 4, 4), dtype="float32"))
    run.new_picks("ribo", "mine", "me").from_numpy(np.array([[9.0, 9.0, 9.0]]))
    assert content(tmp_path / "sample").items() >= before.items()


UNUSUAL = (
    "./ExperimentRuns",
    "x/../ExperimentRuns",
    "/ExperimentRuns",
    "local://{root}/ExperimentRuns",
    "file:///{root}/ExperimentRuns",
)


@pytest.mark.parametrize("written", UNUSUAL)
def test_a_row_is_known_however_its_place_is_written(project: Path, written: str) -> None:
    urls = {kind: url.replace("ExperimentRuns", written.format(root=project)) for kind, url in URLS.items()}
    root = from_croissant(str(write_rows(project, urls, renamed=True)))
    run = root.new_run("ts")
    before = content(project / "ExperimentRuns")
    with pytest.raises(PermissionError, match="another row of tomograms"):
        run.new_voxel_spacing(10.0).new_tomogram("wbp")
    with pytest.raises(PermissionError, match="another row of picks"):
        run.new_picks("ribosome", "s1", "ann")
    with pytest.raises(PermissionError, match="cannot be deleted"):
        run.delete()
    assert content(project / "ExperimentRuns") == before


def test_a_link_to_the_data_of_a_row_is_no_place_to_save(project: Path) -> None:
    (project / "ExperimentRuns/ts/VoxelSpacing10.000/new.zarr").symlink_to("wbp.zarr")
    (run,) = from_croissant(str(write_rows(project))).runs
    before = content(project / "ExperimentRuns")
    with pytest.raises(PermissionError, match="another row of tomograms"):
        run.voxel_spacings[0].new_tomogram("new").from_numpy(np.zeros((4, 4, 4), dtype="float32"))
    assert content(project / "ExperimentRuns") == before


@pytest.mark.parametrize("overlay", [False, True], ids=["mode A", "mode B"])
def test_a_run_whose_name_leads_out_of_the_project_is_neither_saved_nor_deleted(project: Path, overlay: bool) -> None:
    rows = {**rows_of(URLS, renamed=False), "runs": {"name": ["ts", "../../precious"]}}
    manifest = write_croissant(project, rows)
    precious = project.parent / "precious"
    precious.mkdir()
    (precious / "data").write_text("mine")
    root = from_croissant(str(manifest), **({"overlay_root": str(project.parent / "overlay")} if overlay else {}))
    run = root.get_run("../../precious")
    changes = (
        run.delete,
        lambda: run.new_picks("ribosome", "s1", "me"),
        lambda: run.new_segmentation(10.0, "membrane", "s1", user_id="me"),
        lambda: run.new_voxel_spacing(7.0),
        lambda: root.new_run("../../other"),
    )
    for change in changes:
        with pytest.raises(PermissionError, match="leads out of the project"):
            change()
    assert content(precious) == {str(precious / "data"): b"mine"}
    assert not (project.parent / "other").exists()


@pytest.mark.parametrize("name", ["NA", "null", "None", "n/a", "<NA>", "True"])
def test_split_names_that_readers_take_for_nothing_are_refused(tmp_path: Path, name: str) -> None:
    root = opened(tmp_path, "  - {export: lab}\n")
    before = content(tmp_path / "sample" / "Croissant")
    with pytest.raises(ValueError, match="copick cannot open"):
        root.set_splits({name: ["TS_001"]})
    assert content(tmp_path / "sample" / "Croissant") == before
    recipe = HEAD + f"  - {{export: lab}}\nsplits: {{assign: {{'{name}': TS_001}}}}\n"
    (tmp_path / "split.yaml").write_text(recipe, encoding="utf-8")
    with pytest.raises(ValueError, match="CR210"):
        load_recipe(tmp_path / "split.yaml")
