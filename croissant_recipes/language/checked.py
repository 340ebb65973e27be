"""What ``check`` makes of a recipe: selectors parsed, templates parsed, every name that can be known offline known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path as FilePath

from croissant_recipes.diagnostics import Span, joined
from croissant_recipes.intake import TODAY, Files
from croissant_recipes.language.recipe import Output, Recipe, Scalar
from croissant_recipes.language.run_masks import RunMask
from croissant_recipes.language.selectors import Pattern, Selector
from croissant_recipes.language.source_kinds import PORTAL
from croissant_recipes.language.templates import Template
from croissant_recipes.language.yaml_nodes import Document, Path, Place

WHERE_TYPES = PORTAL.types
"""The artifact types that ``where`` and ``authors`` exist for."""


class Take(Enum):
    """How much of a type a layer takes."""

    ALL = "all"
    NONE = "none"
    SELECTED = "selected"


@dataclass(frozen=True)
class PlacedSelector:
    """A selector and where it stands in the recipe."""

    selector: Selector
    span: Span

    @classmethod
    def at(cls, selector: Selector, place: Place) -> PlacedSelector:
        """A selector that stands at a place, and its parts with it."""
        parts = tuple((column, replace(p, span=place.at(p.start, p.end))) for column, p in selector.parts)
        return cls(replace(selector, parts=parts), place.value)

    @property
    def text(self) -> str:
        return self.selector.text


@dataclass(frozen=True)
class HeldRows:
    """Rows of a run that the layer takes.

    Attributes:
        artifact: Their type.
        selector: What they match besides, ``None`` for any.
        span: Where it stands.
    """

    artifact: str
    selector: PlacedSelector | None
    span: Span

    @property
    def text(self) -> str:
        """As messages name it."""
        return self.artifact if self.selector is None else f"{self.artifact} {self.selector.text!r}"


@dataclass(frozen=True)
class TypeFilter:
    """What a layer takes of one artifact type.

    Attributes:
        artifact: The type.
        take: Everything, nothing, or what ``select`` says.
        select: United. Empty unless ``take`` is ``SELECTED``.
        exclude: Left out again, whatever ``take`` says.
        where: Portal metadata that must be equal, by field.
        authors: Portal authors, each of whom must be among a record's authors.
        having, lacking: Of runs: what of a run the layer has to take, and what it must not.
        named: Whether the layer names the type; a type that it does not name follows ``others``.
        span: Where the filter stands, or the layer where it does not name the type.
    """

    artifact: str
    take: Take
    select: tuple[PlacedSelector, ...] = ()
    exclude: tuple[PlacedSelector, ...] = ()
    where: Mapping[str, Scalar] = field(default_factory=dict)
    authors: tuple[str, ...] = ()
    having: tuple[HeldRows, ...] = ()
    lacking: tuple[HeldRows, ...] = ()
    named: bool = True
    span: Span | None = None
    where_spans: Mapping[str, Span] = field(default_factory=dict)
    author_spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class NewName:
    """One entry of a rename map.

    Attributes:
        old: What it renames: one name, or the names that a pattern matches.
        new: Their new name.
        span: Where it stands.
        pattern: What ``old`` is as a pattern.
        shared: Whether it is of the recipe's own ``rename``, which holds for every layer as far as it fits.
    """

    old: str
    new: str
    span: Span
    pattern: Pattern
    shared: bool = False


@dataclass(frozen=True)
class RunCondition:
    """Runs by what is known of them, all of which must hold.

    Attributes:
        where: Values of the portal's Run, by field.
        source: The source that they come from, ``None`` for any.
        span: Where it stands.
        where_spans: Where each value of ``where`` does.
    """

    where: Mapping[str, Scalar]
    source: str | None
    span: Span
    where_spans: Mapping[str, Span] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """As messages say it, after ``run``."""
        of = [f"of source {self.source!r}"] if self.source is not None else []
        return " ".join([*of, *(["with", joined([f"{k}: {v}" for k, v in self.where.items()])] if self.where else [])])


RunChoice = PlacedSelector | RunCondition
"""Runs by a selector over the names that they answer to, or by what is known of them."""


@dataclass(frozen=True)
class SplitRule:
    """Runs that go into one split."""

    split: str
    runs: RunChoice


@dataclass(frozen=True)
class LayerSpec:
    """A layer, checked.

    Attributes:
        index: Position in the recipe, from 0.
        operation: ``export`` or ``append``, or ``base`` for what a recipe starts from.
        sources: Names of its sources, in order; at least one, and no name twice.
        filters: One for every artifact type.
        renames: The entries of each rename map that has any, by the map's name (``RENAME_MAPS``): the layer's own, then
            the recipe's.
        run_name: Template over the portal's runs.
        session_id, user_id: Templates over what the source knows of picks, meshes and segmentations.
        splits: The layer's own split rules.
        asked_of_runs: Fields of the portal's Run that conditions of the recipe compare.
        on_collision: ``error``, ``first`` or ``last``.
        allow_empty: Whether a selector may match nothing.
        runs_apart: Whether no run can be of two of its sources, so that each alone can be asked for
            runs by what they hold.
    """

    index: int
    operation: str
    sources: tuple[str, ...]
    filters: Mapping[str, TypeFilter]
    renames: Mapping[str, tuple[NewName, ...]] = field(default_factory=dict)
    run_name: Template | None = None
    session_id: Template | None = None
    user_id: Template | None = None
    splits: tuple[SplitRule, ...] = ()
    asked_of_runs: frozenset[str] = frozenset()
    on_collision: str = "error"
    allow_empty: bool = False
    runs_apart: bool = True
    span: Span | None = None

    @property
    def template_fields(self) -> frozenset[str]:
        """The fields that templates of sessions and users name."""
        return frozenset().union(*(t.fields for t in (self.session_id, self.user_id) if t is not None))

    @property
    def run_fields(self) -> frozenset[str]:
        """The fields of the portal's Run that have to be known of its runs."""
        return self.asked_of_runs | (self.run_name.fields if self.run_name else frozenset())

    @property
    def number(self) -> int:
        """As messages and rows name it: from 1, and 0 for the base."""
        return self.index + 1

    @property
    def label(self) -> str:
        return self.label_of(joined(self.sources))

    def label_of(self, source: str) -> str:
        """How messages name what it does with one of its sources."""
        return f"layer {self.number} ({self.operation} {source})" if self.number else "the base"


