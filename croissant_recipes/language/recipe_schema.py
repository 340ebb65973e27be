"""The JSON Schema that pydantic makes of the recipe model, as editors need it.

An editor sees the file before parameters are filled in, and offers what ``check`` accepts: a typed value may be written
as ``${name}``, a key that stands there has a value, and the titles that pydantic makes up from names are noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NOT_EMPTY = r"\S"
"""The pattern of a text that is not empty. A text that holds a parameter has it anyway."""

_PARAMETER = {
    "description": "A parameter in place of the value.",
    "type": "string",
    "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_-]*\}$",
}
_TEXT_WITH_PARAMETER = {
    "description": "A text that holds a parameter.",
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_-]*\}",
}
_ABOUT = ("description", "default")
_PRESENCE = ("required", "oneOf", "anyOf")
_CONSTRAINTS = ("pattern", "format", "enum")

Schema = dict[str, Any]


def for_editors(schema: Schema) -> Schema:
    """A schema of pydantic's, made fit for editors; ``$defs`` gains what stands for parameters."""
    definitions = {name: _adapted(definition) for name, definition in schema["$defs"].items()}
    parameters = {"Parameter": _PARAMETER, "TextWithParameter": _TEXT_WITH_PARAMETER}
    return {**_adapted({k: v for k, v in schema.items() if k != "$defs"}), "$defs": {**definitions, **parameters}}


def taken_from(definition: Schema) -> Schema:
    """What a definition says of the keys that must be there, which it says no more."""
    return {key: definition.pop(key) for key in _PRESENCE if key in definition}


def put_at(schema: Schema, path: Sequence[str], conditions: Schema) -> None:
    """Let a schema ask something of what stands at a path."""
    for key in path:
        schema = schema.setdefault("properties", {}).setdefault(key, {})
    schema.update(conditions)


def used(definitions: Schema, parts: object) -> Schema:
    """Those definitions that some parts of a schema refer to, or these to each other."""
    found: set[str] = set()
    ahead = _referred(parts)
    while ahead:
        found |= ahead
        ahead = {name for each in ahead for name in _referred(definitions[each])} - found
    return {name: definition for name, definition in definitions.items() if name in found}


def _referred(value: object) -> set[str]:
    if isinstance(value, dict):
        here = {str(value["$ref"]).rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return here.union(*map(_referred, value.values()))
    return set().union(*map(_referred, value)) if isinstance(value, list) else set()


def _adapted(schema: Schema) -> Schema:
    adapted = {key: value for key, value in schema.items() if key != "title" and not _is_empty_default(key, value)}
    if "properties" in adapted:
        adapted["properties"] = {name: _adapted(value) for name, value in adapted["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(adapted.get(key), dict):
            adapted[key] = _adapted(adapted[key])
    if sum("$ref" in choice or choice.get("type") == "object" for choice in adapted.get("oneOf", ())) > 1:
        # One mapping may have the form of several.
        adapted["anyOf"] = adapted.pop("oneOf")
    for key in ("anyOf", "oneOf"):
        if key in adapted:
            adapted[key] = [_adapted(choice) for choice in adapted[key] if choice != {"type": "null"}]
    if len(adapted.get("anyOf", ())) == 1:
        (only,) = adapted.pop("anyOf")
        return {**only, **adapted}
    return _or_parameter(adapted)


def _is_empty_default(key: str, value: object) -> bool:
    return key == "default" and value in (None, [], {})


def _or_parameter(schema: Schema) -> Schema:
    """The schema of one value, or a parameter. A constant has none: the format version is no parameter's business."""
    kind = schema.get("type")
    if kind in ("integer", "number", "boolean") and "const" not in schema:
        stand_in = "Parameter"
    elif kind == "string" and schema.get("pattern") != NOT_EMPTY and any(c in schema for c in _CONSTRAINTS):
        stand_in = "TextWithParameter"
    else:
        return schema
    about = {key: schema[key] for key in _ABOUT if key in schema}
    plain = {key: value for key, value in schema.items() if key not in _ABOUT}
    return {**about, "anyOf": [plain, {"$ref": f"#/$defs/{stand_in}"}]}
