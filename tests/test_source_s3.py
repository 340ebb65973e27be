"""Sources on a real S3 server on loopback: the rows are those of a disk, and credentials are in the requests only."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest
import s3fs
from croissants import write_croissant
from projects import Project, random_spec, write_project
from servers import KEY, SECRET, S3Server, s3_server
from source_layers import layer

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.language.source_kinds import CopickSource
from croissant_recipes.language.source_kinds import CroissantSource as CroissantSpec
from croissant_recipes.location import Location
from croissant_recipes.progress import Silent
from croissant_recipes.sources import fact_cache
from croissant_recipes.sources.base import Inventory, Means, Root, Source
from croissant_recipes.sources.copick_source import open_copick
from croissant_recipes.sources.croissant_source import CroissantSource
from croissant_recipes.work import Workers

BUCKET = "lab"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Project:
    """A project with two roots on a disk and, the same, in the bucket."""
    spec = next(s for s in map(random_spec, map(random.Random, range(50))) if s.two_roots and s.runs[0].picks)
    project = write_project(tmp_path_factory.mktemp("project"), spec)
    assert project.overlay
    bad = project.root / "ExperimentRuns" / spec.runs[0].name / "Picks" / "bad.json"
    bad.parent.mkdir(exist_ok=True)
    bad.write_text("{}")
    s3.filesystem().put(str(project.root), f"{BUCKET}/static", recursive=True)
    s3.filesystem().put(str(project.overlay), f"{BUCKET}/overlay", recursive=True)
    # What a browser of the bucket leaves when a folder is made with it.
    s3.filesystem().pipe_file(f"{BUCKET}/static/ExperimentRuns/", b"")
    return project


@pytest.fixture
def config(tmp_path: Path, project: Project, s3: S3Server) -> Path:
    values = json.loads(project.config.read_text())
    values |= {"static_root": f"s3://{BUCKET}/static/", "static_fs_args": s3.fs_args}
    values |= {"overlay_root": f"s3://{BUCKET}/overlay", "overlay_fs_args": s3.fs_args}
    path = tmp_path / "s3.json"
    path.write_text(json.dumps(values))
    return path


def opened(config: Path, workers: Workers | None = None) -> Source:
    return open_copick("lab", CopickSource(config=str(config)), Means(Path("/"), workers or Workers(8)))


def scanned(source: Source) -> Inventory:
    return source.scan([layer()], Silent())[0]


def files(inventory: Inventory) -> list[tuple[str, str]]:
    both = [inventory.table(a)[["root", "path"]] for a in ("picks", "meshes")]
    return [tuple(row) for row in pd.concat(both).itertuples(index=False, name=None)]


def everything_said(inventory: Inventory) -> str:
    rows = [table.to_csv() for table in inventory.tables.values()]
    return "\n".join([*rows, repr(inventory.roots), *map(str, inventory.diagnostics), repr(inventory.objects)])


def test_a_project_is_the_same_as_on_a_disk(project: Project, config: Path) -> None:
    local, remote = scanned(opened(project.config)), scanned(opened(config))
    assert sum(map(len, local.tables.values())) > 20
    for artifact, table in local.tables.items():
        pd.testing.assert_frame_equal(table, remote.tables[artifact])
    assert remote.roots == {
        "static": Root(Location.parse(f"s3://{BUCKET}/static"), primary=True, reads_files=True),
        "overlay": Root(Location.parse(f"s3://{BUCKET}/overlay"), primary=False, reads_files=True),
    }
    (problem,) = remote.diagnostics
    assert problem.message.startswith(f"source 'lab': s3://{BUCKET}/static/ExperimentRuns/")


def test_files_say_the_same_as_on_a_disk(project: Project, config: Path) -> None:
    local, remote = opened(project.config), opened(config)
    asked = files(scanned(local))
    assert files(scanned(remote)) == asked
    one = local.read_files(asked, sha256=True, progress=Silent())
    other = remote.read_files(asked, sha256=True, progress=Silent())
    assert {k: repr(v) for k, v in one.items()} == {k: repr(v) for k, v in other.items()}
    assert all(v.sha256 for v in one.values())


def test_other_processes_list_and_read_the_same(config: Path) -> None:
    one, other = opened(config), opened(config)
    expected = scanned(one)
    facts = one.read_files(files(expected), sha256=True, progress=Silent())
    fact_cache.cache_directory().joinpath("facts-2.sqlite3").unlink()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        elsewhere = opened(config, Workers(4, pool))
        found = scanned(elsewhere)
        read = elsewhere.read_files(files(found), sha256=True, progress=Silent())
    assert repr(read) == repr(facts)
    assert everything_said(found) == everything_said(expected)
    # What other processes read is kept here: nothing is read again.
    scanned(other)
    assert repr(other.read_files(files(found), sha256=True, progress=Silent())) == repr(facts)


def test_an_unchanged_object_is_not_read_again(config: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> dict[Any, Any]:
        source = opened(config)
        asked = files(scanned(source))
        return dict(source.read_files(asked, sha256=True, progress=Silent()))

    opens: list[str] = []
    real = s3fs.S3FileSystem.open
    monkeypatch.setattr(
        s3fs.S3FileSystem, "open", lambda fs, path, *a, **k: (opens.append(path), real(fs, path, *a, **k))[1]
    )
    first = read()
    assert len(opens) == len(first)
    opens.clear()
    assert {k: repr(v) for k, v in read().items()} == {k: repr(v) for k, v in first.items()}
    assert opens == []

    (root, path), before = next((k, v) for k, v in first.items() if k[1].endswith(".json"))
    where = f"{BUCKET}/{root}/{path}"
    content = s3.filesystem().cat_file(where)
    changed = content.replace(b'"unit": "angstrom"', b'"unit": "Angstrom"')
    assert len(changed) == len(content) and changed != content  # noqa: PT018 - both are about the one rewrite
    try:
        s3.filesystem().pipe_file(where, changed)
        after = read()
        assert opens == [where]
        assert after[root, path].sha256 != before.sha256
    finally:
        s3.filesystem().pipe_file(where, content)


def test_an_object_that_changed_since_it_was_listed_is_not_taken_for_the_listed_one(config: Path, s3: S3Server) -> None:
    source = opened(config)
    (root, path), *_ = files(scanned(source))
    where = f"{BUCKET}/{root}/{path}"
    content = s3.filesystem().cat_file(where)
    try:
        s3.filesystem().pipe_file(where, content + b" ")
        source.read_files([(root, path)], sha256=True, progress=Silent())
    finally:
        s3.filesystem().pipe_file(where, content)
    again = opened(config)
    scanned(again)
    found = again.read_files([(root, path)], sha256=True, progress=Silent())[root, path]
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_credentials_are_in_nothing_that_is_told(config: Path, project: Project) -> None:
    source = opened(config)
    inventory = scanned(source)
    asked = [*files(inventory), ("static", "Picks/none.json")]
    found = source.read_files(asked, sha256=True, progress=Silent())
    said = everything_said(inventory) + repr(source) + repr(found)
    assert found["static", "Picks/none.json"].problem == "there is no such file or folder"
    assert SECRET not in said
    assert KEY not in said


@pytest.mark.parametrize("root", ["static", "overlay"])
def test_a_bucket_that_is_not_there(config: Path, root: str) -> None:
    values = json.loads(config.read_text())
    values[f"{root}_root"] = "s3://nobodys/project"
    config.write_text(json.dumps(values))
    if root == "overlay":
        # Like a folder that is not there: it is made when something is written.
        assert len(scanned(opened(config)).table("runs"))
        return
    with pytest.raises(DiagnosticError) as caught:
        scanned(opened(config))
    (found,) = caught.value.diagnostics
    assert found.code is Code.UNREACHABLE
    assert "s3://nobodys/project" in found.message
    assert SECRET not in str(found)


def test_a_server_that_is_not_there(config: Path) -> None:
    values = json.loads(config.read_text())
    values["static_fs_args"]["client_kwargs"]["endpoint_url"] = "http://127.0.0.1:9"
    values["static_fs_args"]["config_kwargs"] = {"retries": {"max_attempts": 0}, "connect_timeout": 1}
    values["static_root"] = f"s3://{KEY}:{SECRET}@lab/static"
    config.write_text(json.dumps(values))
    with pytest.raises(DiagnosticError) as caught:
        scanned(opened(config))
    (found,) = caught.value.diagnostics
    assert found.code is Code.UNREACHABLE
    assert found.message.startswith(f"source 'lab': s3://{BUCKET}/static cannot be read: ")
    assert SECRET not in str(found)
    assert KEY not in str(found)
    assert SECRET not in repr(caught.value.__cause__)


ROWS = {
    "runs": {"name": ["TS_001"]},
    "meshes": {
        "run": ["TS_001"],
        "user_id": ["alice"],
        "session_id": ["1"],
        "object_name": ["ribosome"],
        "url": ["ExperimentRuns/TS_001/Meshes/alice_1_ribosome.glb"],
        "sha256": ["a" * 64],
    },
}


def croissant(s3: S3Server, url: str) -> CroissantSource:
    return CroissantSource("old", CroissantSpec(url=url, fs_args=s3.fs_args), Means(Path("/"), Workers(4)))


def test_a_croissant_in_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    write_croissant(tmp_path, ROWS)
    s3.filesystem().put(str(tmp_path / "Croissant"), f"{BUCKET}/old/Croissant", recursive=True)
    inventory = scanned(croissant(s3, f"s3://{BUCKET}/old/Croissant/metadata.json"))
    assert inventory.roots == {"croissant": Root(Location.parse(f"s3://{BUCKET}/old"), base_url=f"s3://{BUCKET}/old")}
    assert len(inventory.table("meshes")) == 1
    assert SECRET not in everything_said(inventory)


def test_a_croissant_that_a_build_is_committing_is_read_in_its_new_version(s3: S3Server, tmp_path: Path) -> None:
    from croissant_recipes.journal import Journal

    write_croissant(tmp_path / "old", ROWS)
    new = {**ROWS, "runs": {"name": ["TS_001", "TS_002"]}}
    write_croissant(tmp_path / "new", new)
    fs = s3.filesystem()
    fs.put(str(tmp_path / "old" / "Croissant"), f"{BUCKET}/half/Croissant", recursive=True)
    staged = {p.name: p.read_bytes() for p in (tmp_path / "new" / "Croissant").iterdir()}
    for name, data in staged.items():
        fs.pipe_file(f"{BUCKET}/half/Croissant/.staged/{name}", data)
    # Half of it: runs.csv is new, its metadata.json old.
    fs.pipe_file(f"{BUCKET}/half/Croissant/runs.csv", staged["runs.csv"])
    url = f"s3://{BUCKET}/half/Croissant/metadata.json"
    with pytest.raises(DiagnosticError, match=r"runs\.csv does not match its metadata\.json"):
        scanned(croissant(s3, url))
    fs.pipe_file(f"{BUCKET}/half/Croissant/.staged/journal.json", Journal.of(staged, ()).to_bytes())
    assert list(scanned(croissant(s3, url)).table("runs")["name"]) == ["TS_001", "TS_002"]


def test_listings_are_not_remembered_between_scans(config: Path, s3: S3Server) -> None:
    before = scanned(opened(config))
    where = f"{BUCKET}/overlay/ExperimentRuns/another/Picks/alice_1_x.json"
    s3.filesystem().pipe_file(where, b"{}")
    try:
        assert len(scanned(opened(config)).table("runs")) == len(before.table("runs")) + 1
    finally:
        fsspec.filesystem("s3", **s3.fs_args).rm(where)
