"""Reading what lies at a location, and how a failure to read is told without telling a secret."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from croissant_recipes import intake
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.location import Location
from croissant_recipes.secrecy import without_secrets

Got = TypeVar("Got")

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What a web server, or what stands before it, answers while it is in trouble."""

_WAITS = (0.1, 0.2, 0.4, 0.8)
"""Seconds between tries of a request to a web server that is in trouble."""


_PORTAL = Location.parse("s3://cryoet-data-portal-public")
_ACCESS = frozenset({"anon", "key", "secret", "token", "username", "password", "profile", "session", "endpoint_url"})
"""Arguments of s3fs that say who is asking, or whom."""


class NotThereError(DiagnosticError, FileNotFoundError):
    """A file that has to be there is not. Callers that know nothing of diagnostics take it for what Python raises."""


def is_public(location: Location) -> bool:
    """Whether a place is in the CryoET Data Portal's bucket."""
    return (location.protocol, location.host, location.caches) == (_PORTAL.protocol, _PORTAL.host, ())


def arguments_for(location: Location, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a place's filesystem. What is in the portal's public bucket is read without credentials, unless
    the arguments say who is asking."""
    if is_public(location) and not _ACCESS & (given.keys() | given.get("client_kwargs", {}).keys()):
        return {**given, "anon": True}
    return dict(given)


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


def read_bytes(location: Location, fs_args: Mapping[str, Any], limit: int) -> bytes:
    """The content of a file of at most so many bytes. Raises what the filesystem raises."""
    if location.is_local:
        return intake.read_file(location.path, limit)
    fs, _ = open_filesystem(location, fs_args)
    return read_in(fs, location, limit)


def read_in(fs: Any, location: Location, limit: int) -> bytes:
    """The content of a file, in a filesystem that was opened for a place of the same service. Raises what the
    filesystem raises, ``UnfitFileError`` where the file is larger than ``limit`` bytes."""
    return read_pieces_in(fs, location, limit, b"".join)[0]


def read_pieces_in(fs: Any, location: Location, limit: int, take: Callable[[Iterator[bytes]], Got]) -> tuple[Got, str]:
    """As ``read_in``, of a file that need not fit in memory: what is made of its pieces, and the text that changes
    whenever the content does, empty where there is none. An opened S3 file reads no other version than it says."""
    # Of the web's files the size is not asked for before: some servers do not say it, and others answer without end.
    options = {"block_size": 0, "size": 1} if location.is_web else {}

    def read() -> tuple[Got, str]:
        with fs.open(path_in(fs, location), "rb", **options) as file:
            size = getattr(file, "size", None)
            taken = take(intake.pieces(file, size if isinstance(size, int) else 0, limit))
            # Of a web page the answer says it, of an object what was asked of it before.
            answered = getattr(getattr(file, "r", None), "headers", {})
            details = getattr(file, "details", None) or {}
            return taken, str(details.get("ETag") or details.get("etag") or answered.get("ETag") or "")

    return patiently(read)


def patiently(ask: Callable[[], Got]) -> Got:
    """What a request to a filesystem gives. One to a web server that is in trouble is made again, whatever the server
    says besides; the clients of object stores do so themselves."""
    for wait in _WAITS:
        try:
            return ask()
        except Exception as error:
            if getattr(error, "status", None) not in PASSING_STATUS:
                raise
        time.sleep(wait)
    return ask()


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
