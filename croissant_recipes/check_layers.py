"""Offline checks of layers: selectors, portal-only keys, templates, renames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from croissant_recipes import portal_schema, selectors, templates
from croissant_recipes.check_splits import split_rules
from croissant_recipes.checked import WHERE_TYPES, LayerSpec, NewName, PlacedSelector, Take, TypeFilter
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, Span
from croissant_recipes.loading import Draft
from croissant_recipes.recipe import Layer, Scalar, SelectionMap
from croissant_recipes.schema import ARTIFACT_TYPES
from croissant_recipes.templates import Template
from croissant_recipes.yaml_nodes import Document, Path

SourceKinds = Mapping[str, str | None]

_UNUSABLE = re.compile(r'[<>:"/\\|?*\x00-\x1F\x7F\s_]+')
"""What copick does not take in the name of an object, user, session or tomogram type."""


def check(draft: Draft, kinds: SourceKinds) -> tuple[tuple[LayerSpec, ...], list[Diagnostic]]:
    """Check the layers that could be read. Returns those, in order."""
    specs, found = [], []
    for index, layer in enumerate(draft.layers):
        if layer is not None:
            checker = _LayerChecker(draft.document, index, layer, kinds)
            specs.append(checker.check())
            found += checker.found
    return tuple(specs), found


@dataclass
class _LayerChecker:
    document: Document
    index: int
    layer: Layer
    kinds: SourceKinds
    found: list[Diagnostic] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return ("layers", self.index)

    def check(self) -> LayerSpec:
        layer = self.layer
        filters = {artifact: self._filter(artifact) for artifact in ARTIFACT_TYPES}
        self._check_unnamed(filters)
        self._check_portal_only(filters)
        rules, problems = split_rules(self.document, layer.split, (*self.path, "split"))
        self.found += problems
        return LayerSpec(
            index=self.index,
            operation=layer.operation,
            source=layer.source,
            filters=filters,
            rename_tomo_types=self._rename("tomo_types", layer.rename.tomo_types),
            rename_objects=self._rename("objects", layer.rename.objects),
            run_name=self._template("run_name", layer.run_name),
            session_id=self._template("session_id", layer.session_id),
            splits=rules,
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
        if not value.model_fields_set:
            self._report(
                Code.VALUE, f"{artifact} holds none of select, exclude, where and authors", span, "write `all`"
            )
        take, select = Take.ALL, ()
        if value.select is not None:
            take, select = self._select(artifact, value.select, (*path, "select"))
        exclude: tuple[PlacedSelector, ...] = ()
        if value.exclude is not None:
            exclude = self._parse_all(artifact, value.exclude, (*path, "exclude"))
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
            if not value:
                self._report(
                    Code.VALUE, f"the list of {artifact} is empty", self.document.value_span(*path), "write `none`"
                )
            parsed = [self._parse(artifact, text, (*path, i)) for i, text in enumerate(value)]
        return tuple(p for p in parsed if p is not None)

    def _parse(self, artifact: str, text: str, path: Path) -> PlacedSelector | None:
        place = self.document.place(path)
        try:
            selector = selectors.parse(artifact, text)
        except selectors.SelectorError as error:
            span = place.at(error.start, error.end)
            self._report(Code.SELECTOR, f"{text!r}: {error.message}", span, error.hint)
            return None
        for message, hint, start, end in selector.warnings:
            self._report(Code.SELECTOR, f"{text!r}: {message}", place.at(start, end), hint, warn=True)
        return PlacedSelector(selector, place.value)

    def _check_unnamed(self, filters: Mapping[str, TypeFilter]) -> None:
        if self.layer.operation != "append" or "others" in self.layer.model_fields_set:
            return
        absent = ("features", "meshes", "objects") if self.kinds.get(self.layer.source) == "portal" else ()
        unnamed = [a for a in ARTIFACT_TYPES if not filters[a].named and a != "runs" and a not in absent]
        if unnamed and len(unnamed) < len(ARTIFACT_TYPES) - 1 - len(absent):
            span = self.document.key_span(*self.path, "append")
            self._report(
                Code.UNNAMED_TYPES,
                f"the layer also appends all {', '.join(unnamed[:-1]) + ' and ' if unnamed[1:] else ''}{unnamed[-1]}",
                span,
                "write `others: exclude` to append only what is named, or `others: include` if that is meant",
                warn=True,
            )

    # Portal-only keys

    def _check_portal_only(self, filters: Mapping[str, TypeFilter]) -> None:
        source = self.layer.source
        kind = self.kinds.get(source)
        used: list[tuple[str, Path]] = []
        for artifact, chosen in filters.items():
            for key, given in (("where", chosen.where or chosen.where_spans), ("authors", chosen.authors)):
                if not given:
                    continue
                path = (*self.path, artifact, key)
                if artifact not in WHERE_TYPES:
                    self._report(
                        Code.ARTIFACT_TYPE,
                        f"{artifact}.{key} does not exist",
                        self.document.key_span(*path),
                        "`where` and `authors` exist for tomograms, picks and segmentations",
                    )
                else:
                    used.append((f"{artifact}.{key}", path))
        used += [(key, (*self.path, key)) for key in ("session_id", "run_name") if getattr(self.layer, key) is not None]
        if kind is None or kind == "portal":
            return
        for name, path in used:
            self._report(
                Code.PORTAL_ONLY,
                f"{name} needs a portal source, and {source!r} is a {kind} source",
                self.document.key_span(*path),
                "remove it, or take the layer from a portal source",
            )

    def _where(self, artifact: str, where: Mapping[str, Scalar], path: Path) -> Mapping[str, Scalar]:
        if artifact not in WHERE_TYPES:
            return {}
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

    def _template(self, key: str, text: str | None) -> Template | None:
        if text is None:
            return None
        if key == "run_name":
            fields = list(portal_schema.run_fields())
        else:
            fields = [*portal_schema.annotation_fields(), *portal_schema.SESSION_TOKENS]
        place = self.document.place((*self.path, key))
        try:
            return templates.parse(text, fields)
        except templates.TemplateError as error:
            code = Code.TEMPLATE_FIELD if error.unknown_field else Code.TEMPLATE
            self._report(code, f"{key}: {error.message}", place.at(error.start, error.end), error.hint)
            return None

    # Renames

    def _rename(self, key: str, names: Mapping[str, str]) -> tuple[NewName, ...]:
        result = []
        for old, new in names.items():
            place = self.document.place((*self.path, "rename", key, old))
            if bad := _UNUSABLE.search(new):
                good = _UNUSABLE.sub("-", new).strip("-")
                self._report(
                    Code.VALUE,
                    f"copick does not take {new!r} as a name: {bad.group(0)!r} is not allowed in it",
                    place.at(bad.start(), bad.end()),
                    f"write {good!r}" if good else None,
                )
            result.append(NewName(old, new, place.key or place.value))
        return tuple(result)
