"""Committing a Croissant on a local disk: what is replaced, what stays, who may write."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.location import Location
from croissant_recipes.stores import Output, commit, disk, locked, peek, read_existing
from croissant_recipes.stores.exchange import exchange

FILES = {"metadata.json": b"{}", "runs.csv": b"name\n1\n", "picks.csv": b"run\n1\n"}


def build(output: Output, files: dict[str, bytes], remove: tuple[str, ...] = ()) -> None:
    with locked(output, timeout=30):
        read_existing(output)
        commit(output, files, remove=remove)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def refusal(output: Output) -> DiagnosticError:
    with pytest.raises(DiagnosticError) as caught, locked(output, timeout=0):
        commit(output, FILES)
    return caught.value


def test_the_first_build_makes_the_project_root(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "root"
    build(Output(Location.parse(root)), FILES)
    assert contents(root / "Croissant") == FILES


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    root = tmp_path / "with space"
    build(Output(Location.parse(f"file://{root}")), FILES)
    assert contents(root / "Croissant") == FILES


def test_other_files_and_folders_stay_and_removed_ones_go(tmp_path: Path) -> None:
    croissant = tmp_path / "Croissant"
    (croissant / "images").mkdir(parents=True)
    (croissant / "images" / "a.png").write_bytes(b"png")
    (croissant / "README").write_bytes(b"mine")
    (croissant / "link").symlink_to("README")
    (croissant / "meshes.csv").write_bytes(b"old")
    before = (croissant / "README").stat()
    build(Output(Location.parse(tmp_path)), FILES, remove=("meshes.csv", "features.csv"))
    assert contents(croissant) == {**FILES, "README": b"mine", "link": b"mine", "images/a.png": b"png"}
    assert os.readlink(croissant / "link") == "README"
    after = (croissant / "README").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_without_hard_links_other_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "Croissant").mkdir()
    readme = tmp_path / "Croissant" / "README"
    readme.write_bytes(b"mine")
    os.utime(readme, (1, 1))
    build(Output(Location.parse(tmp_path)), FILES)
    assert readme.read_bytes() == b"mine"
    assert readme.stat().st_mtime == 1


def test_a_build_that_changes_nothing_touches_nothing(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    build(output, FILES)
    croissant = tmp_path / "Croissant"

    def stamps() -> list[tuple[str, int, int]]:
        return [(p.name, p.stat().st_ino, p.stat().st_mtime_ns) for p in [croissant, *sorted(croissant.iterdir())]]

    before = stamps()
    build(output, FILES, remove=("meshes.csv",))
    assert stamps() == before


def test_a_file_that_stays_the_same_keeps_its_time(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    build(output, FILES)
    os.utime(tmp_path / "Croissant" / "runs.csv", (1, 1))
    build(output, {**FILES, "metadata.json": b'{"new": 1}'})
    assert (tmp_path / "Croissant" / "runs.csv").stat().st_mtime == 1
    assert (tmp_path / "Croissant" / "metadata.json").read_bytes() == b'{"new": 1}'


def test_modes_follow_the_umask_and_the_directory_keeps_its_own(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    croissant = tmp_path / "Croissant"
    with umask(0o027):
        build(output, FILES)
    assert {p.stat().st_mode & 0o777 for p in croissant.iterdir()} == {0o640}
    assert croissant.stat().st_mode & 0o777 == 0o750
    croissant.chmod(0o2770)
    with umask(0o022):
        build(output, {**FILES, "metadata.json": b"new"})
    assert croissant.stat().st_mode & 0o7777 == 0o2770


def test_a_symbolic_link_at_croissant_is_followed_and_stays(tmp_path: Path) -> None:
    real = tmp_path / "disk" / "published"
    real.mkdir(parents=True)
    (real / "runs.csv").write_bytes(b"old")
    root = tmp_path / "root"
    root.mkdir()
    (root / "Croissant").symlink_to(real)
    build(Output(Location.parse(root)), FILES)
    assert (root / "Croissant").is_symlink()
    assert contents(real) == FILES
    assert sorted(os.listdir(real.parent)) == [".croissant-recipe.lock", "published"]


def test_two_roots_that_link_to_one_directory_share_its_lock(tmp_path: Path) -> None:
    (tmp_path / "disk" / "published").mkdir(parents=True)
    outputs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Croissant").symlink_to(tmp_path / "disk" / "published")
        outputs.append(Output(Location.parse(tmp_path / name)))
    with locked(outputs[0]):
        assert refusal(outputs[1]).diagnostics[0].code is Code.LOCKED


def test_existing_files_are_read_without_subfolders(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    assert peek(output) == {}
    with locked(output):
        assert read_existing(output) == {}
    (tmp_path / "Croissant" / "sub").mkdir(parents=True)
    (tmp_path / "Croissant" / "sub" / "x").write_bytes(b"x")
    (tmp_path / "Croissant" / "README").write_bytes(b"mine")
    assert peek(output) == {"README": b"mine"}
    with locked(output):
        assert read_existing(output) == {"README": b"mine"}


def test_a_look_writes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert peek(Output(Location.parse(root))) == {}
    assert not root.exists()


def test_a_look_sees_one_version_while_others_build(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    versions = [{name: bytes([letter]) * 20_000 for name in FILES} for letter in b"ab"]
    build(output, versions[0])
    stop = threading.Event()

    def keep_building() -> None:
        with locked(output):
            while not stop.is_set():
                for version in reversed(versions):
                    commit(output, version)
                    time.sleep(0.001)

    builder = threading.Thread(target=keep_building)
    builder.start()
    seen = []
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline and (len(seen) < 100 or not all(version in seen for version in versions)):
            seen.append(peek(output))
    finally:
        stop.set()
        builder.join()
    assert all(files in versions for files in seen)
    assert all(version in seen for version in versions)


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd", ".lock", ".staged", "journal.json"])
def test_a_name_that_leads_elsewhere_is_a_bug_of_the_caller(tmp_path: Path, name: str) -> None:
    output = Output(Location.parse(tmp_path))
    with locked(output), pytest.raises(ValueError, match="not names of files"):
        commit(output, {name: b""})
    assert not (tmp_path / "Croissant").exists()


def test_writing_outside_the_lock_is_a_bug_of_the_caller(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    with locked(output):
        pass
    for attempt in (lambda: commit(output, FILES), lambda: read_existing(output)):
        with pytest.raises(RuntimeError, match="outside locked"):
            attempt()


def test_a_root_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    [diagnostic] = refusal(Output(Location.parse(f"{tmp_path}/file/root"))).diagnostics
    assert diagnostic.code is Code.NOT_WRITABLE
    path = f"{tmp_path}/file/root"
    assert diagnostic.message == f"{path}/Croissant cannot be written: Not a directory ({path})"
    assert diagnostic.hint == "choose another output.project_root, or repair the path"


def test_a_file_in_the_place_of_the_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "Croissant").write_bytes(b"mine")
    [diagnostic] = refusal(Output(Location.parse(tmp_path))).diagnostics
    assert diagnostic.code is Code.NOT_WRITABLE
    assert "Not a directory" in diagnostic.message
    assert (tmp_path / "Croissant").read_bytes() == b"mine"


def test_a_folder_in_the_place_of_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "Croissant" / "runs.csv").mkdir(parents=True)
    (tmp_path / "Croissant" / "runs.csv" / "x").write_bytes(b"mine")
    [diagnostic] = refusal(Output(Location.parse(tmp_path))).diagnostics
    assert diagnostic.code is Code.NOT_WRITABLE
    assert "Is a directory" in diagnostic.message
    assert contents(tmp_path / "Croissant") == {"runs.csv/x": b"mine"}


@pytest.mark.parametrize("folder", ["", "Croissant"])
def test_a_read_only_folder_is_respected(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Croissant").mkdir()
    closed = tmp_path / folder
    if os.geteuid() == 0:  # who may write everywhere
        real = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed and real(path, mode))
        if not folder:
            pytest.skip("the superuser may write in a read-only folder")
    closed.chmod(0o555)
    try:
        [diagnostic] = refusal(Output(Location.parse(tmp_path))).diagnostics
    finally:
        closed.chmod(0o755)
    assert diagnostic.code is Code.NOT_WRITABLE
    assert "Permission denied" in diagnostic.message
    assert diagnostic.hint == "allow the build to write there, or choose another output.project_root"
    assert contents(tmp_path / "Croissant") == {}


def test_a_swap_is_one_step_or_none(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for path in (first, second):
        path.mkdir()
        (path / path.name).write_bytes(b"")
    swapped = exchange(str(first), str(second))
    assert os.listdir(first) == (["b"] if swapped else ["a"])
    assert os.listdir(second) == (["a"] if swapped else ["b"])
    if swapped:
        with pytest.raises(FileNotFoundError):
            exchange(str(first), str(tmp_path / "c"))


def test_where_two_directories_cannot_be_swapped_they_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "exchange", lambda *_: False)
    output = Output(Location.parse(tmp_path))
    build(output, FILES)
    build(output, {"metadata.json": b"new"}, remove=("picks.csv",))
    assert contents(tmp_path / "Croissant") == {"metadata.json": b"new", "runs.csv": FILES["runs.csv"]}
    assert sorted(os.listdir(tmp_path)) == [".croissant-recipe.lock", "Croissant"]


BUILDER = """
import sys
from croissant_recipes.location import Location
from croissant_recipes.stores import Output, commit, locked
output = Output(Location.parse(sys.argv[1]))
with locked(output):
    print("held", flush=True)
    sys.stdin.readline()
    commit(output, {"metadata.json": b"theirs", "runs.csv": b"theirs"})
