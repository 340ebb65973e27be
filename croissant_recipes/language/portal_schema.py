"""The fields of the portal's records, read from the schema that the official client ships without importing it.

The fields are those that copick compares and formats: numbers, texts, flags and enums. Templates take dates too.
Relations are none.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from croissant_recipes.diagnostics import did_you_mean, listing
from croissant_recipes.schema import ARTIFACTS

FieldType = Literal["int", "float", "str", "bool", "enum", "date"]

SESSION_TOKENS = ("author", "authors", "annotation_file_id")
"""What a session template may name besides the fields of the annotation."""

_SCALARS: dict[str, FieldType] = {
    "Int": "int",
    "Float": "float",
    "String": "str",
    "Boolean": "bool",
    "DateTime": "date",
}
_RECORD_OF = {
    name: described.portal_id.removeprefix("portal_").removesuffix("_id").capitalize()
    for name, described in ARTIFACTS.items()
    if described.portal_id is not None
} | {"runs": "Run"}
"""What the portal has a record of for each artifact type: ``Annotation``, ``Tomogram`` or ``Run``."""

_DESCRIPTION = re.compile(r'"""[\s\S]*?"""')
_PLAIN_FIELD = re.compile(r"^  (\w+): (\w+)!?$", re.MULTILINE)
_WORD_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_INT_LIMIT = 2**31


@dataclass(frozen=True)
class Field:
    """One field of a record of the portal.

    Attributes:
        name: In snake_case, as copick and the Python client name it.
        graphql_name: As the server names it.
        type: What its values are; values of an enum are texts, and those of a date instants.
        values: The values of an enum, in the schema's order.
    """

    name: str
    graphql_name: str
    type: FieldType
    values: tuple[str, ...] | None = None


class WhereError(ValueError):
    """A ``where`` entry that cannot hold.

    Attributes:
        message, hint: What is wrong and what would be right.
        unknown_field: Whether the field does not exist; otherwise the value does not fit it.
    """

    def __init__(self, message: str, hint: str | None, *, unknown_field: bool) -> None:
        super().__init__(message)
        self.message, self.hint, self.unknown_field = message, hint, unknown_field


def annotation_fields() -> Mapping[str, Field]:
    """Fields of picks and segmentations that templates can name."""
    return _fields("Annotation")


def run_fields() -> Mapping[str, Field]:
    """Fields of runs that templates can name."""
    return _fields("Run")


def fields_of(artifact: str) -> Mapping[str, Field]:
    """The fields that ``where`` can name for an artifact type.

    Raises:
        KeyError: The type has no portal record.
    """
    return {name: field for name, field in _fields(_RECORD_OF[artifact]).items() if field.type != "date"}


def check_where(artifact: str, key: str, value: object) -> bool | int | float | str:
    """The value of a ``where`` entry as the portal's field has it, coerced as copick does.

    Args:
        artifact: ``picks``, ``segmentations``, ``tomograms`` or ``runs``.

    Raises:
        WhereError: The field does not exist or cannot have the value.
    """
    fields = fields_of(artifact)
    field = fields.get(key)
    if field is None:
        record = _RECORD_OF[artifact]
        message = f"the portal's {record} has no field {key!r} to compare"
        raise WhereError(message, did_you_mean(key, fields), unknown_field=True)
    if field.values is not None and value not in field.values:
        message = f"{key} cannot be {value!r}"
        raise WhereError(message, f"allowed are {listing(field.values, len(field.values))}", unknown_field=False)
    return _coerced(field, value)


def _coerced(field: Field, value: object) -> bool | int | float | str:
    try:
        coerced = _adapter(field.type).validate_python(value)
    except ValidationError:
        raise _unfit(field, value) from None
    too_large = field.type == "int" and not -_INT_LIMIT <= coerced < _INT_LIMIT
    if too_large or (field.type == "float" and not math.isfinite(coerced)):
        raise _unfit(field, value)
    result: bool | int | float | str = coerced
    return result


def _unfit(field: Field, value: object) -> WhereError:
    what, hint = {
        "int": ("a whole number of at most 32 bits", "write digits, such as 10301"),
        "float": ("a number", "write a number, such as 0.5"),
        "bool": ("true or false", "write true or false"),
        "str": ("a text", f"write it in quotes: {str(value)!r}"),
        "enum": ("a text", None),
        "date": ("a date", None),
    }[field.type]
    return WhereError(f"{field.name} is {what} and cannot be {value!r}", hint, unknown_field=False)


@cache
def _adapter(kind: FieldType) -> TypeAdapter[Any]:
    python_type: Any = {"int": int, "float": float, "bool": bool}.get(kind, str)
    return TypeAdapter(python_type)


@cache
def _fields(record: str) -> Mapping[str, Field]:
    found = {}
    for graphql_name, type_name in _PLAIN_FIELD.findall(_block("type", record)):
        values = None if type_name in _SCALARS else _enum_values(type_name)
        kind = "enum" if values else _SCALARS.get(type_name)
        if kind is not None:
            name = _snake_case(graphql_name)
            found[name] = Field(name, graphql_name, kind, values)
    return found


@cache
def _enum_values(type_name: str) -> tuple[str, ...] | None:
    return tuple(re.findall(r"^  (\w+)$", _block("enum", type_name), re.MULTILINE)) or None


def _block(keyword: str, name: str) -> str:
    """The definition of a type or enum, without its descriptions; empty where there is none."""
    text = _schema_text()
    start = text.find(f"\n{keyword} {name} ")
    if start < 0:
        return ""
    return _DESCRIPTION.sub("", text[text.index("{\n", start) + 2 : text.index("\n}", start) + 1])


@cache
def _schema_text() -> str:
    # Finding a top-level package does not run it; importing this one takes longer than a whole `check`.
    spec = importlib.util.find_spec("cryoet_data_portal")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("cryoet-data-portal is not installed")
    return (Path(spec.origin).parent / "data" / "schema.graphql").read_text(encoding="utf-8")


def _snake_case(name: str) -> str:
    """The client's name of a field: numbers are words of their own, but for ``s3``."""
    return _WORD_BOUNDARY.sub("_", name).lower().replace("s_3_", "s3_")
