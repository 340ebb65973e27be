"""Offline checks of layers: selectors, portal-only keys, templates, renames."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, joined, list_instead
from croissant_recipes.language import portal_schema, selectors, templates
from croissant_recipes.language.check_split_rules import RunChecker
from croissant_recipes.language.checked import (
    WHERE_TYPES,
    HeldRows,
    LayerSpec,
    NewName,
    PlacedSelector,
    Take,
    TypeFilter,
)
from croissant_recipes.language.loading import Draft, SourceKinds
from croissant_recipes.language.recipe import (
    Held,
    Layer,
    PortalSelectionMap,
    Rename,
    RunSelectionMap,
    Scalar,
    SelectionMap,
)
from croissant_recipes.language.source_kinds import PortalSource, Source, SourceKind
from croissant_recipes.language.templates import Template
from croissant_recipes.language.yaml_nodes import Document, Path, Place
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS, RENAME_MAPS

_EXAMPLES: Mapping[portal_schema.FieldType, object] = {
    "int": 1,
    "float": 0.5,
    "bool": True,
    "str": "a",
    "enum": "a",
    "date": date(2026, 1, 15),
}
"""A value of each type of portal field, to try a template's formats on."""

_OF_EVERY_SOURCE: Mapping[str, object] = {"run": "a", "user": "a", "session": "a", "object": "a", "voxel_size": 0.5}
"""What templates of sessions and users can name whatever the source is."""

_UNUSABLE = re.compile(r'[<>:"/\\|?*\x00-\x1F\x7F\s_]+')
"""What copick does not take in the name of an object, user, session or tomogram type."""


def check(draft: Draft, kinds: SourceKinds) -> tuple[tuple[LayerSpec, ...], list[Diagnostic]]:
    """Check the layers that could be read. Returns those, in order."""
    specs: list[LayerSpec] = []
    shared, found = _renames(draft.document, ("rename",), draft.rename, shared=True)
    for index, layer in enumerate(draft.layers):
        if layer is not None:
            checker = _LayerChecker(draft.document, index, layer, kinds, shared)
            apart = _runs_apart([draft.sources.get(name) for name in layer.sources])
            specs.append(replace(checker.check(), runs_apart=apart))
            found += checker.found
    return tuple(specs), found


def _runs_apart(sources: Sequence[Source | None]) -> bool:
    """Whether no run can be of two sources: a run of the portal is of one dataset, and any other may be called so."""
    if len(sources) == 1:
        return True
    portals = [source.spec for source in sources if source is not None and isinstance(source.spec, PortalSource)]
    datasets = [dataset for portal in portals for dataset in set(portal.datasets)]
    resolved = len(portals) == len(sources) and not any(portal.depositions for portal in portals)
    return resolved and len({portal.url for portal in portals}) == 1 and len(datasets) == len(set(datasets))


