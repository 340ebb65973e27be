"""Opening what is not on this machine: web servers, S3, the portal's bucket, memory; and who is told which secret."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from opened_projects import (
    POINTS,
    URLS,
    VOLUME,
    artifacts,
    assert_everything_opens,
    project_copy,
    urls_below,
    write_rows,
)
from servers import S3Server, s3_server, web_server

from croissant_recipes import from_croissant
from croissant_recipes.location import Location
from croissant_recipes.opening.row_places import RowPlaces

PORTAL = "s3://cryoet-data-portal-public"
project = project_copy


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


def upload(server: S3Server, bucket: str, folder: Path) -> None:
    if bucket not in {b.rstrip("/") for b in server.filesystem().ls("")}:
        server.make_public(bucket) if bucket in PORTAL else server.make_bucket(bucket)
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    server.replace(bucket, "", files)


@pytest.mark.parametrize("renamed", [False, True], ids=["own names", "renamed"])
@pytest.mark.parametrize("overlay", [False, True], ids=["mode A", "mode B"])
def test_everything_opens_from_a_web_server(project: Path, tmp_path: Path, overlay: bool, renamed: bool) -> None:
    write_rows(project, renamed=renamed)
    with web_server(project) as url:
        arguments = {"overlay_root": str(tmp_path / "overlay")} if overlay else {}
        root = from_croissant(f"{url}/Croissant/metadata.json", **arguments)
        assert root.index.base_url == url
        assert_everything_opens(root)
        if not overlay:
            with pytest.raises(PermissionError, match="overlay_root"):
                artifacts(root)["tomograms"].from_numpy(VOLUME)
            with pytest.raises(PermissionError, match="overlay_root"):
                root.runs[0].new_picks("ribosome", "s9", "me")
            assert len(root.runs[0].picks) == 1
            with pytest.raises(PermissionError, match="cannot be written to"):
                root.set_splits({"train": [root.runs[0].name]})


def test_a_web_servers_rows_under_a_croissant_on_disk(project: Path, tmp_path: Path) -> None:
    with web_server(project) as url:
        manifest = write_rows(tmp_path / "built", urls_below(url), renamed=True)
        assert_everything_opens(from_croissant(str(manifest)))


def test_names_are_percent_encoded_for_a_web_server(project: Path) -> None:
    name = "grid 2 (pos#5)%41?"
    shutil.move(project / "ExperimentRuns/ts", project / "ExperimentRuns" / name)
    write_rows(project, {kind: url.replace("/ts/", f"/{name}/") for kind, url in URLS.items()})
    with web_server(project) as url:
        assert_everything_opens(from_croissant(f"{url}/Croissant/metadata.json"))


@pytest.mark.parametrize("renamed", [False, True], ids=["own names", "renamed"])
def test_everything_opens_from_s3(s3: S3Server, project: Path, tmp_path: Path, renamed: bool) -> None:
    write_rows(project, renamed=renamed)
    upload(s3, "lab", project)
    before = s3.objects("lab")
    arguments = {"croissant_fs_args": s3.fs_args, "static_fs_args": s3.fs_args}
    for overlay in (None, str(tmp_path / "overlay")):
        root = from_croissant("s3://lab/Croissant/metadata.json", overlay_root=overlay, **arguments)
        assert_everything_opens(root)
    assert s3.objects("lab") == before
    shutil.rmtree(tmp_path / "overlay", ignore_errors=True)


def test_what_is_new_is_saved_to_s3(s3: S3Server, project: Path) -> None:
    write_rows(project)
    upload(s3, "lab", project)
    arguments = {"croissant_fs_args": s3.fs_args, "static_fs_args": s3.fs_args}
    root = from_croissant("s3://lab/Croissant/metadata.json", **arguments)
    spacing = root.new_run("new").new_voxel_spacing(8.0)
    spacing.new_tomogram("wbp").from_numpy(VOLUME, levels=1)
    again = from_croissant("s3://lab/Croissant/metadata.json", **arguments)
    found = again.get_run("new").get_voxel_spacing(8.0).get_tomograms("wbp")
    np.testing.assert_array_equal(found[0].numpy(), VOLUME)


def test_the_portals_bucket_is_read_without_credentials(
    s3: S3Server, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(s3, PORTAL.removeprefix("s3://"), project)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    rows = {"one base": (URLS, f"{PORTAL}/"), "rows of their own": (urls_below(PORTAL), None)}
    for way, (urls, base_url) in rows.items():
        manifest = write_rows(tmp_path / way, urls, renamed=True, base_url=base_url)
        root = from_croissant(str(manifest))
        assert_everything_opens(root)
    manifest = tmp_path / "one base/Croissant/metadata.json"
    root = from_croissant(str(manifest))
    with pytest.raises(PermissionError, match=r"read-only.*overlay_root"):
        root.new_run("new")
    assert [run.name for run in root.runs] == ["grid"]
    overlaid = from_croissant(str(manifest), overlay_root=str(tmp_path / "overlay"))
    overlaid.runs[0].new_picks("ribosome", "mine", "me").from_numpy(POINTS)
    overlaid.runs[0].new_segmentation(10.0, "membrane", "mine", user_id="me").from_numpy(VOLUME > 3)
    again = from_croissant(str(manifest), overlay_root=str(tmp_path / "overlay")).runs[0]
    assert again.get_segmentations(session_id="mine")[0].numpy().sum() == 60


@pytest.fixture
def memory() -> Any:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.rm("/", recursive=True)


@pytest.mark.parametrize("url", ["memory:///lab/Croissant/metadata.json", "memory://lab/Croissant/metadata.json"])
def test_urls_without_an_authority_keep_their_slashes(memory: Any, project: Path, url: str) -> None:
    write_rows(project, renamed=True)
    memory.put(str(project), "/lab", recursive=True)
    root = from_croissant(url)
    assert root.index.base_url == url.removesuffix("/Croissant/metadata.json")
    assert_everything_opens(root)


def test_a_local_url_keeps_its_slashes(project: Path) -> None:
    manifest = write_rows(project)
    root = from_croissant(f"local://{manifest}")
    assert root.index.base_url == f"local://{project}"
    assert_everything_opens(root)


KEYS = {"key": "k", "secret": "s"}
MEANT = {
    # base URL, row, what is given, what its filesystem is told
    "the base": ("s3://lab/x", "s3://lab/x/a.zarr", KEYS, KEYS),
    "another bucket": ("s3://lab", "s3://other/a.zarr", KEYS, KEYS),
    "not a web server": ("s3://lab", "https://example.org/a.zarr", KEYS, {}),
    "not this machine": ("s3://lab", "file:///data/a.zarr", KEYS, {}),
    "not another host": ("https://lab.org", "https://example.org/a.zarr", {"headers": {"x": "y"}}, {}),
    "the same host": ("https://lab.org/x", "https://lab.org/a.zarr", {"headers": {"x": "y"}}, {"headers": {"x": "y"}}),
    "stores of a local project": ("/data/lab", "s3://lab/a.zarr", KEYS, KEYS),
    "no web server of a local project": ("/data/lab", "https://example.org/a.zarr", KEYS, {}),
    "the portal": (PORTAL, f"{PORTAL}/a.zarr", {}, {"anon": True}),
    "the portal beside another bucket": ("s3://lab", f"{PORTAL}/a.zarr", {}, {"anon": True}),
    "the portal, as someone": (PORTAL, f"{PORTAL}/a.zarr", KEYS, KEYS),
    "the portal, with a profile": (PORTAL, f"{PORTAL}/a.zarr", {"profile": "p"}, {"profile": "p"}),
    "the portal, with credentials": (PORTAL, f"{PORTAL}/a.zarr", {"anon": False}, {"anon": False}),
    "the portal, elsewhere": (
        PORTAL,
        f"{PORTAL}/a.zarr",
        {"client_kwargs": {"endpoint_url": "http://127.0.0.1"}},
        {"client_kwargs": {"endpoint_url": "http://127.0.0.1"}},
    ),
    "the portal, with something else": (PORTAL, f"{PORTAL}/a", {"use_ssl": True}, {"use_ssl": True, "anon": True}),
}


@pytest.mark.parametrize("case", MEANT)
def test_arguments_are_told_to_those_they_are_meant_for(case: str) -> None:
    base, url, given, told = MEANT[case]
    assert RowPlaces(base, given).arguments(Location.parse(url)) == told


def test_a_croissant_that_is_not_there_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        from_croissant(str(tmp_path / "metadata.json"))
    (tmp_path / "metadata.json").write_text(json.dumps({"name": "no Croissant"}))
    with pytest.raises(ValueError, match="copick:config"):
        from_croissant(str(tmp_path / "metadata.json"))
