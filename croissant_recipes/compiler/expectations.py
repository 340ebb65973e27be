"""Whether the counts of a plan are what the recipe expects of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, did_you_mean
from croissant_recipes.language import counts
from croissant_recipes.language.counts import Bound
from croissant_recipes.language.recipe import Count, Expect, ExpectOfRun, ExpectOfSplit
from croissant_recipes.language.recipe_fields import Levels
from croissant_recipes.language.yaml_nodes import Document, Path
from croissant_recipes.schema import ARTIFACTS

LEVELS = {"fail": Severity.ERROR, "warn": Severity.WARNING}
"""What does not hold at a level; the first that does not is told."""

_CODES = frozenset({Code.EXPECTATION, Code.POINTS, Code.ARRAYS, Code.DATA_UNREAD})

SHOWN = 10
"""How many of the rows that do not fit a text lists."""

_BY = {
    **{name: described.counted_by for name, described in ARTIFACTS.items() if described.counted_by},
    "voxel_spacings": "voxel_size",
}
"""The column that a mapping of expected counts goes by."""

Records = Mapping[str, pd.DataFrame]


def check(expect: Expect, records: Records, document: Document, beside: Records | None = None) -> list[Diagnostic]:
    """What does not hold.

    Args:
        expect: What the recipe expects.
        records: The record tables that are planned.
        document: The recipe.
        beside: Those of the Croissant at the output, to check what is compared with it, and nothing else.
    """
    planned = _Counted(records)
    there = None if beside is None else _Counted(beside)
    found = (_compare(item, planned, there, document) for item in _items(expect))
    return [diagnostic for diagnostic in found if diagnostic is not None]


def strictly(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Findings as ``--strict`` has them: of what is expected, nothing is only a warning."""
    return [d.as_error() if d.code in _CODES and d.severity is Severity.WARNING else d for d in found]


@dataclass(frozen=True)
class _Item:
    """One expected count.

    Attributes:
        key: The type of what is counted.
        expected: By level.
        path: Where it stands.
        name: Of those that are counted, ``None`` for all.
        split: Whose runs are counted, ``None`` for all.
        of_each_run: Whether it is about each run alone.
    """

    key: str
    expected: Mapping[str, Bound]
    path: Path
    name: str | None = None
    split: str | None = None
    of_each_run: bool = False

    @property
    def text(self) -> str:
        if self.key == "splits":
            return "splits" if self.split is None else f"splits {self.split!r}"
        named = self.key if self.name is None else f"{self.key} {self.name!r}"
        if self.of_each_run:
            return f"{named} of each run"
        return named if self.split is None else f"{named} of split {self.split!r}"


def _items(expect: Expect) -> Iterator[_Item]:
    yield from _of_types(expect, ("expect",))
    if expect.objects is not None:
        yield _Item("objects", _levels(expect.objects), ("expect", "objects"))
    if expect.each_run is not None:
        yield from _of_types(expect.each_run, ("expect", "each_run"), of_each_run=True)
    splits = expect.splits
    if isinstance(splits, Mapping):
        for name, expected in splits.items():
            path = ("expect", "splits", name)
            if isinstance(expected, ExpectOfSplit):
                yield from _of_types(expected, path, split=name)
            else:
                yield _Item("splits", _levels(expected), path, split=name)
    elif splits is not None:
        yield _Item("splits", _levels(splits), ("expect", "splits"))


def _of_types(
    expect: ExpectOfRun, above: Path, *, split: str | None = None, of_each_run: bool = False
) -> Iterator[_Item]:
    of_split = ("runs",) if isinstance(expect, ExpectOfSplit) else ()
    for key in (*of_split, *ExpectOfRun.model_fields):
        expected, path = getattr(expect, key), (*above, key)
        if isinstance(expected, Mapping):
            for name, count in expected.items():
                yield _Item(key, _levels(count), (*path, name), name, split, of_each_run)
        elif expected is not None:
            yield _Item(key, _levels(expected), path, None, split, of_each_run)


def _levels(expected: Count | Levels) -> Mapping[str, Bound]:
    """The bounds by level, what matters most first."""
    if not isinstance(expected, Levels):
        return {"fail": counts.parse(expected)}
    given = {level: getattr(expected, level) for level in LEVELS}
    return {level: counts.parse(count) for level, count in given.items() if count is not None}


