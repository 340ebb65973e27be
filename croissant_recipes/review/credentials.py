"""What is shown of a change has no credentials in it, whoever wrote them into a Croissant that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.croissant.diff import Changes, TableChanges
from croissant_recipes.location import without_credentials

_FRAMES = ("added", "removed", "before", "after", "renamed_before", "renamed_after")


def left_out(changes: Changes) -> Changes:
    """The same changes, without user names, passwords and queries in any URL."""
    return replace(
        changes,
        tables={name: _of_table(table) for name, table in changes.tables.items()},
        metadata={key: (_of_value(old), _of_value(new)) for key, (old, new) in changes.metadata.items()},
        objects=tuple(replace(o, before=_of_value(o.before), after=_of_value(o.after)) for o in changes.objects),
    )


def _of_table(table: TableChanges) -> TableChanges:
    frames: dict[str, Any] = {name: _of_frame(vars(table)[name]) for name in _FRAMES}
    return replace(table, **frames)


def _of_frame(frame: pd.DataFrame) -> pd.DataFrame:
    told = {str(c): column for c in frame if len(frame) and (column := _of_column(frame[c])) is not None}
    return frame.assign(**told) if told else frame


def _of_column(column: pd.Series) -> pd.Series | None:
    """The column where it has anything to leave out, else ``None``. Nearly none has: it is looked for in a moment."""
    if column.dtype.kind in "bifu":
        return None
    texts = tables.arrow_texts(column)
    odd = pc.or_(pc.match_substring(texts, "@"), pc.match_substring(texts, "?")).to_numpy(False)
    if not odd.any():
        return None
    return column.where(~odd, column[odd].map(without_credentials)).astype(column.dtype)


def _of_value(value: Any) -> Any:
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Mapping):
        return {key: _of_value(v) for key, v in value.items()}
    return [_of_value(v) for v in value] if isinstance(value, list) else value
