"""One builder at a time."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import filelock

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.journal import LOCK, STAGED, staged_path
from croissant_recipes.writing.local import Places
from croissant_recipes.writing.output import Check, Output, reporting
from croissant_recipes.writing.remote import Place

LOCAL_LOCK = ".croissant-recipe.lock"

_STALE_AFTER = timedelta(minutes=15)
_RENEW_EVERY = timedelta(minutes=1)
_VERIFY_EVERY = timedelta(seconds=2)
_POLL = 0.5

_held: dict[str, Check] = {}


@contextmanager
def locked(output: Output, *, timeout: float = 30.0) -> Iterator[None]:
    """Holds the lock of an output. Makes the project root when it is missing.

    On a local disk the system releases the lock of a build that is killed. In a remote store the lock is an object that
    a killed build leaves; it counts as left when nobody has renewed it for 15 minutes, by the store's own clock.

    Args:
        output: Where the build writes.
        timeout: How long to wait for another build, in seconds.

    Raises:
        DiagnosticError: ``LOCKED`` when another build holds it for longer; ``NOT_WRITABLE`` when the place cannot be
            written.
    """
    with reporting(output):
        check, release = (
            _lock_local(output, timeout) if output.local_root is not None else _lock_remote(output, timeout)
        )
    _held[output.project_root] = check
    try:
        yield
    except BaseException:
        del _held[output.project_root]
        # What ended the build is the news, not that its lock stays for a while.
        with suppress(Exception):
            release()
        raise
    del _held[output.project_root]
    with reporting(output):
        release()


def check_of(output: Output) -> Check:
    """What tells whether the lock is still held.

    Raises:
        RuntimeError: If the caller is not inside ``locked``: a bug, not a finding.
    """
    if output.project_root not in _held:
        raise RuntimeError("the output is read for writing, or written, outside locked()")
    return _held[output.project_root]


def _lock_local(output: Output, timeout: float) -> tuple[Check, Callable[[], None]]:
    root = output.local_root or Path(output.project_root)
    if not root.exists():
        root.mkdir(parents=True)
    # Beside the real directory: two roots whose Croissant links to one directory are one place.
    path = os.path.join(os.path.dirname(Places.below(root).current), LOCAL_LOCK)
    # The file stays: were it removed, a build waiting for it and one that makes it anew would hold two different files
    # of one name.
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=timeout, poll_interval=0.05)
    except filelock.Timeout:
        raise _refused(output, f"it holds {path}", "wait until it ends, then build again") from None
    except NotImplementedError as error:  # what older versions of filelock raise where there is no flock
        raise OSError(errno.ENOSYS, str(error), path) from None
    # The system keeps this one for as long as the process lives.
    return lambda: None, lock.release


def _lock_remote(output: Output, timeout: float) -> tuple[Check, Callable[[], None]]:
    lock = _RemoteLock(output, Place.of(output))
    lock.acquire(timeout)
    return lock.check, lock.release


class _RemoteLock:
    """An object that only its maker removes: what it holds is a random token.

    It is made by an exclusive create (S3: ``If-None-Match: *``). Where a store has none, two builds that start in the
    same instant may both pass; the later token then wins and the other build stops when it next looks.
    """

    def __init__(self, output: Output, place: Place) -> None:
        self._output = output
        self._place = place
        self._path = place.path(LOCK)
        self._token = uuid.uuid4().hex.encode()
        self._renewed = self._verified = datetime.min.replace(tzinfo=UTC)

    def acquire(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._place.make(self._place.directory)
        while not self._create():
            if self._is_left():
                self._place.delete(self._path)
                continue
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._refusal("it made")
            time.sleep(min(_POLL, remaining))

    def check(self) -> None:
        """Raises LOCKED if another build took the lock over, and renews it once a minute."""
        # By the wall clock, which goes on while the machine sleeps.
        now = datetime.now(UTC)
        if abs(now - self._verified) < _VERIFY_EVERY:
            return
        if self._holder() != self._token:
            raise self._refusal("it took over")
        self._verified = now
        if abs(now - self._renewed) >= _RENEW_EVERY:
            self._place.fs.pipe_file(self._path, self._token)
            self._renewed = now

    def release(self) -> None:
        if self._holder() == self._token:
            self._place.delete(self._path)

    def _create(self) -> bool:
        # Looked at first for stores whose create is not exclusive, read back for those and for an answer that was lost.
        if self._holder() is not None:
            return False
        try:
            self._put()
        except FileExistsError:
            pass
        except OSError:
            # Some report a refused condition as any other refusal: it was one if there is a lock now, or if it works
            # on the second try.
            if self._holder() is None:
                self._put()
        self._renewed = datetime.now(UTC)
        return self._holder() == self._token

    def _put(self) -> None:
        try:
            self._place.fs.pipe_file(self._path, self._token, mode="create")
        except (NotImplementedError, TypeError, ValueError):
            self._place.fs.pipe_file(self._path, self._token)

    def _holder(self) -> bytes | None:
        try:
            return bytes(self._place.fs.cat_file(self._path))
        except FileNotFoundError:
            return None

    def _is_left(self) -> bool:
        holder = self._holder()
        made = self._modified(self._path)
        if holder is None or made is None or datetime.now(UTC) + self._clock_offset - made < _STALE_AFTER:
            return False
        # Not if it changed hands between the two looks.
        return self._holder() == holder

    @cached_property
    def _clock_offset(self) -> timedelta:
        """How far the store's clock is ahead of ours: a clock that is wrong must not make a live lock look old."""
        # In the stage, where a later build sweeps it away should this one be killed here.
        probe = self._place.path(staged_path(f"clock-{self._token.decode()}"))
        self._place.make(self._place.path(STAGED))
        self._place.fs.pipe_file(probe, b"")
        there = self._modified(probe)
        self._place.delete(probe)
        return timedelta() if there is None else there - datetime.now(UTC)

    def _modified(self, path: str) -> datetime | None:
        self._place.fs.invalidate_cache()
        try:
            moment = self._place.fs.modified(path)
        except (FileNotFoundError, NotImplementedError):
            return None
        if not isinstance(moment, datetime):
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _refusal(self, what: str) -> DiagnosticError:
        return _refused(
            self._output,
            f"{what} {self._output.place}/{LOCK}",
            "wait until it ends, then build again; deleting that object is right if no build runs",
        )


def _refused(output: Output, why: str, hint: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(Code.LOCKED, f"another build is writing {output.place}: {why}", hint=hint))
