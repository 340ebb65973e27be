"""Facts of picks and mesh files, and the cache that keeps unchanged files from being read again."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from croissant_recipes.location import Location
from croissant_recipes.progress import Silent
from croissant_recipes.sources import fact_cache, file_facts, picks_head
from croissant_recipes.sources.base import FileFacts
from croissant_recipes.sources.file_facts import FileReader, FileRoot
from croissant_recipes.work import Workers

PICKS = "Picks/alice_1_ribosome.json"
MESH = "Meshes/alice_1_membrane.glb"
MINUTE_NS = 60 * 10**9


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "facts-2.sqlite3"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened to be read."""
    opened: list[str] = []
    real = file_facts.read_stamped

    def read_stamped(path: str) -> tuple[bytes, str | None]:
        opened.append(os.path.basename(path))
        return real(path)

    monkeypatch.setattr(file_facts, "read_stamped", read_stamped)
    return opened


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made by the test have long been at rest."""
    now = time.time_ns
    monkeypatch.setattr(file_facts.time, "time_ns", lambda: now() + MINUTE_NS)


def put(root: Path, path: str, content: str | bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    put(folder, PICKS, json.dumps({"voxel_spacing": 10.012, "points": []}))
    put(folder, MESH, b"glTF")
    return folder


def read(root: Path, *paths: str, sha256: bool = True) -> Mapping[str, FileFacts]:
    reader = FileReader({"overlay": FileRoot(Location.parse(root))}, Workers(4))
    found = reader.read([("overlay", p) for p in paths], sha256=sha256, progress=Silent())
    return {path: each for (_, path), each in found.items()}


def digest(root: Path, path: str) -> str:
    return hashlib.sha256((root / path).read_bytes()).hexdigest()


# What files say


def test_picks_have_a_digest_and_a_voxel_size_and_meshes_a_digest(root: Path) -> None:
    found = read(root, PICKS, MESH)
    assert found[PICKS] == FileFacts(digest(root, PICKS), 10.012)
    assert found[MESH].sha256 == digest(root, MESH)
    assert math.isnan(found[MESH].voxel_size)


def test_without_digests_only_the_heads_of_picks_are_read(root: Path, reads: list[str]) -> None:
    put(root, "Picks/portal.ndjson", '{"type": "point"}')
    long = json.dumps({"voxel_spacing": 7.5, "points": [[0, 0, 0]] * 1000}, indent=4)
    put(root, "Picks/long.json", long)
    put(root, "Picks/cut.json", long[:-1])
    found = read(root, PICKS, MESH, "Picks/portal.ndjson", "Picks/long.json", "Picks/cut.json", sha256=False)
    assert found[PICKS] == FileFacts("", 10.012)
    assert found["Picks/long.json"] == FileFacts("", 7.5)
    assert all(found[p].sha256 == "" and math.isnan(found[p].voxel_size) for p in (MESH, "Picks/portal.ndjson"))
    # Only what the head cannot tell is read whole.
    assert reads == ["cut.json"]
    assert found["Picks/cut.json"].problem.startswith("it is not JSON")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ('{"voxel_spacing": 10.0, "points": []}', 10.0),
        ('{\n  "unit": "angstrom", "n": -1.5e3, "t": true, "voxel_spacing": null,\n "points": []}\n', math.nan),
        ('{"points": [], "voxel_spacing": 10.0}', None),
        ('{"note": "a \\"quoted\\" text", "voxel_spacing": 10.0, "points": []}', None),
        ('{"voxel_spacing": 10.0, "points": [], "voxel_spacing": 20.0}', None),
        ('{"inner": {"voxel_spacing": 10.0, "points": []}}', None),
        ('{"voxel_spacing": 10.0, "points": [', None),
        ('[{"voxel_spacing": 10.0, "points": []}]', None),
    ],
)
def test_the_head_tells_only_what_parsing_would(text: str, size: float | None) -> None:
    found = picks_head.stated_voxel_size(text.encode())
    assert found is None if size is None else found == size or (math.isnan(found) and math.isnan(size))


def test_ndjson_has_no_voxel_size_and_is_no_broken_json(root: Path) -> None:
    put(root, "Picks/portal.ndjson", '{"a": 1}\n{"a": 2}\n')
    found = read(root, "Picks/portal.ndjson")["Picks/portal.ndjson"]
    assert (found.sha256, found.problem) == (digest(root, "Picks/portal.ndjson"), "")
    assert math.isnan(found.voxel_size)


@pytest.mark.parametrize(
    ("content", "voxel_size"),
    [
        ('{"voxel_spacing": 10}', 10.0),
        ('{"voxel_spacing": "7.84"}', 7.84),
        ('{"voxel_spacing": null}', math.nan),
        ('{"points": [{"voxel_spacing": 5}]}', math.nan),
        ('{"voxel_spacing": 5.0, "points": [{"score": NaN}]}', 5.0),
        ('{"voxel_spacing": 5.0, "run_name": "\\ud800"}', 5.0),
    ],
)
def test_the_voxel_size_is_what_copick_reads(root: Path, content: str, voxel_size: float) -> None:
    from copick.models import CopickPicksFile

    put(root, PICKS, content)
    found = read(root, PICKS)[PICKS]
    assert found.problem == ""
    assert found.voxel_size == voxel_size or (math.isnan(found.voxel_size) and math.isnan(voxel_size))
    spacing = json.loads(content).get("voxel_spacing")
    loaded = CopickPicksFile(pickable_object_name="o", user_id="u", session_id="s", voxel_spacing=spacing)
    assert loaded.voxel_spacing == voxel_size or (loaded.voxel_spacing is None and math.isnan(voxel_size))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"voxel_spacing": 10', "it is not JSON: unexpected end of data: line 1 column 21 (char 20)"),
        ("", "it is not JSON: Input is a zero-length, empty document: line 1 column 1 (char 0)"),
        ("[1]", "it is no JSON object"),
        ('{"voxel_spacing": "ten"}', "its voxel_spacing 'ten' is no voxel size"),
        ('{"voxel_spacing": 0}', "its voxel_spacing 0.0 is no voxel size"),
        ('{"voxel_spacing": [10]}', "its voxel_spacing [10] is no voxel size"),
        ('{"voxel_spacing": Infinity}', "its voxel_spacing inf is no voxel size"),
    ],
)
def test_picks_that_cannot_be_read_are_a_problem_each_time(root: Path, later: None, content: str, problem: str) -> None:
    put(root, PICKS, content)
    for _ in range(2):
        found = read(root, PICKS, MESH)
        assert found[PICKS].problem == problem
        assert math.isnan(found[PICKS].voxel_size)
        assert not found[MESH].problem


def test_a_missing_file_and_a_folder_are_problems(root: Path) -> None:
    (root / "Meshes/x_1_y.glb").mkdir()
    found = read(root, "Picks/gone_1_x.json", "Meshes/x_1_y.glb")
    assert [f.problem for f in found.values()] == ["No such file or directory", "Is a directory"]


def test_a_file_asked_for_twice_is_read_once(root: Path, reads: list[str]) -> None:
    read(root, PICKS, PICKS)
    assert reads == ["alice_1_ribosome.json"]


def test_many_files_are_all_read(tmp_path: Path, reads: list[str]) -> None:
    paths = [f"Picks/u_{n}_o.json" for n in range(300)]
    for n, path in enumerate(paths):
        put(tmp_path, path, json.dumps({"voxel_spacing": n + 1}))
    found = read(tmp_path, *paths)
    assert [found[p].voxel_size for p in paths] == [n + 1.0 for n in range(300)]
    assert len(reads) == 300


# The cache


def test_an_unchanged_file_is_not_read_again(root: Path, reads: list[str], later: None) -> None:
    first = read(root, PICKS, MESH)
    reads.clear()
    second = read(root, PICKS, MESH)
    assert reads == []
    assert first[PICKS] == second[PICKS]
    assert (first[MESH].sha256, math.isnan(second[MESH].voxel_size)) == (second[MESH].sha256, True)
    assert read(root, PICKS, sha256=False)[PICKS] == FileFacts("", 10.012)
    assert reads == []


def test_touching_a_file_reads_that_file_again(root: Path, reads: list[str], later: None) -> None:
    read(root, PICKS, MESH)
    reads.clear()
    os.utime(root / MESH)
    read(root, PICKS, MESH)
    assert reads == ["alice_1_membrane.glb"]


def test_a_rewrite_that_restores_size_and_mtime_is_noticed(root: Path, later: None) -> None:
    read(root, PICKS)
    before = os.stat(root / PICKS)
    put(root, PICKS, json.dumps({"voxel_spacing": 20.012, "points": []}))
    os.utime(root / PICKS, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(root / PICKS)
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert read(root, PICKS)[PICKS] == FileFacts(digest(root, PICKS), 20.012)


def test_another_file_put_in_its_place_is_noticed(root: Path, later: None) -> None:
    put(root, "new.glb", b"GLTF")
    read(root, MESH)
    before = os.stat(root / MESH)
    os.utime(root / "new.glb", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(root / "new.glb", root / MESH)
    assert read(root, MESH)[MESH].sha256 == hashlib.sha256(b"GLTF").hexdigest()


def test_size_times_and_inode_tell_states_apart() -> None:
    def status(**changed: int) -> Any:
        return SimpleNamespace(**{"st_size": 1, "st_mtime_ns": 2, "st_ctime_ns": 3, "st_ino": 4} | changed)

    stamps = {fact_cache.stamp_of(status(**{field: 99})) for field in vars(status())}
    assert len(stamps | {fact_cache.stamp_of(status())}) == 5


def test_a_file_that_changed_just_now_is_never_kept(root: Path, reads: list[str]) -> None:
    for _ in range(2):
        read(root, PICKS, MESH)
    assert len(reads) == 4


@pytest.mark.parametrize(("age_s", "kept"), [(1.5, False), (2.5, True), (-3600, False)])
def test_a_file_is_kept_once_it_was_at_rest_for_two_seconds(
    root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, age_s: float, kept: bool
) -> None:
    changed = max(os.stat(root / MESH).st_mtime_ns, os.stat(root / MESH).st_ctime_ns)
    monkeypatch.setattr(file_facts.time, "time_ns", lambda: changed + int(age_s * 1e9))
    read(root, MESH)
    reads.clear()
    read(root, MESH)
    assert reads == ([] if kept else ["alice_1_membrane.glb"])


def test_a_same_size_rewrite_within_the_clock_tick_is_noticed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system whose clock is too coarse to show the change at all."""
    status = os.stat(root / PICKS)
    monkeypatch.setattr(file_facts, "stamp_of", lambda _: "always the same")
    first = read(root, PICKS)[PICKS]
    put(root, PICKS, json.dumps({"voxel_spacing": 20.012, "points": []}))
    second = read(root, PICKS)[PICKS]
    assert os.stat(root / PICKS).st_size == status.st_size
    assert (first.voxel_size, second.voxel_size) == (10.012, 20.012)
    assert second.sha256 == digest(root, PICKS)


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    root: Path, reads: list[str], later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat
    growing = iter(range(100))

    def fstat(descriptor: int) -> os.stat_result:
        os.utime(root / MESH, ns=(0, next(growing)))
        return real(descriptor)

    monkeypatch.setattr(file_facts.os, "fstat", fstat)
    for _ in range(2):
        read(root, MESH)
    assert len(reads) == 2


