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
from croissant_recipes.diagnostics import Diagnostic, did_you_mean, joined, list_instead, nearest
from croissant_recipes.language import matching
from croissant_recipes.language.checked import LayerSpec, NewName, PlacedSelector, Take, TypeFilter
from croissant_recipes.language.templates import Template
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS, RENAME_MAPS
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


_SHOWN = 3


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
        object_names: New names of objects by old, of all that the source has, where a rename decides them.
        runs_amiss: Whether a selector of ``runs`` matched nothing, which has been reported.
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
    object_names: Mapping[str, str] = field(default_factory=dict)
    runs_amiss: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()

    @cached_property
    def other_runs(self) -> frozenset[str]:
        """What the source calls the runs that it has and the layer does not take."""
        known = self.inventory.vocabulary.get("runs") or self.inventory.table("runs")["name"]
        rows = self.inventory.table("runs").iloc[self.tables["runs"]["row"]]
        return frozenset(known).difference(*(rows[c] for c in ("name", "run_alias") if c in rows))


def apply(spec: LayerSpec, inventory: Inventory) -> LayerRows:
    """Select, name and rename the artifacts that a layer takes from what its source holds."""
    worker = _Layer(spec, inventory)
    worker.select_runs()
    for artifact in ARTIFACT_TYPES[1:]:
        worker.select(artifact)
    worker.name_makers()
    for kind in RENAME_MAPS:
        worker.rename(kind)
    worker.name_runs()
    worker.resolve_collisions()
    return replace(
        LayerRows(spec, inventory, worker.tables, worker.choices),
        selectors=tuple(worker.selectors),
        renames=tuple(worker.renames),
        collisions=tuple(worker.collisions),
        run_names=worker.run_names,
        object_names=worker.object_names,
        runs_amiss=worker.runs_amiss,
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
        self.object_names: Mapping[str, str] = {}
        self.made: dict[tuple[str, str], pd.Series] = {}
        """What templates make of a column of an artifact type."""
        self.runs_amiss = False
        self.found: list[Diagnostic] = list(inventory.diagnostics)

    # Selecting

    def select_runs(self) -> None:
        runs = self.inventory.table("runs")
        answers = [runs]
        if "run_alias" in runs:
            answers.append(runs.assign(name=runs["run_alias"]))
        told = len(self.found)
        self._take("runs", runs, self._choice(self.spec.filters["runs"], answers))
        self.runs_amiss = len(self.found) > told

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
        self.tables[artifact] = tables.take(table, rows).assign(
            layer=np.int16(self.spec.number), row=rows, selector=choice.selectors[rows]
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
        known = self._known(chosen, answers)
        ruled_out = self._ruled_out(placed, chosen, answers[0])
        if self.runs_amiss and (ruled_out or not known):
            # It may well be in the runs that the layer means, and those are reported.
            return
        hint = ruled_out or _several(placed, known) or _nearest_selectors(placed, known)
        self.found.append(
            Diagnostic(
                Code.NO_MATCH,
                f"{placed.text!r} matches no {ARTIFACTS[chosen.artifact].one} in {self._searched(chosen.artifact)}",
                span=placed.span,
                hint=hint or f"it has no {chosen.artifact} at all",
            )
        )

    def _searched(self, artifact: str) -> str:
        source = f"source {self.spec.source!r}"
        if not ARTIFACTS[artifact].of_run:
            return source
        return f"the {'chosen ' * self._chooses_runs(artifact)}runs of {source}"

    def _chooses_runs(self, artifact: str) -> bool:
        chosen = self.spec.filters["runs"]
        return ARTIFACTS[artifact].of_run and (chosen.take is not Take.ALL or bool(chosen.exclude))

    def _known(self, chosen: TypeFilter, answers: Sequence[pd.DataFrame]) -> list[str]:
        """What the source has of a type, as far as it listed it, by names that selectors use."""
        # A portal source leaves out of its tables what no selector asks for, and any source runs that no layer takes.
        known = list(self.inventory.vocabulary.get(chosen.artifact, ()))
        if not known:
            tables = answers if chosen.artifact == "runs" else [self.inventory.table(chosen.artifact)]
            known = [name for table in tables for name in matching.names(chosen.artifact, table)]
        if not known and ARTIFACTS[chosen.artifact].object_column:
            known = [str(o["name"]) for o in self.inventory.objects]
        return known

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
        if not matching.match(placed.selector, self.inventory.table(artifact)).any():
            if asked is None or matching.match_texts(asked, list(kept[column].unique())).any():
                return None
            named = [str(o["name"]) for o in self.inventory.objects] if ARTIFACTS[artifact].object_column else []
            listed = self.inventory.vocabulary.get(artifact, named)
            if not any(_answers(placed, column, text) for text in listed):
                return None
        if conditions == ["runs"]:
            return f"the runs that the layer takes have no {ARTIFACTS[artifact].many} of {name!r}"
        return f"{name!r} is there, but nothing of it that {joined(conditions)} let through"

    def _nothing_there(self, chosen: TypeFilter) -> None:
        """No row satisfies ``where`` and ``authors``: say which part is to blame where that can be told."""
        known = self.inventory.vocabulary.get(f"{chosen.artifact}.authors", ())
        nothing = f"no {ARTIFACTS[chosen.artifact].one} of source {self.spec.source!r} has"
        for author, span in zip(chosen.authors, chosen.author_spans, strict=True):
            if known and author not in known:
                hint = list_instead(author, known.__contains__) or did_you_mean(author, known)
                self.found.append(Diagnostic(Code.NO_MATCH, f"{nothing} the author {author!r}", span=span, hint=hint))
                return
        misspelt = [placed for placed in chosen.select if not self._is_named(placed, chosen.artifact)]
        for placed in misspelt:
            self._no_match(placed, chosen, [self.inventory.table(chosen.artifact)])
        if misspelt or self.runs_amiss:
            return
        if chosen.select:
            of = joined([repr(placed.text) for placed in chosen.select[:_SHOWN]])
            nothing = f"no {ARTIFACTS[chosen.artifact].one} {of} of source {self.spec.source!r} has"
        conditions = [f"{k}: {v}" for k, v in chosen.where.items()] + [f"author {a!r}" for a in chosen.authors]
        where = next(iter([*chosen.where_spans.values(), *chosen.author_spans]), chosen.span)
        there = self.inventory.vocabulary.get(chosen.artifact, ())
        hint = did_you_mean("", there) or "or say `allow_empty: true` if that is meant"
        self.found.append(Diagnostic(Code.NO_MATCH, f"{nothing} {joined(conditions)}", span=where, hint=hint))

    def _is_named(self, placed: PlacedSelector, artifact: str) -> bool:
        """Whether the source has something of the name that a selector begins with, as far as it says."""
        known = self.inventory.vocabulary.get(artifact, ())
        return not known or any(_answers(placed, ARTIFACTS[artifact].selected_by[0], name) for name in known)

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
        if "portal_dataset_id" in self.inventory.table("runs"):
            return
        columns = {c for a, described in ARTIFACTS.items() if described.in_portal for c in self.inventory.table(a)}
        for name in sorted(template.fields - columns - naming.FIELDS):
            message = f"source {self.spec.source!r} has no field {name!r}, which {template.text!r} names"
            hint = did_you_mean(name, naming.FIELDS)
            self.found.append(Diagnostic(Code.TEMPLATE_FIELD, message, span=self.spec.span, hint=hint))

    def _templates(self) -> dict[str, Template]:
        """The templates by the rename map that comes after each."""
        given = {"users": self.spec.user_id, "sessions": self.spec.session_id}
        return {kind: template for kind, template in given.items() if template is not None}

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

    def rename(self, kind: str) -> None:
        """Give what one rename map reaches its new names, those that templates made first."""
        given = self.spec.renames.get(kind, ())
        if not given and kind not in self._templates():
            return
        there = self._names_there(kind)
        now = {place: self.made.get(place, self.tables[place[0]][place[1]]) for place in _reached(kind)}
        done = naming.renaming(given, there.union(*(column.unique() for column in now.values())))
        self.found += done.conflicts
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
            if at not in done.applied and not name.shared:
                self._not_there(kind, name, there)

    def _not_there(self, kind: str, name: NewName, there: set[str]) -> None:
        if self.spec.allow_empty or (self.runs_amiss and not there):
            return
        what, template = RENAME_MAPS[kind], self._templates().get(kind)
        if template is None:
            message = f"{name.old!r} names no {what} in source {self.spec.source!r}"
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
        there = {str(v) for artifact, column in _reached(kind) for v in self.inventory.table(artifact)[column].unique()}
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
