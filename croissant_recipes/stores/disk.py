"""Committing a Croissant on a local file system: a complete directory is staged, then swapped in.

What is on disk at any moment is told by names beside each other:

- ``Croissant``: the old version, or the new one; it is replaced in one step.
- ``.Croissant.new``: the new version while it is staged, the old one after the swap.
- ``.Croissant.old``: only where the system cannot swap two directories. There ``Croissant`` is renamed to it before the
  stage is renamed to ``Croissant``. A build killed exactly between the two leaves no ``Croissant``, but a complete old
  one under this name, which the next build puts back.

Somebody may save while the new version is staged. What is swapped out is therefore compared with what the build had
read: ``.Croissant.swap``, written before the swap, has the digests of both, so that a later build can do so where this
one is killed. Files that differ are left in ``.Croissant.aside``, with the build record that was beside them.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock

from croissant_recipes.journal import Journal, digests
from croissant_recipes.stores.exchange import exchange
from croissant_recipes.stores.output import RECORDS, Output, in_commit_order, refused
from croissant_recipes.stores.store import Check, Lock

LOCK_FILE = ".croissant-recipe.lock"

if sys.platform != "win32":
    import fcntl

_READS = 20

_BESIDE = ("new", "old", "swap", "aside", "gone")

_READING_COPY = ".copick-tmp-metadata.json"
"""What copick writes while it reads."""


class DiskStore:
    """A Croissant directory on this machine's file system."""

    def __init__(self, output: Output) -> None:
        self._output = output

    @property
    def _at(self) -> Places:
        return Places.below(self._output.project_root.path)

    def lock(self, timeout: float) -> Lock:
        root = Path(self._output.project_root.path)
        if not os.path.lexists(root):
            root.mkdir(parents=True)
        if not root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
        # Beside the real directory: two roots whose Croissant links to one directory are one place.
        path = os.path.join(os.path.dirname(self._at.current), LOCK_FILE)
        # The file stays: were it removed, a build waiting for it and one that makes it anew would hold two different
        # files of one name.
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=timeout, poll_interval=0.05)
        except filelock.Timeout:
            raise refused(self._output, f"it holds {path}", "wait until it ends, then build again") from None
        except NotImplementedError as error:  # what older versions of filelock raise where there is no flock
            raise OSError(errno.ENOSYS, str(error), path) from None
        try:
            _refuse_unfit(self._at, ())
        except OSError:
            lock.release()
            raise
        # The system keeps this one for as long as the process lives.
        return Lock(lambda: None, lock.release)

    def peek(self) -> dict[str, bytes] | None:
        return peek(self._at)

    def repair(self, check: Check) -> None:  # noqa: ARG002 - the lock cannot be lost
        repair(self._at)

    def read(self) -> dict[str, bytes]:
        return read(self._at)

    def set_aside(self) -> dict[str, bytes]:
        return set_aside(self._at)

    def commit(
        self,
        files: Mapping[str, bytes],
        remove: Collection[str],
        read: Mapping[str, bytes],
        check: Check,  # noqa: ARG002
    ) -> bool:
        return commit(self._at, files, remove, read)


@dataclass(frozen=True)
class Places:
    """The names, as absolute paths in one real directory. What is under ``gone`` is being deleted."""

    current: str
    new: str
    old: str
    swap: str
    aside: str
    gone: str

    @classmethod
    def below(cls, project_root: str | os.PathLike[str]) -> Places:
        """Where the Croissant of a project root really lies: a symbolic link at ``Croissant`` is followed and stays."""
        parent, name = os.path.split(os.path.realpath(os.path.join(project_root, "Croissant")))
        return cls(*(os.path.join(parent, n) for n in (name, *(f".{name}.{n}" for n in _BESIDE))))


def repair(at: Places) -> None:
    """Puts right what a killed commit left: afterwards there is ``current``, old or new, or nothing at all, and
    ``aside`` where somebody saved what was replaced."""
    _delete(at.gone)
    if os.path.lexists(at.old):
        if os.path.lexists(at.current):
            _discard(at, at.new)
            os.rename(at.old, at.new)
        else:
            os.rename(at.old, at.current)
            _sync_directory(os.path.dirname(at.current))
    _settle(at)


