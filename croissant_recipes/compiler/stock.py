"""What the sources of a layer hold, one after the other: a layer selects from all of them as if they were one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.language import matching
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS
from croissant_recipes.sources.base import Inventory


@dataclass(frozen=True)
class Stock:
    """What there is to select from.

    Attributes:
        parts: What each source holds, in the order in which the layer names them.
        tables: Their artifact tables, one after the other.
    """

    parts: tuple[Inventory, ...]
    tables: Mapping[str, pd.DataFrame]

    @classmethod
    def of(cls, parts: Sequence[Inventory]) -> Stock:
        """What one or more sources hold."""
        if len(parts) == 1:
            return cls(tuple(parts), parts[0].tables)
        stacked = {name: tables.stack([part.table(name) for part in parts]) for name in ARTIFACT_TYPES}
        return cls(tuple(parts), stacked)

    def table(self, artifact: str) -> pd.DataFrame:
        return self.tables[artifact]

    def slices(self, artifact: str) -> list[slice]:
        """Where the rows of each source stand."""
        ends = accumulate((len(part.table(artifact)) for part in self.parts), initial=0)
        return [slice(start, end) for start, end in pairwise(ends)]

    def sources(self, artifact: str) -> npt.NDArray[np.int16]:
        """The position of each row's source."""
        counts = [len(part.table(artifact)) for part in self.parts]
        return np.repeat(np.arange(len(counts), dtype=np.int16), counts)

    @property
    def objects(self) -> Iterator[Mapping[str, Any]]:
        """The pickable objects of all sources."""
        return (entry for part in self.parts for entry in part.objects)

    def vocabulary(self, kind: str) -> list[str]:
        """The names that sources say are there although their tables leave them out."""
        return self._names(lambda part: part.vocabulary.get(kind, ()))

    def listed(self, artifact: str) -> list[str]:
        """The names of a type as far as sources list them apart from its table: their vocabulary, else objects."""
        return self._names(lambda part: part.vocabulary.get(artifact) or _objects(part, artifact))

    def known(self, artifact: str) -> list[str]:
        """What there is of a type in all sources, see ``known``."""
        return self._names(lambda part: known(part, artifact))

    def _names(self, of_part: Callable[[Inventory], Iterable[str]]) -> list[str]:
        return [name for part in self.parts for name in of_part(part)]


def known(part: Inventory, artifact: str) -> Sequence[str]:
    """What a source has of a type, as far as it listed it, by names that selectors use. A portal source leaves out of
    its tables what no selector asks for, and any source runs that no layer takes."""
    return part.vocabulary.get(artifact) or _in_table(part, artifact) or _objects(part, artifact)


def _in_table(part: Inventory, artifact: str) -> list[str]:
    table = part.table(artifact)
    answers = [table.assign(name=table["run_alias"])] if "run_alias" in table else []
    return [name for each in (table, *answers) for name in matching.names(artifact, each)]


def _objects(part: Inventory, artifact: str) -> list[str]:
    return [str(o["name"]) for o in part.objects] if ARTIFACTS[artifact].object_column else []
