"""What pydantic's validation errors mean, in the words of someone who writes a recipe."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, did_you_mean, listing, nearest
from croissant_recipes.language import recipe, source_kinds
from croissant_recipes.language.checked import WHERE_TYPES
from croissant_recipes.language.recipe_fields import LEVELS, Levels, Model, keys_of
from croissant_recipes.language.yaml_nodes import Document, Path
from croissant_recipes.schema import ARTIFACT_TYPES

_Place = tuple[tuple[str, ...], type[Model], str]

_OF_LEVEL = tuple((level,) for level in LEVELS)
_BY_NAME = (
    *((key,) for key in recipe.ExpectOfRun.model_fields),
    *(("each_run", key) for key in recipe.ExpectOfRun.model_fields),
    *(("splits", "*", key) for key in recipe.ExpectOfRun.model_fields),
)
"""Where ``expect`` gives counts by name."""

_RUNS_OF_SPLITS = tuple(
    (*path, *item)
    for path in (("splits", "assign", "*"), ("splits", "unassign"), ("layers", "*", "split", "*"))
    for item in ((), ("*",))
)

_MODELS: tuple[_Place, ...] = (
    ((), recipe.Recipe, "the recipe itself"),
    (("dataset",), recipe.Dataset, "`dataset`"),
    (("dataset", "creators", "*"), recipe.Creator, "a creator"),
    (("dataset", "publisher"), recipe.Creator, "a publisher"),
    (("dataset", "rai"), recipe.Rai, "`rai`"),
    (("project",), recipe.Project, "`project`"),
    (("output",), recipe.Output, "`output`"),
    (("outputs", "*"), recipe.NamedOutput, "one of `outputs`"),
    (("objects", "*"), recipe.ObjectOverride, "an entry of `objects`"),
    (("layers", "*"), recipe.Layer, "a layer"),
    (("rename",), recipe.Rename, "`rename`"),
    (("layers", "*", "rename"), recipe.Rename, "`rename`"),
    *((("layers", "*", t), recipe.PortalSelectionMap, "a selection") for t in WHERE_TYPES),
    *(
        (("layers", "*", t), recipe.SelectionMap, "a selection")
        for t in ARTIFACT_TYPES
        if t not in (*WHERE_TYPES, "runs")
    ),
    (("layers", "*", "runs"), recipe.RunSelectionMap, "a selection of runs"),
    *((("layers", "*", "runs", key), recipe.HeldRows, f"`{key}`") for key in ("having", "lacking")),
    *((("layers", "*", "runs", key, "*"), recipe.HeldRows, f"an item of `{key}`") for key in ("having", "lacking")),
    (("splits",), recipe.Splits, "`splits`"),
    *((path, recipe.RunsMap, "runs of a split") for path in _RUNS_OF_SPLITS),
    (("splits", "random"), recipe.RandomSplit, "`splits.random`"),
    (("expect",), recipe.Expect, "`expect`"),
    (("expect", "each_run"), recipe.ExpectOfRun, "`expect.each_run`"),
    (("expect", "splits", "*"), recipe.ExpectOfSplit, "a split of `expect`"),
    *((("expect", "points", *level), recipe.ExpectOfPoints, "`expect.points`") for level in ((), *_OF_LEVEL)),
    *((("expect", "arrays", *level), recipe.ExpectOfArrays, "`expect.arrays`") for level in ((), *_OF_LEVEL)),
    *((("expect", key), Levels, "an expected count") for key in ("runs", "objects")),
    *((("expect", *above, "*"), Levels, "an expected count") for above in _BY_NAME),
)
"""Which model stands where besides the sources, and what to call the place."""

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "model_type": "a mapping",
}
_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_FORMS = {
    "version": "write three numbers, such as 1.0.0",
    "date_published": "write year-month-day, such as 2026-01-15",
    "date_created": "write year-month-day, such as 2026-01-15",
    "date_modified": "write year-month-day, such as 2026-01-15",
    "until": "write year-month-day, such as 2026-01-15",
    "data_collection_timeframe": "write year-month-day, such as 2026-01-15",
}
"""Texts for which it is no help to put a number in quotes."""


def diagnostics(error: ValidationError, document: Document, blank: Collection[Path]) -> list[Diagnostic]:
    """What is wrong with the shape of a recipe.

    Args:
        error: From the validation of the whole recipe.
        document: The file.
        blank: Keys that stand in the file without a value, which has been reported.
    """
    problems = error.errors()
    unknown = [document.existing(p["loc"]) for p in problems if p["type"] == "extra_forbidden"]
    return [_diagnostic(p, document) for p in problems if not _follows(p, document, blank, unknown)]


def _follows(details: ErrorDetails, document: Document, blank: Collection[Path], unknown: Collection[Path]) -> bool:
    """Whether an error only follows from one that is reported anyway."""
    kind, here = details["type"], document.existing(details["loc"])
    if kind == "missing":
        misspelt = [str(path[-1]) for path in unknown if path[:-1] == here]
        return here in blank or any(nearest(key, [str(details["loc"][-1])]) for key in misspelt)
    if kind == "too_short":
        # pydantic counts valid items only.
        return bool(len(details["input"]) >= details["ctx"]["min_length"])
    if kind == "recipe" and details["ctx"]["code"] is Code.MISSING_KEY and here in {path[:-1] for path in unknown}:
        # One of two keys is missing, and it may be the one that is misspelt.
        return True
    return kind == "recipe" and here in {path[:-1] for path in blank}


def _diagnostic(details: ErrorDetails, document: Document) -> Diagnostic:
    kind, path = details["type"], document.existing(details["loc"])
    if kind == "extra_forbidden":
        return _unknown_key(path, document)
    if kind == "missing":
        key = str(details["loc"][-1])
        where = f" in {label(path)}" if path else ""
        span = document.key_span(*path)
        return Diagnostic(Code.MISSING_KEY, f"{key!r} is missing{where}", span=span, hint=f"add `{key}:`")
    span = document.value_span(*path)
    if kind == "recipe":
        context = details["ctx"]
        colon = "" if context["message"].startswith("must ") else ":"
        message = f"{label(path)}{colon} {context['message']}"
        return Diagnostic(context["code"], message, span=span, hint=context["hint"])
    if kind in _EXPECTED:
        return _wrong_type(details, path, document)
    code, message, hint = _wrong_value(details, path)
    return Diagnostic(code, message, span=span, hint=hint)


def label(path: Path) -> str:
    """A path as a reader would write it: ``layers[0].picks``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the recipe"