@dataclass
class _LayerChecker:
    document: Document
    index: int
    layer: Layer
    kinds: SourceKinds
    shared: Mapping[str, tuple[NewName, ...]]
    found: list[Diagnostic] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return ("layers", self.index)

    @property
    def _kinds(self) -> Mapping[str, SourceKind | None]:
        """The kinds of the layer's sources by name, ``None`` where that cannot be told."""
        return {name: self.kinds.get(name) for name in self.layer.sources}

    def check(self) -> LayerSpec:
        layer = self.layer
        filters = {artifact: self._filter(artifact) for artifact in ARTIFACT_TYPES}
        self._check_others()
        self._check_held(filters)
        self._check_runs(filters)
        self._check_portal_only()
        runs = RunChecker(self.document, self.kinds, layer.sources, f"layer {self.index + 1} brings", self.found)
        renames, problems = _renames(self.document, (*self.path, "rename"), layer.rename)
        self.found += problems
        return LayerSpec(
            index=self.index,
            operation=layer.operation,
            sources=layer.sources,
            filters=filters,
            renames={
                kind: (*renames.get(kind, ()), *self.shared.get(kind, ()))
                for kind in RENAME_MAPS
                if kind in renames or kind in self.shared
            },
            run_name=self._template("run_name", layer.run_name, self._run_fields),
            session_id=self._template("session_id", layer.session_id, self._fields),
            user_id=self._template("user_id", layer.user_id, self._fields),
            splits=runs.rules(layer.split, (*self.path, "split")),
            on_collision=layer.on_collision,
            allow_empty=layer.allow_empty,
            span=self.document.key_span(*self.path, layer.operation),
        )

    def _report(self, code: Code, message: str, span: Span, hint: str | None = None, *, warn: bool = False) -> None:
        severity = Severity.WARNING if warn else Severity.ERROR
        self.found.append(Diagnostic(code, message, severity, hint, span))

    # Selections

    def _filter(self, artifact: str) -> TypeFilter:
        value = getattr(self.layer, artifact)
        path = (*self.path, artifact)
        if value is None:
            excluded = self.layer.others == "exclude" and artifact != "runs"
            span = self.document.key_span(*self.path, self.layer.operation)
            return TypeFilter(artifact, Take.NONE if excluded else Take.ALL, named=False, span=span)
        span = self.document.key_span(*path)
        if isinstance(value, SelectionMap):
            return self._filter_map(artifact, value, path, span)
        take, select = self._select(artifact, value, path)
        return TypeFilter(artifact, take, select, span=span)

    def _filter_map(self, artifact: str, value: SelectionMap, path: Path, span: Span) -> TypeFilter:
        take, select = self._select(artifact, "all" if value.select is None else value.select, (*path, "select"))
        exclude: tuple[PlacedSelector, ...] = ()
        if value.exclude is not None:
            exclude = self._parse_all(artifact, value.exclude, (*path, "exclude"))
        if isinstance(value, RunSelectionMap):
            having, lacking = (self._held_rows(getattr(value, key), (*path, key)) for key in ("having", "lacking"))
            return TypeFilter(artifact, take, select, exclude, having=having, lacking=lacking, span=span)
        if not isinstance(value, PortalSelectionMap):
            return TypeFilter(artifact, take, select, exclude, span=span)
        authors = (value.authors,) if isinstance(value.authors, str) else value.authors or ()
        return TypeFilter(
            artifact,
            take,
            select,
            exclude,
            self._where(artifact, value.where, path),
            authors,
            span=span,
            where_spans={key: self.document.value_span(*path, "where", key) for key in value.where},
            author_spans=tuple(self.document.value_span(*path, "authors", i) for i in range(len(authors))),
        )

    def _held_rows(self, value: Held | None, path: Path) -> tuple[HeldRows, ...]:
        items = value if isinstance(value, tuple) else () if value is None else (value,)
        rows = []
        for i, item in enumerate(items):
            here = (*path, i) if isinstance(value, tuple) or (*path, 0) in self.document.places else path
            span = self.document.value_span(*here)
            if isinstance(item, str):
                rows.append(HeldRows(item, None, span))
                continue
            (artifact,) = item.model_fields_set
            selector = self._parse(artifact, getattr(item, artifact), (*here, artifact))
            if selector is not None:
                rows.append(HeldRows(artifact, selector, self.document.key_span(*here, artifact)))
        return tuple(rows)

    def _select(
        self, artifact: str, value: str | tuple[str, ...], path: Path
    ) -> tuple[Take, tuple[PlacedSelector, ...]]:
        if value == "all":
            return Take.ALL, ()
        if value == "none":
            return Take.NONE, ()
        return Take.SELECTED, self._parse_all(artifact, value, path)

    def _parse_all(self, artifact: str, value: str | tuple[str, ...], path: Path) -> tuple[PlacedSelector, ...]:
        if isinstance(value, str):
            parsed = [self._parse(artifact, value, path)]
        else:
            parsed = [self._parse(artifact, text, (*path, i)) for i, text in enumerate(value)]
        return tuple(p for p in parsed if p is not None)

    def _parse(self, artifact: str, text: str, path: Path) -> PlacedSelector | None:
        place = self.document.place(path)
        try:
            selector = selectors.parse(artifact, text)
        except selectors.SelectorError as error:
            span = place.at(error.start, error.end)
            self._report(Code.SELECTOR, f"{text!r}: {error.message}", span, _several(artifact, text) or error.hint)
            return None
        for message, hint, start, end in selector.warnings:
            hint = _several(artifact, text) or hint
            self._report(Code.SELECTOR, f"{text!r}: {message}", place.at(start, end), hint, warn=True)
        return PlacedSelector.at(selector, place)

    # What the source holds

    def _check_others(self) -> None:
        """Say what becomes of the types that the layer does not name, where that may not be meant."""
        unnamed = [artifact for artifact in self._held() if not self._names(artifact)]
        if not unnamed:
            return
        if self.layer.operation == "append" and not self._names("others"):
            self._report(
                Code.UNNAMED_TYPES,
                f"the layer {'also ' * (unnamed != [*self._held()])}appends all {joined(unnamed)}",
                self.document.key_span(*self.path, "append"),
                "write `others: exclude` to append only what is named, or `others: include` if that is meant",
                warn=True,
            )
        elif self.layer.others == "exclude" and not any(self._names(artifact) for artifact in ARTIFACT_TYPES[1:]):
            self._report(
                Code.ARTIFACT_TYPE,
                "the layer names no artifact type and excludes the others, so it takes nothing but runs",
                self.document.value_span(*self.path, "others"),
                f"name what it takes, such as `{unnamed[0]}: all`",
                warn=True,
            )

    def _check_held(self, filters: Mapping[str, TypeFilter]) -> None:
        held = self._held()
        for artifact in ARTIFACT_TYPES[1:]:
            if artifact not in held and filters[artifact].take is Take.SELECTED and not self.layer.allow_empty:
                kinds = list(dict.fromkeys(kind.name for kind in self._kinds.values() if kind))
                names = self.layer.sources
                are = f"is a {kinds[0]} source" if len(names) == 1 else f"are {joined(kinds)} sources"
                have = f"the {joined(kinds)} has no {ARTIFACTS[artifact].many}"
                self._report(
                    Code.ARTIFACT_TYPE,
                    f"{joined([repr(name) for name in names])} {are}, and {have}",
                    self.document.key_span(*self.path, artifact),
                    f"remove it; the {joined(kinds)} has {joined(held)}",
                )

    def _check_runs(self, filters: Mapping[str, TypeFilter]) -> None:
        """Runs chosen by what the layer does not take: none would have it, and all would lack it."""
        runs, held = filters["runs"], self._held()
        for key, items in (("having", runs.having), ("lacking", runs.lacking)):
            for item in items:
                if item.artifact not in held:
                    hint = f"remove it; its source can hold {joined(held)}"
                elif filters[item.artifact].take is Take.NONE:
                    hint = f"say what it takes of them, such as `{item.artifact}: all`, or remove it"
                else:
                    continue
                self._report(
                    Code.HELD_TYPE,
                    f"runs.{key}: the layer takes no {ARTIFACTS[item.artifact].many}",
                    item.span,
                    hint,
                )

    def _held(self) -> tuple[str, ...]:
        """The artifact types besides runs that one of the layer's sources at least can hold."""
        kinds = self._kinds.values()
        return tuple(t for t in ARTIFACT_TYPES[1:] if any(kind is None or t in kind.types for kind in kinds))

    def _names(self, *keys: str) -> bool:
        """Whether the file names a key, even with a wrong value."""
        return (*self.path, *keys) in self.document.places

    # Portal-only keys

    def _check_portal_only(self) -> None:
        others = self._others
        if not others:
            return
        cure = "take the layer from a portal source"
        if len(self.layer.sources) > 1:
            cure = f"take {joined([repr(name) for name in others])} in a layer without it"
        of_types = [(artifact, key) for artifact in WHERE_TYPES for key in ("where", "authors")]
        for keys in (*of_types, ("run_name",)):
            if self._names(*keys):
                self._report(
                    Code.PORTAL_ONLY,
                    self._needs_portal(".".join(keys)),
                    self.document.key_span(*self.path, *keys),
                    f"remove it, or {cure}",
                )

    def _needs_portal(self, what: str) -> str:
        name, kind = next(iter(self._others.items()))
        wanted = "a portal source" if len(self.layer.sources) == 1 else "portal sources"
        return f"{what} needs {wanted}, and {name!r} is a {kind.name} source"

    def _where(self, artifact: str, where: Mapping[str, Scalar], path: Path) -> Mapping[str, Scalar]:
        coerced = {}
        for key, value in where.items():
            try:
                coerced[key] = portal_schema.check_where(artifact, key, value)
            except portal_schema.WhereError as error:
                at = self.document.place((*path, "where", key))
                span = (at.key or at.value) if error.unknown_field else at.value
                code = Code.WHERE_FIELD if error.unknown_field else Code.WHERE_VALUE
                self._report(code, error.message, span, error.hint)
        return coerced

    def _run_fields(self) -> dict[str, object]:
        return {name: _EXAMPLES[field.type] for name, field in portal_schema.run_fields().items()}

    def _fields(self) -> dict[str, object]:
        """What templates of sessions and users can name in every source, each with a value of its type."""
        of_portal = {} if self._others else _of_portal()
        more = [frozenset(kind.fields if kind else ()) for kind in self._kinds.values()]
        return {
            **_OF_EVERY_SOURCE,
            **of_portal,
            **dict.fromkeys(sorted(frozenset.intersection(*more)), _EXAMPLES["str"]),
        }

    @property
    def _others(self) -> Mapping[str, SourceKind]:
        """Those of the layer's sources that are certainly not of the portal, and their kinds."""
        return {name: kind for name, kind in self._kinds.items() if kind is not None and not kind.of_portal}

    def _template(self, key: str, text: str | None, known: Callable[[], Mapping[str, object]]) -> Template | None:
        if text is None:
            return None
        place = self.document.place((*self.path, key))
        try:
            return templates.parse(text, known())
        except templates.TemplateError as error:
            code, message = Code.TEMPLATE_FIELD if error.unknown_field else Code.TEMPLATE, error.message
            name = text[error.start : error.end]
            if error.unknown_field and key != "run_name" and self._others and name in _of_portal():
                code, message = Code.PORTAL_ONLY, self._needs_portal(repr(name))
            self._report(code, f"{key}: {message}", place.at(error.start, error.end), error.hint)
            return None


