"""Reading what lies at a location, and how a failure to read is told without telling a secret."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.location import Location
from croissant_recipes.secrecy import without_secrets


class NotThereError(DiagnosticError, FileNotFoundError):
    """A file that has to be there is not. Callers that know nothing of diagnostics take it for what Python raises."""


def open_filesystem(location: Location, fs_args: Mapping[str, Any]) -> tuple[Any, str]:
    """The fsspec filesystem of a location, its kept listings forgotten, and the path in it without a trailing slash."""
    import fsspec

    fs, path = fsspec.url_to_fs(location.url, **fs_args)
    # fsspec keeps a filesystem for the life of the process, and with it what it listed before.
    fs.invalidate_cache()
    return fs, path.rstrip("/")


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in a filesystem of fsspec, as a value that can be given to another process.

    Attributes:
        location: Of the folder.
        fs_args: fsspec keyword arguments.
        process: The process in which nothing is kept of what was listed before.
    """

    location: Location
    fs_args: Mapping[str, Any] = field(repr=False)
    process: int

    @classmethod
    def open(cls, location: Location, fs_args: Mapping[str, Any]) -> RemoteFolder:
        """Raises what fsspec raises where there is no such filesystem."""
        open_filesystem(location, fs_args)
        return cls(location, dict(fs_args), os.getpid())

    def filesystem(self) -> tuple[Any, str]:
        """The filesystem, in whatever process this is, and the path in it without a trailing slash."""
        import fsspec

        if os.getpid() != self.process:
            return open_filesystem(self.location, self.fs_args)
        fs, path = fsspec.url_to_fs(self.location.url, **self.fs_args)
        return fs, path.rstrip("/")


def path_in(fs: Any, location: Location) -> str:
    """The path of a location in a filesystem that was opened for another of the same service."""
    path: str = fs._strip_protocol(location.link)
    return path


def read_bytes(location: Location, fs_args: Mapping[str, Any]) -> bytes:
    """The content of a file. Raises what the filesystem raises."""
    if location.is_local:
        return Path(location.path).read_bytes()
    fs, path = open_filesystem(location, fs_args)
    data: bytes = fs.cat_file(path)
    return data


@contextmanager
def reading(what: str, location: Location, fs_args: Mapping[str, Any]) -> Iterator[None]:
    """Turns whatever a file system raises inside into one diagnostic.

    Raises:
        DiagnosticError: ``UNREACHABLE``, naming the place and never a credential; ``NotThereError`` where nothing is.
    """
    try:
        yield
    except DiagnosticError:
        raise
    except Exception as error:
        # A disk raises OSError only: anything else is a bug of ours and has to look like one. Remote filesystems raise
        # what their client libraries do. The cause is dropped because its text may quote a credential.
        if location.is_local and not isinstance(error, OSError):
            raise
        message = f"{what} {location} cannot be read: {explain(error, fs_args)}"
        raised = NotThereError if isinstance(error, FileNotFoundError) else DiagnosticError
        raise raised(Diagnostic(Code.UNREACHABLE, message, hint=_hint(location, error))) from None


def explain(error: Exception, fs_args: Mapping[str, Any]) -> str:
    """What went wrong, in one line, with the credentials of ``fs_args`` and of URLs blotted out."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return without_secrets(text, fs_args) or type(error).__name__


def _hint(location: Location, error: Exception) -> str:
    if isinstance(error, ImportError | ValueError) and not location.is_local:
        return "install the package that gives fsspec this protocol, or correct the URL"
    if isinstance(error, PermissionError):
        return "give access to it, or the credentials in the fs_args of the source"
    return "correct the path" if location.is_local else "correct the URL, or check the connection and the fs_args"