def test_roots_whose_names_begin_alike_are_kept_apart(tmp_path: Path, later: None, reads: list[str]) -> None:
    for name in ("a", "a0", "a-b", "a/b"):
        put(tmp_path / name, MESH, name)
        read(tmp_path / name, MESH)
    reads.clear()
    for name in ("a", "a0", "a-b", "a/b"):
        assert read(tmp_path / name, MESH)[MESH].sha256 == hashlib.sha256(name.encode()).hexdigest()
    assert reads == []


@pytest.mark.parametrize(
    "damage", ["garbage", "truncated", "empty", "another table", "a folder", "rows of another kind"]
)
def test_a_damaged_cache_is_ignored(root: Path, cache: Path, later: None, damage: str) -> None:
    expected = read(root, PICKS)
    if damage == "garbage":
        cache.write_bytes(b"this is no database" * 1000)
    elif damage == "truncated":
        cache.write_bytes(cache.read_bytes()[:5000])
    elif damage == "empty":
        cache.write_bytes(b"")
    elif damage == "a folder":
        cache.unlink()
        cache.mkdir()
    elif damage == "another table":
        cache.unlink()
        with sqlite3.connect(cache) as database:
            database.execute("CREATE TABLE facts (x)")
    else:
        with sqlite3.connect(cache) as database:
            database.execute("UPDATE facts SET sha256 = x'00', voxel_size = 'ten'")
    assert read(root, PICKS) == expected
    assert read(root, PICKS) == expected


