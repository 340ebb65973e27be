"""A build that is killed, or fails, at any write or rename leaves the old Croissant or the new one on a local disk.

Run as a script this file is the builder: it forks a child for each writing event, kills it there and prints what was
left. Only a process of its own can be killed this way, and one without threads can be forked safely.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.location import Location
from croissant_recipes.stores import Output, commit, disk, locked, peek, read_existing

OLD = {"metadata.json": b'{"version": "old"}', "runs.csv": b"name\nold\n", "picks.csv": b"old\n" * 50, "same.csv": b"s"}
NEW = {
    "metadata.json": b'{"version": "new"}',
    "runs.csv": b"name\nnew\n",
    "meshes.csv": b"new\n" * 50,
    "same.csv": b"s",
}
REMOVED = ("picks.csv",)
FOREIGN = {"README.txt": b"mine", "notes/deep/note.txt": b"mine too"}

KILLED = 137
EVENTS = frozenset(
    {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.symlink", "os.truncate", "os.chmod"}
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Fault:
    """Counts writing events and acts at the n-th. ``os.fsync`` counts too: it is where a file has been written."""

    def __init__(self, nth: int, action: Callable[[int | None], None]) -> None:
        self.left = nth
        self.action = action
        sys.addaudithook(self._heard)
        self._fsync, os.fsync = os.fsync, self._synced

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if is_write or event in EVENTS or event.startswith("shutil."):
            self._count(None)

    def _synced(self, descriptor: int) -> None:
        self._count(descriptor)

    def _count(self, descriptor: int | None) -> None:
        self.left -= 1
        if self.left == 0:
            self.action(descriptor)


def die(descriptor: int | None) -> None:
    """Half of a file that was being written may be all that arrived."""
    if descriptor is not None and os.path.isfile(f"/proc/self/fd/{descriptor}"):
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
    os._exit(KILLED)


def fail(descriptor: int | None) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def build(root: Path) -> None:
    output = Output(Location.parse(root))
    with locked(output, timeout=5):
        read_existing(output)
        commit(output, NEW, remove=REMOVED)


def lay_out(root: Path, scenario: str) -> None:
    if root.exists():
        shutil.rmtree(root)
    if scenario == "first":
        return
    for name, data in {**OLD, **FOREIGN}.items():
        path = root / "Croissant" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def tree(folder: Path) -> dict[str, str] | None:
    """Every file below a folder; None when there is no folder."""
    if not folder.exists():
        return None
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def in_child(root: Path, nth: int, action: Callable[[int | None], None]) -> int:
    """Exit code of a build with a fault at the n-th event: 0 it ended, 137 it was killed, 4 it said NOT_WRITABLE."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        fault = Fault(nth, action)
        try:
            build(root)
        except DiagnosticError as error:
            code = 4 if error.diagnostics[0].code is Code.NOT_WRITABLE else 1
        else:
            code = 0
        if fault.left > 0:
            code = 10  # past the last event
    finally:
        os._exit(code)
    raise AssertionError


def drive(root: Path, scenario: str, swap: str, kind: str) -> list[dict[str, Any]]:
    if swap == "renames":
        disk.exchange = lambda *_: False
    os.fsync = lambda _: None  # a kill loses nothing that the kernel has; syncing would only take time
    records: list[dict[str, Any]] = []
    code = 0
    while code != 10:
        lay_out(root, scenario)
        code = in_child(root, len(records) + 1, die if kind == "kill" else fail)
        record: dict[str, Any] = {
            "code": code,
            "after": tree(root / "Croissant"),
            "aside": tree(root / ".Croissant.old"),
        }
        output = Output(Location.parse(root))
        record["peek"] = {name: data.decode() for name, data in peek(output).items()}
        with locked(output, timeout=5):
            record["read"] = {name: data.decode() for name, data in read_existing(output).items()}
            record["repaired"] = tree(root / "Croissant")
            commit(output, NEW, remove=REMOVED)
        record["committed"] = tree(root / "Croissant")
        record["names"] = sorted(os.listdir(root))
        records.append(record)
    return records


if __name__ == "__main__":
    print(json.dumps(drive(Path(sys.argv[1]), *sys.argv[2:])))
    sys.exit()


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a build is killed in a forked process")


def decoded(files: dict[str, bytes]) -> dict[str, str]:
    return {name: data.decode() for name, data in files.items()}


def versions(scenario: str) -> tuple[dict[str, str] | None, dict[str, str]]:
    if scenario == "first":
        return None, decoded(NEW)
    return decoded({**OLD, **FOREIGN}), decoded({**NEW, **FOREIGN})


