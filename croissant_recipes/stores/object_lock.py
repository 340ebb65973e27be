"""One builder at a time, in a remote store."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import cached_property

from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.journal import LOCK, STAGED, staged_path
from croissant_recipes.stores.object_folder import Place
from croissant_recipes.stores.output import Output, refused

_STALE_AFTER = timedelta(minutes=15)
_RENEW_EVERY = timedelta(minutes=1)
_VERIFY_EVERY = timedelta(seconds=2)
_POLL = 0.5


class ObjectLock:
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
        return refused(
            self._output,
            f"{what} {self._output.place}/{LOCK}",
            "wait until it ends, then build again; deleting that object is right if no build runs",
        )
