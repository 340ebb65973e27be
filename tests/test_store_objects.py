"""Committing a Croissant to a remote store: a real S3 server on loopback, and fsspec's memory filesystem."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from typing import Any

import fsspec.core
import pytest
import s3fs
from fsspec.implementations.memory import MemoryFileSystem
from servers import KEY, SECRET, S3Server, s3_server

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.journal import staged_view
from croissant_recipes.location import Location
from croissant_recipes.stores import Output, commit, locked, object_lock, object_store, peek, read_existing
from croissant_recipes.stores.object_folder import Place

BUCKET = "bucket"
ANY_AGE = timedelta(days=-1)  # S3 tells times in whole seconds, so that a new lock may seem to be of the future
REAL_MODIFIED = s3fs.S3FileSystem.modified


def version(letter: str, *others: str) -> dict[str, bytes]:
    """Files of one version, as a Croissant has them: the manifest gives the sha256 of each table."""
    tables = {name: f"{letter}\n".encode() * 3 for name in ("runs.csv", *others)}
    manifest = {name: sha256(data).hexdigest() for name, data in tables.items()}
    return {**tables, "metadata.json": json.dumps({"version": letter, "sha256": manifest}).encode()}


OLD = version("o", "picks.csv")
NEW = version("n", "meshes.csv")
REMOVED = ("picks.csv",)
FOREIGN = {"README": b"mine"}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture
def output(server: S3Server, request: pytest.FixtureRequest) -> Output:
    return Output(Location.parse(f"s3://{BUCKET}/{abs(hash(request.node.name))}/root"), server.fs_args)


@pytest.fixture
def memory() -> Iterator[Output]:
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield Output(Location.parse("memory://lab/root"))
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture(params=["s3", "memory"])
def anywhere(request: pytest.FixtureRequest) -> Output:
    found: Output = request.getfixturevalue("output" if request.param == "s3" else "memory")
    return found


def objects(output: Output) -> dict[str, bytes]:
    """All that lies below the project root, the stage and the lock included."""
    if output.project_root.protocol == "s3":
        return S3Server("").objects(BUCKET, bucket_prefix(output))
    fs, root = fsspec.core.url_to_fs(output.project_root.url)
    return {path.removeprefix(f"{root}/"): fs.cat_file(path) for path in fs.find(root)}


def below(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"Croissant/{name}": data for name, data in files.items()}


def build(output: Output, files: dict[str, bytes] = NEW, remove: tuple[str, ...] = REMOVED) -> dict[str, bytes]:
    """What was there, after a build."""
    with locked(output, timeout=5):
        before = dict(read_existing(output))
        commit(output, files, remove=remove)
    return before


def bucket_prefix(output: Output) -> str:
    return output.project_root.path.removeprefix("/") + "/"


def lay_out(output: Output, files: dict[str, bytes]) -> None:
    """Makes the project root hold a Croissant of these files and nothing else."""
    if output.project_root.protocol == "s3":
        S3Server("").replace(BUCKET, bucket_prefix(output), below(files))
        return
    MemoryFileSystem.store.clear()
    fs, root = fsspec.core.url_to_fs(output.project_root.url)
    for name, data in below(files).items():
        fs.pipe_file(f"{root}/{name}", data)


def diagnostic_of(action: Callable[[], object]) -> Diagnostic:
    with pytest.raises(DiagnosticError) as caught:
        action()
    [diagnostic] = caught.value.diagnostics
    return diagnostic


def test_a_build_replaces_adds_and_removes(anywhere: Output) -> None:
    lay_out(anywhere, {**OLD, **FOREIGN})
    assert build(anywhere) == {**OLD, **FOREIGN}
    assert objects(anywhere) == below({**NEW, **FOREIGN})


def test_the_first_build_has_nothing_to_read(anywhere: Output) -> None:
    assert peek(anywhere) == {}
    assert build(anywhere) == {}
    assert objects(anywhere) == below(NEW)
    assert peek(anywhere) == NEW


def test_folders_below_the_croissant_are_not_its_files(anywhere: Output) -> None:
    lay_out(anywhere, {**NEW, "images/a.png": b"png"})
    assert peek(anywhere) == NEW
    assert build(anywhere) == NEW
    assert objects(anywhere) == below({**NEW, "images/a.png": b"png"})


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """A filesystem that keeps a record of its calls and, from the n-th write on, is never heard of again: a killed
    process cleans nothing up. (Killed before a read, it leaves what it leaves when it is killed after the last write.)
    """

    def __init__(self, fs: Any, nth: int) -> None:
        self._fs = fs
        self._nth = nth
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._fs, name)
        if not callable(found) or name in ("invalidate_cache", "unstrip_protocol"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, *args))
            if len(self.writes()) == self._nth and name == "rm":
                # Not one step: a recursive removal may be cut short in the middle.
                for path in self._fs.find(args[0])[-1:]:
                    self._fs.rm_file(path)
            if len(self.writes()) >= self._nth:
                raise Killed
            return found(*args, **kwargs)

        return call

    def writes(self) -> list[tuple[Any, ...]]:
        names = ("pipe_file", "cp_file", "rm", "rm_file", "makedirs")
        return [call for call in self.calls if call[0] in names]


@contextmanager
def mortal(output: Output, nth: int = 10**6) -> Iterator[Mortal]:
    """Every build inside works with the filesystem that is yielded."""
    fs, path = fsspec.core.url_to_fs(output.croissant.url, **output.fs_args)
    watched = Mortal(fs, nth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Place, "of", lambda _: Place(watched, path))
        yield watched


def killed_build(output: Output, nth: int) -> bool:
    """Whether a build was killed at its n-th write."""
    with mortal(output, nth):
        try:
            build(output)
        except Killed:
            return True
    return False


def as_the_reader_sees(output: Output) -> dict[str, bytes]:
    """How our Croissant reader reads: the manifest, then what it names, each through the staged view."""
    fs, folder = fsspec.core.url_to_fs(output.croissant.url, **output.fs_args)

    def inside(path: str) -> bytes:
        return bytes(fs.cat_file(f"{folder}/{path}"))

    view = staged_view(inside) or {}

    def read(name: str) -> bytes:
        return inside(view.get(name, name))

    try:
        manifest = read("metadata.json")
    except FileNotFoundError:
        return {}
    return {"metadata.json": manifest, **{name: read(name) for name in json.loads(manifest)["sha256"]}}


def test_a_build_killed_at_any_write_leaves_the_old_croissant_or_the_new(
    anywhere: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lock, "_STALE_AFTER", ANY_AGE)
    outcomes = []
    halfway = 0
    for nth in range(1, 200):
        lay_out(anywhere, {**OLD, **FOREIGN})
        killed = killed_build(anywhere, nth)
        left = objects(anywhere)
        seen = as_the_reader_sees(anywhere)
        assert seen in (OLD, NEW)

        # Readers that know of no journal meet a file that is not the one which metadata.json names, never a mix.
        raw = json.loads(left["Croissant/metadata.json"])
        fits = [sha256(left.get(f"Croissant/{n}", b"")).hexdigest() == digest for n, digest in raw["sha256"].items()]
        assert all(fits) or "Croissant/.staged/journal.json" in left
        halfway += not all(fits)

        if nth % 2:
            assert peek(anywhere) == {**seen, **FOREIGN}
            with locked(anywhere, timeout=0):
                assert read_existing(anywhere) == {**seen, **FOREIGN}
            assert objects(anywhere) == below({**seen, **FOREIGN})
        else:
            assert build(anywhere) == {**seen, **FOREIGN}
            assert objects(anywhere) == below({**NEW, **FOREIGN})
        if not killed:
            assert seen == NEW
            break
        outcomes.append(seen == NEW)
    else:
        pytest.fail("the build never came to its end")
    assert outcomes == sorted(outcomes)
    assert {*outcomes} == {False, True}
    assert halfway > 0


def test_a_first_build_killed_at_any_write_leaves_nothing_or_the_new_croissant(
    memory: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lock, "_STALE_AFTER", ANY_AGE)
    outcomes = []
    for nth in range(1, 200):
        lay_out(memory, {})
        killed = killed_build(memory, nth)
        seen = as_the_reader_sees(memory)
        assert seen in ({}, NEW)
        assert peek(memory) == seen
        assert build(memory) == seen
        assert objects(memory) == below(NEW)
        if not killed:
            break
        outcomes.append(seen == NEW)
    assert outcomes == sorted(outcomes)
    assert {*outcomes} == {False, True}


def test_a_stage_that_something_else_changed_is_not_published(memory: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lock, "_STALE_AFTER", ANY_AGE)
    for nth in range(1, 200):
        lay_out(memory, OLD)
        killed_build(memory, nth)
        if "Croissant/.staged/journal.json" in objects(memory):
            break
    fs, root = fsspec.core.url_to_fs(memory.project_root.url)
    fs.pipe_file(f"{root}/Croissant/.staged/runs.csv", b"other")
    diagnostic = diagnostic_of(lambda: build(memory))
    assert diagnostic.code is Code.NOT_WRITABLE
    assert ".staged/runs.csv is not the file that the journal of a killed build speaks of" in diagnostic.message
    assert diagnostic.hint == "something else changed the folder .staged; delete it, then build again"
    fs.rm(f"{root}/Croissant/.staged", recursive=True)
    assert build(memory) == OLD


@pytest.mark.parametrize(
    "journal",
    [b"", b'{"format": 1, "fil', b"[]", b"<html>", b'{"format": 1, "files": {"../x": ""}, "remove": []}'],
)
def test_what_is_no_whole_journal_is_none(memory: Output, journal: bytes) -> None:
    lay_out(memory, {**OLD, ".staged/journal.json": journal})
    fs, root = fsspec.core.url_to_fs(memory.project_root.url)
    assert staged_view(lambda name: fs.cat_file(f"{root}/Croissant/{name}")) is None
    assert build(memory) == OLD
    assert objects(memory) == below(NEW)


def test_a_second_build_is_refused_while_the_first_holds_the_lock(anywhere: Output) -> None:
    lay_out(anywhere, OLD)
    with locked(anywhere):
        diagnostic = diagnostic_of(lambda: build_at_once(anywhere))
        assert peek(anywhere) == OLD
    assert diagnostic.code is Code.LOCKED
    place = f"{anywhere.project_root}/Croissant"
    assert diagnostic.message == f"another build is writing {place}: it made {place}/.lock"
    assert diagnostic.hint == "wait until it ends, then build again; deleting that object is right if no build runs"
    assert objects(anywhere) == below(OLD)


def build_at_once(output: Output) -> None:
    with locked(output, timeout=0):
        commit(output, NEW)


def test_a_second_build_waits_its_turn(anywhere: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lock, "_POLL", 0.05)
    found: list[dict[str, bytes]] = []
    second = threading.Thread(target=lambda: found.append(build(anywhere, NEW, REMOVED)))
    with locked(anywhere):
        second.start()
        time.sleep(0.2)
        commit(anywhere, OLD)
    second.join()
    assert found == [OLD]
    assert objects(anywhere) == below(NEW)


def test_of_two_creates_of_one_lock_the_server_refuses_one(output: Output) -> None:
    place = Place.of(output)
    locks = [object_lock.ObjectLock(output, place) for _ in range(2)]
    for one in locks:
        # Neither sees the other's lock when it looks, as when both start in one instant.
        one._holder = iter([None, *[b"other"] * 9]).__next__  # type: ignore[method-assign]
        one._create()
    assert objects(output) == {"Croissant/.lock": locks[0]._token}


def test_a_fresh_lock_is_respected_and_an_old_one_taken_over(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(output, {**OLD, ".lock": b"killed"})
    assert diagnostic_of(lambda: build_at_once(output)).code is Code.LOCKED
    age(monkeypatch, timedelta(minutes=14))
    assert diagnostic_of(lambda: build_at_once(output)).code is Code.LOCKED
    age(monkeypatch, timedelta(minutes=16))
    build_at_once(output)
    assert objects(output) == below({**OLD, **NEW})


def age(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Makes every lock that much older than the server says."""

    def aged(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        return REAL_MODIFIED(self, path, *args, **kwargs) - (by if path.endswith(".lock") else timedelta())

    monkeypatch.setattr(s3fs.S3FileSystem, "modified", aged)


def test_a_clock_that_is_wrong_does_not_make_a_lock_old(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(output, {**OLD, ".lock": b"alive"})

    def slow(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        return REAL_MODIFIED(self, path, *args, **kwargs) - timedelta(hours=2)

    monkeypatch.setattr(s3fs.S3FileSystem, "modified", slow)
    assert diagnostic_of(lambda: build_at_once(output)).code is Code.LOCKED
    assert objects(output) == below({**OLD, ".lock": b"alive"})


def test_a_build_whose_lock_was_taken_over_stops_and_leaves_it(anywhere: Output) -> None:
    lay_out(anywhere, OLD)
    fs, root = fsspec.core.url_to_fs(anywhere.project_root.url, **anywhere.fs_args)

    def robbed() -> None:
        with locked(anywhere):
            fs.pipe_file(f"{root}/Croissant/.lock", b"thief")
            commit(anywhere, NEW)

    diagnostic = diagnostic_of(robbed)
    assert diagnostic.code is Code.LOCKED
    assert "it took over" in diagnostic.message
    assert objects(anywhere) == below({**OLD, ".lock": b"thief"})


def test_a_long_build_renews_its_lock(memory: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lock, "_RENEW_EVERY", timedelta())
    monkeypatch.setattr(object_lock, "_VERIFY_EVERY", timedelta())
    path = "/lab/root/Croissant/.lock"
    with locked(memory):
        made = MemoryFileSystem.store[path].modified
        commit(memory, NEW)
        assert MemoryFileSystem.store[path].modified > made
    assert objects(memory) == below(NEW)


def test_a_build_that_fails_frees_its_lock(anywhere: Output) -> None:
    with pytest.raises(ZeroDivisionError), locked(anywhere):
        raise ZeroDivisionError
    assert objects(anywhere) == {}


def test_a_look_that_a_commit_overtakes_is_repeated(memory: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(memory, OLD)
    read_through = object_store._read_through
    looks: list[dict[str, bytes]] = []

    def overtaken(place: Place) -> dict[str, bytes]:
        looks.append(read_through(place))
        if len(looks) == 1:
            build(memory)
        return looks[-1]

    monkeypatch.setattr(object_store, "_read_through", overtaken)
    assert peek(memory) == NEW
    assert looks == [OLD, NEW]


def test_a_look_at_what_never_rests_is_given_up(memory: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = iter("abcdefgh")
    monkeypatch.setattr(object_store, "_read_through", lambda _: build(memory, version(next(letters))))
    diagnostic = diagnostic_of(lambda: peek(memory))
    assert diagnostic.code is Code.LOCKED
    assert diagnostic.message == (
        "memory://lab/root/Croissant changed each time it was read: other builds are writing it"
    )


def test_stores_without_exclusive_create_are_looked_at_first(memory: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_file = MemoryFileSystem.pipe_file

    def old_fashioned(self: Any, path: str, value: bytes) -> None:
        pipe_file(self, path, value)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", old_fashioned)
    with locked(memory):
        assert diagnostic_of(lambda: build_at_once(memory)).code is Code.LOCKED
        commit(memory, NEW)
    assert objects(memory) == below(NEW)


def test_stores_without_copy_are_written_twice(memory: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_copy(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(MemoryFileSystem, "cp_file", no_copy)
    build(memory)
    assert objects(memory) == below(NEW)


def test_a_missing_bucket_is_named_and_not_made(server: S3Server) -> None:
    diagnostic = diagnostic_of(lambda: build(Output(Location.parse("s3://missing/root"), server.fs_args)))
    assert diagnostic.code is Code.NOT_WRITABLE
    assert diagnostic.message == ("s3://missing/root/Croissant cannot be written: The specified bucket does not exist")
    assert diagnostic.hint == "make the bucket or folder first: a build does not; or correct output.project_root"
    assert server.filesystem().ls("") == [BUCKET]


def test_a_refused_connection_is_told_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    client = {"endpoint_url": "http://127.0.0.1:1"}
    args = {"key": KEY, "secret": SECRET, "client_kwargs": client, "config_kwargs": {"retries": {"max_attempts": 0}}}
    diagnostic = diagnostic_of(lambda: build(Output(Location.parse("s3://bucket/root"), args)))
    assert diagnostic.code is Code.NOT_WRITABLE
    assert diagnostic.message.startswith("s3://bucket/root/Croissant cannot be written: Could not connect")
    assert "127.0.0.1:1" in diagnostic.message
    assert diagnostic.hint == "check output.project_root, output.fs_args and the connection"


def test_credentials_in_the_text_of_an_error_are_struck_out(memory: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def quote(*_: object, **__: object) -> None:
        raise RuntimeError(f"{KEY} with {SECRET} at sftp://me:pass@host/ is refused")

    output = Output(Location.parse("memory://me:pass@lab/root"), {"auth": [{"key": KEY}], "secret": SECRET})
    monkeypatch.setattr(MemoryFileSystem, "cat_file", quote)
    with pytest.raises(DiagnosticError) as caught:
        build(output)
    told = f"{caught.value}{caught.value.__cause__}{output!r}"
    assert caught.value.__suppress_context__
    assert "memory://lab/root/Croissant cannot be written: *** with *** at sftp://host/ is refused" in told
    assert not [secret for secret in (KEY, SECRET, "me:pass") if secret in told.replace(repr(output), "")]
    assert SECRET not in repr(output)


def test_an_unknown_filesystem_is_refused() -> None:
    diagnostic = diagnostic_of(lambda: build(Output(Location.parse("nosuch://bucket/root"))))
    assert diagnostic.code is Code.NOT_WRITABLE
    assert diagnostic.message == "nosuch://bucket/root/Croissant cannot be written: Protocol not known: nosuch"


def test_a_build_that_changes_nothing_writes_nothing(anywhere: Output) -> None:
    build(anywhere)
    place = Place.of(anywhere)
    before = place.listing()
    with mortal(anywhere) as watched:
        build(anywhere)
    assert place.listing() == before
    # The lock is made and removed; looking for a stage to sweep away, there is none.
    touched = {call[1].removeprefix(place.directory) for call in watched.writes()}
    assert touched <= {"", "/.lock", "/.staged", "/.aside"}


def test_metadata_is_copied_last_and_on_the_server(output: Output) -> None:
    with mortal(output) as watched:
        build(output)
    copied = [tuple(path.rpartition("root/")[2] for path in call[1:]) for call in watched.calls if call[0] == "cp_file"]
    names = ["meshes.csv", "runs.csv", "metadata.json"]
    assert copied == [(f"Croissant/.staged/{name}", f"Croissant/{name}") for name in names]


def test_no_object_holds_a_credential(output: Output) -> None:
    with mortal(output) as watched:
        build(output)
    written = [path.encode() + data for name, path, *rest in watched.calls if name == "pipe_file" for data in rest]
    assert len(written) == len(NEW) + 2  # journal and lock
    assert not [data for data in written if KEY.encode() in data or SECRET.encode() in data]
