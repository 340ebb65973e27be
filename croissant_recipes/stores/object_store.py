"""Committing a Croissant to a remote store, where no step replaces several objects at once.

The new files go to ``Croissant/.staged/``, then a journal that says they are complete, then each is copied to its place
on the server, ``metadata.json`` last, then journal and stage are removed. A build killed before the journal leaves the
old version; killed after it, the next build goes on where it stopped. Our own readers see the old version before the
journal and the new one after it, at every moment.

Somebody may save while that goes on. Each file is looked at before it is replaced, and one that is neither what the
build had read, whose digest the journal has, nor the new one is first copied to ``Croissant/.aside/``, with the build
record that is still there. On S3 the store itself refuses to replace another version than the one that was looked at;
elsewhere a file saved between these two requests is lost.

Other readers know nothing of a journal. While the copying runs, or was cut short, they find the old ``metadata.json``
beside CSV files of the new version, whose sha256 is not the one that it gives: an error where they check it, as
mlcroissant does, never rows of two versions taken for one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.journal import ASIDE, JOURNAL, STAGED, Journal, digests, read_journal, staged_path, staged_view
from croissant_recipes.stores.object_folder import Place
from croissant_recipes.stores.object_lock import ObjectLock
from croissant_recipes.stores.output import RECORDS, Output, in_commit_order
from croissant_recipes.stores.store import Check, Lock

_READS = 5
_LOOKS = 50


class ObjectStore:
    """A Croissant directory in any filesystem of fsspec."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._place = Place.of(output)

    def lock(self, timeout: float) -> Lock:
        lock = ObjectLock(self._output, self._place)
        lock.acquire(timeout)
        return Lock(lock.check, lock.release)

    def peek(self) -> dict[str, bytes] | None:
        return peek(self._place)

    def repair(self, check: Check) -> None:
        repair(self._place, check)

    def read(self) -> dict[str, bytes]:
        return read(self._place)

    def set_aside(self) -> dict[str, bytes]:
        return set_aside(self._place)

    def commit(
        self, files: Mapping[str, bytes], remove: Collection[str], read: Mapping[str, bytes], check: Check
    ) -> bool:
        return commit(self._place, files, remove, read, check)


def repair(place: Place, check: Check) -> None:
    """Puts right what a killed commit left: completes it if its journal was written, or else throws its files away."""
    if not place.has_stage():
        return
    journal = read_journal(place.cat)
    if journal is None:
        _sweep(place, check)
        return
    _refuse_damaged(place, journal)
    _finish(place, journal, check)


def read(place: Place) -> dict[str, bytes]:
    """The files directly in the directory, by name. For a caller that holds the lock and has repaired."""
    return {name: place.cat(name) for name in sorted(place.listing())}


def peek(place: Place) -> dict[str, bytes] | None:
    """As ``read``, without lock and without repair: one version even in the middle of a commit. None if it changed
    again and again while being read."""
    for _ in range(_READS):
        before = _stamp(place)
        with suppress(FileNotFoundError):
            files = _read_through(place)
            if _stamp(place) == before:
                return files
    return None


def set_aside(place: Place) -> dict[str, bytes]:
    """What others saved and a build replaced, with the record of that version."""
    with suppress(FileNotFoundError):
        return {name: place.cat(f"{ASIDE}/{name}") for name in sorted(place.listing(ASIDE))}
    return {}


def commit(
    place: Place, files: Mapping[str, bytes], remove: Collection[str], read: Mapping[str, bytes], check: Check
) -> bool:
    """Makes the directory hold ``files`` and none of ``remove``; other files stay. False where it is not as it was
    ``read``. ``check`` runs before each write."""
    repair(place, check)
    there = place.listing()
    gone = tuple(sorted(there.keys() & set(remove)))
    if not gone and all(_holds(place, there.get(name), name, data) for name, data in files.items()):
        place.delete_folder(ASIDE)
        return True
    place.make(place.path(STAGED))
    for name in in_commit_order(files):
        check()
        place.fs.pipe_file(place.path(staged_path(name)), files[name])
    journal = Journal.of(files, gone, read)
    check()
    if any(journal.is_late(name, place.cat(name)) for name in there if name in files or name in gone):
        _sweep(place, check)
        return False
    place.fs.pipe_file(place.path(staged_path(JOURNAL)), journal.to_bytes())
    place.delete_folder(ASIDE)
    _finish(place, journal, check)
    return True


def _finish(place: Place, journal: Journal, check: Check) -> None:
    for name in in_commit_order(journal.files):
        _replace(place, name, journal, check)
    for name in journal.remove:
        check()
        place.delete(place.path(name))
    check()
    # Before the staged files, so that a journal never speaks of files that are gone.
    place.delete(place.path(staged_path(JOURNAL)))
    _sweep(place, check)


def _replace(place: Place, name: str, journal: Journal, check: Check) -> None:
    staged = place.path(staged_path(name))
    for looks in range(_LOOKS):
        check()
        tag, there = place.look(name)
        if there is not None and digests({name: there}) == {name: journal.files[name]}:
            return
        if there is not None and journal.is_late(name, there):
            _set_aside(place, name, there)
        try:
            place.replace(staged, name, tag)
        except OSError:
            # Another version by now; or a store that knows no such condition, or refuses altogether.
            if place.look(name)[1] == there or looks == _LOOKS - 1:
                place.copy(staged, place.path(name))
            else:
                continue
        return


def _set_aside(place: Place, name: str, data: bytes) -> None:
    place.make(place.path(ASIDE))
    aside = place.listing(ASIDE)
    for record in RECORDS:
        if record not in aside and record != name:
            with suppress(FileNotFoundError):
                place.copy(place.path(record), place.path(f"{ASIDE}/{record}"))
    place.fs.pipe_file(place.path(f"{ASIDE}/{name}"), data)


def _sweep(place: Place, check: Check) -> None:
    check()
    place.delete_folder(STAGED)


def _refuse_damaged(place: Place, journal: Journal) -> None:
    for name, digest in journal.files.items():
        path = place.path(staged_path(name))
        try:
            data = place.fs.cat_file(path)
        except FileNotFoundError:
            data = b""
        if sha256(data).hexdigest() != digest:
            raise DiagnosticError(
                Diagnostic(
                    Code.NOT_WRITABLE,
                    f"{place.fs.unstrip_protocol(path)} is not the file that the journal of a killed build speaks of",
                    hint=f"something else changed the folder {STAGED}; delete it, then build again",
                )
            )


def _holds(place: Place, entry: Mapping[str, Any] | None, name: str, data: bytes) -> bool:
    if entry is None or entry.get("size") != len(data):
        return False
    return bool(place.cat(name) == data)


def _read_through(place: Place) -> dict[str, bytes]:
    journal = read_journal(place.cat)
    removed = journal.remove if journal else ()
    paths = {name: place.path(name) for name in place.listing() if name not in removed}
    paths |= {name: place.path(p) for name, p in (staged_view(place.cat) or {}).items()}
    return {name: place.fs.cat_file(path) for name, path in sorted(paths.items())}


def _stamp(place: Place) -> tuple[Journal | None, dict[str, dict[str, Any]]]:
    return read_journal(place.cat), place.listing()
