"""The folder of a Croissant, written to beside others who write to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from fsspec.implementations.local import LocalFileSystem

if sys.platform != "win32":
    import fcntl


@dataclass(frozen=True)
class SharedFolder:
    """A folder that is being written to. Made by ``shared_folder``.

    Attributes:
        fs: Its filesystem.
        path: Of the folder, in its filesystem.
        descriptor: What it is open as on this machine; ``None`` elsewhere.
    """

    fs: Any
    path: str
    descriptor: int | None

    def write(self, files: Mapping[str, bytes]) -> None:
        """Replaces files, by name, in their order. On this machine all are on the disk before the first is replaced,
        and all go into one folder, whatever takes its place meanwhile."""
        if not isinstance(self.fs, LocalFileSystem):
            for name, data in files.items():
                self.fs.pipe_file(f"{self.path}/{name}", data)
            return
        staged = {name: f".{name}.{os.getpid()}.tmp" for name in files}
        try:
            for name, data in files.items():
                with open(self._place(staged[name]), "wb", opener=self._open) as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            for name in files:
                os.replace(
                    self._place(staged[name]),
                    self._place(name),
                    src_dir_fd=self.descriptor,
                    dst_dir_fd=self.descriptor,
                )
        except BaseException:
            for name in staged.values():
                with suppress(OSError):
                    os.unlink(self._place(name), dir_fd=self.descriptor)
            raise

    @property
    def is_in_place(self) -> bool:
        """Whether it is still the folder of its path: a build swaps it for another one."""
        if self.descriptor is None:
            return True
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    def _place(self, name: str) -> str:
        return name if self.descriptor is not None else os.path.join(self.path, name)

    def _open(self, path: str, flags: int) -> int:
        return os.open(path, flags, 0o666, dir_fd=self.descriptor)


@contextmanager
def shared_folder(fs: Any, path: str) -> Iterator[SharedFolder]:
    """A folder to write to. Processes of this machine that open it so get it one after the other."""
    if sys.platform == "win32" or not isinstance(fs, LocalFileSystem):
        yield SharedFolder(fs, path, None)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Some network file systems lock no folders.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield SharedFolder(fs, path, descriptor)
    finally:
        os.close(descriptor)
