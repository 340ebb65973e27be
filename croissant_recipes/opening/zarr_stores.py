# mypy: disable-error-code="misc"
# (zarr is untyped, and its store is subclassed)
"""Zarr stores as copick opens them, and one that refuses every write with a reason."""

from __future__ import annotations

from typing import Any, NoReturn

from zarr.storage import FSStore

_LAYOUT = {"key_separator": "/", "dimension_separator": "/"}
_METADATA = (".zgroup", ".zarray", "zarr.json")
"""What a group or an array begins with, Zarr 2 and 3."""


def writable_store(fs: Any, path: str, *, create: bool) -> FSStore:
    """A store that is read and written; ``create`` makes its folder."""
    return FSStore(path, fs=fs, mode="w", create=create, **_LAYOUT)


class ReadOnlyStore(FSStore):
    """A store whose data is not to be written.

    Args:
        fs: The filesystem.
        path: The path in it.
        reason: Why, and where to save instead; the text of the ``PermissionError`` that a write raises.
    """

    def __init__(self, fs: Any, path: str, reason: str) -> None:
        super().__init__(path, fs=fs, mode="r", create=False, **_LAYOUT)
        self._reason = reason

    def _refuse(self) -> NoReturn:
        raise PermissionError(self._reason)

    def __setitem__(self, key: str, value: Any) -> NoReturn:
        self._refuse()

    def __delitem__(self, key: str) -> NoReturn:
        self._refuse()

    def setitems(self, *_: Any) -> NoReturn:
        self._refuse()

    def delitems(self, *_: Any) -> NoReturn:
        self._refuse()

    def rmdir(self, *_: Any) -> NoReturn:
        self._refuse()

    def clear(self) -> NoReturn:
        self._refuse()


def holds_data(fs: Any, path: str) -> bool:
    """Whether a Zarr group or array is there. Asks for files, since web servers and some buckets list no folders.

    Raises:
        Exception: What the filesystem raises if it cannot be asked, or does not say.
    """
    refused: Exception | None = None
    for name in _METADATA:
        try:
            fs.cat_file(f"{path.rstrip('/')}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except Exception as error:
            # Of what is not there, a bucket that lists nothing says that it is forbidden.
            if not isinstance(error, PermissionError) and getattr(error, "status", None) != 403:
                raise
            refused = error
        else:
            return True
    if refused is not None:
        raise refused
    return False
