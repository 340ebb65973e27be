"""Why something changed: the recipe's line, a source that moved, the tool, others, or nobody knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from croissant_recipes.diagnostics import Span
from croissant_recipes.location import without_credentials

Ids = npt.NDArray[np.int32]
"""A cause for each of some rows, as its position among all."""


class CauseKind(StrEnum):
    """What changed, so that something else did.

    ``RECIPE``: what the recipe says; ``SOURCE``: what a source holds; ``TOOL``: the version of croissant-recipes;
    ``OTHERS``: somebody who wrote to the Croissant; ``UNKNOWN``: nothing that is known tells.
    """

    RECIPE = "recipe"
    SOURCE = "source"
    TOOL = "tool"
    OTHERS = "others"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cause:
    """Why something changed.

    Attributes:
        kind: What changed first.
        what: One sentence, without the place.
        file, line, column: Where the recipe says it; of a source that moved, where the recipe names it, or the
            condition that now leaves something out. The file is as the recipe was given.
        layer: The number of the layer that brings, or would bring, the rows.
        source: The name of the source that moved.
        depositions: The portal's depositions that the rows are of, by id.
        declares: Whether the recipe itself gives the other name, of rows that are renamed: they are known to be one row
            of a source, and are not taken for one because they have something in common.
    """

    kind: CauseKind
    what: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    layer: int | None = None
    source: str | None = None
    depositions: tuple[int, ...] = ()
    declares: bool = False

    def __post_init__(self) -> None:
        # Whatever the sentence is made of: no cause tells a password.
        object.__setattr__(self, "what", without_credentials(self.what))

    @property
    def place(self) -> str | None:
        """``recipe.yaml:12``."""
        return f"{self.file}:{self.line}" if self.file is not None else None

    def at(self, span: Span | None) -> Cause:
        """The same at a place."""
        if span is None:
            return self
        return replace(self, file=span.file, line=span.line, column=span.column)


@dataclass(frozen=True)
class Causes:
    """The cause of each change.

    Attributes:
        all: Every cause, each once.
        rows: By record set, and by ``added``, ``removed``, ``changed`` and ``renamed``, of each row in the table of
            ``TableChanges``.
        objects: By name, of pickable objects that differ.
        metadata: By key, of metadata that differs.
        split_moves: Of each row of ``Changes.split_moves``.
    """

    all: Sequence[Cause]
    rows: Mapping[str, Mapping[str, Ids]]
    objects: Mapping[str, Cause] = field(default_factory=dict)
    metadata: Mapping[str, Cause] = field(default_factory=dict)
    split_moves: Ids = field(default_factory=lambda: np.zeros(0, dtype=np.int32))


class Ledger:
    """Causes by number, so that a million rows of one reason have one.

    Some causes are doubtful: what a recipe says of what only the source knows changed, and whether the source moved too
    is not known from the row. Where nothing else shows that it did, it is the recipe.
    """

    def __init__(self) -> None:
        self._numbers: dict[Cause, int] = {}
        self._doubtful: dict[int, Cause] = {}

    def number(self, cause: Cause) -> int:
        return self._numbers.setdefault(cause, len(self._numbers))

    def cause(self, number: int) -> Cause:
        return list(self._numbers)[number]

    def are(self, kind: CauseKind) -> npt.NDArray[np.bool_]:
        """By number, whether a cause is of a kind."""
        return np.array([cause.kind is kind for cause in self._numbers], dtype=np.bool_)

    def doubtful(self, cause: Cause, source: str) -> int:
        """A cause of the recipe that may be one of a source."""
        number = self.number(cause)
        what = f"{cause.what}, and source {source!r} moved too: which of them it is cannot be told"
        self._doubtful[number] = replace(cause, kind=CauseKind.UNKNOWN, what=what, source=source)
        return number

    def all(self, used: Collection[int]) -> dict[int, Cause]:
        """The causes of some numbers."""
        named = {number: cause for cause, number in self._numbers.items() if number in used}
        moved = {cause.source for cause in named.values() if cause.kind is CauseKind.SOURCE}
        return {
            number: doubted if (doubted := self._doubtful.get(number)) and doubted.source in moved else cause
            for number, cause in named.items()
        }