@dataclass(frozen=True)
class SplitFileRow:
    """One row of a split file."""

    split: str
    run: str
    span: Span


@dataclass(frozen=True)
class OutputSpec:
    """One result of a recipe, checked.

    Attributes:
        name: What ``outputs`` calls it, ``None`` for the one ``output``.
        output: Where it is written and read.
        withhold: By split, the artifact types of which it has no row of the split's runs.
        masks: By split, how its runs are called in it.
        mask_key: What the order of masked names is drawn by, ``None`` for the recipe.
    """

    name: str | None
    output: Output
    withhold: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    masks: Mapping[str, RunMask] = field(default_factory=dict)
    mask_key: str | None = field(default=None, repr=False)

    @property
    def path(self) -> Path:
        """Where it stands in the recipe."""
        return ("output",) if self.name is None else ("outputs", self.name)

    @property
    def hides(self) -> bool:
        """Whether it shows less than the recipe makes."""
        return bool(self.withhold or self.masks)


@dataclass(frozen=True)
class CheckedRecipe:
    """A recipe that ``check`` found no error in, ready to be planned.

    Attributes:
        path: The recipe file; relative paths in it are relative to its folder.
        recipe: The validated model, parameters filled in.
        document: The positions of its values.
        layers: Its layers.
        assign: Split rules of ``splits.assign``.
        split_rows: The rows of ``splits.file``.
        unassign: What ``splits.unassign`` names.
        outputs: Its results, in their order; one where it has no ``outputs``.
        files: Where it, and what it names, was read.
    """

    path: FilePath
    recipe: Recipe
    document: Document
    layers: tuple[LayerSpec, ...]
    assign: tuple[SplitRule, ...] = ()
    split_rows: tuple[SplitFileRow, ...] = ()
    unassign: tuple[RunChoice, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    files: Files = TODAY

    @property
    def folder(self) -> FilePath:
        return self.path.parent

    @property
    def whole_outputs(self) -> tuple[OutputSpec, ...]:
        """The results that hide nothing."""
        return tuple(spec for spec in self.outputs if not spec.hides)
