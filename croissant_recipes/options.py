"""What a caller can say about a build beside the recipe."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from croissant_recipes import allowing

if TYPE_CHECKING:
    from concurrent.futures import Executor

CacheMode = Literal["use", "refresh", "offline"]
"""Whether answers of the portal are taken from the cache, asked for anew, or required to be there."""


def default_jobs() -> int:
    """How much to have under way at once: files are waited for more than worked on."""
    return min(32, 4 * (os.cpu_count() or 1))


@dataclass(frozen=True)
class Options:
    """Options of ``plan`` and ``build``; the command's flags of the same names.

    Attributes:
        params: Parameter values, as text.
        output: Instead of ``output.project_root``; relative to the working directory.
        base_url: Instead of ``output.base_url``.
        file_sha256: Whether the sha256 of picks and meshes is read.
        jobs: How many files or requests to have under way at once.
        executor: What lists directories and reads files, instead of threads. It is not shut down.
        strict: Whether a value that other readers change, or an expectation of level ``warn`` that does not hold, is an
            error.
        cache: Whether the portal's answers are taken from the cache, asked for anew, or required to be there.
        on_drift: What happens to changes that others made to a built Croissant.
        force: Whether a Croissant that this recipe did not build may be replaced.
        allow: What this change may do that breaks somebody: words of ``allowing``.
        points: The distance in Å by which a point of changed picks has to move to be told of; ``None`` where picks are
            not read for that. Of ``plan`` and ``diff``.

    Raises:
        ValueError: ``allow`` has a word that is none, or ``points`` is no distance.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    output: str | None = None
    base_url: str | None = None
    file_sha256: bool = True
    jobs: int = field(default_factory=default_jobs)
    executor: Executor | None = None
    strict: bool = False
    cache: CacheMode = "use"
    on_drift: Literal["stop", "keep", "discard"] = "stop"
    force: bool = False
    allow: frozenset[str] = frozenset()
    points: float | None = None

    def __post_init__(self) -> None:
        if self.points is not None and not 0 <= self.points < math.inf:
            raise ValueError(f"points takes a distance in Å, not {self.points!r}")
        # One text would be taken for its letters, and a word that nobody knows would allow nothing, silently.
        if isinstance(self.allow, str):
            raise ValueError(f"allow takes a set of words, not {self.allow!r}")  # noqa: TRY004 - as for a wrong word
        for word in sorted(self.allow):
            if (problem := allowing.problem(word)) is not None:
                raise ValueError(f"allow: {problem}")
