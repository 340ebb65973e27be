"""Everything that can be wrong with a recipe and seen without its sources. No network, no artifact is read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import (
    Diagnostic,
    Severity,
    Span,
    did_you_mean,
    errors,
    in_order,
    list_instead,
    nearest,
)
from croissant_recipes.intake import TODAY, Files
from croissant_recipes.language import check_layers, check_outputs, check_split_rules, check_splits, loading
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.language.loading import Draft, SourceKinds
from croissant_recipes.language.recipe import REQUIRED_OF_DATASET, Dataset
from croissant_recipes.language.recipe_fields import LEVELS, keys_of
from croissant_recipes.language.selectors import as_number
from croissant_recipes.language.yaml_nodes import Path


def check_recipe(
    path: str | os.PathLike[str], overrides: Mapping[str, str] | None = None, files: Files = TODAY
) -> tuple[CheckedRecipe | None, tuple[Diagnostic, ...]]:
    """Load and check one recipe.

    Args:
        path: The recipe file.
        overrides: Values of parameters, as ``--set`` gives them.
        files: Where it, and what it names, is read.

    Returns:
        The checked recipe, ``None`` when there is an error, and everything that was found, in file order.
    """
    draft, found = loading.load(path, overrides or {}, files)
    if draft is None:
        return None, in_order(found)
    found += _check_sources(draft)
    found += _check_order(draft)
    found += _check_dataset(draft)
    found += _check_voxel_sizes(draft)
    kinds = _source_kinds(draft)
    layers, more = check_layers.check(draft, kinds)
    found += more
    splits, more = check_splits.check(draft, kinds, [rule for layer in layers for rule in layer.splits])
    found += more
    layers = check_split_rules.with_asked_fields(layers, [*(rule.runs for rule in splits.assign), *splits.unassign])
    outputs, more = check_outputs.check(draft)
    found += more
    unresolved = [place.value for place in draft.document.places.values() if place.unresolved]
    diagnostics = in_order(d for d in found if not _follows_from_a_parameter(d, unresolved))
    if draft.recipe is None or any(errors(diagnostics)):
        return None, diagnostics
    checked = CheckedRecipe(
        draft.path, draft.recipe, draft.document, layers, splits.assign, splits.rows, splits.unassign, outputs, files
    )
    return checked, diagnostics


def _follows_from_a_parameter(found: Diagnostic, unresolved: Sequence[Span]) -> bool:
    """Whether a finding is about a value whose parameter has no value, which has been reported."""
    if found.code in (Code.PARAM_UNKNOWN, Code.PARAM_VALUE) or found.span is None:
        return False
    return any(
        span.file == found.span.file
        and (span.line, span.column) <= (found.span.line, found.span.column) < (span.end_line, span.end_column)
        for span in unresolved
        if span.end_line is not None and span.end_column is not None
    )


def _source_kinds(draft: Draft) -> SourceKinds:
    """The kind of each source, ``None`` where it cannot be told."""
    kinds = {name: draft.source_kind(name) for name in draft.sources}
    for name, source in draft.sources.items():
        if source and source.kind.may_be_of_portal(source.spec, draft.path.parent, draft.files):
            kinds[name] = None
    return kinds


def _check_sources(draft: Draft) -> list[Diagnostic]:
    """Sources that layers name and nobody declares, and the other way round."""
    if not draft.sources and not _may_be_empty(draft, "sources", {}):
        return []
    found = []
    used = {name for layer in draft.layers if layer for name in layer.sources}
    for i, layer in enumerate(draft.layers):
        for j, name in enumerate(layer.sources if layer else ()):
            if layer and name not in draft.sources:
                span = draft.document.value_span("layers", i, layer.operation, j)
                hint = list_instead(name, draft.sources.__contains__)
                hint = hint or did_you_mean(name, draft.sources, what="declared are") or "declare it under `sources:`"
                message = f"source {name!r} is not declared"
                found.append(Diagnostic(Code.SOURCE_UNKNOWN, message, span=span, hint=hint))
    if (draft.layers or _may_be_empty(draft, "layers", [])) and all(draft.layers) and not found:
        for name in draft.sources:
            if name not in used:
                span = draft.document.key_span("sources", name)
                message, hint = f"source {name!r} is declared and used in no layer", "use it, or remove it"
                found.append(Diagnostic(Code.SOURCE_UNUSED, message, Severity.WARNING, hint, span))
    return found


def _may_be_empty(draft: Draft, key: str, empty: object) -> bool:
    """Whether a key is left out or empty and may be, as with a base; a value of a wrong type is no such thing."""
    assert isinstance(draft.document.value, dict)
    return draft.has_base and draft.document.value.get(key, empty) == empty


def _check_order(draft: Draft) -> list[Diagnostic]:
    found = []
    for i, layer in enumerate(draft.layers):
        if layer is None:
            continue
        span = draft.document.key_span("layers", i, layer.operation)
        message, hint = None, f"write `append: {_written(layer.sources)}`"
        if layer.operation == "export" and draft.names("base"):
            message = "a recipe with a base only appends to it"
        elif layer.operation == "export" and i > 0:
            message = "only the first layer is an export"
        elif layer.operation == "append" and i == 0 and not draft.has_base:
            message = "the first layer is an export, unless the recipe has a base"
            hint = f"write `export: {_written(layer.sources)}`, or name the Croissant to append to with `base:`"
        if message:
            found.append(Diagnostic(Code.LAYER_ORDER, message, span=span, hint=hint))
    return found


def _written(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


_WANTED = {
    "url": "the dataset's page, such as `url: https://example.org/data`",
    "creators": "who made it, such as `creators: [{name: Example Lab}]`",
}


def _check_dataset(draft: Draft) -> list[Diagnostic]:
    document = draft.document
    if draft.names("base") and draft.names("dataset"):
        hint = "remove it; or remove `base:` to describe the dataset yourself"
        message = "a recipe with a base keeps the base's dataset metadata"
        return [Diagnostic(Code.BASE, message, span=document.key_span("dataset"), hint=hint)]
    if not draft.names("dataset"):
        if draft.has_base:
            return []
        hint = "add `dataset:` with name, description, version, license and date_published"
        return [Diagnostic(Code.MISSING_KEY, "'dataset' is missing", span=document.value_span(), hint=hint)]
    if draft.names("dataset", "from"):
        return _check_filled(draft)
    found = _missing_of_dataset(draft)
    for key, hint in _WANTED.items():
        if draft.dataset is not None and not getattr(draft.dataset, key) and not _has_items(draft, key):
            message = f"the Croissant specification asks for dataset.{key}"
            span = document.key_span("dataset")
            found.append(Diagnostic(Code.DATASET, message, Severity.WARNING, f"add {hint}", span))
    return found


def _missing_of_dataset(draft: Draft) -> list[Diagnostic]:
    """The required keys that a recipe leaves open, and asks no source for."""
    document = draft.document
    assert isinstance(document.value, dict)
    if not isinstance(document.value.get("dataset"), dict):
        return []
    given = [str(path[1]) for path in document.places if path[:1] == ("dataset",) and len(path) == 2]
    misspelt = [key for key in given if key not in keys_of(Dataset)]
    span = document.key_span("dataset")
    return [
        Diagnostic(Code.MISSING_KEY, f"{key!r} is missing in dataset", span=span, hint=f"add `{key}:`")
        for key in REQUIRED_OF_DATASET
        if key not in given and not any(nearest(other, [key]) for other in misspelt)
    ]


def _check_filled(draft: Draft) -> list[Diagnostic]:
    """Whether there can be a source that fills what a dataset leaves open."""
    kinds = _source_kinds(draft).values()
    if not kinds or any(kind is None or kind.of_portal for kind in kinds):
        return []
    span = draft.document.value_span("dataset", "from")
    hint = "remove it, and say yourself what the dataset is"
    return [Diagnostic(Code.DATASET_FROM, "dataset.from: no source is of the portal", span=span, hint=hint)]


def _has_items(draft: Draft, key: str) -> bool:
    """Whether the file gives ``dataset`` a key that is not an empty list, though its value may be wrong."""
    place = draft.document.places.get(("dataset", key))
    return place is not None and (place.literal is not None or draft.names("dataset", key, 0))


def _check_voxel_sizes(draft: Draft) -> list[Diagnostic]:
    """The names in ``voxel_spacings`` of ``expect``, which are numbers."""
    names: dict[Path, dict[str, Span]] = {}
    for path, place in draft.document.places.items():
        if path[:1] == ("expect",) and path[-2:-1] == ("voxel_spacings",) and place.key is not None:
            names.setdefault(path[:-1], {})[str(path[-1])] = place.key
    hint = "write a number in Å, such as 10.0"
    return [
        Diagnostic(Code.EXPECTATION_SYNTAX, f"{name!r} is no voxel size", span=span, hint=hint)
        for given in names.values()
        for name, span in given.items()
        if as_number(name) is None and not given.keys() <= set(LEVELS)
    ]
