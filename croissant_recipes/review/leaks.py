"""The same data in two splits: what a model is tested with is what it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.review.classes import is_kept_apart

_SHARED = {"portal_run_id": "portal run", "sha256": "file", "url": "array or file"}
"""The columns that tell what is the same, whatever it is called, and what it then is."""

_FEWEST_SPLITS = 2


@dataclass(frozen=True)
class Leak:
    """A run that shares something with runs of other splits.

    Attributes:
        run, split: The run, and its split.
        others: Those runs with their splits, sorted.
        shared: What it is, with how many there are.
        standing: Whether it was so before.
    """

    run: str
    split: str
    others: tuple[tuple[str, str], ...]
    shared: Mapping[str, int]
    standing: bool

    @property
    def rows(self) -> int:
        return sum(self.shared.values())


def find(
    before: Mapping[str, pd.DataFrame] | None, after: Mapping[str, pd.DataFrame], renamed: Mapping[str, str]
) -> tuple[Leak, ...]:
    """Runs that share data with runs of other splits. Each is told once: of the split that is kept apart (see
    ``classes.is_kept_apart``); where none or both are, of the one whose name comes later.

    Args:
        before: The record tables before, if there were any.
        after: Those after.
        renamed: Runs that are called otherwise now, by their name before.
    """
    now = _rows(after)
    if not len(now):
        return ()
    # Only what leaks now can have leaked before.
    then = _rows(before) if before is not None else now[:0]
    then = then.assign(run=then["run"].map(lambda name: renamed.get(name, name)))
    known = set(zip(then["kind"], then["value"], then["run"], then["split"], strict=True))
    return tuple(_leaks(now, known))


def _leaks(rows: pd.DataFrame, known: set[tuple[str, str, str, str]]) -> Iterator[Leak]:
    found: dict[tuple[str, str], tuple[set[tuple[str, str]], dict[str, int], list[bool]]] = {}
    for key, group in rows.groupby(["kind", "value"], sort=True):
        kind, value = map(str, key)
        members = sorted(set(zip(group["run"], group["split"], strict=True)))
        told = _told({split for _, split in members})
        for run, split in members:
            if split not in told:
                continue
            others, shared, standing = found.setdefault((run, split), (set(), {}, []))
            against = [(name, where) for name, where in members if where != split]
            others.update(against)
            shared[kind] = shared.get(kind, 0) + 1
            standing.append(all((kind, value, *each) in known for each in [(run, split), *against]))
    for (run, split), (others, shared, standing) in sorted(found.items()):
        yield Leak(run, split, tuple(sorted(others)), dict(sorted(shared.items())), all(standing))


def _told(splits: set[str]) -> set[str]:
    """The splits whose runs a leak is told of."""
    return {s for s in splits if is_kept_apart(s)} or {max(splits)}


def _rows(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """``kind``, ``value``, ``run`` and ``split`` of what is in two splits or more."""
    runs = found["runs"]
    nothing = pd.DataFrame({c: pd.array([], dtype="str") for c in ("kind", "value", "run", "split")})
    names = tables.arrow_texts(runs["name"])
    splits = tables.arrow_texts(runs["split"]).dictionary_encode()
    if len(set(splits.dictionary.to_pylist()) - {""}) < _FEWEST_SPLITS:
        return nothing
    of_run = splits.indices.to_numpy()
    parts = [nothing]
    for column, kind in _SHARED.items():
        held = [t for n, t in found.items() if column in t and ("run" in t or n == "runs") and len(t)]
        values = [tables.arrow_texts(t[column]) for t in held]
        of_runs = [tables.arrow_texts(t["run" if "run" in t else "name"]) for t in held]
        if not values:
            continue
        at = pc.index_in(pa.concat_arrays(of_runs), value_set=names)
        parts.append(_of_column(kind, pa.concat_arrays(values), at, of_run, splits.dictionary, names))
    return pd.concat(parts, ignore_index=True)


def _of_column(
    kind: str, values: pa.Array, at: pa.Array, of_run: np.ndarray, splits: pa.Array, names: pa.Array
) -> pd.DataFrame:
    """Those of one column whose value stands in runs of several splits."""
    in_split = np.asarray([bool(name) for name in splits.to_pylist()], dtype=np.bool_)
    place = pc.fill_null(at, -1).to_numpy(zero_copy_only=False)
    split = of_run[place]
    counts = (place >= 0) & in_split[split] & pc.not_equal(values, "").to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(counts)
    codes = values.take(pa.array(rows)).dictionary_encode().indices.to_numpy()
    split, place = split[rows], place[rows]
    # Any split of each value: where another one differs, the value is in several.
    of_value = np.zeros(codes.max(initial=-1) + 1, dtype=split.dtype)
    of_value[codes] = split
    several = np.zeros(len(of_value), dtype=np.bool_)
    several[codes[of_value[codes] != split]] = True
    leaking = several[codes]
    return pd.DataFrame(
        {
            "kind": kind,
            "value": pd.array(values.take(pa.array(rows[leaking])).to_pylist(), dtype="str"),
            "run": pd.array(names.take(pa.array(place[leaking])).to_pylist(), dtype="str"),
            "split": pd.array(splits.take(pa.array(split[leaking])).to_pylist(), dtype="str"),
        }
    )
