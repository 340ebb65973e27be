"""Single files that a command writes beside a Croissant: a config, a first recipe."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

from croissant_recipes import intake
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError

_HINT = "give the path of a file in a folder that can be written to"


def refuse_file(
    path: str, is_ours: Callable[[bytes], bool] | None = None, what: str = "", *, limit: int = intake.DOCUMENT_BYTES
) -> None:
    """Find out that a file cannot be written before there is anything to write.

    Args:
        path: Of the file.
        is_ours: Whether a file that is there, given its content, may be replaced; without it any may.
        what: What such a file is, for messages.
        limit: How many bytes such a file can have.

    Raises:
        DiagnosticError: ``NOT_WRITABLE``.
    """
    try:
        _refuse_folder(os.path.dirname(os.path.realpath(path)))
        if not os.path.lexists(path):
            return
        there = intake.read_file(path, limit)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from None
    if is_ours is not None and not is_ours(there):
        message = f"{path} is there, and is no {what}: it is not replaced"
        raise DiagnosticError(Diagnostic(Code.NOT_WRITABLE, message, hint="give another path, or remove the file"))


def refuse_folder(path: str) -> None:
    """Find out that a folder cannot be written to, or made, before there is anything to write.

    Raises:
        DiagnosticError: ``NOT_WRITABLE``.
    """
    try:
        place = os.path.realpath(path)
        while not os.path.lexists(place):
            place = os.path.dirname(place)
        _refuse_folder(place)
    except (OSError, ValueError) as error:
        raise _refusal(path, error, "give a folder that can be written to, or made") from None


def write_file(path: str, data: bytes) -> None:
    """Write a file, or replace it: whole, or not at all.

    Raises:
        DiagnosticError: ``NOT_WRITABLE``.
    """
    place = os.path.realpath(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(place), prefix=f".{os.path.basename(place)}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, _mode(place))
            os.replace(temporary, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from None


def _mode(place: str) -> int:
    """That of the file which is there, or the one that a new file has."""
    with suppress(OSError):
        return os.stat(place).st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _refuse_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        code = errno.ENOTDIR if os.path.lexists(folder) else errno.ENOENT
        raise OSError(code, os.strerror(code), folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), folder)


def _refusal(path: str, error: Exception, hint: str = _HINT) -> DiagnosticError:
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return DiagnosticError(Diagnostic(Code.NOT_WRITABLE, f"{path} cannot be written: {reason}", hint=hint))
