"""Offline checks of ``output`` and ``outputs``: where results are written, and what each of them hides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, did_you_mean, nearest
from croissant_recipes.language import run_masks
from croissant_recipes.language.checked import OutputSpec
from croissant_recipes.language.loading import Draft
from croissant_recipes.language.recipe import NamedOutput, Output, Recipe
from croissant_recipes.language.run_masks import RunMask, RunMaskError
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACTS

WITHHELD_TYPES = tuple(name for name, described in ARTIFACTS.items() if described.of_run)
"""The artifact types that can be withheld: those of a run."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_ABOVE_CROISSANT = ("Croissant", "metadata.json")


def check(draft: Draft) -> tuple[tuple[OutputSpec, ...], list[Diagnostic]]:
    """The results that a recipe has, and what is wrong with them."""
    found = [*_number(draft)]
    if draft.output is not None and not draft.names("outputs"):
        return (OutputSpec(None, draft.output),), found
    specs: list[OutputSpec] = []
    for name, output in draft.outputs.items():
        if output is not None:
            spec, more = _spec(draft, name, output)
            specs.append(spec)
            found += more
    found += _places(draft)
    found += _masks_without_memory(draft, specs)
    found += _base_that_hides(draft, specs)
    return tuple(specs), found


def _number(draft: Draft) -> Iterator[Diagnostic]:
    document = draft.document
    one, several = draft.names("output"), draft.names("outputs")
    if one and several:
        hint = "keep `output:` for one result, or make it one of `outputs:`"
        message = "a recipe has an output or outputs, not both"
        yield Diagnostic(Code.OUTPUTS, message, span=document.key_span("outputs"), hint=hint)
    elif several and isinstance(document.value, dict) and document.value["outputs"] == {}:
        message, hint = "outputs names no result", "such as `outputs: {public: {project_root: build/public}}`"
        yield Diagnostic(Code.OUTPUTS, message, span=document.value_span("outputs"), hint=hint)
    elif not one and not several:
        unknown = {str(path[0]) for path in document.places if len(path) == 1} - Recipe.model_fields.keys()
        if not any(nearest(key, ["output", "outputs"]) for key in unknown):
            message, hint = "'output' is missing", "add `output:`"
            yield Diagnostic(Code.MISSING_KEY, message, span=document.key_span(), hint=hint)


def _spec(draft: Draft, name: str, output: NamedOutput) -> tuple[OutputSpec, list[Diagnostic]]:
    found: list[Diagnostic] = []
    document = draft.document
    if not _NAME.fullmatch(name):
        hint = "use small letters, digits and '-', beginning with a letter or digit"
        found.append(
            Diagnostic(Code.OUTPUTS, f"{name!r} is no name", span=document.key_span("outputs", name), hint=hint)
        )
    withhold = {}
    for split, given in output.withhold.items():
        types = (given,) if isinstance(given, str) else given
        withhold[split] = types
        for i, artifact in enumerate(types):
            if artifact not in WITHHELD_TYPES:
                span = document.value_span("outputs", name, "withhold", split, *([] if isinstance(given, str) else [i]))
                message = f"{artifact!r} is no type of artifact that can be withheld"
                near = did_you_mean(artifact, WITHHELD_TYPES)
                found.append(Diagnostic(Code.HIDING, message, span=span, hint=near))
    masks, more = _masks(draft, name, output.mask_runs)
    found += more
    if output.mask_key is not None and not output.mask_runs:
        message, hint = "mask_key without mask_runs", "say with `mask_runs:` which runs are called otherwise"
        span = document.key_span("outputs", name, "mask_key")
        found.append(Diagnostic(Code.HIDING, message, span=span, hint=hint))
    return OutputSpec(name, output, withhold, masks, output.mask_key), found


def _masks(draft: Draft, name: str, given: Mapping[str, str]) -> tuple[dict[str, RunMask], list[Diagnostic]]:
    masks: dict[str, RunMask] = {}
    found = []
    for split, text in given.items():
        place = draft.document.place(("outputs", name, "mask_runs", split))
        try:
            masks[split] = run_masks.parse(text)
        except RunMaskError as error:
            span = place.at(error.start, error.end)
            found.append(Diagnostic(Code.HIDING, f"{text!r}: {error.message}", span=span, hint=error.hint))
    return masks, found


def _hides(output: Output | None) -> bool:
    return isinstance(output, NamedOutput) and bool(output.withhold or output.mask_runs)


def _places(draft: Draft) -> Iterator[Diagnostic]:
    """Results in one place, and one within another that is published with less."""
    folder = draft.path.parent
    there = [(n, o, Location.parse(o.project_root, folder).real) for n, o in draft.outputs.items() if o is not None]
    for i, (name, _, place) in enumerate(there):
        span = draft.document.value_span("outputs", name, "project_root")
        for other, _, its_place in there[:i]:
            if place == its_place:
                message, hint = f"outputs.{other} is built into the same project_root", "give each a place of its own"
                yield Diagnostic(Code.OUTPUTS, message, span=span, hint=hint)
        for other, its, its_place in there:
            if _hides(its) and place != its_place and place.relative_to(its_place):
                message = f"it lies in that of outputs.{other}, which does not show all that this one does"
                yield Diagnostic(Code.OUTPUTS, message, span=span, hint="put it elsewhere: folders are published whole")


def _masks_without_memory(draft: Draft, specs: list[OutputSpec]) -> Iterator[Diagnostic]:
    if not all(draft.outputs.values()) or any(not spec.hides for spec in specs):
        return
    for spec in specs:
        if spec.masks:
            span = draft.document.key_span(*spec.path, "mask_runs")
            message = "no result keeps the names that masked runs have"
            hint = "add one that hides nothing, such as `private: {project_root: build/private}`: it has their table"
            yield Diagnostic(Code.OUTPUTS, message, span=span, hint=hint)


def _base_that_hides(draft: Draft, specs: list[OutputSpec]) -> Iterator[Diagnostic]:
    """A recipe that starts from a result of its own in which something is missing."""
    base = draft.recipe.base if draft.recipe else None
    if base is None:
        return
    place = Location.parse(base, draft.path.parent)
    for spec in specs:
        written = Location.parse(spec.output.project_root, draft.path.parent) / "/".join(_ABOVE_CROISSANT)
        if spec.hides and place.is_same_place(written):
            message = f"it is what outputs.{spec.name} is built into, in which something is hidden"
            hint = "start from a Croissant that has all, such as that of another output"
            yield Diagnostic(Code.OUTPUTS, message, span=draft.document.value_span("base"), hint=hint)
