"""Nothing is saved over, or deleted with, the data of another row: after a rename a name is free, its file is not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from croissant_recipes import build, from_croissant, load_recipe

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
