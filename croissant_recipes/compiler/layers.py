"""One layer over one inventory: what it selects, renames and names. Pure functions over tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.compiler import collisions, naming
from croissant_recipes.compiler.collisions import Collision
from croissant_recipes.diagnostics import Diagnostic, did_you_mean, nearest
from croissant_recipes.language import matching
from croissant_recipes.language.checked import LayerSpec, NewName, PlacedSelector, Take, TypeFilter
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS
from croissant_recipes.sources.base import Inventory


@dataclass(frozen=True)
class SelectorReport:
    """What one selector matched."""

    artifact: str
    text: str
    role: str
    matched: int


@dataclass(frozen=True)
class RenameReport:
    """How many rows one entry of a rename map reached."""

    kind: str
    old: str
    new: str
    rows: int


class Fate(IntEnum):
    """What becomes of a row of the source in a layer."""

    TAKEN = 0
    RUN_LEFT_OUT = 1
    NOT_SELECTED = 2
    EXCLUDED = 3
    COLLIDED = 4


@dataclass(frozen=True)
class Choice:
    """What a layer makes of each row that its source has of one type, in the order of the source's table.

    Attributes:
        fates: ``Fate`` of each row.
        selectors: Position in the filter's ``select`` of the first selector that took the row or, for an excluded row,
            in ``exclude`` of the first that ruled it out; -1 where no selector did.
    """

    fates: npt.NDArray[np.int8]
    selectors: npt.NDArray[np.int16]

    @classmethod
    def of(cls, rows: int, fate: Fate) -> Choice:
        """All rows alike."""
        return cls(np.full(rows, fate, dtype=np.int8), np.full(rows, -1, dtype=np.int16))


@dataclass(frozen=True)
class LayerRows:
    """What a layer contributes.

    Attributes:
        spec: The layer.
        inventory: What its source holds.
        tables: One artifact table per type with its lineage, no two rows of one key.
        choices: By type, what became of every row of the source: a row that is not taken is not forgotten.
        selectors, renames: What each did.
        collisions: Rows that ended up with one key.
        run_names: New run names by old, where they differ.
        diagnostics: What is wrong.
    """

    spec: LayerSpec
    inventory: Inventory
    tables: Mapping[str, pd.DataFrame]
    choices: Mapping[str, Choice]
    selectors: tuple[SelectorReport, ...] = ()
    renames: tuple[RenameReport, ...] = ()
    collisions: tuple[Collision, ...] = ()
    run_names: Mapping[str, str] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


def apply(spec: LayerSpec, inventory: Inventory) -> LayerRows:
    """Select, name and rename the artifacts that a layer takes from what its source holds."""
    worker = _Layer(spec, inventory)
    worker.select_runs()
    for artifact in ARTIFACT_TYPES[1:]:
        worker.select(artifact)
    worker.name_sessions()
    for kind, names in (("tomo_types", spec.rename_tomo_types), ("objects", spec.rename_objects)):
        worker.rename(kind, names)
    worker.name_runs()
    worker.resolve_collisions()
    return replace(
        LayerRows(spec, inventory, worker.tables, worker.choices),
        selectors=tuple(worker.selectors),
        renames=tuple(worker.renames),
        collisions=tuple(worker.collisions),
        run_names=worker.run_names,
        diagnostics=tuple(worker.found),
    )


class _Layer:
    def __init__(self, spec: LayerSpec, inventory: Inventory) -> None:
        self.spec = spec
        self.inventory = inventory
        self.tables: dict[str, pd.DataFrame] = {}
        self.choices: dict[str, Choice] = {}
        self.selectors: list[SelectorReport] = []
        self.renames: list[RenameReport] = []
        self.collisions: list[Collision] = []
        self.run_names: Mapping[str, str] = {}
        self.found: list[Diagnostic] = list(inventory.diagnostics)

    # Selecting

    def select_runs(self) -> None:
        runs = self.inventory.table("runs")
        answers = [runs]
        if "run_alias" in runs:
            answers.append(runs.assign(name=runs["run_alias"]))
        self._take("runs", runs, self._choice(self.spec.filters["runs"], answers))

    def select(self, artifact: str) -> None:
        table, chosen = self.inventory.table(artifact), self.spec.filters[artifact]
        there = np.ones(len(table), dtype=bool)
        kept = self.tables["runs"]["name"]
        if ARTIFACTS[artifact].of_run and len(kept) < len(self.inventory.table("runs")):
            there = table["run"].isin(set(kept)).to_numpy()
        choice = Choice.of(len(table), Fate.RUN_LEFT_OUT)
        found = self._choice(chosen, [table[there]])
        choice.fates[there], choice.selectors[there] = found.fates, found.selectors
        self._take(artifact, table, choice)
        if (chosen.where or chosen.authors) and not there.any() and not self.spec.allow_empty:
            self._nothing_there(chosen)

    def _take(self, artifact: str, table: pd.DataFrame, choice: Choice) -> None:
        rows = np.flatnonzero(choice.fates == Fate.TAKEN)
        self.choices[artifact] = choice
        self.tables[artifact] = (
            table.iloc[rows]
            .reset_index(drop=True)
            .assign(layer=np.int16(self.spec.number), row=rows, selector=choice.selectors[rows])
        )

    def _choice(self, chosen: TypeFilter, answers: Sequence[pd.DataFrame]) -> Choice:
        """What the filter makes of each row. ``answers`` are the table once per name that its rows answer to."""
        n = len(answers[0])
        if chosen.take is Take.NONE:
            return Choice.of(n, Fate.NOT_SELECTED)
        choice = Choice.of(n, Fate.TAKEN)
        if chosen.take is Take.SELECTED:
            choice.selectors[:] = self._first_matches(chosen.select, "select", chosen, answers)
            choice.fates[choice.selectors < 0] = Fate.NOT_SELECTED
        if chosen.exclude:
            excluding = self._first_matches(chosen.exclude, "exclude", chosen, answers)
            out = (excluding >= 0) & (choice.fates == Fate.TAKEN)
            choice.selectors[out] = excluding[out]
            choice.fates[out] = Fate.EXCLUDED
        return choice

    def _first_matches(
        self, selectors: Sequence[PlacedSelector], role: str, chosen: TypeFilter, answers: Sequence[pd.DataFrame]
    ) -> npt.NDArray[np.int16]:
        """Position of the first selector that matches each row, -1 where none does."""
        first = np.full(len(answers[0]), -1, dtype=np.int16)
        for position, placed in enumerate(selectors):
            one = np.zeros(len(first), dtype=bool)
            for table in answers:
                one |= matching.match(placed.selector, table)
            matched = int(one.sum())
            self.selectors.append(SelectorReport(chosen.artifact, placed.text, role, matched))
            # Where `where` or `authors` leave nothing, that is what is reported, not each selector over nothing.
            if not matched and not self.spec.allow_empty and (len(first) or not (chosen.where or chosen.authors)):
                self._no_match(placed, chosen, answers)
            first[one & (first < 0)] = position
        return first

    def _no_match(self, placed: PlacedSelector, chosen: TypeFilter, answers: Sequence[pd.DataFrame]) -> None:
        # A portal source leaves out of its tables what no selector asks for.
        there = list(self.inventory.vocabulary.get(chosen.artifact, ()))
        there = there or [name for table in answers for name in matching.names(chosen.artifact, table)]
        of = f"source {self.spec.source!r}" if chosen.artifact == "runs" else f"the runs of source {self.spec.source!r}"
        self.found.append(
            Diagnostic(
                Code.NO_MATCH,
                f"{placed.text!r} matches no {ARTIFACTS[chosen.artifact].one} in {of}",
                span=placed.span,
                hint=self._ruled_out(placed, chosen, there)
                or _nearest_selectors(placed, there)
                or f"it has no {chosen.artifact} at all",
            )
        )

    def _ruled_out(self, placed: PlacedSelector, chosen: TypeFilter, there: Sequence[str]) -> str | None:
        """A hint for a name that is there, but that the layer's other conditions leave nothing of."""
        conditions = [key for key, given in (("where", chosen.where), ("authors", chosen.authors)) if given]
        if ARTIFACTS[chosen.artifact].of_run and self.spec.filters["runs"].take is Take.SELECTED:
            conditions.append("runs")
        if not conditions or _head(placed.text) not in {_head(t) for t in there}:
            return None
        return f"{_head(placed.text)!r} is there, but nothing of it that {' and '.join(conditions)} let through"

    def _nothing_there(self, chosen: TypeFilter) -> None:
        """No row satisfies ``where`` and ``authors``: say which part is to blame where that can be told."""
        known = self.inventory.vocabulary.get(f"{chosen.artifact}.authors", ())
        for author, span in zip(chosen.authors, chosen.author_spans, strict=True):
            if known and author not in known:
                message = (
                    f"no {ARTIFACTS[chosen.artifact].one} of source {self.spec.source!r} has the author {author!r}"
                )
                self.found.append(Diagnostic(Code.NO_MATCH, message, span=span, hint=did_you_mean(author, known)))
                return
        conditions = [f"{k}: {v}" for k, v in chosen.where.items()] + [f"author {a!r}" for a in chosen.authors]
        where = next(iter([*chosen.where_spans.values(), *chosen.author_spans]), chosen.span)
        message = f"no {ARTIFACTS[chosen.artifact].one} of source {self.spec.source!r} has " + " and ".join(conditions)
        there = self.inventory.vocabulary.get(chosen.artifact, ())
        hint = did_you_mean("", there) or "or say `allow_empty: true` if that is meant"
        self.found.append(Diagnostic(Code.NO_MATCH, message, span=where, hint=hint))

    # Naming

    def name_sessions(self) -> None:
        template = self.spec.session_id
        if template is None:
            return
        for artifact in (name for name, a in ARTIFACTS.items() if "session_id" in a.portal_names):
            # An empty table need not have the portal's columns.
            if not len(self.tables[artifact]):
                continue
            table, problems = naming.name_sessions(self.tables[artifact], template, self.spec.span)
            self.tables[artifact] = table
            self.found += problems

    def name_runs(self) -> None:
        if self.spec.run_name is None or not len(self.tables["runs"]):
            return
        names, problems = naming.run_names(self.tables["runs"], self.spec.run_name, self.spec.span)
        self.found += problems
        self.run_names = {old: new for old, new in names.items() if old != new}
        for artifact, table in self.tables.items():
            column = "name" if artifact == "runs" else "run"
            if artifact == "runs" or ARTIFACTS[artifact].of_run:
                self.tables[artifact] = table.assign(**{column: naming.mapped(table[column], names)})

    def rename(self, kind: str, names: Sequence[NewName]) -> None:
        if not names:
            return
        there = self._names_there(kind)
        mapping = {n.old: n.new for n in names}
        rows = dict.fromkeys(mapping, 0)
        for artifact, column, keeps in _reached(kind):
            table = self.tables[artifact]
            for old, count in table[column].value_counts().items():
                if old in rows:
                    rows[old] += int(count)
            self.tables[artifact] = naming.renamed(table, column, mapping, keeps)
        for name in names:
            self.renames.append(RenameReport(kind, name.old, name.new, rows[name.old]))
            if name.old not in there and not self.spec.allow_empty:
                what = "tomogram type" if kind == "tomo_types" else "object"
                message = f"{name.old!r} names no {what} in source {self.spec.source!r}"
                hint = did_you_mean(name.old, there) or f"the layer takes nothing that has a {what}"
                self.found.append(Diagnostic(Code.RENAME_UNKNOWN, message, span=name.span, hint=hint))

    def _names_there(self, kind: str) -> set[str]:
        there = {str(v) for artifact, column, _ in _reached(kind) for v in self.inventory.table(artifact)[column]}
        if kind == "objects":
            there |= {str(o["name"]) for o in self.inventory.objects}
        return there | set(self.inventory.vocabulary.get(kind, ()))

    # Collisions

    def resolve_collisions(self) -> None:
        for artifact in ARTIFACT_TYPES:
            policy = "error" if artifact == "runs" else self.spec.on_collision
            before = self.tables[artifact]
            self.tables[artifact], found = collisions.resolve(artifact, before, policy)
            self.collisions += found
            if found:
                gone = np.setdiff1d(before["row"], self.tables[artifact]["row"])
                self.choices[artifact].fates[gone] = Fate.COLLIDED


def _reached(kind: str) -> Iterator[tuple[str, str, str | None]]:
    """What a rename map reaches: artifact type, column, and the column that keeps a portal row's old name."""
    for artifact, described in ARTIFACTS.items():
        column = described.renamed.get(kind)
        if column is not None:
            yield artifact, column, described.portal_names.get(column)


def _nearest_selectors(placed: PlacedSelector, there: Sequence[str]) -> str | None:
    """A hint for a selector without a match: nearest names, else names that start most alike, else what is there."""
    close = nearest(placed.text, there)
    if not close:
        close_heads = nearest(_head(placed.text), {_head(t) for t in there})
        close = [t for t in sorted(set(there)) if _head(t) in close_heads][:3]
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return did_you_mean(placed.text, there)


def _head(text: str) -> str:
    """The object, name or tomogram type of a selector."""
    return text.removeprefix("re:").split("@")[0].split(":")[0]
