"""The only writing: a finished Croissant directory is committed as one, in whatever store its location is of.

``store`` says what a store is; ``disk`` and ``object_store`` are two, and say what readers other than ours can see
meanwhile. A further kind is one line in ``_KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.journal import is_plain
from croissant_recipes.location import Location
from croissant_recipes.stores.disk import DiskStore
from croissant_recipes.stores.object_store import ObjectStore
from croissant_recipes.stores.output import Output, reporting
from croissant_recipes.stores.store import Check, Store

__all__ = ["Output", "commit", "locked", "peek", "read_existing", "set_aside"]

_KINDS: tuple[tuple[Callable[[Location], bool], Callable[[Output], Store]], ...] = (
    (lambda location: location.is_local, DiskStore),
    # Whatever else fsspec writes to has objects at least.
    (lambda _: True, ObjectStore),
)
"""Which locations a kind of store serves, and what opens it. The first that serves one has it."""

_held: dict[Location, Check] = {}


def _open(output: Output) -> Store:
    return next(kind for serves, kind in _KINDS if serves(output.project_root))(output)


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
        lock = _open(output).lock(timeout)
    _held[output.project_root] = lock.check
    try:
        yield
    except BaseException:
        del _held[output.project_root]
        # What ended the build is the news, not that its lock stays for a while.
        with suppress(Exception):
            lock.release()
        raise
    del _held[output.project_root]
    with reporting(output):
        lock.release()


def _check_of(output: Output) -> Check:
    """What tells whether the lock is still held.

    Raises:
        RuntimeError: If the caller is not inside ``locked``: a bug, not a finding.
    """
    if output.project_root not in _held:
        raise RuntimeError("the output is read for writing, or written, outside locked()")
    return _held[output.project_root]


def read_existing(output: Output) -> Mapping[str, bytes]:
    """The files directly in ``Croissant/`` by name, none when it does not exist, once what a killed build left is
    repaired. To be called inside ``locked``.

    Raises:
        DiagnosticError: ``NOT_WRITABLE`` when the place cannot be read or repaired; ``LOCKED`` when the lock was lost.
    """
    check = _check_of(output)
    with reporting(output, "read"):
        store = _open(output)
        store.repair(check)
        return store.read()


def peek(output: Output) -> Mapping[str, bytes]:
    """As ``read_existing``, for a run that writes nothing: no lock, no repair. The files are all of one version, even
    while a build commits the next one or after one was killed.

    Raises:
        DiagnosticError: ``NOT_WRITABLE`` when the place cannot be read; ``LOCKED`` when other builds kept changing it.
    """
    with reporting(output, "read"):
        files = _open(output).peek()
    if files is None:
        raise DiagnosticError(
            Diagnostic(
                Code.LOCKED,
                f"{output.place} changed each time it was read: other builds are writing it",
                hint="wait until they end, then try again",
            )
        )
    return files


def set_aside(output: Output) -> Mapping[str, bytes]:
    """What others saved while a build worked, which the build replaced and has not put back: the files by name, and the
    build record beside which they were saved. Nothing where nobody did.

    Raises:
        DiagnosticError: ``NOT_WRITABLE`` when the place cannot be read.
    """
    with reporting(output, "read"):
        return _open(output).set_aside()


def commit(
    output: Output,
    files: Mapping[str, bytes],
    *,
    remove: Collection[str] = (),
    read: Mapping[str, bytes] | None = None,
) -> bool:
    """Writes ``Croissant/<name>`` for each of ``files`` and takes away each of ``remove``, as one change. To be called
    inside ``locked``.

    Other files of the directory stay. When every file is there with these bytes and nothing is to be taken away,
    nothing is touched. What was ``set_aside`` before is deleted: the new files are to hold it.

    Args:
        output: Where to write.
        files: What to write.
        remove: What to take away.
        read: The files that were there when the new ones were made; without it, those that are there now. Of others
            that are saved at the last moment and replaced, nothing is lost: they are ``set_aside``.

    Returns:
        Whether they are in place: they are not, and nothing is changed, where others saved since ``read``.

    Raises:
        DiagnosticError: ``NOT_WRITABLE``; the old Croissant is then still the one that is read, unless a remote store
            failed while the new one was already complete. ``LOCKED`` when the lock was lost.
        ValueError: If a name is not that of a file directly in the directory, or is to be both written and removed.
    """
    unfit = sorted(name for name in {*files, *remove} if not is_plain(name) or (name in files and name in remove))
    if unfit:
        raise ValueError(f"not names of files to write or to remove: {unfit}")
    check = _check_of(output)
    with reporting(output):
        store = _open(output)
        return store.commit(files, remove, store.read() if read is None else read, check)
