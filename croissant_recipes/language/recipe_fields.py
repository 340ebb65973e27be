"""What the recipe's models are made of: the kinds of value that keys take, and what is said of one that does not
fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    StrictInt,
    StrictStr,
    Tag,
    WithJsonSchema,
    WrapSerializer,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import did_you_mean
from croissant_recipes.language import counts, recipe_schema
from croissant_recipes.location import ADDRESS, Location, is_url

_NUMBER = r"(0|[1-9][0-9]*)"
_PART = r"(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PART}(\.{_PART})*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
_ORCID = r"(https://orcid\.org/)?[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_LICENSES = ("CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC0-1.0", "ODbL-1.0", "ODC-By-1.0", "MIT", "Apache-2.0")
"""What data is published under most, for hints."""


class Model(BaseModel):
    # Built when first used: a recipe needs its own model, and not each part's besides.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a model as recipes write them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def exactly_one(*keys: str) -> ConfigDict:
    """The configuration of a model that wants exactly one of some keys, for its JSON Schema."""
    return ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in keys]})


def problem(message: str, hint: str | None = None, code: Code = Code.VALUE) -> PydanticCustomError:
    """What ``loading`` turns into a diagnostic."""
    return PydanticCustomError("recipe", "{message}", {"message": message, "hint": hint, "code": code})


# Texts


def _not_empty(value: str) -> str:
    if not value.strip():
        raise problem("must not be empty")
    return value


def _semver(value: str) -> str:
    if not re.fullmatch(_SEMVER, value):
        raise problem(f"{value!r} is no semantic version", "write three numbers, such as 1.0.0")
    return value


def _iso_date(value: str) -> str:
    try:
        date.fromisoformat(value if re.fullmatch(_DATE, value) else "")
    except ValueError:
        raise problem(f"{value!r} is no date", "write year-month-day, such as 2026-01-15") from None
    return value


def _url(value: str) -> str:
    if not re.fullmatch(ADDRESS, value):
        raise problem(f"{value!r} is no URL", "write it whole, such as https://example.org/data")
    try:
        urlsplit(value)
    except ValueError as error:
        # A bracket that begins an IPv6 address and does not end it, say.
        raise problem(f"{value!r} is no URL: {error}", "write it whole, such as https://example.org/data") from None
    return value


def _page(value: str) -> str:
    """A URL that the manifest holds as it is, where everybody reads it."""
    place = Location.parse(_url(value))
    if place.has_user:
        hint = "write it without what stands before '@'"
        raise problem("everybody reads it, and it holds a user name or password", hint)
    return value


def base_url(value: str) -> str:
    """A URL that paths are joined to, and that everybody reads, without a slash at its end.

    Raises:
        PydanticCustomError: It is no such URL.
    """
    place = Location.parse(_url(value))
    if place.url != place.public.url:
        hint = f"write {str(place)!r}, and give credentials to those who read it, or to sources as fs_args"
        raise problem("everybody reads it, and it holds a user name, a password, a query or a fragment", hint)
    return value.rstrip("/")


def _license(value: str) -> str:
    if is_url(value):
        return _page(value)
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        canonicalize_license_expression(value)
    except InvalidLicenseExpression:
        hint = f"{did_you_mean(value, _LICENSES, what='common are')} (https://spdx.org/licenses; or give a URL)"
        raise problem(f"SPDX has no licence {value!r}", hint) from None
    return value


def _orcid(value: str) -> str:
    if not re.fullmatch(_ORCID, value):
        raise problem(f"{value!r} is no ORCID", "write it as 0000-0002-1825-0097")
    return value if is_url(value) else f"https://orcid.org/{value}"


def _text_schema(pattern: str, **more: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})


Text = Annotated[StrictStr, AfterValidator(_not_empty), _text_schema(recipe_schema.NOT_EMPTY)]
Name = Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Version = Annotated[StrictStr, AfterValidator(_semver), _text_schema(f"^{_SEMVER}$")]
IsoDate = Annotated[StrictStr, AfterValidator(_iso_date), _text_schema(f"^{_DATE}$", format="date")]
Url = Annotated[StrictStr, AfterValidator(_url), _text_schema(f"^{ADDRESS}$")]
PageUrl = Annotated[StrictStr, AfterValidator(_page), _text_schema(f"^{ADDRESS}$")]
BaseUrl = Annotated[StrictStr, AfterValidator(base_url), _text_schema(f"^{ADDRESS}$")]
License = Annotated[Text, AfterValidator(_license), _text_schema(recipe_schema.NOT_EMPTY)]
Orcid = Annotated[StrictStr, AfterValidator(_orcid), _text_schema(f"^{_ORCID}$")]


def one_or_more(value: object) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<text>"


OneOrMore = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("<list>")],
    Discriminator(one_or_more),
]
"""One text or a list of texts."""

OneOrMoreDates = Annotated[
    Annotated[IsoDate, Tag("<text>")] | Annotated[tuple[IsoDate, ...], Field(min_length=1), Tag("<list>")],
    Discriminator(one_or_more),
]


# Other values


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        given = "a list" if isinstance(value, list | tuple) else "a mapping"
        raise problem(f"must be text, a number, or true or false, not {given}", code=Code.TYPE)
    return value


def _count(value: object) -> object:
    try:
        counts.parse(value)
    except ValueError as error:
        hint = error.args[1] if len(error.args) > 1 else counts.FORMS
        raise problem(str(error.args[0]), hint, Code.EXPECTATION_SYNTAX) from None
    return value


Scalar = bool | int | float | str
AnyScalar = Annotated[Scalar, PlainValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
PositiveNumber = Annotated[Number, Field(gt=0)]
Channel = Annotated[StrictInt, Field(ge=0, le=255)]
Count = int | str
AnyCount = Annotated[Count, PlainValidator(_count), WithJsonSchema(counts.JSON_SCHEMA)]

T = TypeVar("T")


def _freeze(value: Mapping[str, T]) -> Mapping[str, T]:
    return MappingProxyType(dict(value))


def nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


FrozenMap = Annotated[
    Mapping[str, T], AfterValidator(_freeze), WrapSerializer(lambda value, serialize: serialize(dict(value)))
]
FsArgs = FrozenMap[Any]


class Levels(Model):
    """What a count must satisfy, by how much it matters."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    warn: AnyCount | None = Field(None, description="A warning where it does not hold.")
    fail: AnyCount | None = Field(None, description="An error where it does not hold, as with a count alone.")

    @model_validator(mode="after")
    def _not_blank(self) -> Levels:
        if not self.model_fields_set:
            raise problem("must give a count", "such as {warn: '>= 50', fail: '>= 10'}", Code.EXPECTATION_SYNTAX)
        return self


