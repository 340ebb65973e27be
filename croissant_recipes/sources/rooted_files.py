"""What sources have in common whose files lie below roots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croissant_recipes.sources.base import ArrayFacts, FileFacts, Progress
from croissant_recipes.sources.data_reader import DataReader
from croissant_recipes.sources.file_facts import FileReader, FileRoot, Key, Tokens
from croissant_recipes.work import Workers


class RootedFiles:
    """Reads the files of a source, and notes what they say for its identity.

    Args:
        workers: What reads many files at once.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._tokens: Tokens = {}
        self._read: dict[Key, FileFacts] = {}

    def _file_roots(self) -> Mapping[str, FileRoot]:
        """Where its files are read, by the names of its roots. Known once it was scanned."""
        raise NotImplementedError

    def read_files(self, files: Sequence[Key], *, sha256: bool, progress: Progress) -> Mapping[Key, FileFacts]:
        """Facts of picks and mesh files, given as (root, path)."""
        found = FileReader(self._file_roots(), self._workers, self._tokens).read(
            files, sha256=sha256, progress=progress
        )
        self._read |= found
        return found

    def read_points(self, files: Sequence[Key], *, sha256: bool, progress: Progress) -> Mapping[Key, FileFacts]:
        """See ``ReadsData``."""
        found = self._data().points(files, sha256=sha256, progress=progress)
        self._read |= found
        return found

    def read_arrays(self, stores: Sequence[Key], *, progress: Progress) -> Mapping[Key, ArrayFacts]:
        """See ``ReadsData``."""
        return self._data().arrays(stores, progress)

    def _data(self) -> DataReader:
        return DataReader(self._file_roots(), self._workers, self._tokens)
