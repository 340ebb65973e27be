"""A recipe file to a validated model, with everything that is wrong with its shape."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from croissant_recipes import params, recipe, yaml_nodes
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span, did_you_mean, listing
from croissant_recipes.recipe import Dataset, Expect, Layer, Model, ObjectOverride, Output, Recipe, Source, Splits
from croissant_recipes.yaml_nodes import Document, Path

M = TypeVar("M", bound=Model)

_MODELS: tuple[tuple[tuple[str, ...], type[Model]], ...] = (
    ((), Recipe),
    (("dataset",), Dataset),
    (("dataset", "creators", "*"), recipe.Creator),
    (("dataset", "publisher"), recipe.Creator),
    (("output",), Output),
    (("sources", "*"), Source),
    (("sources", "*", "portal"), recipe.PortalSource),
    (("sources", "*", "copick"), recipe.CopickSource),
    (("sources", "*", "croissant"), recipe.CroissantSource),
    (("objects", "*"), ObjectOverride),
    (("layers", "*", "rename"), recipe.Rename),
    (("layers", "*", "*"), recipe.SelectionMap),
    (("layers", "*"), Layer),
    (("splits",), Splits),
    (("splits", "random"), recipe.RandomSplit),
    (("expect",), Expect),
)
"""Which model stands where, so that an unknown key can be told the known ones."""

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
    base: str | None
    output: Output | None
    sources: Mapping[str, Source | None]
    objects: Mapping[str, ObjectOverride]
    layers: tuple[Layer | None, ...]
    splits: Splits
    expect: Expect

    @property
    def has_dataset(self) -> bool:
        return isinstance(self.document.value, dict) and "dataset" in self.document.value


def load(path: str | os.PathLike[str], overrides: Mapping[str, str]) -> tuple[Draft | None, list[Diagnostic]]:
    """Read and validate a recipe. There is no draft where the file cannot be read as a mapping at all."""
    shown = os.fspath(path)
    try:
        text = FilePath(shown).read_bytes().decode("utf-8-sig")
    except OSError as error:
        return None, [
            Diagnostic(Code.FILE, f"{shown}: {error.strerror or error}", hint="give the path of a recipe file")
        ]
    except UnicodeDecodeError as error:
        span = Span(shown, 1, 1)
        return None, [Diagnostic(Code.FILE, f"byte {error.start} is not UTF-8", span=span, hint="save it as UTF-8")]
    document, found = yaml_nodes.parse(text, shown)
    if document is None:
        return None, found
    if not isinstance(document.value, dict):
        hint = "start with `recipe: 1`, then `name:`, `output:`, `sources:` and `layers:`"
        return None, [*found, Diagnostic(Code.TYPE, "a recipe is a mapping", span=document.value_span(), hint=hint)]
    document, more = params.substitute(document, overrides)
    found += more
    document, more = _without_empty_values(document)
    found += more
    draft, more = _validate(FilePath(shown), document)
    return draft, found + more


def _without_empty_values(document: Document) -> tuple[Document, list[Diagnostic]]:
    """Refuse keys without a value: a blank ``picks:`` would otherwise quietly mean that picks are not named."""
    found: list[Diagnostic] = []

    def clean(value: object, path: Path) -> object:
        if path and path[-1] in _FREE_FORM:
            return value
        if isinstance(value, dict):
            for key, child in value.items():
                if child is None:
                    hint = "give it a value, or remove it"
                    span = document.key_span(*path, key)
                    found.append(Diagnostic(Code.TYPE, f"{key!r} has no value", span=span, hint=hint))
            return {key: clean(child, (*path, key)) for key, child in value.items() if child is not None}
        if isinstance(value, list):
            return [clean(child, (*path, i)) for i, child in enumerate(value)]
        return value

    cleaned = clean(document.value, ())
    return Document(document.file, cleaned, document.places), found


def _validate(path: FilePath, document: Document) -> tuple[Draft, list[Diagnostic]]:
    raw = document.value
    assert isinstance(raw, dict)
    found: list[Diagnostic] = []
    whole: Recipe | None = None
    try:
        whole = Recipe.model_validate(raw)
    except ValidationError as error:
        found = [_diagnostic(document, details) for details in error.errors()]
    if whole is not None:
        draft = Draft(
            path, document, whole, whole.dataset, whole.base, whole.output, whole.sources, whole.objects, whole.layers,
            whole.splits, whole.expect,
        )  # fmt: skip
        return draft, found
    base = raw.get("base")
    return Draft(
        path=path,
        document=document,
        recipe=None,
        dataset=_salvage(Dataset, raw.get("dataset")),
        base=base if isinstance(base, str) else None,
        output=_salvage(Output, raw.get("output")),
        sources={k: _salvage(Source, v) for k, v in _as_dict(raw.get("sources")).items()},
        objects={k: o for k, v in _as_dict(raw.get("objects")).items() if (o := _salvage(ObjectOverride, v))},
        layers=tuple(_salvage(Layer, v) for v in _as_list(raw.get("layers"))),
        splits=_salvage(Splits, raw.get("splits")) or Splits(),
        expect=_salvage(Expect, raw.get("expect")) or Expect(),
    ), found


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


def _known_keys(path: Path) -> list[str]:
    for pattern, model in _MODELS:
        if len(pattern) == len(path) and all(p in ("*", part) for p, part in zip(pattern, path, strict=True)):
            return list(model.model_fields)
    return []


def _existing(document: Document, loc: tuple[int | str, ...]) -> Path:
    here: Path = ()
    for part in loc:
        if (*here, part) in document.places:
            here = (*here, part)
    return here


def _label(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the recipe"


def _diagnostic(document: Document, details: ErrorDetails) -> Diagnostic:
    kind, loc = details["type"], details["loc"]
    path = _existing(document, loc)
    if kind == "extra_forbidden":
        key = str(loc[-1])
        known = [k for k in _known_keys(path[:-1]) if k != key]
        hint = did_you_mean(key, known, what="known keys are")
        where = f" in {_label(path[:-1])}" if len(path) > 1 else ""
        return Diagnostic(Code.UNKNOWN_KEY, f"unknown key {key!r}{where}", span=document.key_span(*path), hint=hint)
    if kind == "missing":
        key = str(loc[-1])
        where = f" in {_label(path)}" if path else ""
        hint = f"add `{key}:`"
        return Diagnostic(Code.MISSING_KEY, f"{key!r} is missing{where}", span=document.key_span(*path), hint=hint)
    if kind == "recipe":
        context = details.get("ctx", {})
        message = str(context.get("message", details["msg"]))
        hint = context.get("hint")
        label = "" if message.startswith(("a layer", "a source")) else f"{_label(path)}: "
        return Diagnostic(Code.VALUE, f"{label}{message}", span=document.value_span(*path), hint=hint)
    return _value_diagnostic(document, details, path)


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "mapping_type": "a mapping",
}


def _value_diagnostic(document: Document, details: ErrorDetails, path: Path) -> Diagnostic:
    kind, given, span = details["type"], details["input"], document.value_span(*path)
    context = details.get("ctx", {})
    label = _label(path)
    if path == ("recipe",):
        hint = f"write `recipe: {recipe.FORMAT_VERSION}`"
        return Diagnostic(Code.FORMAT_VERSION, f"recipe format {given!r} is not known", span=span, hint=hint)
    if kind in _EXPECTED:
        place = document.place(path)
        hint = None
        if kind == "string_type" and isinstance(given, bool | int | float):
            hint = f"write it in quotes: '{place.literal}'"
        message = f"{label} must be {_EXPECTED[kind]}, not {_what(given, place.literal)}"
        return Diagnostic(Code.TYPE, message, span=span, hint=hint)
    if kind == "literal_error":
        allowed = [a.strip().strip("'") for a in str(context["expected"]).replace(" or ", ", ").split(", ")]
        message = f"{label} must be {context['expected']}, not {given!r}"
        return Diagnostic(Code.VALUE, message, span=span, hint=did_you_mean(str(given), allowed, what="use"))
    if kind == "string_pattern_mismatch":
        hint = "use small letters, digits and '-', starting with a letter or digit"
        return Diagnostic(Code.VALUE, f"{label}: {given!r} is no name", span=span, hint=hint)
    if kind in ("too_short", "too_long"):
        length = context.get("min_length") if kind == "too_short" else context.get("max_length")
        message = f"{label} must hold {'at least' if kind == 'too_short' else 'at most'} {length}, not {context['actual_length']}"
        return Diagnostic(Code.VALUE, message, span=span)
    bounds = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
    if kind in bounds:
        words = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}[bounds[kind]]
        return Diagnostic(Code.VALUE, f"{label} must be {words} {context[bounds[kind]]}, not {given}", span=span)
    return Diagnostic(Code.VALUE, f"{label}: {details['msg']}", span=span)


def _what(value: object, literal: str | None) -> str:
    if isinstance(value, bool):
        return f"{literal or value}"
    if isinstance(value, int | float):
        return f"the number {literal or value}"
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, dict):
        return f"a mapping ({listing(value, 3)})" if value else "an empty mapping"
    return "a list" if isinstance(value, list | tuple) else repr(value)
