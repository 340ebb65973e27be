"""Where a Croissant is written, and how a failure to write there is told."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.secrecy import without_secrets, without_userinfo

METADATA = "metadata.json"

_LOCAL_SCHEMES = ("file://", "local://")


@dataclass(frozen=True)
class Output:
    """Where a Croissant is written: ``Croissant/`` below ``project_root``.

    Attributes:
        project_root: An absolute local path or an fsspec URL, without a trailing slash.
        fs_args: Keyword arguments of the fsspec filesystem. They may hold credentials, so they are never shown.
    """

    project_root: str
    fs_args: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def local_root(self) -> Path | None:
        """The project root as a path, or None when it is not on the local file system."""
        if self.project_root.startswith(_LOCAL_SCHEMES):
            return Path(url2pathname(urlsplit(self.project_root).path))
        return None if "://" in self.project_root or "::" in self.project_root else Path(self.project_root)

    @property
    def place(self) -> str:
        """The Croissant directory as messages name it: without user name and password."""
        return f"{without_userinfo(self.project_root)}/Croissant"


@contextmanager
def reporting(output: Output, doing: str = "written") -> Iterator[None]:
    """Turns whatever a file system raises inside into one diagnostic.

    Raises:
        DiagnosticError: ``NOT_WRITABLE``, naming the place and never a credential.
    """
    try:
        yield
    except DiagnosticError:
        raise
    except OSError as error:
        raise DiagnosticError(_not_writable(output, doing, error)) from None
    except Exception as error:
        # A local file system raises OSError only: anything else is a bug of ours and has to look like one. Remote ones
        # raise what their client library raises (botocore's errors are no OSError). The cause is dropped here, as
        # above, because its text may quote a credential.
        if output.local_root is not None:
            raise
        raise DiagnosticError(_not_writable(output, doing, error)) from None


def _not_writable(output: Output, doing: str, error: Exception) -> Diagnostic:
    return Diagnostic(
        Code.NOT_WRITABLE,
        f"{output.place} cannot be {doing}: {without_secrets(_text(error), output.fs_args)}",
        hint=_hint(output, error),
    )


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _hint(output: Output, error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, PermissionError) or code == errno.EROFS:
        return "allow the build to write there, or choose another output.project_root"
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "free some space there; what was written before is unchanged"
    if output.local_root is not None:
        return "choose another output.project_root, or repair the path"
    if isinstance(error, FileNotFoundError):
        return "make the bucket or folder first: a build does not; or correct output.project_root"
    return "check output.project_root, output.fs_args and the connection"


def in_commit_order(names: Iterable[str]) -> list[str]:
    """Sorted, ``metadata.json`` last: it makes the others visible."""
    return sorted(names, key=lambda name: (name == METADATA, name))


Check = Callable[[], None]
"""Raises DiagnosticError (``LOCKED``) when the lock is no longer held."""
