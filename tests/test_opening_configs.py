"""copick configs: opened by us and by copick, written by ``--emit-config``, and roots that go to other processes."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import copick
import numpy as np
import pytest
from copick.impl.filesystem import CopickRootFSSpec
from opened_projects import (
    LABELS,
    POINTS,
    URLS,
    VOLUME,
    artifacts,
    assert_everything_opens,
    content,
    project_copy,
    rows_of,
    urls_below,
    write_rows,
)

from croissant_recipes import from_croissant, from_file, from_string, tables
from croissant_recipes.location import Location
from croissant_recipes.opening.emitted_config import emit
from croissant_recipes.schema import RECORD_SETS

project = project_copy


def test_a_config_of_a_croissant_is_opened_by_url(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(project, renamed=True)
    monkeypatch.chdir(tmp_path)
    config = {"config_type": "mlcroissant", "pickable_objects": [], "croissant_url": "project/Croissant/metadata.json"}
    file = tmp_path / "copick.json"
    file.write_text(json.dumps(config))
    assert_everything_opens(from_file(str(file)))
    overlaid = from_string(json.dumps({**config, "overlay_root": "overlay"}))
    assert_everything_opens(overlaid)
    overlaid.runs[0].new_segmentation(10.0, "membrane", "mine", user_id="me").from_numpy(LABELS)
    assert (tmp_path / "overlay/ExperimentRuns/grid/Segmentations").is_dir()


def test_another_config_is_opened_by_copick(project: Path, tmp_path: Path) -> None:
    config = {"config_type": "filesystem", "pickable_objects": [], "overlay_root": f"local://{project}"}
    root = from_string(json.dumps(config))
    assert type(root) is CopickRootFSSpec
    assert [run.name for run in root.runs] == ["ts"]
    with pytest.raises(ValueError, match="Unknown config_type"):
        from_string(json.dumps({**config, "config_type": "tape"}))
    with pytest.raises(FileNotFoundError):
        from_file(str(tmp_path / "none.json"))


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"x"', "{}", '{"config_type": []}', "[" * 100_000])
def test_what_is_no_config_is_a_value_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "copick.json").write_text(text)
    with pytest.raises(ValueError, match=r"config|Expecting value"), warnings.catch_warnings(action="ignore"):
        from_file(str(tmp_path / "copick.json"))


def emitted(file: Path, manifest: Path, urls: dict[str, str], overlay: Path | None, base_url: str | None = None) -> Any:
    rows = rows_of(urls, renamed=True)
    made = {name: tables.records(name, rows.get(name)) for name in RECORD_SETS}
    place = None if overlay is None else Location.parse(overlay)
    file.write_bytes(emit(str(manifest), base_url, place, made))
    return json.loads(file.read_text())


@pytest.mark.parametrize("opened", [from_file, copick.from_file], ids=["ours", "copick's"])
def test_with_an_emitted_config_all_is_read_and_an_overlay_written(project: Path, tmp_path: Path, opened: Any) -> None:
    manifest = write_rows(project, renamed=True)
    file, overlay = tmp_path / "copick.json", tmp_path / "deep/overlay"
    emitted(file, manifest, dict(URLS), overlay)
    assert overlay.is_dir()
    root = opened(str(file))
    found = artifacts(root)
    for kind in URLS:
        assert np.asarray(content(kind, found[kind])).size, kind
    root.runs[0].new_segmentation(10.0, "membrane", "mine", user_id="me").from_numpy(LABELS)
    root.runs[0].new_picks("ribosome", "mine", "me").from_numpy(POINTS)
    again = opened(str(file)).runs[0]
    np.testing.assert_array_equal(again.get_segmentations(session_id="mine")[0].numpy(), LABELS)
    assert len(again.get_picks(session_id="mine")) == 1


ANONYMOUS = {
    "portal": ("s3://cryoet-data-portal-public/", dict(URLS), True),
    "portal rows": (None, urls_below("s3://cryoet-data-portal-public"), True),
    "disk": (None, dict(URLS), False),
    "S3": ("s3://lab", dict(URLS), False),
    "mixed": (None, {**urls_below("s3://cryoet-data-portal-public"), "picks": "s3://lab/x.json"}, False),
    "with the web": (None, {**urls_below("s3://cryoet-data-portal-public"), "picks": "https://lab.org/x.json"}, False),
    "with disk": (None, {**urls_below("s3://cryoet-data-portal-public"), "picks": URLS["picks"]}, True),
}


@pytest.mark.parametrize("case", ANONYMOUS)
def test_an_emitted_config_reads_the_portal_without_credentials(tmp_path: Path, case: str) -> None:
    base_url, urls, anonymous = ANONYMOUS[case]
    config = emitted(tmp_path / "copick.json", tmp_path / "metadata.json", urls, None, base_url)
    assert config["static_fs_args"] == ({"anon": True} if anonymous else {})
    assert (config["overlay_root"], config["overlay_fs_args"]) == (None, {})


# Other processes


def read(artifact: Any) -> Any:
    return artifact.numpy()


def count(root: Any) -> tuple[str, int]:
    return root.user_id, len(root.runs[0].picks)


def test_a_root_and_what_it_holds_go_to_other_processes(project: Path, tmp_path: Path) -> None:
    manifest = write_rows(project, renamed=True)
    root = from_croissant(str(manifest), overlay_root=str(tmp_path / "overlay"))
    root.user_id = "me"
    found = artifacts(root)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(count, root).result() == ("me", 1)
        tomogram, picks = pool.map(read, [found["tomograms"], found["picks"]])
    np.testing.assert_array_equal(tomogram, VOLUME)
    np.testing.assert_array_equal(picks[0], POINTS)


def test_every_artifact_pickles(project: Path) -> None:
    root = from_croissant(str(write_rows(project)))
    run, found = root.runs[0], artifacts(root)
    sent = pickle.dumps((root, run, run.voxel_spacings[0], found))
    again, same_run, spacing, artifacts_again = pickle.loads(sent)
    assert again is not root
    assert again is same_run.root is spacing.run.root is artifacts_again["objects"].root
    assert_everything_opens(again)
    for kind in URLS:
        np.testing.assert_array_equal(content(kind, artifacts_again[kind]), content(kind, found[kind]))
    # What was listed is listed anew, and not sent along.
    assert len(pickle.dumps(run)) < 3000


def test_a_root_from_a_pickle_sees_what_was_saved_before_it_was_made(project: Path) -> None:
    root = from_croissant(str(write_rows(project)))
    first = pickle.dumps(root)
    assert len(pickle.loads(first).runs[0].picks) == 1
    root.runs[0].new_picks("ribosome", "s2", "me").from_numpy(POINTS)
    other = pickle.loads(pickle.dumps(root))
    assert len(other.runs[0].picks) == 2
    other.user_id = "other"
    assert (root.user_id, copy.copy(root).user_id) == (None, None)