LEVELS = tuple(Levels.model_fields)
"""How much an expectation can matter."""


def gives_levels(value: object) -> bool:
    """Whether a mapping is of levels. One by name is told from it by its values: a name that is called like a level has
    a mapping below it."""
    if not isinstance(value, Mapping):
        return isinstance(value, Levels)
    return (
        bool(value) and value.keys() <= set(LEVELS) and not any(isinstance(v, Mapping | Levels) for v in value.values())
    )


def _count_form(value: object) -> str:
    return "<levels>" if isinstance(value, Mapping | Levels) else "<count>"


def _counts_form(value: object) -> str:
    return "<levels>" if gives_levels(value) else "<mapping>" if isinstance(value, Mapping) else "<count>"


# Types with a name, which the JSON Schema has once.
CountOrLevels = TypeAliasType(
    "CountOrLevels",
    Annotated[Annotated[AnyCount, Tag("<count>")] | Annotated[Levels, Tag("<levels>")], Discriminator(_count_form)],
)
CountByName = TypeAliasType(
    "CountByName",
    Annotated[
        Annotated[AnyCount, Tag("<count>")]
        | Annotated[Levels, Tag("<levels>")]
        | Annotated[FrozenMap[CountOrLevels], Tag("<mapping>")],
        Discriminator(_counts_form),
    ],
)
