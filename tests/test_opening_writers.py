"""Several roots save to one Croissant: what each saves stays, and the manifest describes what is there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import copick
import pytest
from opened_projects import POINTS, project_copy, write_rows
from servers import S3Server, s3_server

from croissant_recipes import from_croissant
from croissant_recipes.opening.shared_folder import SharedFolder

project = project_copy


@pytest.fixture
def manifest(project: Path) -> Path:
    return write_rows(project)


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


def save(root: Any, session: str) -> None:
    root.get_run("ts").new_picks("ribosome", session, "me").from_numpy(POINTS)


def split(root: Any) -> None:
    root.get_run("ts").split = "test"


def sessions(root: Any) -> set[str]:
    return {picks.session_id for picks in root.get_run("ts").picks}


def files(manifest: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in manifest.parent.iterdir()}


def test_what_two_roots_save_in_turn_stays(manifest: Path) -> None:
    one, other = from_croissant(str(manifest)), from_croissant(str(manifest))
    save(one, "a")
    save(other, "b")
    split(one)
    other.get_run("ts").get_picks(session_id="s1")[0].delete()
    for opened in (from_croissant, copick.from_croissant):
        root = opened(str(manifest))
        assert (sessions(root), root.splits) == ({"a", "b"}, {"test": ["ts"]})
    other.refresh()
    assert sessions(other) == {"a", "b"}


def test_a_batch_is_written_into_what_is_there_at_its_end(manifest: Path) -> None:
    one, other = from_croissant(str(manifest)), from_croissant(str(manifest))
    with one.batch():
        save(one, "a")
        split(one)
        save(other, "b")
    again = from_croissant(str(manifest))
    assert (sessions(again), again.splits) == ({"s1", "a", "b"}, {"test": ["ts"]})


def test_many_roots_save_at_once(manifest: Path) -> None:
    def work(worker: int) -> None:
        root = from_croissant(str(manifest))
        for i in range(4):
            save(root, f"{worker}-{i}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert sessions(from_croissant(str(manifest))) == {"s1", *(f"{w}-{i}" for w in range(4) for i in range(4))}
    assert not [name for name in files(manifest) if name.endswith(".tmp")]


def test_what_is_saved_while_a_build_swaps_the_folder_is_saved_in_the_new_one(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a folder can be locked, the build waits; some network file systems lock none."""
    root = from_croissant(str(manifest))
    written = SharedFolder.write
    swaps = iter([True])

    def swapped_meanwhile(self: SharedFolder, made: dict[str, bytes]) -> None:
        if next(swaps, False):
            new, old = (manifest.parent.with_name(name) for name in ("new", "old"))
            shutil.copytree(manifest.parent, new)
            (new / "note.txt").write_bytes(b"new")
            manifest.parent.rename(old)
            new.rename(manifest.parent)
            shutil.rmtree(old)
        written(self, made)

    monkeypatch.setattr(SharedFolder, "write", swapped_meanwhile)
    save(root, "a")
    assert next(swaps, None) is None
    assert sessions(from_croissant(str(manifest))) == {"s1", "a"}
    assert files(manifest)["note.txt"] == b"new"


def _no_manifest(root: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root.index.doc["odd"] = object()


def _no_space(root: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("fail", [_no_manifest, _no_space])
def test_what_cannot_be_written_changes_nothing_and_is_written_later(manifest: Path, fail: Callable[..., None]) -> None:
    root = from_croissant(str(manifest))
    before = files(manifest)
    with pytest.MonkeyPatch.context() as monkeypatch:
        fail(root, monkeypatch)
        with pytest.raises((TypeError, OSError)):
            save(root, "a")
        with pytest.raises((TypeError, OSError)):
            split(root)
        assert files(manifest) == before
        assert root.get_run("ts").split is None
        root.index.doc.pop("odd", None)
    save(root, "b")
    again = from_croissant(str(manifest))
    assert (sessions(again), again.splits) == ({"s1", "a", "b"}, {})


def test_a_croissant_that_cannot_be_read_any_more_is_not_written_over(manifest: Path) -> None:
    root = from_croissant(str(manifest))
    manifest.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        save(root, "a")
    assert manifest.read_text() == "{"


def test_two_roots_save_to_s3(project: Path, s3: S3Server) -> None:
    s3.make_bucket("lab")
    manifest = write_rows(project, base_url="s3://lab")
    fs = s3.filesystem()
    fs.put(f"{project}/", "lab/", recursive=True)
    arguments = {"croissant_fs_args": s3.fs_args, "static_fs_args": s3.fs_args}
    url = f"s3://lab/{manifest.relative_to(project)}"
    one, other = from_croissant(url, **arguments), from_croissant(url, **arguments)
    save(one, "a")
    split(other)
    save(other, "b")
    again = from_croissant(url, **arguments)
    assert (sessions(again), again.splits) == ({"s1", "a", "b"}, {"test": ["ts"]})
    document = json.loads(s3.objects("lab")["Croissant/metadata.json"])
    assert "copick/splits" in {record_set["@id"] for record_set in document["recordSet"]}
