"""What every kind of place to write gives a build."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

Check = Callable[[], None]
"""Raises DiagnosticError (``LOCKED``) when the lock is no longer held."""


@dataclass(frozen=True)
class Lock:
    """A lock that is held.

    Attributes:
        check: Whether it still is.
        release: Gives it back.
    """

    check: Check
    release: Callable[[], None]


class Store(Protocol):
    """A Croissant directory that can be replaced as one. It raises what its file system raises.

    A build killed at any moment leaves the old Croissant or the new one readable; ``repair`` puts right what it left.
    """

    def lock(self, timeout: float) -> Lock:
        """One builder at a time. Makes the project root when it is missing.

        Args:
            timeout: How long to wait for another build, in seconds.

        Raises:
            DiagnosticError: ``LOCKED`` when another build holds it for longer.
        """

    def peek(self) -> Mapping[str, bytes] | None:
        """The files directly in the directory by name, all of one version, without lock and without repair. ``None``
        if it changed each time it was read."""

    def repair(self, check: Check) -> None:
        """Puts right what a killed build left. For a caller that holds the lock, as the two below."""

    def read(self) -> Mapping[str, bytes]:
        """The files directly in the directory by name, none when it does not exist."""

    def set_aside(self) -> Mapping[str, bytes]:
        """What others saved after a build had read the directory and before it replaced their files, none where nobody
        did; and with it the build record of that version. It stays until a commit, which is to hold it too."""

    def commit(
        self, files: Mapping[str, bytes], remove: Collection[str], read: Mapping[str, bytes], check: Check
    ) -> bool:
        """Makes the directory hold ``files`` and none of ``remove``, as one change; other files stay. Touches nothing
        where that is so already. False, with nothing done, where what is to be replaced is not as it was ``read``.

        What was set aside before goes. What is saved by others at the last moment, and replaced, is set aside."""
