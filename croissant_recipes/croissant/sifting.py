"""What is left out of tables that others wrote, with a remark that names it: whoever wrote it may not know.

Rows that copick would not see (blank ones, a second one of a key, those of runs that are not listed), and credentials
in the URLs of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.diagnostics import joined, key_text, listing
from croissant_recipes.location import USER_INFO, WEB_URL, without_credentials
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.tables import Mask

_SHOWN_KEYS = 3
_SHOWN_ROWS = 8
_HEADER = 1


@dataclass(frozen=True)
class Remark:
    """What is said of something left out: see ``Diagnostic``."""

    message: str
    hint: str | None = None
    notes: tuple[str, ...] = ()


def sifted(record_set: str, table: pd.DataFrame) -> tuple[pd.DataFrame, list[Remark]]:
    """A record table as it was read, without rows that name no run or object and with each key once; and what was left
    out."""
    schema, remarks = RECORD_SETS[record_set], []
    owner = "run" if "run" in schema.columns else "name"
    nameless = (table[owner] == "").to_numpy()
    if nameless.any():
        blank = bool((table[nameless][list(schema.texts)] == "").all(axis=None))
        problem = "blank" if blank else f"without a {owner if owner == 'run' else 'name'}"
        remarks.append(Remark(f"{schema.csv_name}: {_rows_at(nameless)} {problem}, left out"))
        table = tables.take(table, np.flatnonzero(~nameless))
    # copick goes through a list of rows from its start, but has runs in a dictionary.
    last = record_set == "runs"
    counts = (tables.last_of_each if last else tables.first_of_each)(table, schema.key)
    if not counts.all():
        remarks.append(_repeated(record_set, table.loc[~counts, list(schema.key)], last=last))
        table = tables.take(table, np.flatnonzero(counts))
    return table, remarks


def without_strays(found: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], list[Remark]]:
    """Record tables without rows of runs that are not among the runs; and what was left out."""
    runs, kept = found["runs"]["name"], dict(found)
    unlisted: set[str] = set()
    counts: list[str] = []
    for name, table in found.items():
        if "run" not in table:
            continue
        stray = ~tables.is_among(table["run"], runs)
        if stray.any():
            unlisted |= set(table["run"][stray])
            counts.append(f"{stray.sum()} in {RECORD_SETS[name].csv_name}")
            kept[name] = tables.take(table, np.flatnonzero(~stray))
    if not unlisted:
        return kept, []
    them = "it" if len(unlisted) == 1 else "them"
    message = f"runs.csv does not list {listing(sorted(unlisted))}, and rows of {them} are left out: {joined(counts)}"
    return kept, [Remark(message, f"list {them} in runs.csv, or remove the rows: copick does not see them either")]


def without_secrets(found: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], list[Remark]]:
    """Record tables whose URLs hold no user name, no password and, on the web, no query, which signs what it grants;
    and what was left out."""
    kept, counts = dict(found), []
    for name, table in found.items():
        if "url" not in table:
            continue
        urls = table["url"]
        web = urls.str.match(WEB_URL)
        odd = urls.str.contains(USER_INFO, regex=True) | (web & urls.str.contains("?", regex=False))
        if not odd.any():
            continue
        public = (
            urls.where(~web, urls.str.split("?", n=1).str[0]).map(without_credentials).where(odd, urls).astype("str")
        )
        n = int((public != urls).sum())
        if n:
            kept[name] = table.assign(url=public)
            counts.append(f"{n} in {RECORD_SETS[name].csv_name}")
    if not counts:
        return kept, []
    message = f"URLs of rows hold credentials or queries, which are left out: {joined(counts)}"
    hint = "whoever opens the rows needs credentials of their own, as filesystem arguments"
    return kept, [Remark(message, hint)]


def _rows_at(mask: Mask) -> str:
    """``rows 3 and 5 are``: as they are counted in the CSV, header included."""
    numbers = [str(i + _HEADER + 1) for i in np.flatnonzero(mask).tolist()]
    if len(numbers) == 1:
        return f"row {numbers[0]} is"
    more = len(numbers) - _SHOWN_ROWS
    return f"rows {joined([*numbers[:_SHOWN_ROWS], *([f'{more} more'] if more > 0 else [])])} are"


def _repeated(record_set: str, twice: pd.DataFrame, *, last: bool) -> Remark:
    here, there = ("a later", "the later") if last else ("an earlier", "the earlier")
    rows = f"{len(twice)} rows repeat keys" if len(twice) > 1 else "1 row repeats the key"
    message = f"{RECORD_SETS[record_set].csv_name}: {rows} of {here} row; {there} one counts, as for copick"
    keys: Sequence[tuple[object, ...]] = list(twice.head(_SHOWN_KEYS).itertuples(index=False, name=None))
    more = (f"and {len(twice) - len(keys)} more",) if len(twice) > len(keys) else ()
    return Remark(message, notes=(*map(key_text, keys), *more))
