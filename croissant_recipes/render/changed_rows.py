"""The rows that differ, as a page shows them: a few to read at once, and very many for a script to sort and filter.

All of it is text. Columns are written once for many rows, and values that repeat once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant.diff import TableChanges
from croissant_recipes.croissant.renames import WAYS
from croissant_recipes.differences import change
from croissant_recipes.review.groups import Group
from croissant_recipes.shown import shown

MOST = 20_000
"""How many rows a page holds; JSON has them all."""

COLUMNS = ("run", "name", "voxel_size", "made", "differs")
"""What is shown of a row, beside what its group says."""

_DIGEST = 12

_MADE = ("voxel_size", "user_id", "session_id")


@dataclass(frozen=True)
class Rows:
    """Rows of one group.

    Attributes:
        shown: Their columns, by name (``COLUMNS``).
        key: The columns that identify a row.
        now, was: All that their record set says of them, by column; ``was`` only what differs before.
    """

    shown: Mapping[str, Sequence[str]]
    key: tuple[str, ...]
    now: Mapping[str, Sequence[str]]
    was: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return len(self.shown["run"])

    def each(self) -> Iterator[dict[str, str]]:
        for values in zip(*(self.shown[c] for c in COLUMNS), strict=True):
            yield dict(zip(COLUMNS, values, strict=True))

    def to_json(self) -> dict[str, Any]:
        parts = {"shown": self.shown, "now": self.now, "was": self.was}
        packed = {part: {c: _packed(v) for c, v in columns.items()} for part, columns in parts.items()}
        return {"rows": len(self), **packed}


def of_group(group: Group, changes: TableChanges, most: int) -> Rows:
    """The first rows of a group."""
    at = group.rows[:most]
    if group.kind in ("added", "removed"):
        frame = tables.take(changes.added if group.kind == "added" else changes.removed, at)
        now = _texts(frame)
        return Rows(_shown(changes, now, [""] * len(at)), changes.key, now, {})
    if group.kind == "changed":
        before, after = changes.before, changes.after
    else:
        before, after = changes.renamed_before, changes.renamed_after
    was, now = _texts(tables.take(before, at)), _texts(tables.take(after, at))
    told = list(_differences(was, now, len(at)))
    if group.kind == "renamed":
        ways = [WAYS[way].value for way in changes.ways[at]]
        told = [f"{text} (same {way})" for text, way in zip(told, ways, strict=True)]
    unlike = {c: values for c, values in was.items() if values != now[c]}
    return Rows(_shown(changes, now, told), changes.key, now, unlike)


def shares(sizes: Sequence[int], most: int) -> list[int]:
    """How many rows of each group are told where not all can be: small groups whole, the others evenly."""
    left, told = most, [0] * len(sizes)
    for place, i in enumerate(sorted(range(len(sizes)), key=lambda i: sizes[i])):
        told[i] = min(sizes[i], left // (len(sizes) - place))
        left -= told[i]
    return told


def _shown(changes: TableChanges, now: Mapping[str, Sequence[str]], told: Sequence[str]) -> dict[str, Sequence[str]]:
    key = changes.key
    run = "name" if changes.record_set == "runs" else "run"
    names = [c for c in key if c not in (run, *_MADE, "is_multilabel")]
    nothing = [""] * len(told)
    by = [*zip(now["user_id"], now["session_id"], strict=True)] if "user_id" in now else []
    of_names = [" ".join(values) for values in zip(*(now[c] for c in names), strict=True)] if names else nothing
    return {
        "run": now.get(run, nothing),
        "name": of_names,
        "voxel_size": now.get("voxel_size", nothing),
        "made": [f"{user}/{session}" for user, session in by] if by else nothing,
        "differs": told,
    }


def _differences(was: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]], rows: int) -> Iterator[str]:
    """What differs of each row, in a line."""
    columns = [c for c in now if was[c] != now[c]]
    for i in range(rows):
        yield "; ".join(_difference(c, was[c][i], now[c][i]) for c in columns if was[c][i] != now[c][i])


def _difference(column: str, was: str, now: str) -> str:
    """Of digests nobody reads more than that they differ."""
    short = _DIGEST if column == "sha256" else None
    return f"{column} {change(was[:short], now[:short])}"


def _texts(frame: pd.DataFrame) -> dict[str, list[str]]:
    return {str(c): _column(frame[c]) for c in frame.columns}


def _column(column: pd.Series) -> list[str]:
    """Each distinct value is made a text that can be shown, once."""
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    texts = np.array([_text(v) for v in distinct] or [""], dtype=object)
    return texts[codes].tolist() if len(codes) else []


def _text(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if value != value else f"{value:.10g}"
    return shown(str(value))


def _packed(values: Sequence[str]) -> dict[str, Any]:
    """``all``: one value that every row has; ``of`` and ``at``: the distinct ones, and which of them each row has;
    ``each``: a value a row."""
    distinct = dict.fromkeys(values)
    if len(distinct) == 1:
        return {"all": next(iter(distinct))}
    if len(distinct) * 2 <= len(values):
        place = {value: i for i, value in enumerate(distinct)}
        return {"of": list(distinct), "at": [place[v] for v in values]}
    return {"each": list(values)}
