"""A recipe file to a validated model, with everything that is wrong with its shape."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError

from croissant_recipes import intake
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span, nearest
from croissant_recipes.intake import TODAY, Files
from croissant_recipes.language import fragments, model_problems, params, yaml_nodes
from croissant_recipes.language.recipe import (
    FORMAT_VERSION,
    Dataset,
    Layer,
    NamedOutput,
    Output,
    Recipe,
    RecipeFromSources,
    Rename,
    Splits,
)
from croissant_recipes.language.recipe_fields import Model
from croissant_recipes.language.source_kinds import KINDS, Source, SourceKind, entry_model
from croissant_recipes.language.yaml_nodes import Document, Path

M = TypeVar("M", bound=Model)

SourceKinds = Mapping[str, SourceKind | None]
"""The kind of each source, ``None`` where it cannot be told what it is."""

_FREE_FORM = ("fs_args", "metadata")
"""Mappings in which an empty value may mean something."""


@dataclass(frozen=True)
class Draft:
    """What could be read of a recipe. Parts that are not valid are ``None``, so that the rest can be checked still.

    ``recipe`` is there only when the whole recipe is valid.
    """

    path: FilePath
    document: Document
    recipe: Recipe | None
    dataset: Dataset | None
    sources: Mapping[str, Source | None]
    layers: tuple[Layer | None, ...]
    splits: Splits
    output: Output | None
    outputs: Mapping[str, NamedOutput | None]
    rename: Rename
    files: Files = TODAY

    def names(self, *path: str | int) -> bool:
        """Whether the file has a key, even one with a wrong value."""
        return path in self.document.places

    @property
    def has_base(self) -> bool:
        """Whether it starts from a base, also where that is misspelt or wrong."""
        return _means_base(self.document)

    def source_kind(self, name: str) -> SourceKind | None:
        """The kind of a source, also where the rest of the source is wrong."""
        given = [kind for kind in KINDS.values() if self.names("sources", name, kind.name)]
        return given[0] if len(given) == 1 else None


def load(
    path: str | os.PathLike[str], overrides: Mapping[str, str], files: Files = TODAY
) -> tuple[Draft | None, list[Diagnostic]]:
    """Read and validate a recipe. There is no draft where the file cannot be read as a recipe at all."""
    shown = os.fspath(path)
    text, found = _read(shown, files)
    if text is None:
        return None, found
    document, found = yaml_nodes.parse(text, shown)
    if document is None:
        return None, found
    if not isinstance(document.value, dict):
        hint = "begin with `recipe: 1`, then `name:`, `output:`, `sources:` and `layers:`"
        message = f"a recipe is a mapping of keys to values, not {model_problems.described(document.value)}"
        return None, [*found, Diagnostic(Code.TYPE, message, span=document.value_span(), hint=hint)]
    if unsupported := _unsupported(document, document.value.get("recipe")):
        return None, [*found, unsupported]
    if fragments.is_fragment(document.value):
        message = "the file is a fragment: it has no `recipe`, `name` and `output`"
        hint = "check the recipe that includes it, or begin it with `recipe: 1`"
        return None, [*found, Diagnostic(Code.MISSING_KEY, message, span=document.value_span(), hint=hint)]
    whole, more = fragments.included(document, files)
    found += more
    if whole is None:
        return None, found
    document, more = params.substitute(whole, overrides)
    document = fragments.from_recipe(document)
    found += more
    document, blank, more = _without_blanks(document)
    found += more
    draft, more = _validate(FilePath(shown), document, blank)
    return replace(draft, files=files), found + more


def _read(shown: str, files: Files) -> tuple[str | None, list[Diagnostic]]:
    try:
        data = files.read(shown, intake.RECIPE_BYTES)
    except OSError as error:
        message = f"the recipe cannot be read: {error.strerror or error}"
        return None, [Diagnostic(Code.FILE, message, span=Span(shown, 1, 1), hint="give the path of a recipe file")]
    return yaml_nodes.decoded(data, shown, Code.FILE)


def _unsupported(document: Document, version: object) -> Diagnostic | None:
    """Another format would have other keys, about which there is nothing to say."""
    if version is None or (version == FORMAT_VERSION and isinstance(version, int) and not isinstance(version, bool)):
        return None
    place = document.place(("recipe",))
    shown = repr(version) if isinstance(version, str) else place.literal or model_problems.described(version)
    message = f"recipe format {shown} is not known"
    return Diagnostic(Code.FORMAT_VERSION, message, span=place.value, hint=f"write `recipe: {FORMAT_VERSION}`")


def _without_blanks(document: Document) -> tuple[Document, set[Path], list[Diagnostic]]:
    """Refuse keys without a value: a blank ``picks:`` would otherwise quietly mean that picks are not named."""
    blank: set[Path] = set()
    found: list[Diagnostic] = []

    def clean(value: object, path: Path) -> object:
        if path and path[-1] in _FREE_FORM:
            return value
        if isinstance(value, list):
            return [clean(child, (*path, i)) for i, child in enumerate(value)]
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, child in value.items():
            here = (*path, key)
            if child is not None:
                kept[key] = clean(child, here)
                continue
            blank.add(here)
            span = document.key_span(*here)
            hint = "give it a value" + ", or remove it" * (not model_problems.is_required(here))
            found.append(Diagnostic(Code.TYPE, f"{key!r} has no value", span=span, hint=hint))
        return kept

    cleaned = clean(document.value, ())
    return Document(document.file, cleaned, document.places), blank, found


def _validate(path: FilePath, document: Document, blank: set[Path]) -> tuple[Draft, list[Diagnostic]]:
    raw = document.value
    assert isinstance(raw, dict)
    model = Recipe if _means_base(document) else RecipeFromSources
    try:
        whole = model.model_validate(raw)
    except ValidationError as error:
        return _salvaged(path, document, raw), model_problems.diagnostics(error, document, blank)
    parts = (whole.dataset, whole.sources, whole.layers, whole.splits, whole.output, whole.outputs, whole.rename)
    return Draft(path, document, whole, *parts), []


def _means_base(document: Document) -> bool:
    """Whether a recipe starts from a base. One whose name or value is wrong counts: that a source is missing would only
    follow from it."""
    keys = {str(path[0]) for path in document.places if len(path) == 1} - (Recipe.model_fields.keys() - {"base"})
    return any(nearest(key, ["base"]) for key in keys)


def _salvaged(path: FilePath, document: Document, raw: dict[str, Any]) -> Draft:
    return Draft(
        path,
        document,
        recipe=None,
        dataset=_salvage(Dataset, raw.get("dataset")),
        sources={name: _salvaged_source(value) for name, value in _as_dict(raw.get("sources")).items()},
        layers=tuple(_salvage(Layer, value) for value in _as_list(raw.get("layers"))),
        splits=_salvage(Splits, raw.get("splits")) or Splits(),
        output=_salvage(Output, raw.get("output")),
        outputs={name: _salvage(NamedOutput, value) for name, value in _as_dict(raw.get("outputs")).items()},
        rename=_salvage(Rename, raw.get("rename")) or Rename(),
    )


def _salvaged_source(raw: object) -> Source | None:
    entry = _salvage(entry_model(), raw)
    return None if entry is None else Source.of(entry)


def _as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _salvage(model: type[M], raw: object) -> M | None:
    """The model of a part without those of its keys that are wrong, or ``None``."""
    if not isinstance(raw, dict):
        return None
    kept = dict(raw)
    while True:
        try:
            return model.model_validate(kept)
        except ValidationError as error:
            wrong = {e["loc"][0] for e in error.errors() if e["loc"] and e["loc"][0] in kept}
            if not wrong:
                return None
            kept = {k: v for k, v in kept.items() if k not in wrong}