def _renames(
    document: Document, path: Path, rename: Rename, *, shared: bool = False
) -> tuple[dict[str, tuple[NewName, ...]], list[Diagnostic]]:
    """The entries of each map of a ``rename`` that has any, and what is wrong with them."""
    found: list[Diagnostic] = []
    maps: dict[str, tuple[NewName, ...]] = {}
    for kind, what in RENAME_MAPS.items():
        names: Mapping[str, str] = getattr(rename, kind)
        entries = []
        for old, new in names.items():
            place = document.place((*path, kind, old))
            span = place.key or place.value
            found += _check_name(new, place)
            try:
                entries.append(NewName(old, new, span, selectors.name_pattern(f"{what}s", old), shared))
            except selectors.SelectorError as error:
                found.append(Diagnostic(Code.RENAME_PATTERN, error.message, span=span, hint=error.hint))
        if entries:
            maps[kind] = tuple(entries)
    return maps, found


def _check_name(name: str, place: Place) -> Iterator[Diagnostic]:
    good = _UNUSABLE.sub("-", name).strip("-")
    if good == name:
        return
    bad = _UNUSABLE.search(name) or re.search("^-+|-+$", name)
    assert bad is not None
    where = "" if _UNUSABLE.search(name) else " at its start or end"
    message = f"copick takes no {bad.group()!r} in a name{where}: {name!r}"
    hint = f"write {good!r}" if good else "use letters, digits, '-' and '.'"
    yield Diagnostic(Code.VALUE, message, span=place.at(*bad.span()), hint=hint)


def _of_portal() -> dict[str, object]:
    """What templates of sessions and users can name of the portal's annotations, each with a value of its type."""
    fields = {name: _EXAMPLES[field.type] for name, field in portal_schema.annotation_fields().items()}
    return fields | dict.fromkeys(portal_schema.SESSION_TOKENS, _EXAMPLES["str"])


def _several(artifact: str, text: str) -> str | None:
    """A hint for several selectors in one text."""
    try:
        alone = [selectors.parse(artifact, part.strip()) for part in text.split(",")]
    except selectors.SelectorError:
        return None
    return list_instead(text, lambda _: not any(selector.warnings for selector in alone))