def _settle(at: Places) -> None:
    """Throws away what is under ``new``, once what others saved in it is set aside."""
    journal = _journal_of_swap(at)
    if journal is not None:
        late = _late(at, journal)
        _carry_late(at.new, at.current, {*journal.files, *journal.remove})
        # Whoever swapped the new version in had put into it what was set aside before.
        _discard(at, at.aside)
        if late:
            for name in os.listdir(at.new):
                if name not in late and name not in RECORDS:
                    _delete(os.path.join(at.new, name))
            os.rename(at.new, at.aside)
    with suppress(FileNotFoundError):
        os.remove(at.swap)
    _discard(at, at.new)


def _journal_of_swap(at: Places) -> Journal | None:
    """The journal of a swap after which the old version is still under ``new``."""
    try:
        with open(at.swap, "rb") as file:
            journal = Journal.from_bytes(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if journal is None or not os.path.isdir(at.new):
        return None
    there = {name: data for name, data in _read(at.new).items() if name in journal.files}
    is_stage = digests(there) == dict(journal.files)
    return None if is_stage else journal


def _late(at: Places, journal: Journal) -> dict[str, bytes]:
    """Of the old version under ``new``, the files that are not those the build had read."""
    ours = {*journal.files, *journal.remove}
    return {name: data for name, data in _read(at.new).items() if name in ours and journal.is_late(name, data)}


def set_aside(at: Places) -> dict[str, bytes]:
    """What others saved and a build replaced, with the record of that version. Also without the lock."""
    with suppress(FileNotFoundError):
        journal = _journal_of_swap(at)
        late = _late(at, journal) if journal else {}
        if late:
            return {**{n: data for n, data in _read(at.new).items() if n in RECORDS}, **late}
    with suppress(FileNotFoundError, NotADirectoryError):
        return _read(at.aside)
    return {}


def read(at: Places) -> dict[str, bytes]:
    """The files directly in ``current``, by name; nothing when it does not exist. For a caller that holds the lock."""
    return _read(at.current) if os.path.lexists(at.current) else {}


def peek(at: Places) -> dict[str, bytes] | None:
    """As ``read``, without lock and without repair: one version even while a build swaps in the next. None if it was
    replaced again and again while being read."""
    for _ in range(_READS):
        source = next((p for p in (at.current, at.old) if os.path.isdir(p)), None)
        if source is None:
            # A fallback commit may have ended between the two looks.
            if os.path.isdir(at.current):
                continue
            return {}
        with suppress(FileNotFoundError):
            before = _stamp(source)
            files = _read(source)
            if _stamp(source) == before:
                return files
    return None


def commit(at: Places, files: Mapping[str, bytes], remove: Collection[str], read: Mapping[str, bytes]) -> bool:
    """Replaces ``current`` by itself with ``files`` added or replaced and ``remove`` taken out, or leaves it as it is,
    and then says false if that is because it is not as it was ``read``.

    Raises:
        OSError: If it cannot; ``current`` is then as it was.
    """
    repair(at)
    _refuse_unfit(at, {*files, *remove})
    same = {name for name, data in files.items() if _holds(os.path.join(at.current, name), data)}
    if len(same) == len(files) and not any(os.path.lexists(os.path.join(at.current, name)) for name in remove):
        _discard(at, at.aside)
        return True
    unchanged = True
    try:
        _stage(at, {name: data for name, data in files.items() if name not in same}, remove, files)
        journal = Journal.of(files, tuple(remove), read)
        _write(at.swap, journal.to_bytes())
        with _saving_waits(at.current):
            unchanged = not _changed_since(at, journal)
            if unchanged:
                _put_in_place(at)
    except OSError:
        with suppress(OSError):
            repair(at)
        raise
    # What is to be in place is, and the next build does what cannot be done now.
    with suppress(OSError):
        repair(at)
    return unchanged


@contextmanager
def _saving_waits(folder: str) -> Iterator[None]:
    """Lets nobody save there who locks the folder to do so, as roots of ``from_croissant`` do, but not copick's."""
    if sys.platform == "win32" or not os.path.isdir(folder):
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems lock no folders.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _changed_since(at: Places, journal: Journal) -> bool:
    there = read(at)
    return any(name in there and journal.is_late(name, there[name]) for name in [*journal.files, *journal.remove])


def _refuse_unfit(at: Places, names: Collection[str]) -> None:
    folder = os.path.dirname(at.current)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
    if not os.path.lexists(at.current):
        return
    if not os.path.isdir(at.current):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), at.current)
    # A swap asks only the parent for permission; who made the directory read-only meant it.
    if not os.access(at.current, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), at.current)
    for name in sorted(names):
        path = os.path.join(at.current, name)
        if os.path.isdir(path) and not os.path.islink(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)


