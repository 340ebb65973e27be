"""The kinds of source, each one object: a new kind is a line in ``KINDS``, a new type of copick config one in
``CONFIG_TYPES``.

What opens them is named and not imported: ``check`` does not wait for what reads artifacts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictInt,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from croissant_recipes import intake
from croissant_recipes.codes import Code
from croissant_recipes.intake import Files
from croissant_recipes.language.recipe_fields import (
    BaseUrl,
    FsArgs,
    IsoDate,
    Model,
    Text,
    Url,
    exactly_one,
    nothing,
    problem,
)
from croissant_recipes.location import is_url
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS, PORTAL_ANNOTATION

_LARGEST_PORTAL_ID = 2**31 - 1
_NUMBERS = {2: "two", 3: "three", 4: "four"}


def _never(spec: Model, folder: Path, files: Files) -> bool:  # noqa: ARG001 - one of several
    return False


@dataclass(frozen=True)
class SourceKind:
    """One kind of source.

    Attributes:
        name: Its key in an entry of ``sources:``.
        model: What stands below the key.
        description: What it is, in a few words.
        opener: ``module:function`` of what opens it, see ``sources.opener``.
        place: The key that holds where it lies, relative to the recipe file or a URL; ``None`` where all keys together
            say it.
        base_url: The key that says where its artifacts lie when the Croissant is read, if there is one.
        unread: Keys that do not matter for reading it: two entries that differ only in these are one source.
        types: Artifact types besides runs that it can hold.
        of_portal: Whether it has the portal's metadata: ``where``, ``authors`` and templates over its records.
        fields: Columns of its picks and segmentations that templates of sessions and users can name, besides what
            every source has.
        may_be_of_portal: Whether one entry may turn out to be of the portal, given it, the recipe's folder and
            where files are read. It is never asked over the network.
        place_is_config: Whether ``place`` holds a file that somebody writes as they write recipes, and keeps with them.
    """

    name: str
    model: type[Model]
    description: str
    opener: str
    place: str | None = None
    base_url: str | None = None
    unread: frozenset[str] = frozenset()
    types: tuple[str, ...] = ARTIFACT_TYPES[1:]
    of_portal: bool = False
    fields: tuple[str, ...] = ()
    may_be_of_portal: Callable[[Any, Path, Files], bool] = _never
    place_is_config: bool = False


@dataclass(frozen=True)
class ConfigType:
    """One type of copick config (``config_type``) that has a reader of its own; any other is read through copick.

    Attributes:
        name: As the config says it.
        opener: ``module:function`` of what opens a project of the type, see ``sources.copick_source``.
        of_portal: As for a kind of source.
    """

    name: str
    opener: str
    of_portal: bool = False


def load(opener: str) -> Any:
    """What a name of the form ``module:function`` means."""
    module, _, name = opener.partition(":")
    return getattr(import_module(module), name)


_PortalIds = tuple[Annotated[StrictInt, Field(gt=0, le=_LARGEST_PORTAL_ID)], ...]


class PortalSource(Model):
    """Datasets of the CryoET Data Portal."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["datasets"]}, {"required": ["depositions"]}]})

    datasets: _PortalIds = Field((), min_length=1, description="Ids of datasets.")
    depositions: _PortalIds = Field(
        (), min_length=1, description="Ids of depositions: every dataset in which one has a tomogram or an annotation."
    )
    until: IsoDate | None = Field(
        None, description="The last day, year-month-day in UTC, on which what the source holds may have been released."
    )
    url: Url | None = Field(None, description="Another GraphQL endpoint than the portal's own.")

    @model_validator(mode="after")
    def _holds_something(self) -> PortalSource:
        if not self.datasets and not self.depositions:
            hint = "such as `datasets: [10000]`"
            raise problem("names neither datasets nor depositions", hint, Code.MISSING_KEY)
        return self


class CopickSource(Model):
    """A copick project."""

    config: Text = Field(description="A copick JSON config, relative to the recipe file, or a URL.")
    base_url: BaseUrl | None = Field(None, description="URL that the project's root has when the Croissant is read.")


class CroissantSource(Model):
    """An existing Croissant."""

    url: Text = Field(description="A metadata.json, relative to the recipe file, or a URL.")
    base_url: BaseUrl | None = Field(
        None, description="Where the data lies, instead of the Croissant's copick:baseUrl."
    )
    fs_args: FsArgs = Field(default_factory=nothing, description="fsspec keyword arguments for reading it.")