def test_a_cache_that_is_no_database_is_replaced(root: Path, cache: Path, later: None, reads: list[str]) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"this is no database" * 1000)
    read(root, MESH)
    read(root, MESH)
    reads.clear()
    read(root, MESH)
    assert reads == []


def test_a_cache_that_cannot_be_written_is_ignored(root: Path, monkeypatch: pytest.MonkeyPatch, later: None) -> None:
    put(root, "file", "x")
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(root / "file" / "below"))
    assert read(root, PICKS)[PICKS].voxel_size == 10.012


def test_a_locked_cache_is_waited_for_a_moment_and_then_ignored(
    root: Path, cache: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_cache, "_BUSY_SECONDS", 0.05)
    read(root, PICKS)
    other = sqlite3.connect(cache)
    other.execute("BEGIN EXCLUSIVE")
    begun = time.perf_counter()
    assert read(root, PICKS)[PICKS].voxel_size == 10.012
    assert time.perf_counter() - begun < 5
    other.close()


def test_the_cache_is_in_the_users_cache_directory(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.delenv("CROISSANT_RECIPE_CACHE_DIR")
    assert fact_cache.cache_directory().is_relative_to(own_home)
    assert fact_cache.cache_directory().name == "croissant-recipes"


def _read_in_a_process(root: str, first: int, cache: str) -> bool:
    os.environ["CROISSANT_RECIPE_CACHE_DIR"] = cache
    now = time.time_ns
    file_facts.time.time_ns = lambda: now() + MINUTE_NS  # type: ignore[assignment]
    paths = [f"u_{n}_o.json" for n in range(first, first + 20)]
    for _ in range(5):
        found = read(Path(root), *paths)
        if any(found[p].voxel_size != int(p.split("_")[1]) + 1 for p in paths):
            return False
    return True


def test_several_processes_share_the_cache(tmp_path: Path, cache: Path, reads: list[str], later: None) -> None:
    for n in range(50):
        put(tmp_path / "p", f"u_{n}_o.json", json.dumps({"voxel_spacing": n + 1}))
    with multiprocessing.get_context("fork").Pool(4) as pool:
        work = [(str(tmp_path / "p"), 10 * n, str(cache.parent)) for n in range(4)]
        assert pool.starmap(_read_in_a_process, work) == [True] * 4
    read(tmp_path / "p", *(f"u_{n}_o.json" for n in range(50)))
    assert reads == []