def _is_passing(name: str, ours: Collection[str]) -> bool:
    """Whether a file is one that copick or ``from_croissant`` writes and takes away when it saves or reads ours."""
    saved = re.fullmatch(r"(?:\.(.+)\.\d+|(.+))\.tmp", name)
    return name == _READING_COPY or (saved is not None and (saved[1] in ours or saved[2] in ours))


def _stage(at: Places, files: Mapping[str, bytes], remove: Collection[str], ours: Collection[str]) -> None:
    os.mkdir(at.new)
    kept: set[str] = set()
    if os.path.lexists(at.current):
        others = set(os.listdir(at.current)).difference(files, remove)
        kept = {name for name in others if not _is_passing(name, ours)}
        shutil.copymode(at.current, at.new)
    for name in in_commit_order({*files, *kept}):
        if name in files:
            _write(os.path.join(at.new, name), files[name])
        else:
            _carry_over(os.path.join(at.current, name), os.path.join(at.new, name))
    _sync_directory(at.new)


def _put_in_place(at: Places) -> None:
    if not os.path.lexists(at.current):
        os.rename(at.new, at.current)
    elif not exchange(at.new, at.current):
        os.rename(at.current, at.old)
        os.rename(at.new, at.current)
    _sync_directory(os.path.dirname(at.current))


def _carry_over(source: str, target: str) -> None:
    """The same file under a second name, or a copy where the file system has no hard links; never moved, since until
    the swap ``current`` has to stay whole."""
    if os.path.isdir(source) and not os.path.islink(source):
        os.mkdir(target)
        for name in sorted(os.listdir(source)):
            _carry_over(os.path.join(source, name), os.path.join(target, name))
        shutil.copystat(source, target)
        _sync_directory(target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target, follow_symlinks=False)


def _write(path: str, data: bytes) -> None:
    # Opened in place, not through tempfile, so that the file's mode follows the umask.
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: str) -> None:
    # Windows cannot open a directory and some network file systems cannot sync one. What is in the files is on the disk
    # by then, and a version that is in place is not to be reported as one that failed.
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _carry_late(source: str, target: str, ours: Collection[str]) -> None:
    """Gives the new version what others put beside our files, or changed there, while it was staged."""
    for name in sorted(set(os.listdir(source)).difference(ours)):
        if _is_passing(name, ours):
            continue
        old, new = os.path.join(source, name), os.path.join(target, name)
        if os.path.isdir(old) and os.path.isdir(new) and not os.path.islink(old):
            _carry_late(old, new, ())
        elif not os.path.lexists(new):
            _carry_over(old, new)
        elif os.path.isfile(old) and os.stat(old).st_mtime_ns > os.stat(new).st_mtime_ns:
            _delete(f"{new}.tmp")
            _carry_over(old, f"{new}.tmp")
            os.replace(f"{new}.tmp", new)


def _discard(at: Places, path: str) -> None:
    # Renamed first: a directory under any other name is always whole.
    if os.path.lexists(path):
        _delete(at.gone)
        os.rename(path, at.gone)
        _delete(at.gone)


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def _read(directory: str) -> dict[str, bytes]:
    found = {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                found[name] = file.read()
    return found


def _holds(path: str, data: bytes) -> bool:
    if not os.path.isfile(path) or os.path.getsize(path) != len(data):
        return False
    with open(path, "rb") as file:
        return file.read() == data


def _stamp(directory: str) -> tuple[int, int, int]:
    status = os.stat(directory)
    return status.st_dev, status.st_ino, status.st_mtime_ns
