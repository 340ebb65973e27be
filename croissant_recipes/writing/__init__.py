"""The only writing I/O: a finished Croissant directory is committed as one, on a local disk or in a remote store.

A build killed at any moment leaves the old Croissant or the new one readable; the next build repairs what it left.
``local`` and ``remote`` say how, and what readers other than ours can see meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.journal import is_plain
from croissant_recipes.writing import local, remote
from croissant_recipes.writing.local import Places
from croissant_recipes.writing.lock import check_of, locked
from croissant_recipes.writing.output import Output, reporting
from croissant_recipes.writing.remote import Place

__all__ = ["Output", "commit", "locked", "peek", "read_existing"]


def read_existing(output: Output) -> Mapping[str, bytes]:
    """The files directly in ``Croissant/`` by name, none when it does not exist, once what a killed build left is
    repaired. To be called inside ``locked``.

    Raises:
        DiagnosticError: ``NOT_WRITABLE`` when the place cannot be read or repaired; ``LOCKED`` when the lock was lost.
    """
    check = check_of(output)
    with reporting(output, "read"):
        if output.local_root is not None:
            at = Places.below(output.local_root)
            local.repair(at)
            return local.read(at)
        place = Place.of(output)
        remote.repair(place, check)
        return remote.read(place)


def peek(output: Output) -> Mapping[str, bytes]:
    """As ``read_existing``, for a run that writes nothing: no lock, no repair. The files are all of one version, even
    while a build commits the next one or after one was killed.

    Raises:
        DiagnosticError: ``NOT_WRITABLE`` when the place cannot be read; ``LOCKED`` when other builds kept changing it.
    """
    with reporting(output, "read"):
        root = output.local_root
        files = remote.peek(Place.of(output)) if root is None else local.peek(Places.below(root))
    if files is None:
        raise DiagnosticError(
            Diagnostic(
                Code.LOCKED,
                f"{output.place} changed each time it was read: other builds are writing it",
                hint="wait until they end, then try again",
            )
        )
    return files


def commit(output: Output, files: Mapping[str, bytes], *, remove: Collection[str] = ()) -> None:
    """Writes ``Croissant/<name>`` for each of ``files`` and takes away each of ``remove``, as one change. To be called
    inside ``locked``.

    Other files of the directory stay. When every file is there with these bytes and nothing is to be taken away,
    nothing is touched.

    Raises:
        DiagnosticError: ``NOT_WRITABLE``; the old Croissant is then still the one that is read, unless a remote store
            failed while the new one was already complete. ``LOCKED`` when the lock was lost.
        ValueError: If a name is not that of a file directly in the directory, or is to be both written and removed.
    """
    unfit = sorted(name for name in {*files, *remove} if not is_plain(name) or (name in files and name in remove))
    if unfit:
        raise ValueError(f"not names of files to write or to remove: {unfit}")
    check = check_of(output)
    with reporting(output):
        if output.local_root is not None:
            local.commit(Places.below(output.local_root), files, remove)
        else:
            remote.commit(Place.of(output), files, remove, check)
