"""What a commit to a remote store leaves beside the Croissant while it runs, and how to read through it.

``Croissant/.staged/`` holds the new files, then ``journal.json``, whose presence says that the new version is complete
there. A reader that asks ``staged_view`` sees the old version before the journal exists and the new one from then on.

Nothing here opens anything: callers say how a file of the Croissant directory is read, by its name relative to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from croissant_recipes import intake

STAGED = ".staged"
ASIDE = ".aside"
"""Where a commit leaves files that it replaced and that were not those the build had read: somebody saved meanwhile."""

JOURNAL = "journal.json"
LOCK = ".lock"

_FORMAT = 1

Read = Callable[[str], bytes]
"""Gives the content of a file of the Croissant directory, by its path relative to it."""


@dataclass(frozen=True)
class Journal:
    """A complete new version.

    Attributes:
        files: The sha256 of every file, by name.
        remove: Names that the new version no longer has.
        before: The sha256 of every file that the build had read and this replaces. A file with neither digest was saved
            by somebody in between. ``None`` where that was not noted.
    """

    files: Mapping[str, str]
    remove: tuple[str, ...]
    before: Mapping[str, str] | None = None

    @classmethod
    def of(
        cls, files: Mapping[str, bytes], remove: tuple[str, ...], before: Mapping[str, bytes] | None = None
    ) -> Journal:
        if before is None:
            return cls(digests(files), remove)
        replaced = {name: data for name, data in before.items() if name in files or name in remove}
        return cls(digests(files), remove, digests(replaced))

    def is_late(self, name: str, data: bytes) -> bool:
        """Whether a file in the place of a new one was saved after the build had read what was there."""
        digest = sha256(data).hexdigest()
        return self.before is not None and digest != self.before.get(name) and digest != self.files.get(name)

    def to_bytes(self) -> bytes:
        record = {"format": _FORMAT, "files": dict(self.files), "remove": list(self.remove)}
        if self.before is not None:
            record["before"] = dict(self.before)
        return json.dumps(record, indent=1, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Journal | None:
        """The journal, or None for bytes that are none: one that was being written when its build was killed, say."""
        try:
            record = intake.parse_json(data)
        except ValueError:
            return None
        if not isinstance(record, dict) or record.get("format") != _FORMAT:
            return None
        files, remove = record.get("files"), record.get("remove")
        if not isinstance(files, dict) or not isinstance(remove, list):
            return None
        if not all(isinstance(n, str) and is_plain(n) for n in [*files, *remove]):
            return None
        before = record.get("before")
        noted = {str(n): str(digest) for n, digest in before.items()} if isinstance(before, dict) else None
        return cls({name: str(digest) for name, digest in files.items()}, tuple(remove), noted)


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """The sha256 of every file."""
    return {name: sha256(data).hexdigest() for name, data in files.items()}


def is_plain(name: str) -> bool:
    """Whether a name is that of one file directly in the directory, and not one that a commit itself uses."""
    return bool(name) and not set(name) & set("/\\\0") and name not in {".", "..", STAGED, ASIDE, LOCK, JOURNAL}


def staged_path(name: str) -> str:
    """Where a file is staged, relative to the Croissant directory."""
    return f"{STAGED}/{name}"


def read_journal(read: Read) -> Journal | None:
    """The journal of a commit that is under way or was killed, if there is one."""
    try:
        data = read(staged_path(JOURNAL))
    except (FileNotFoundError, PermissionError):
        # A store that does not let a reader list its objects answers 403 where there is none.
        return None
    except Exception as error:
        if _is_refusal(error):
            return None
        raise
    return Journal.from_bytes(data)


def staged_view(read: Read) -> dict[str, str] | None:
    """Where to read the files of a remote Croissant while a commit is half done: their paths, relative to the Croissant
    directory, by name; None: where they always are.

    A commit that ends meanwhile takes the staged files away, and one that begins replaces the others: a reader that
    finds a file missing, or one whose sha256 is not the one in ``metadata.json``, has to ask again and start over.
    """
    journal = read_journal(read)
    return None if journal is None else {name: staged_path(name) for name in journal.files}


def _is_refusal(error: Exception) -> bool:
    """Whether an HTTP server answered, and said no (fsspec's HTTP errors carry the status)."""
    status = getattr(error, "status", None)
    return isinstance(status, int) and 400 <= status < 500
