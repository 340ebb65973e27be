"""Reading through fsspec or straight from the disk, and how a failure to read is told without telling a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.secrecy import without_secrets
from croissant_recipes.sources.locations import is_local, strip_credentials


def open_filesystem(location: str, fs_args: Mapping[str, Any]) -> tuple[Any, str]:
    """The fsspec filesystem of a URL, its kept listings forgotten, and the path in it without a trailing slash."""
    import fsspec

    fs, path = fsspec.url_to_fs(location, **fs_args)
    # fsspec keeps a filesystem for the life of the process, and with it what it listed before.
    fs.invalidate_cache()
    return fs, path.rstrip("/")


def read_bytes(location: str, fs_args: Mapping[str, Any]) -> bytes:
    """The content of a local file or URL. Raises what the filesystem raises."""
    if is_local(location):
        return Path(location).read_bytes()
    fs, path = open_filesystem(location, fs_args)
    data: bytes = fs.cat_file(path)
    return data


@contextmanager
def reading(what: str, location: str, fs_args: Mapping[str, Any]) -> Iterator[None]:
    """Turns whatever a file system raises inside into one diagnostic.

    Raises:
        DiagnosticError: ``UNREACHABLE``, naming the place and never a credential.
    """
    try:
        yield
    except DiagnosticError:
        raise
    except Exception as error:
        # A disk raises OSError only: anything else is a bug of ours and has to look like one. Remote filesystems raise
        # what their client libraries do. The cause is dropped because its text may quote a credential.
        if is_local(location) and not isinstance(error, OSError):
            raise
        message = f"{what} {strip_credentials(location)} cannot be read: {explain(error, fs_args)}"
        raise DiagnosticError(Diagnostic(Code.UNREACHABLE, message, hint=_hint(location, error))) from None


def explain(error: Exception, fs_args: Mapping[str, Any]) -> str:
    """What went wrong, in one line, with the credentials of ``fs_args`` and of URLs blotted out."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return without_secrets(text, fs_args) or type(error).__name__


def _hint(location: str, error: Exception) -> str:
    if isinstance(error, ImportError | ValueError) and not is_local(location):
        return "install the package that gives fsspec this protocol, or correct the URL"
    if isinstance(error, PermissionError):
        return "give access to it, or the credentials in the fs_args of the source"
    return "correct the path" if is_local(location) else "correct the URL, or check the connection and the fs_args"