def _config_may_be_of_portal(spec: CopickSource, folder: Path, files: Files) -> bool:
    """Whether a config is of a type of the portal. One on this disk is read to know it."""
    if is_url(spec.config):
        return True
    try:
        values = intake.parse_json(files.read(folder / spec.config, intake.DOCUMENT_BYTES))
    except (OSError, ValueError):
        # What is wrong with the file is for the source to say when it is opened.
        return True
    if not isinstance(values, dict):
        return False
    known = CONFIG_TYPES.get(str(values.get("config_type")))
    return known is not None and known.of_portal


PORTAL = SourceKind(
    "portal",
    PortalSource,
    "Datasets of the CryoET Data Portal.",
    "croissant_recipes.sources.portal.datasets:open_portal",
    types=tuple(name for name, described in ARTIFACTS.items() if described.in_portal),
    of_portal=True,
)
COPICK = SourceKind(
    "copick",
    CopickSource,
    "A copick project.",
    "croissant_recipes.sources.copick_source:open_copick",
    place="config",
    base_url="base_url",
    unread=frozenset({"base_url"}),
    may_be_of_portal=_config_may_be_of_portal,
    place_is_config=True,
)
CROISSANT = SourceKind(
    "croissant",
    CroissantSource,
    "An existing Croissant.",
    "croissant_recipes.sources.croissant_source:open_croissant",
    place="url",
    base_url="base_url",
    fields=PORTAL_ANNOTATION,
)

KINDS: dict[str, SourceKind] = {kind.name: kind for kind in (PORTAL, COPICK, CROISSANT)}
"""Every kind by name, in the order of the recipe format."""

CONFIG_TYPES: dict[str, ConfigType] = {
    each.name: each
    for each in (
        ConfigType("filesystem", "croissant_recipes.sources.folder_project:FilesystemProject"),
        ConfigType(
            "cryoet_data_portal", "croissant_recipes.sources.portal.portal_project:PortalProject", of_portal=True
        ),
        ConfigType("mlcroissant", "croissant_recipes.sources.croissant_project:CroissantProject"),
    )
}
"""The types of copick config that are read without copick's own root."""


class _Entry(Model):
    """What every entry of ``sources:`` has to be, whatever kinds there are."""

    @model_validator(mode="after")
    def _one_kind(self) -> _Entry:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            *others, last = type(self).model_fields
            found = "none" if not given else " and ".join(given)
            raise problem(f"a source is exactly one of {', '.join(others)} or {last}, not {found}")
        return self


def entry_model() -> type[Model]:
    """The model of an entry of ``sources:``, with a key for each kind of which one is given."""
    return _entry_model(tuple(KINDS.values()))


@lru_cache(maxsize=4)
def _entry_model(kinds: tuple[SourceKind, ...]) -> type[Model]:
    made = create_model(
        "Source",
        __base__=_Entry,
        __doc__=f"Exactly one of the {_NUMBERS.get(len(kinds), len(kinds))} kinds.",
        **{kind.name: (kind.model | None, Field(None, description=kind.description)) for kind in kinds},  # type: ignore[call-overload]
    )
    made.model_config.update(exactly_one(*(kind.name for kind in kinds)))
    made.model_rebuild(force=True)
    return made


@dataclass(frozen=True)
class Source:
    """One entry of ``sources:``: its kind and what the recipe says of it."""

    kind: SourceKind
    spec: Any

    @classmethod
    def of(cls, entry: Model) -> Source:
        """The source that an entry means."""
        name = next(name for name in type(entry).model_fields if getattr(entry, name) is not None)
        return cls(KINDS[name], getattr(entry, name))

    @property
    def base_url(self) -> str | None:
        """The URL that the recipe says its artifacts have, if it says one."""
        return getattr(self.spec, self.kind.base_url) if self.kind.base_url else None

    @classmethod
    def _validated(cls, value: object) -> Source:
        return value if isinstance(value, cls) else cls.of(entry_model().model_validate(value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(_written, return_schema=core_schema.any_schema())
        # Named, so that its JSON Schema stands among the definitions.
        ref = f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"
        return core_schema.no_info_plain_validator_function(cls._validated, ref=ref, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Mapping[str, Any]:
        return handler(entry_model().__pydantic_core_schema__)


def _written(source: Source) -> Mapping[str, Any]:
    return {source.kind.name: source.spec}