def directly(files: dict[str, str] | None) -> dict[str, str]:
    return {name: text for name, text in (files or {}).items() if "/" not in name}


def faulty_builds(root: Path, scenario: str, swap: str, kind: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, __file__, str(root), scenario, swap, kind],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    records: list[dict[str, Any]] = json.loads(done.stdout)
    return records


def skip_without_exchange(folder: Path, swap: str) -> None:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    if swap == "exchange" and not disk.exchange(str(folder / "a"), str(folder / "b")):
        pytest.skip("this file system cannot swap two directories")


@pytest.mark.parametrize("swap", ["exchange", "renames"])
@pytest.mark.parametrize("scenario", ["first", "replace"])
def test_a_build_killed_at_any_write_leaves_the_old_croissant_or_the_new(
    tmp_path: Path, scenario: str, swap: str
) -> None:
    skip_without_exchange(tmp_path, swap)
    old, new = versions(scenario)
    records = faulty_builds(tmp_path / "root", scenario, swap, "kill")
    *killed, ended = records

    # The lock, the stage, each new file and its sync, the rename: fewer events would mean that the hook hears nothing.
    assert len(killed) >= 2 * len(NEW) + 3
    assert {r["code"] for r in killed} == {KILLED}
    assert ended["after"] == new
    missing = [r for r in killed if r["after"] is None and old is not None]
    assert len(missing) == (1 if (scenario, swap) == ("replace", "renames") else 0)
    for record in killed:
        assert record["after"] in (old, new) or record in missing
        assert record["aside"] in (None, old)  # never half removed under the name from which it is put back
        assert record["repaired"] in (old, new)
        assert record["read"] == record["peek"] == directly(record["repaired"])
        assert record["committed"] == new
        assert record["names"] == [".croissant-recipe.lock", "Croissant"]
    # Both outcomes happen, in this order and with no way back.
    outcomes = [r["repaired"] == new for r in records]
    assert outcomes == sorted(outcomes)
    assert not outcomes[0]


@pytest.mark.parametrize("swap", ["exchange", "renames"])
@pytest.mark.parametrize("scenario", ["first", "replace"])
def test_a_build_that_runs_out_of_space_at_any_write_says_so_and_changes_nothing(
    tmp_path: Path, scenario: str, swap: str
) -> None:
    old, new = versions(scenario)
    *failed, ended = faulty_builds(tmp_path / "root", scenario, swap, "fail")

    assert ended["after"] == new
    assert {r["code"] for r in failed} == {0, 4}
    for record in failed:
        # 0: what failed was of no consequence (a hard link that became a copy, the removal of the old version).
        assert record["after"] == (new if record["code"] == 0 else old)
        assert record["committed"] == new
        assert record["names"] == [".croissant-recipe.lock", "Croissant"]


def test_the_stage_of_a_killed_build_is_not_mistaken_for_a_croissant(tmp_path: Path) -> None:
    (tmp_path / ".Croissant.new").mkdir()
    (tmp_path / ".Croissant.new" / "metadata.json").write_bytes(b"half")
    output = Output(Location.parse(tmp_path))
    assert peek(output) == {}
    with locked(output):
        assert read_existing(output) == {}
    assert sorted(os.listdir(tmp_path)) == [".croissant-recipe.lock"]


def test_a_commit_repairs_what_it_was_not_asked_to_read(tmp_path: Path) -> None:
    (tmp_path / ".Croissant.new").mkdir()
    (tmp_path / ".Croissant.old").mkdir()
    (tmp_path / ".Croissant.old" / "README").write_bytes(b"mine")
    output = Output(Location.parse(tmp_path))
    with locked(output):
        commit(output, NEW)
    assert tree(tmp_path / "Croissant") == decoded({**NEW, "README": b"mine"})
    assert sorted(os.listdir(tmp_path)) == [".croissant-recipe.lock", "Croissant"]


def test_an_old_croissant_set_aside_is_put_back_only_where_there_is_none(tmp_path: Path) -> None:
    output = Output(Location.parse(tmp_path))
    (tmp_path / ".Croissant.old").mkdir()
    (tmp_path / ".Croissant.old" / "metadata.json").write_bytes(b"old")
    with locked(output):
        assert read_existing(output) == {"metadata.json": b"old"}

    (tmp_path / ".Croissant.old").mkdir()
    (tmp_path / ".Croissant.old" / "metadata.json").write_bytes(b"older")
    with locked(output):
        assert read_existing(output) == {"metadata.json": b"old"}
    assert sorted(os.listdir(tmp_path)) == [".croissant-recipe.lock", "Croissant"]