"""


def test_a_second_process_is_refused_then_waits_its_turn(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    other = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other:
        assert other.stdout.readline() == "held\n"
        [diagnostic] = refusal(output).diagnostics
        assert diagnostic.code is Code.LOCKED
        assert diagnostic.message == (
            f"another build is writing {tmp_path}/Croissant: it holds {tmp_path}/.croissant-recipe.lock"
        )
        threading.Timer(0.3, lambda: (other.stdin.write("\n"), other.stdin.flush())).start()
        with locked(output, timeout=20):
            assert read_existing(output) == {"metadata.json": b"theirs", "runs.csv": b"theirs"}
            commit(output, {"metadata.json": b"ours", "runs.csv": b"ours"})
    assert contents(tmp_path / "Croissant") == {"metadata.json": b"ours", "runs.csv": b"ours"}


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    with other:
        assert other.stdout.readline() == "held\n"
        other.kill()
    build(Output(Location.parse(tmp_path)), FILES)
    assert contents(tmp_path / "Croissant") == FILES


def build_often(root: str, letter: str) -> None:
    for number in range(10):
        build(Output(Location.parse(root)), {name: f"{letter}{number}".encode() for name in FILES})


def test_processes_that_build_at_once_never_mix(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    spawn = multiprocessing.get_context("spawn")
    builders = [spawn.Process(target=build_often, args=(str(tmp_path), letter)) for letter in "ab"]
    for builder in builders:
        builder.start()
    seen = []
    while any(b.is_alive() for b in builders):
        seen.append(peek(output))
    for builder in builders:
        builder.join()
        assert builder.exitcode == 0
    assert all(len(set(files.values())) <= 1 and files.keys() in (set(), FILES.keys()) for files in seen)
    assert {*contents(tmp_path / "Croissant").values()} in ({b"a9"}, {b"b9"})
