"""Everything that can be wrong with a recipe and seen without its sources. No network, no artifact is read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace

from croissant_recipes import check_layers, check_splits, counts, loading, rai
from croissant_recipes.check_layers import SourceKinds
from croissant_recipes.checked import CheckedRecipe
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, did_you_mean, errors, in_order
from croissant_recipes.loading import Draft
from croissant_recipes.recipe import Expect


def check_recipe(
    path: str | os.PathLike[str], overrides: Mapping[str, str] | None = None
) -> tuple[CheckedRecipe | None, tuple[Diagnostic, ...]]:
    """Load and check one recipe.

    Args:
        path: The recipe file.
        overrides: Values of parameters, as ``--set`` gives them.

    Returns:
        The checked recipe, ``None`` when there is an error, and everything that was found, in file order.
    """
    draft, found = loading.load(path, overrides or {})
    if draft is None:
        return None, in_order(found)
    kinds = _source_kinds(draft)
    found += _check_sources(draft)
    found += _check_order(draft)
    found += _check_dataset(draft)
    found += _check_expect(draft)
    layers, more = check_layers.check(draft, kinds)
    found += more
    splits, more = check_splits.check(draft)
    found += more
    diagnostics = in_order(found)
    if draft.recipe is None or any(errors(diagnostics)):
        return None, diagnostics
    checked = CheckedRecipe(draft.path, draft.recipe, draft.document, layers)
    return replace(checked, assign=splits.assign, split_rows=splits.rows, unassign=splits.unassign), diagnostics


def _source_kinds(draft: Draft) -> SourceKinds:
    """The kind of each source; a copick config of the portal's type is read to know it, where it lies on this disk."""
    kinds: dict[str, str | None] = {}
    for name, source in draft.sources.items():
        kinds[name] = source.kind if source else None
        if source and source.copick and "://" not in source.copick.config:
            try:
                config = json.loads((draft.path.parent / source.copick.config).read_bytes())
            except (OSError, ValueError):
                # What is wrong with the file is for the source to say when it is opened.
                kinds[name] = None
                continue
            if isinstance(config, dict) and config.get("config_type") == "cryoet_data_portal":
                kinds[name] = "portal"
    return kinds


def _check_sources(draft: Draft) -> list[Diagnostic]:
    found = []
    used = {layer.source for layer in draft.layers if layer}
    for i, layer in enumerate(draft.layers):
        if layer and layer.source not in draft.sources:
            span = draft.document.value_span("layers", i, layer.operation)
            hint = did_you_mean(layer.source, draft.sources, what="declared are") or "declare it under `sources:`"
            found.append(
                Diagnostic(Code.SOURCE_UNKNOWN, f"source {layer.source!r} is not declared", span=span, hint=hint)
            )
    if all(draft.layers):
        for name in draft.sources:
            if name not in used:
                span = draft.document.key_span("sources", name)
                message, hint = f"source {name!r} is declared and used in no layer", "use it, or remove it"
                found.append(Diagnostic(Code.SOURCE_UNUSED, message, Severity.WARNING, hint, span))
    return found


def _check_order(draft: Draft) -> list[Diagnostic]:
    found = []
    for i, layer in enumerate(draft.layers):
        if layer is None:
            continue
        span = draft.document.key_span("layers", i, layer.operation)
        if layer.operation == "export" and draft.base is not None:
            message, hint = "a recipe with a base only appends to it", f"write `append: {layer.source}`"
            found.append(Diagnostic(Code.LAYER_ORDER, message, span=span, hint=hint))
        elif layer.operation == "export" and i > 0:
            message, hint = "only the first layer is an export", f"write `append: {layer.source}`"
            found.append(Diagnostic(Code.LAYER_ORDER, message, span=span, hint=hint))
        elif layer.operation == "append" and i == 0 and draft.base is None:
            message = "the first layer is an export, unless the recipe has a base"
            hint = f"write `export: {layer.source}`, or name the Croissant to append to with `base:`"
            found.append(Diagnostic(Code.LAYER_ORDER, message, span=span, hint=hint))
    return found


_WANTED = {
    "url": "the dataset's page, such as `url: https://example.org/data`",
    "creators": "who made it, such as `creators: [{name: Example Lab}]`",
}


def _check_dataset(draft: Draft) -> list[Diagnostic]:
    document = draft.document
    if draft.base is not None:
        if not draft.has_dataset:
            return []
        hint = "remove it; or remove `base:` to describe the dataset yourself"
        message = "a recipe with a base keeps the base's dataset metadata"
        return [Diagnostic(Code.BASE, message, span=document.key_span("dataset"), hint=hint)]
    if not draft.has_dataset:
        hint = "add `dataset:` with name, description, version, license and date_published"
        return [Diagnostic(Code.MISSING_KEY, "'dataset' is missing", span=document.value_span(), hint=hint)]
    found = []
    if draft.dataset is not None:
        for key, hint in _WANTED.items():
            if not getattr(draft.dataset, key):
                message = f"the Croissant specification asks for dataset.{key}"
                span = document.key_span("dataset")
                found.append(Diagnostic(Code.DATASET, message, Severity.WARNING, f"add {hint}", span))
        for key in draft.dataset.rai:
            form = rai.RAI_FIELDS[key]
            if form == "text" and not isinstance(draft.dataset.rai[key], str):
                span = document.value_span("dataset", "rai", key)
                found.append(Diagnostic(Code.TYPE, f"dataset.rai.{key} is one text", span=span))
    return found


def _check_expect(draft: Draft) -> list[Diagnostic]:
    found = []
    for key in Expect.model_fields:
        value = getattr(draft.expect, key)
        for path, count in [((key,), value)] if not isinstance(value, Mapping) else [
            ((key, name), c) for name, c in value.items()
        ]:  # fmt: skip
            if count is None:
                continue
            try:
                counts.parse(count)
            except ValueError as error:
                hint = "write a number, a comparison such as '>= 10', or a range such as '1..2'"
                span = draft.document.value_span("expect", *path)
                found.append(Diagnostic(Code.EXPECTATION_SYNTAX, str(error), span=span, hint=hint))
    return found