def _unknown_key(path: Path, document: Document) -> Diagnostic:
    key, parent = str(path[-1]), path[:-1]
    span = document.key_span(*path)
    if any(_fits(parent, ("layers", "*", artifact)) for artifact in ARTIFACT_TYPES) and key in ("where", "authors"):
        there = f"`where` and `authors` exist for {', '.join(WHERE_TYPES[:-1])} and {WHERE_TYPES[-1]}"
        return Diagnostic(Code.ARTIFACT_TYPE, f"{parent[-1]}.{key} does not exist", span=span, hint=there)
    models = [*_MODELS, *_sources()]
    known = [k for pattern, model, _ in models if _fits(parent, pattern) for k in keys_of(model)]
    elsewhere = [name for _, model, name in models if key in keys_of(model)]
    hint = did_you_mean(key, known, what="known keys are")
    if elsewhere:
        place = f"{key!r} is a key of {' and of '.join(dict.fromkeys(elsewhere))}"
        hint = f"{place}; or {hint}" if nearest(key, known) else place
    where = f" in {label(parent)}" if parent else ""
    return Diagnostic(Code.UNKNOWN_KEY, f"unknown key {key!r}{where}", span=span, hint=hint)


def is_required(path: Path) -> bool:
    """Whether a recipe cannot do without a key where it stands."""
    if path == ("output",):
        # Unless it has `outputs`, which whoever writes this has not.
        return True
    if path[:-1] == ("dataset",) and path[-1] in recipe.REQUIRED_OF_DATASET:
        return True
    models = (model for pattern, model, _ in [*_MODELS, *_sources()] if _fits(path[:-1], pattern))
    return any(str(path[-1]) in m.model_fields and m.model_fields[str(path[-1])].is_required() for m in models)


def _sources() -> list[_Place]:
    """The models of the sources, of every kind."""
    of_kinds = [(("sources", "*", kind.name), kind.model, f"`{kind.name}`") for kind in source_kinds.KINDS.values()]
    return [(("sources", "*"), source_kinds.entry_model(), "a source"), *of_kinds]


def _fits(path: Path, pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(p in ("*", part) for p, part in zip(pattern, path, strict=True))


def _wrong_type(details: ErrorDetails, path: Path, document: Document) -> Diagnostic:
    kind, given, place = details["type"], details["input"], document.place(path)
    hint = "give it a value, or remove it" if given is None else None
    if kind == "string_type" and isinstance(given, bool | int | float):
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        hint = _FORMS.get(key) or f"write it in quotes: '{place.literal}'"
        if place.parameter:
            hint = f"a parameter is text when its default is: '{place.literal}'"
    elif kind == "tuple_type" and not isinstance(given, dict | list):
        hint = f"write a list, such as [{place.literal}]"
    message = f"{label(path)} must be {_EXPECTED[kind]}, not {described(given, place.literal)}"
    return Diagnostic(Code.TYPE, message, span=place.value, hint=hint)


def described(value: object, literal: str | None = None) -> str:
    """A value as messages name it. ``literal`` is how the file spells it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return literal or str(value).lower()
        case int() | float():
            return f"the number {literal or value}"
        case str():
            return f"the text {value!r}"
        case dict():
            return f"a mapping ({listing(value, 3)})" if value else "an empty mapping"
        case _:
            return "a list"


def _wrong_value(details: ErrorDetails, path: Path) -> tuple[Code, str, str | None]:
    kind, given, name = details["type"], details["input"], label(path)
    context: dict[str, Any] = details.get("ctx", {})
    if kind == "literal_error":
        allowed = context["expected"]
        close = nearest(str(given), [a for a in allowed.split("'") if a.isalpha()]) if isinstance(given, str) else []
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else None
        return Code.VALUE, f"{name} must be {allowed}, not {described(given)}", hint
    if kind == "string_pattern_mismatch":
        hint = "use small letters, digits and '-', beginning with a letter or digit"
        return Code.VALUE, f"{name}: {given!r} is no name", hint
    if kind in ("too_short", "too_long") and not given:
        return Code.VALUE, f"{name} is an empty list", _instead_of_nothing(path)
    if kind in ("too_short", "too_long"):
        wanted = context["min_length" if kind == "too_short" else "max_length"]
        return Code.VALUE, f"{name} must hold {wanted} values, not {context['actual_length']}", None
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        bound = int(context[key]) if context[key] == int(context[key]) else context[key]
        return Code.VALUE, f"{name} must be {words} {bound}, not {given}", None
    return Code.VALUE, f"{name}: {details['msg']}", None


def _instead_of_nothing(path: Path) -> str:
    if path[:1] == ("layers",) and len(path) == 3 and path[-1] in ARTIFACT_TYPES:
        return "write `none` to take none"
    if path == ("layers",):
        return "begin with `export:` and the name of a source"
    return "name at least one"
