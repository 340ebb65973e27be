"""Offline checks of which runs a split names: names and patterns, portal metadata, sources."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span, did_you_mean
from croissant_recipes.language import portal_schema, selectors
from croissant_recipes.language.checked import LayerSpec, PlacedSelector, RunChoice, RunCondition, SplitRule
from croissant_recipes.language.recipe import RunsMap, Scalar
from croissant_recipes.language.source_kinds import SourceKind
from croissant_recipes.language.yaml_nodes import Document, Path
from croissant_recipes.schema import unreadable_split


@dataclass
class RunChecker:
    """Reads the runs that splits name, and gathers what is wrong with them.

    Attributes:
        document: The recipe.
        kinds: The kind of every declared source, ``None`` where it cannot be told.
        bringing: The sources that bring runs here: those of the layer, or of all layers.
        here: What these are the sources of, as messages say it.
        found: What is wrong.
    """

    document: Document
    kinds: Mapping[str, SourceKind | None]
    bringing: Collection[str]
    here: str
    found: list[Diagnostic] = field(default_factory=list)

    def rules(self, assigned: Mapping[str, object], where: Path) -> tuple[SplitRule, ...]:
        """The rules of a mapping of split names to runs."""
        rules: list[SplitRule] = []
        for split, runs in assigned.items():
            self.found += check_name(split, self.document.key_span(*where, split))
            rules += [SplitRule(split, choice) for choice in self.choices(runs, (*where, split))]
        return tuple(rules)

    def choices(self, runs: object, path: Path) -> tuple[RunChoice, ...]:
        """What one value names: a text, a mapping, or a list of these."""
        items = [((*path, i), item) for i, item in enumerate(runs)] if isinstance(runs, tuple) else [(path, runs)]
        found = (self._condition(v, p) if isinstance(v, RunsMap) else self.pattern(str(v), p) for p, v in items)
        return tuple(choice for choice in found if choice is not None)

    def pattern(self, text: str, path: Path) -> PlacedSelector | None:
        place = self.document.place(path)
        try:
            return PlacedSelector.at(selectors.parse("runs", text), place)
        except selectors.SelectorError as error:
            span = place.at(error.start, error.end)
            self.found.append(Diagnostic(Code.SELECTOR, f"{text!r}: {error.message}", span=span, hint=error.hint))
            return None

    def _condition(self, given: RunsMap, path: Path) -> RunCondition | None:
        told = len(self.found)
        if given.source is not None:
            self._check_source(given.source, self.document.value_span(*path, "source"))
        where = {key: self._value(key, value, (*path, "where", key)) for key, value in given.where.items()}
        if len(self.found) == told and where:
            self._check_portal(given.source, self.document.key_span(*path, "where"))
        if len(self.found) > told:
            return None
        spans = {key: self.document.value_span(*path, "where", key) for key in where}
        return RunCondition(where, given.source, self.document.value_span(*path), spans)

    def _value(self, key: str, value: Scalar, path: Path) -> Scalar:
        try:
            return portal_schema.check_where("runs", key, value)
        except portal_schema.WhereError as error:
            at = self.document.place(path)
            code = Code.WHERE_FIELD if error.unknown_field else Code.WHERE_VALUE
            span = (at.key or at.value) if error.unknown_field else at.value
            self.found.append(Diagnostic(code, error.message, span=span, hint=error.hint))
            return value

    def _check_source(self, source: str, span: Span) -> None:
        if source not in self.kinds:
            hint = did_you_mean(source, self.kinds, what="declared are") or "declare it under `sources:`"
            self.found.append(
                Diagnostic(Code.SOURCE_UNKNOWN, f"source {source!r} is not declared", span=span, hint=hint)
            )
        elif source not in self.bringing:
            message = f"{self.here} no runs of source {source!r}"
            hint = did_you_mean(source, self.bringing, what="there are runs of") or "append it in a layer"
            self.found.append(Diagnostic(Code.SPLIT_SOURCE, message, span=span, hint=hint))

    def _check_portal(self, source: str | None, span: Span) -> None:
        asked = self.bringing if source is None else [source]
        kinds = [self.kinds.get(name) for name in asked]
        if any(kind is None or kind.of_portal for kind in kinds):
            return
        only = f"and {source!r} is none" if source is not None else f"and {self.here} none"
        hint = "name the runs, or say `source:` alone"
        self.found.append(
            Diagnostic(Code.PORTAL_ONLY, f"where needs runs of a portal source, {only}", span=span, hint=hint)
        )


def with_asked_fields(layers: Iterable[LayerSpec], choices: Iterable[RunChoice]) -> tuple[LayerSpec, ...]:
    """Layers that know which fields of the portal's Run their own conditions compare, and some for all layers."""
    everywhere = tuple(choices)
    return tuple(replace(layer, asked_of_runs=_asked(layer, everywhere)) for layer in layers)


def _asked(layer: LayerSpec, everywhere: Iterable[RunChoice]) -> frozenset[str]:
    conditions = (c for c in (*everywhere, *(r.runs for r in layer.splits)) if isinstance(c, RunCondition))
    return frozenset(f for c in conditions if c.source in (None, *layer.sources) for f in c.where)


def check_name(name: str, span: Span) -> list[Diagnostic]:
    """What is wrong with the name of a split."""
    if not name.strip():
        return [Diagnostic(Code.SPLIT_NAME, "a split without a name", span=span, hint="such as `train`")]
    taken_for = unreadable_split(name)
    if taken_for is None:
        return []
    hint = f"call it 'fold-{name.strip()}'" if taken_for == "a number" else "call it something else, such as `holdout`"
    message = f"split name {name!r} reads as {taken_for}, and copick cannot open a Croissant that has it"
    return [Diagnostic(Code.SPLIT_NAME, message, span=span, hint=hint)]
