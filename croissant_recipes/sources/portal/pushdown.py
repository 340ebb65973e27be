"""What a layer's filters mean for the portal: conditions that hold for every row that the filters can select.

They may hold for more rows. The compiler applies the selectors themselves to what comes back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from croissant_recipes.language.checked import Take, TypeFilter
from croissant_recipes.language.matching import match_any, match_texts
from croissant_recipes.language.selectors import Selector, as_number
from croissant_recipes.sources.portal.conditions import Clause, near
from croissant_recipes.sources.portal.fetching import Row
from croissant_recipes.sources.portal.objects import SEGMENTATION_SHAPES
from croissant_recipes.sources.portal.tables import USER

_FILE_ID = re.compile("[1-9][0-9]{0,9}\\Z")
_NAME_COLUMN = {"picks": "object_name", "segmentations": "name"}


@dataclass(frozen=True)
class Wanted:
    """What the selectors of picks or segmentations can select.

    Attributes:
        objects: Object ids, ``None`` for any.
        files: Annotation file ids, ``None`` for any.
        shapes: Shape types.
        sizes: Condition on the voxel spacing, ``None`` for any.
    """

    objects: tuple[str, ...] | None
    files: tuple[int, ...] | None
    shapes: tuple[str, ...]
    sizes: Clause | None = None

    @property
    def is_nothing(self) -> bool:
        return self.objects == () or self.files == () or not self.shapes


def wanted_annotations(chosen: TypeFilter, names: Mapping[str, str], shapes: Sequence[str]) -> Wanted:
    """What a filter of picks or segmentations can select.

    Args:
        names: copick's names by object id.
        shapes: The shape types that the artifact type comes from.
    """
    if chosen.take is not Take.SELECTED:
        return Wanted(None, None, tuple(shapes))
    selectors = [p.selector for p in chosen.select if _can_match_user(p.selector)]
    return Wanted(
        _objects(selectors, _NAME_COLUMN[chosen.artifact], names),
        _files(selectors),
        tuple(s for s in shapes if any(t.types is None or SEGMENTATION_SHAPES.get(s) in t.types for t in selectors)),
        _sizes(selectors),
    )


def _can_match_user(selector: Selector) -> bool:
    return all(match_texts(p, [USER])[0] for column, p in selector.parts if column == "user_id")


def _objects(selectors: Sequence[Selector], column: str, names: Mapping[str, str]) -> tuple[str, ...] | None:
    ids = sorted(names)
    found = np.zeros(len(ids), dtype=np.bool_)
    for selector in selectors:
        mask = np.ones(len(ids), dtype=np.bool_)
        for part, pattern in selector.parts:
            if part == column:
                mask &= match_texts(pattern, [names[i] for i in ids])
        found |= mask
    return None if selectors and found.all() else tuple(i for i, yes in zip(ids, found, strict=True) if yes)


def _files(selectors: Iterable[Selector]) -> tuple[int, ...] | None:
    ids = []
    for selector in selectors:
        exact = [p.text for column, p in selector.parts if column == "session_id" and p.is_exact]
        if not exact:
            return None
        # Portal sessions are annotation file ids; any other text selects nothing there.
        ids += [int(text) for text in exact if _FILE_ID.match(text) and int(text) < 2**31]
    return tuple(sorted(set(ids)))


def _sizes(selectors: Iterable[Selector]) -> Clause | None:
    sizes = []
    for selector in selectors:
        numbers = [as_number(p.text) for column, p in selector.parts if column == "voxel_size" and not p.regex]
        if not numbers or numbers[0] is None or not 0 < numbers[0] < math.inf:
            return None
        sizes.append(numbers[0])
    return near(min(sizes), max(sizes)) if sizes else None


def wanted_tomograms(chosen: TypeFilter, groups: Sequence[Row], table: pd.DataFrame) -> Clause | None:
    """A condition on tomograms, ``None`` where the filter can select none.

    Args:
        groups: What makes types and sizes, as the portal groups it.
        table: ``tomo_type`` and ``voxel_size`` of each group.
    """
    if chosen.take is not Take.SELECTED:
        return {}
    mask = match_any([p.selector for p in chosen.select], table)
    if mask.all() and len(mask):
        return {}
    by = [group["groupBy"] for group, yes in zip(groups, mask, strict=True) if yes]
    if not by:
        return None
    clause: Clause = {}
    for field in ("reconstructionMethod", "processing", "processingSoftware", "ctfCorrected"):
        # A condition on values does not hold for a missing one, so a field that some rows lack is not asked about.
        here, anywhere = {b[field] for b in by}, {group["groupBy"][field] for group in groups}
        if here == {None}:
            clause[field] = {"_is_null": True}
        elif None not in here and here != anywhere:
            clause[field] = {"_in": sorted(here)}
    sizes = table["voxel_size"][mask]
    if set(sizes) != set(table["voxel_size"]) and not sizes.isna().any():
        clause["tomogramVoxelSpacing"] = {"voxelSpacing": near(float(sizes.min()), float(sizes.max()))}
    return clause


def chosen_runs(chosen: TypeFilter, rows: Sequence[Row]) -> tuple[int, ...]:
    """Ids of the runs that a layer reads, sorted. A run answers to its id and to its portal name."""
    ids, aliases = [str(r["id"]) for r in rows], [r["name"] for r in rows]
    if chosen.take is Take.NONE and chosen.named:
        return ()
    found = np.full(len(rows), chosen.take is not Take.SELECTED)
    for placed in chosen.select:
        found |= _match_runs(placed.selector, ids, aliases)
    for placed in chosen.exclude:
        found &= ~_match_runs(placed.selector, ids, aliases)
    return tuple(sorted(r["id"] for r, yes in zip(rows, found, strict=True) if yes))


def _match_runs(
    selector: Selector, ids: Sequence[str], aliases: Sequence[str]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    mask = np.ones(len(ids), dtype=np.bool_)
    for _, pattern in selector.parts:
        mask &= match_texts(pattern, ids) | match_texts(pattern, aliases)
    return mask
