"""Why rows change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["recipe", "source", "tool", "others", "unknown"]


@dataclass(frozen=True)
class Cause:
    """Why a group of rows changes.

    Attributes:
        kind: Who or what moved: the recipe, a source, the tool, or others who changed the Croissant.
        what: One sentence, without the place.
        file, line, column: The place in the recipe, where there is one.
        layer: The number of the layer, as messages name it.
        source: The name of the source that moved.
        depositions: The ids of the portal's depositions that rows come from, sorted.
    """

    kind: Kind
    what: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    layer: int | None = None
    source: str | None = None
    depositions: tuple[int, ...] = ()


UNKNOWN = Cause("unknown", "why is not known")