def _compare(item: _Item, planned: _Counted, there: _Counted | None, document: Document) -> Diagnostic | None:
    for level, bound in item.expected.items():
        if bound.relative == (there is not None):
            told = (_of_each_run if item.of_each_run else _of_all)(item, bound, planned, there)
            if told is not None:
                message, hint, notes = told
                path = item.path if (*item.path, level) not in document.places else (*item.path, level)
                return Diagnostic(
                    Code.EXPECTATION, message, LEVELS[level], hint, document.value_span(*path), notes, shown_notes=SHOWN
                )
    return None


_Told = tuple[str, str | None, tuple[str, ...]]


def _of_all(item: _Item, bound: Bound, planned: _Counted, there: _Counted | None) -> _Told | None:
    n, before = planned.count(item), there.count(item) if there else 0
    if bound.holds(n, before):
        return None
    expected = bound.text
    if bound.relative:
        expected = f"{bound.text} beside the {before} at the output ({bound.beside(before)})"
    message = f"{item.text}: expected {expected}, and there {'is' if n == 1 else 'are'} {n}"
    return message, planned.hint(item), ()


def _of_each_run(item: _Item, bound: Bound, planned: _Counted, there: _Counted | None) -> _Told | None:
    before = there.by_run(item) if there else {}
    wrong = {run: n for run, n in planned.by_run(item).items() if not bound.holds(n, before.get(run, 0))}
    if not wrong:
        return None
    others = "1 has another number" if len(wrong) == 1 else f"{len(wrong)} have another number"
    message = f"{item.text}: expected {bound.text}, and of {len(planned.runs)} runs {others}"
    beside = {run: f", beside {before[run]} at the output" if bound.relative else "" for run in wrong}
    return message, planned.hint(item), tuple(f"{run}: {n}{beside[run]}" for run, n in wrong.items())


class _Counted:
    """How many there are of what, in some record tables."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._names: dict[tuple[str, str | None], dict[str, int]] = {}

    @cached_property
    def runs(self) -> list[str]:
        return sorted(self._records["runs"]["name"])

    def count(self, item: _Item) -> int:
        """All that an item is about."""
        if item.key == "splits":
            return len(self._runs_of(item.split))
        rows = self._rows(item)
        return len(rows) if item.name is None else self._by_name(item).get(_name(item.name, item.key), 0)

    def by_run(self, item: _Item) -> dict[str, int]:
        """The same of each run, sorted."""
        rows = self._rows(item)
        if item.name is not None:
            rows = rows[rows[_BY[item.key]].map(_name) == _name(item.name, item.key)]
        numbers = rows["run"].value_counts()
        return {run: int(numbers.get(run, 0)) for run in self.runs}

    def hint(self, item: _Item) -> str | None:
        """What is near a name that nothing has."""
        if item.split is not None and item.split not in (splits := set(self._records["runs"]["split"]) - {""}):
            return did_you_mean(item.split, splits)
        if item.name is None or _name(item.name, item.key) in self._by_name(item):
            return None
        return did_you_mean(item.name, self._by_name(item))

    def _by_name(self, item: _Item) -> dict[str, int]:
        key = item.key, item.split
        if key not in self._names:
            numbers = self._rows(item)[_BY[item.key]].value_counts()
            self._names[key] = {_name(value): int(n) for value, n in numbers.items()}
        return self._names[key]

    def _rows(self, item: _Item) -> pd.DataFrame:
        if item.key == "runs":
            return self._runs_of(item.split) if item.split is not None else self._records["runs"]
        sets = ARTIFACTS[item.key].record_sets if item.key in ARTIFACTS else (item.key,)
        columns = ["name"] if item.key == "objects" else ["run", _BY[item.key]]
        rows = tables.concat([self._records[name][columns] for name in sets])
        return rows if item.split is None else rows[rows["run"].isin(self._runs_of(item.split)["name"])]

    def _runs_of(self, split: str | None) -> pd.DataFrame:
        runs = self._records["runs"]
        return runs[runs["split"] != ""] if split is None else runs[runs["split"] == split]


def _name(value: object, key: str = "") -> str:
    """The name of a count; voxel sizes compare as numbers."""
    if isinstance(value, float):
        return repr(value)
    if key == "voxel_spacings":
        try:
            return repr(float(str(value)))
        except ValueError:
            return str(value)
    return str(value)
