"""One layer over one inventory: what it selects, renames and names. Pure functions over tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import collisions, naming
from croissant_recipes.compiler.collisions import Collision
from croissant_recipes.compiler.stock import Stock, known
from croissant_recipes.diagnostics import Diagnostic, did_you_mean, joined, list_instead, listing, nearest
from croissant_recipes.language import matching
from croissant_recipes.language.checked import HeldRows, LayerSpec, NewName, PlacedSelector, Take, TypeFilter
from croissant_recipes.language.templates import Template
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS, RENAME_MAPS
from croissant_recipes.sources.base import Inventory
from croissant_recipes.sources.wanted import holders, takes


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


_SHOWN = 3


class Fate(IntEnum):
    """What becomes of a row of the source in a layer. A run may lack what ``having`` asks for, or hold what ``lacking``
    rules out; its rows are of a run that is left out."""

    TAKEN = 0
    RUN_LEFT_OUT = 1
    NOT_SELECTED = 2
    EXCLUDED = 3
    COLLIDED = 4
    RUN_LACKS = 5
    RUN_HOLDS = 6


@dataclass(frozen=True)
class Choice:
    """What a layer makes of each row that its sources have of one type, in the order of their tables.

    Attributes:
        fates: ``Fate`` of each row.
        selectors: Position in the filter's ``select`` of the first selector that took the row or, for an excluded row,
            in ``exclude`` of the first that ruled it out, for a run in ``having`` or ``lacking`` of the first item that
            did; -1 where none did.
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
        stock: What its sources hold.
        tables: One artifact table per type with its lineage, no two rows of one key; but a run has a row for each
            source that has it.
        choices: By type, what became of every row of the sources: a row that is not taken is not forgotten.
        selectors, renames: What each did.
        collisions: Rows that ended up with one key.
        held_runs: How many runs have what ``having`` and ``lacking`` ask for; ``None`` where they ask nothing.
        run_names: New run names by old, where they differ.
        object_names: New names of objects by old, of all that the source has, where a rename decides them.
        unmet: Entries of the recipe's own ``rename`` that name nothing here, each with the names that there are.
        renamed_by: By rename map and the name that it finds, the position of the entry that decides the new one.
        runs_amiss: Whether a selector of ``runs`` matched nothing, which has been reported.
        diagnostics: What is wrong.
    """

    spec: LayerSpec
    stock: Stock
    tables: Mapping[str, pd.DataFrame]
    choices: Mapping[str, Choice]
    selectors: tuple[SelectorReport, ...] = ()
    renames: tuple[RenameReport, ...] = ()
    collisions: tuple[Collision, ...] = ()
    held_runs: int | None = None
    run_names: Mapping[str, str] = field(default_factory=dict)
    object_names: Mapping[str, str] = field(default_factory=dict)
    unmet: Mapping[tuple[str, NewName], frozenset[str]] = field(default_factory=dict)
    renamed_by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    runs_amiss: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()

    @cached_property
    def other_runs(self) -> Mapping[str, frozenset[str]]:
        """What each source calls the runs that it has and the layer does not take of it."""
        taken, runs = self.tables["runs"], self.stock.table("runs")
        found = {}
        for position, (source, part) in enumerate(self.sources):
            of_source = runs.iloc[taken["row"][taken["source"] == position]]
            names = (of_source[c] for c in ("name", "run_alias") if c in runs)
            found[source] = frozenset(known(part, "runs")).difference(*names)
        return found

    @property
    def sources(self) -> Iterator[tuple[str, Inventory]]:
        """The names of its sources, and what each holds."""
        return zip(self.spec.sources, self.stock.parts, strict=True)


def apply(spec: LayerSpec, inventories: Sequence[Inventory]) -> LayerRows:
    """Select, name and rename the artifacts that a layer takes from what its sources hold, in the order in which it
    names them."""
    worker = _Layer(spec, Stock.of(inventories))
    worker.select_runs()
    worker.hold_runs()
    for artifact in ARTIFACT_TYPES[1:]:
        worker.select(artifact)
    worker.name_makers()
    for kind in RENAME_MAPS:
        worker.rename(kind)
    worker.name_runs()
    worker.resolve_collisions()
    return replace(
        LayerRows(spec, worker.stock, worker.tables, worker.choices),
        selectors=tuple(worker.selectors),
        renames=tuple(worker.renames),
        collisions=tuple(worker.collisions),
        held_runs=worker.held_runs,
        run_names=worker.run_names,
        object_names=worker.object_names,
        unmet=worker.unmet,
        renamed_by=worker.renamed_by,
        runs_amiss=worker.runs_amiss,
        diagnostics=tuple(worker.found),
    )


class _Layer:
    def __init__(self, spec: LayerSpec, stock: Stock) -> None:
        self.spec = spec
        self.stock = stock
        self.tables: dict[str, pd.DataFrame] = {}
        self.choices: dict[str, Choice] = {}
        self.selectors: list[SelectorReport] = []
        self.renames: list[RenameReport] = []
        self.collisions: list[Collision] = []
        self.held_runs: int | None = None
        self.run_names: dict[str, str] = {}
        self.object_names: Mapping[str, str] = {}
        self.unmet: dict[tuple[str, NewName], frozenset[str]] = {}
        self.renamed_by: dict[str, Mapping[str, int]] = {}
        self.made: dict[tuple[str, str], pd.Series] = {}
        """What templates make of a column of an artifact type."""
        self.runs_amiss = False
        self.found: list[Diagnostic] = [d for part in stock.parts for d in part.diagnostics]

    # Selecting

    def select_runs(self) -> None:
        runs = self.stock.table("runs")
        answers = [runs]
        if "run_alias" in runs:
            answers.append(runs.assign(name=runs["run_alias"].where(runs["run_alias"] != "", runs["name"])))
        told = len(self.found)
        self._take("runs", runs, self._choice(self.spec.filters["runs"], answers))
        self.runs_amiss = len(self.found) > told

    def hold_runs(self) -> None:
        """Leave out runs by what the layer takes of them, from whichever of its sources."""
        chosen = self.spec.filters["runs"]
        if not chosen.having and not chosen.lacking:
            return
        there = {item.artifact: self._rows_to_take(item.artifact) for item in (*chosen.having, *chosen.lacking)}
        table, selected = self.stock.table("runs"), self.choices["runs"]
        choice, told, amiss = Choice(selected.fates.copy(), selected.selectors.copy()), len(self.found), False
        for items, fate in ((chosen.having, Fate.RUN_LACKS), (chosen.lacking, Fate.RUN_HOLDS)):
            for position, item in enumerate(items):
                names = holders(item, there[item.artifact])
                if not names and (item.selector is not None or fate is Fate.RUN_LACKS):
                    self._held_nowhere(item, there[item.artifact])
                    amiss = True
                holds = table["name"].isin(names).to_numpy()
                out = (choice.fates == Fate.TAKEN) & (holds if fate is Fate.RUN_HOLDS else ~holds)
                choice.fates[out], choice.selectors[out] = fate, position
        if not amiss and len(self.tables["runs"]) and not (choice.fates == Fate.TAKEN).any():
            self._held_by_none(chosen)
            amiss = True
        if amiss and not self.spec.allow_empty:
            # All that the layer is told of else would only follow from it.
            return
        del self.found[told:]
        self._take("runs", table, choice)
        self.held_runs = self.tables["runs"]["name"].nunique()

    def _rows_to_take(self, artifact: str) -> pd.DataFrame:
        """The rows of a type that the layer takes of the runs that it selects."""
        table = self.stock.table(artifact)
        return table[self._in_runs(artifact, table) & takes(self.spec.filters[artifact], table)]

    def _held_nowhere(self, item: HeldRows, rows: pd.DataFrame) -> None:
        """An item that fits no row. Where the layer takes none of the type, its own selectors may tell why."""
        filter_, many = self.spec.filters[item.artifact], ARTIFACTS[item.artifact].many
        if rows.empty and len(self.tables["runs"]) == 0:
            return
        if rows.empty and (filter_.take is Take.SELECTED or filter_.where or filter_.authors):
            return
        if item.selector is None or rows.empty:
            message = f"no run of {self._named} has {many}"
            hint = f"remove it, or take from where there are {many}"
        else:
            message = f"{item.selector.text!r} matches no {ARTIFACTS[item.artifact].one} that the layer takes"
            there = matching.names(item.artifact, rows)
            hint = _several(item.selector, there) or _nearest_selectors(item.selector, there) or ""
            if matching.match(item.selector.selector, self.stock.table(item.artifact)).any():
                hint = f"it is there, but not among the {many} that the layer takes of the runs that it selects"
        self.found.append(Diagnostic(Code.NO_RUN_HOLDS, message, span=item.span, hint=hint or None))

    def _held_by_none(self, chosen: TypeFilter) -> None:
        parts = [
            f"{'has' if each is chosen.having else 'lacks'} {joined([i.text for i in each])}"
            for each in (chosen.having, chosen.lacking)
            if each
        ]
        message = f"no run that the layer selects {joined(parts)}"
        span = next(iter((*chosen.having, *chosen.lacking))).span
        hint = "ask for less, or say `allow_empty: true` if that is meant"
        self.found.append(Diagnostic(Code.NO_RUN_HOLDS, message, span=span, hint=hint))

    def select(self, artifact: str) -> None:
        table, chosen = self.stock.table(artifact), self.spec.filters[artifact]
        there = self._in_runs(artifact, table)
        choice = Choice.of(len(table), Fate.RUN_LEFT_OUT)
        found = self._choice(chosen, [table if there.all() else table[there]])
        choice.fates[there], choice.selectors[there] = found.fates, found.selectors
        self._take(artifact, table, choice)
        if (chosen.where or chosen.authors) and not there.any() and not self.spec.allow_empty:
            self._nothing_there(chosen)

    def _in_runs(self, artifact: str, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which rows are of runs that the layer takes of their source."""
        there, kept = np.ones(len(table), dtype=bool), self.tables["runs"]
        if ARTIFACTS[artifact].of_run and len(kept) < len(self.stock.table("runs")):
            for source, rows in enumerate(self.stock.slices(artifact)):
                names = kept["name"][kept["source"] == source]
                there[rows] = tables.is_among(table["run"].iloc[rows], names)
        return there

    def _take(self, artifact: str, table: pd.DataFrame, choice: Choice) -> None:
        rows = np.flatnonzero(choice.fates == Fate.TAKEN)
        self.choices[artifact] = choice
        self.tables[artifact] = tables.take(table, rows).assign(
            layer=np.int16(self.spec.number),
            source=self.stock.sources(artifact)[rows],
            row=rows,
            selector=choice.selectors[rows],
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
                self._no_match(placed, chosen, answers[0])
            first[one & (first < 0)] = position
        return first

    def _no_match(self, placed: PlacedSelector, chosen: TypeFilter, kept: pd.DataFrame) -> None:
        there = self.stock.known(chosen.artifact)
        ruled_out = self._ruled_out(placed, chosen, kept)
        if self.runs_amiss and (ruled_out or not there):
            # It may well be in the runs that the layer means, and those are reported.
            return
        hint = ruled_out or _several(placed, there) or _nearest_selectors(placed, there)
        self.found.append(
            Diagnostic(
                Code.NO_MATCH,
                f"{placed.text!r} matches no {ARTIFACTS[chosen.artifact].one} in {self._searched(chosen.artifact)}",
                span=placed.span,
                hint=hint or f"{'it has' if self._alone else 'they have'} no {chosen.artifact} at all",
            )
        )

    def _searched(self, artifact: str) -> str:
        if not ARTIFACTS[artifact].of_run:
            return self._named
        return f"the {'chosen ' * self._chooses_runs(artifact)}runs of {self._named}"

    @property
    def _alone(self) -> bool:
        return len(self.spec.sources) == 1

    @property
    def _named(self) -> str:
        """Its source, or sources, as messages name them."""
        return f"source{'' if self._alone else 's'} {listing(self.spec.sources)}"

    def _chooses_runs(self, artifact: str) -> bool:
        chosen = self.spec.filters["runs"]
        return ARTIFACTS[artifact].of_run and (
            chosen.take is not Take.ALL or bool(chosen.exclude or chosen.having or chosen.lacking)
        )

    def _ruled_out(self, placed: PlacedSelector, chosen: TypeFilter, kept: pd.DataFrame) -> str | None:
        """A hint for a selector of something that is there, but of which the layer's other conditions leave nothing."""
        artifact = chosen.artifact
        conditions = [key for key, given in (("where", chosen.where), ("authors", chosen.authors)) if given]
        if self._chooses_runs(artifact):
            conditions.append("runs")
        if not conditions:
            return None
        column = ARTIFACTS[artifact].selected_by[0]
        asked = next((pattern for name, pattern in placed.selector.parts if name == column), None)
        name = _head(placed.text)
        if not matching.match(placed.selector, self.stock.table(artifact)).any():
            if asked is None or matching.match_texts(asked, list(kept[column].unique())).any():
                return None
            if not any(_answers(placed, column, text) for text in self.stock.listed(artifact)):
                return None
        if conditions == ["runs"]:
            return f"the runs that the layer takes have no {ARTIFACTS[artifact].many} of {name!r}"
        return f"{name!r} is there, but nothing of it that {joined(conditions)} let through"

    def _nothing_there(self, chosen: TypeFilter) -> None:
        """No row satisfies ``where`` and ``authors``: say which part is to blame where that can be told."""
        names = self.stock.vocabulary(f"{chosen.artifact}.authors")
        nothing = f"no {ARTIFACTS[chosen.artifact].one} of {self._named} has"
        for author, span in zip(chosen.authors, chosen.author_spans, strict=True):
            if names and author not in names:
                hint = list_instead(author, names.__contains__) or did_you_mean(author, names)
                self.found.append(Diagnostic(Code.NO_MATCH, f"{nothing} the author {author!r}", span=span, hint=hint))
                return
        misspelt = [placed for placed in chosen.select if not self._is_named(placed, chosen.artifact)]
        for placed in misspelt:
            self._no_match(placed, chosen, self.stock.table(chosen.artifact))
        if misspelt or self.runs_amiss:
            return
        if chosen.select:
            of = joined([repr(placed.text) for placed in chosen.select[:_SHOWN]])
            nothing = f"no {ARTIFACTS[chosen.artifact].one} {of} of {self._named} has"
        conditions = [f"{k}: {v}" for k, v in chosen.where.items()] + [f"author {a!r}" for a in chosen.authors]
        where = next(iter([*chosen.where_spans.values(), *chosen.author_spans]), chosen.span)
        there = self.stock.vocabulary(chosen.artifact)
        hint = did_you_mean("", there) or "or say `allow_empty: true` if that is meant"
        self.found.append(Diagnostic(Code.NO_MATCH, f"{nothing} {joined(conditions)}", span=where, hint=hint))

    def _is_named(self, placed: PlacedSelector, artifact: str) -> bool:
        """Whether a source has something of the name that a selector begins with, as far as they say."""
        names = self.stock.vocabulary(artifact)
        return not names or any(_answers(placed, ARTIFACTS[artifact].selected_by[0], name) for name in names)

    # Naming

    def name_makers(self) -> None:
        """What the templates of sessions and users make of what the source calls things."""
        for kind, template in self._templates().items():
            self._check_fields(template)
            for artifact, column in _reached(kind):
                table = self.tables[artifact]
                # An empty table need not have the portal's columns.
                if len(table) and naming.has_fields(artifact, template):
                    new, problems = naming.named(table, artifact, column, template, column, self.spec.span)
                    self.made[artifact, column] = new
                    self.found += problems

    def _check_fields(self, template: Template) -> None:
        """Fields of the portal where a source turns out to be none of it, which a config on the web can."""
        for source, part in zip(self.spec.sources, self.stock.parts, strict=True):
            if "portal_dataset_id" in part.table("runs"):
                continue
            columns = {c for a, described in ARTIFACTS.items() if described.in_portal for c in part.table(a)}
            for name in sorted(template.fields - columns - naming.FIELDS):
                message = f"source {source!r} has no field {name!r}, which {template.text!r} names"
                hint = did_you_mean(name, naming.FIELDS)
                self.found.append(Diagnostic(Code.TEMPLATE_FIELD, message, span=self.spec.span, hint=hint))

    def _templates(self) -> dict[str, Template]:
        """The templates by the rename map that comes after each."""
        given = {"users": self.spec.user_id, "sessions": self.spec.session_id}
        return {kind: template for kind, template in given.items() if template is not None}

    def name_runs(self) -> None:
        if self.spec.run_name is None or not len(self.tables["runs"]):
            return
        runs, names = self.tables["runs"], {}
        for source in range(len(self.stock.parts)):
            of_source = runs[runs["source"] == source]
            names[source], problems = naming.run_names(of_source, self.spec.run_name, self.spec.span)
            self.found += problems
            self.run_names |= {old: new for old, new in names[source].items() if old != new}
        for artifact, table in self.tables.items():
            column = "name" if artifact == "runs" else "run"
            if artifact == "runs" or ARTIFACTS[artifact].of_run:
                new = [naming.mapped(table[column][table["source"] == s], of_source) for s, of_source in names.items()]
                self.tables[artifact] = table.assign(**{column: new[0] if self._alone else pd.concat(new)})

    def rename(self, kind: str) -> None:
        """Give what one rename map reaches its new names, those that templates made first."""
        given = self.spec.renames.get(kind, ())
        if not given and kind not in self._templates():
            return
        there = self._names_there(kind)
        now = {place: self.made.get(place, self.tables[place[0]][place[1]]) for place in _reached(kind)}
        done = naming.renaming(given, there.union(*(column.unique() for column in now.values())))
        self.found += done.conflicts
        self.renamed_by[kind] = done.entries
        rows = [0] * len(given)
        for (artifact, column), names in now.items():
            for old, count in names.value_counts().items():
                if (at := done.entries.get(str(old))) is not None:
                    rows[at] += int(count)
            self.tables[artifact] = naming.renamed(
                self.tables[artifact], artifact, column, naming.mapped(names, done.names)
            )
        if kind == "objects":
            self.object_names = done.names
        for at, name in enumerate(given):
            if rows[at] or not name.shared:
                self.renames.append(RenameReport(kind, name.old, name.new, rows[at]))
            if at not in done.applied and not (self.spec.allow_empty or (self.runs_amiss and not there)):
                self._not_there(kind, name, there)

    def _not_there(self, kind: str, name: NewName, there: set[str]) -> None:
        if name.shared:
            # Another layer may have it.
            self.unmet[kind, name] = frozenset(there)
            return
        what, template = RENAME_MAPS[kind], self._templates().get(kind)
        if template is None:
            message = f"{name.old!r} names no {what} in {self._named}"
            hint = did_you_mean(name.old, there)
        else:
            message = f"{name.old!r} is no {what} that the template {template.text!r} gives"
            hint = did_you_mean(name.old, there, what="it gives")
        hint = hint or f"the layer takes nothing that has a {what}"
        self.found.append(Diagnostic(Code.RENAME_UNKNOWN, message, span=name.span, hint=hint))

    def _names_there(self, kind: str) -> set[str]:
        """The names that a rename map can speak of: what the template before it gives or, without one, what the source
        has."""
        if kind in self._templates():
            places = [(a, c) for a, c in _reached(kind) if len(self.tables[a])]
            return {str(v) for a, c in places for v in self.made.get((a, c), self.tables[a][c]).unique()}
        there = {str(v) for artifact, column in _reached(kind) for v in self.stock.table(artifact)[column].unique()}
        if kind == "objects":
            there |= {str(o["name"]) for o in self.stock.objects}
        return there | set(self.stock.vocabulary(kind))

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


def _reached(kind: str) -> Iterator[tuple[str, str]]:
    """The artifact types that a rename map reaches, each with its column."""
    for artifact, described in ARTIFACTS.items():
        column = described.renamed.get(kind)
        if column is not None:
            yield artifact, column


def _answers(placed: PlacedSelector, column: str, name: str) -> bool:
    """Whether what a name says (``ribosome``, ``wbp@10.0``) is what a selector asks for. ``column`` is what it begins
    with."""
    for asked, pattern in placed.selector.parts:
        if asked == column and not matching.match_texts(pattern, [_head(name)]).any():
            return False
        size = name.partition("@")[2]
        if asked == "voxel_size" and size and not matching.match_sizes(pattern, [float(size)]).any():
            return False
    return True


def _several(placed: PlacedSelector, there: Sequence[str]) -> str | None:
    """A hint for several names in one text."""
    heads = {_head(name) for name in there}
    return list_instead(placed.text, lambda part: _head(part) in heads)


def _nearest_selectors(placed: PlacedSelector, there: Sequence[str]) -> str | None:
    """A hint for a selector without a match: the pattern with the nearest name, nearest names, else names that start
    most alike, else what is there."""
    head = _head(placed.text)
    close_heads = nearest(head, {_head(t) for t in there})
    rest = placed.text.removeprefix(head)
    if close_heads and head not in close_heads and "*" in rest:
        close = [h + rest for h in close_heads]
    else:
        close = nearest(placed.text, there) or [t for t in sorted(set(there)) if _head(t) in close_heads][:3]
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return did_you_mean(placed.text, there)


def _head(text: str) -> str:
    """The object, name or tomogram type of a selector."""
    return re.split("[@:?]", text.removeprefix("re:"), maxsplit=1)[0]
