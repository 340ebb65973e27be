"""Where a Croissant is written, and how a failure to write there is told."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.location import Location
from croissant_recipes.secrecy import without_secrets

METADATA = "metadata.json"
RECORDS = ("croissant-recipe.json", "croissant-recipe.parquet")
"""The build record. It tells what others saved from what a build wrote."""


@dataclass(frozen=True)
class Output:
    """Where a Croissant is written: ``Croissant/`` below ``project_root``.

    Attributes:
        project_root: Where the project lies.
        fs_args: Keyword arguments of the fsspec filesystem. They may hold credentials, so they are never shown.
    """

    project_root: Location
    fs_args: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def croissant(self) -> Location:
        """The Croissant directory."""
        return self.project_root / "Croissant"

    @property
    def metadata(self) -> Location:
        """The Croissant manifest."""
        return self.croissant / METADATA

    @property
    def place(self) -> str:
        """The Croissant directory as messages name it."""
        return str(self.croissant)


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
        if output.project_root.is_local:
            raise
        raise DiagnosticError(_not_writable(output, doing, error)) from None


def refused(output: Output, why: str, hint: str) -> DiagnosticError:
    """The error that tells that another build has the lock."""
    return DiagnosticError(Diagnostic(Code.LOCKED, f"another build is writing {output.place}: {why}", hint=hint))


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
    if output.project_root.is_local:
        return "choose another output.project_root, or repair the path"
    if isinstance(error, FileNotFoundError):
        return "make the bucket or folder first: a build does not; or correct output.project_root"
    return "check output.project_root, output.fs_args and the connection"


def in_commit_order(names: Iterable[str]) -> list[str]:
    """Sorted, ``metadata.json`` last: it makes the others visible. Before it comes the build record, so that the one of
    the files that are replaced is there while they are."""
    return sorted(names, key=lambda name: (name == METADATA, name in RECORDS, name))
