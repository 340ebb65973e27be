"""The recipe as frozen pydantic models: format version 1, extras refused.

Field descriptions are the reference documentation: ``croissant-recipe schema`` prints them as JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from croissant_recipes.rai import RAI_FIELDS

FORMAT_VERSION = 1

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")
_ORCID = re.compile(r"(https://orcid\.org/)?\d{4}-\d{4}-\d{4}-\d{3}[\dX]\Z")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+\Z")


def _problem(message: str, hint: str | None = None) -> PydanticCustomError:
    return PydanticCustomError("recipe", "{message}", {"message": message, "hint": hint})


def _not_empty(value: str) -> str:
    if not value.strip():
        raise _problem("must not be empty")
    return value


def _semver(value: str) -> str:
    if not _SEMVER.match(value):
        raise _problem(f"{value!r} is no semantic version", "write three numbers, such as '1.0.0'")
    return value


def _iso_date(value: str) -> str:
    try:
        parsed = date.fromisoformat(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != value:
        raise _problem(f"{value!r} is no date", "write year-month-day, such as 2026-01-15")
    return value


def _url(value: str) -> str:
    if not _URL.match(value):
        raise _problem(f"{value!r} is no URL", "write it whole, such as https://example.org/data")
    return value


def _base_url(value: str) -> str:
    return _url(value).rstrip("/")


def _orcid(value: str) -> str:
    if not _ORCID.match(value):
        raise _problem(f"{value!r} is no ORCID", "write it as 0000-0002-1825-0097")
    return value if value.startswith("https://") else f"https://orcid.org/{value}"


Text = Annotated[StrictStr, AfterValidator(_not_empty)]
Name = Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Version = Annotated[StrictStr, AfterValidator(_semver)]
IsoDate = Annotated[StrictStr, AfterValidator(_iso_date), WithJsonSchema({"type": "string", "format": "date"})]
Url = Annotated[StrictStr, AfterValidator(_url), WithJsonSchema({"type": "string", "format": "uri"})]
BaseUrl = Annotated[StrictStr, AfterValidator(_base_url), WithJsonSchema({"type": "string", "format": "uri"})]
Orcid = Annotated[StrictStr, AfterValidator(_orcid)]


Scalar = StrictBool | StrictInt | Annotated[float, Field(strict=True)] | StrictStr


def _texts(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "text"


OneOrMore = Annotated[
    Annotated[Text, Tag("text")] | Annotated[tuple[Text, ...], Tag("list")],
    Discriminator(_texts),
]
"""One text or a list of texts."""


def _freeze(value: dict[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(value)


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _mapping(value_type: Any) -> Any:
    return Annotated[dict[str, value_type], AfterValidator(_freeze), PlainSerializer(dict, return_type=dict[str, Any])]


FsArgs = _mapping(Any)


class Creator(Model):
    """A person or an organisation."""

    name: Text
    url: Url | None = None
    email: Text | None = None
    orcid: Orcid | None = Field(None, description="Makes the creator a person; its 16-digit id or its URL.")
    affiliation: Text | None = Field(None, description="Makes the creator a person; the name of the organisation.")


def _rai_keys(value: dict[str, Any]) -> dict[str, Any]:
    from croissant_recipes.diagnostics import did_you_mean

    for key, given in value.items():
        form = RAI_FIELDS.get(key)
        if form is None:
            raise _problem(f"{key!r} is no key of the Croissant RAI vocabulary", did_you_mean(key, RAI_FIELDS))
        if form == "text" and not isinstance(given, str):
            raise _problem(f"{key} must be one text")
        if form == "dates":
            for day in given if isinstance(given, list | tuple) else [given]:
                _iso_date(str(day))
    return value


class Dataset(Model):
    """Dataset-level Croissant metadata. A build never reads the clock, so the date is written here."""

    name: Text
    description: Text
    version: Version = Field(description="Semantic version of the dataset.")
    license: Text = Field(description="SPDX id or URL.")
    date_published: IsoDate
    cite_as: Text | None = Field(None, description="A citation, best as BibTeX.")
    url: Url | None = Field(None, description="The dataset's page. The Croissant specification asks for it.")
    keywords: tuple[Text, ...] = ()
    creators: tuple[Creator, ...] = Field((), description="The Croissant specification asks for at least one.")
    publisher: Creator | None = None
    date_created: IsoDate | None = None
    date_modified: IsoDate | None = None
    same_as: tuple[Url, ...] = ()
    in_language: tuple[Text, ...] = ()
    identifier: Text | None = Field(None, description="A persistent identifier, such as a DOI.")
    funder: tuple[Creator, ...] = ()
    measurement_technique: Text | None = None
    usage_info: Text | None = Field(None, description="How the dataset may be used, or the URL of a page that says so.")
    sd_license: Text | None = Field(None, description="License of the metadata itself.")
    is_live_dataset: StrictBool | None = None
    rai: Annotated[
        dict[str, StrictStr | tuple[StrictStr, ...]],
        AfterValidator(_rai_keys),
        AfterValidator(_freeze),
        PlainSerializer(dict, return_type=dict[str, Any]),
    ] = Field(default_factory=dict, description="Croissant RAI vocabulary, in snake_case.")


class Output(Model):
    """Where the Croissant is written and where it will be read."""

    project_root: Text = Field(description="Relative to the recipe file, or any fsspec URL. Croissant/ goes below it.")
    base_url: BaseUrl | None = Field(
        None,
        description="URL that resolves to project_root when the Croissant is read. Without it the Croissant is relocatable.",
    )
    fs_args: FsArgs = Field(default_factory=dict, description="fsspec keyword arguments for project_root.")
    parquet: StrictBool = Field(False, description="Write Parquet beside each CSV and back the record sets with it.")


class PortalSource(Model):
    """Datasets of the CryoET Data Portal."""

    datasets: tuple[Annotated[StrictInt, Field(gt=0)], ...] = Field(min_length=1)
    url: Url | None = Field(None, description="Another GraphQL endpoint than the portal's own.")


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
    fs_args: FsArgs = Field(default_factory=dict, description="fsspec keyword arguments for reading it.")


SOURCE_KINDS = ("portal", "copick", "croissant")


class Source(Model):
    """Exactly one of the three kinds."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [kind]} for kind in SOURCE_KINDS]},
    )

    portal: PortalSource | None = None
    copick: CopickSource | None = None
    croissant: CroissantSource | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        given = [kind for kind in SOURCE_KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = "none" if not given else " and ".join(given)
            raise _problem(f"a source is exactly one of portal, copick or croissant, not {found}")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in SOURCE_KINDS if getattr(self, kind) is not None)


Channel = Annotated[StrictInt, Field(ge=0, le=255)]


class ObjectOverride(Model):
    """Attributes of one pickable object that the recipe sets itself (fields of copick's PickableObject)."""

    is_particle: StrictBool | None = None
    label: Annotated[StrictInt, Field(gt=0)] | None = None
    color: tuple[Channel, Channel, Channel, Channel] | None = Field(None, description="RGBA, 0 to 255.")
    radius: Annotated[float, Field(gt=0, strict=True)] | Annotated[StrictInt, Field(gt=0)] | None = Field(
        None, description="Radius in Å."
    )
    map_threshold: float | None = None
    emdb_id: Text | None = None
    pdb_id: Text | None = None
    identifier: Text | None = Field(None, description="Ontology identifier, such as GO:0022626.")
    metadata: FsArgs | None = None


class SelectionMap(Model):
    """A selection with its parts named."""

    select: OneOrMore | None = Field(None, description="Selectors, united. Without it: everything.")
    exclude: OneOrMore | None = Field(None, description="Selectors of what is left out again.")
    where: _mapping(Scalar) = Field(default_factory=dict, description="Portal metadata, equality.")  # type: ignore[valid-type]
    authors: OneOrMore | None = Field(None, description="Portal authors; each must be among the authors.")


def _selection_form(value: object) -> str:
    if isinstance(value, list | tuple):
        return "list"
    return "mapping" if isinstance(value, dict | SelectionMap) else "text"


Selection = Annotated[
    Annotated[Text, Tag("text")] | Annotated[tuple[Text, ...], Tag("list")] | Annotated[SelectionMap, Tag("mapping")],
    Discriminator(_selection_form),
]
"""``all``, ``none``, a selector, a list of selectors, or a mapping."""


class Rename(Model):
    """New names, by the source's names."""

    tomo_types: _mapping(Text) = Field(default_factory=dict)  # type: ignore[valid-type]
    objects: _mapping(Text) = Field(default_factory=dict)  # type: ignore[valid-type]


class Layer(Model):
    """One slice of one source."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["export"]}, {"required": ["append"]}]})

    export: Text | None = Field(None, description="The source of the first layer.")
    append: Text | None = Field(None, description="The source of any further layer.")
    runs: Selection | None = None
    tomograms: Selection | None = None
    features: Selection | None = None
    picks: Selection | None = None
    meshes: Selection | None = None
    segmentations: Selection | None = None
    objects: Selection | None = None
    others: Literal["include", "exclude"] = Field("include", description="What happens to types not named here.")
    rename: Rename = Rename()
    run_name: Text | None = Field(
        None, description="Template of run names, over the portal's Run. Portal sources only."
    )
    session_id: Text | None = Field(
        None, description="Template of session ids, over the portal's Annotation. Portal sources only."
    )
    split: _mapping(OneOrMore) = Field(default_factory=dict)  # type: ignore[valid-type]
    on_collision: Literal["error", "first", "last"] = Field(
        "error", description="What happens to two rows of this layer with one key."
    )
    allow_empty: StrictBool = Field(False, description="Let a selector match nothing.")

    @model_validator(mode="after")
    def _one_source(self) -> Layer:
        if (self.export is None) == (self.append is None):
            raise _problem("a layer has exactly one of export and append, with the name of a source")
        return self

    @property
    def source(self) -> str:
        return self.export or self.append or ""

    @property
    def operation(self) -> Literal["export", "append"]:
        return "export" if self.export is not None else "append"


def _ratios(value: dict[str, float]) -> dict[str, float]:
    if not value or any(not r >= 0 for r in value.values()) or not any(value.values()):
        raise _problem("ratios must be numbers from 0 up, at least one above 0")
    total = sum(value.values())
    if abs(total - 1) > 1e-9:
        raise _problem(f"ratios add up to {total:g}, not 1", "such as {train: 0.8, val: 0.1, test: 0.1}")
    return value


class RandomSplit(Model):
    """Assigns every run not yet assigned by a hash of seed and run (or group)."""

    ratios: Annotated[
        dict[str, float],
        AfterValidator(_ratios),
        AfterValidator(_freeze),
        PlainSerializer(dict, return_type=dict[str, Any]),
    ]
    seed: StrictInt
    group: Text | None = Field(
        None, description="Pattern of run names; runs whose first group (or match) is equal stay together."
    )


class Splits(Model):
    """Which runs belong to which split."""

    assign: _mapping(OneOrMore) = Field(default_factory=dict, description="Runs by name or pattern.")  # type: ignore[valid-type]
    file: Text | None = Field(None, description="A CSV with the columns split,run, relative to the recipe file.")
    random: RandomSplit | None = None
    unassign: OneOrMore | None = Field(None, description="Runs that are in no split after all.")


Count = StrictInt | StrictStr
CountByName = Annotated[
    Annotated[Count, Tag("count")] | Annotated[_mapping(Count), Tag("mapping")],
    Discriminator(lambda v: "mapping" if isinstance(v, Mapping) else "count"),
]


class Expect(Model):
    """Counts that must hold: a number, ``">= 10"``, ``"1..2"``; for all rows or by name."""

    runs: Count | None = None
    tomograms: CountByName | None = Field(None, description="All, or by tomogram type.")
    features: CountByName | None = Field(None, description="All, or by feature type.")
    picks: CountByName | None = Field(None, description="All, or by object.")
    meshes: CountByName | None = Field(None, description="All, or by object.")
    segmentations: CountByName | None = Field(None, description="All, or by name.")
    objects: Count | None = Field(None, description="Density maps.")
    voxel_spacings: CountByName | None = Field(None, description="All, or by voxel size in Å.")
    splits: CountByName | None = Field(None, description="Runs in any split, or by split.")


class Recipe(Model):
    """What a Croissant must hold."""

    recipe: Literal[1] = Field(description="Format version.")
    name: Name = Field(description="Names the recipe.")
    params: _mapping(Scalar) = Field(default_factory=dict, description="Parameters and their defaults.")  # type: ignore[valid-type]
    dataset: Dataset | None = None
    base: Text | None = Field(None, description="An existing Croissant to start from.")
    output: Output
    sources: Annotated[dict[str, Source], Field(min_length=1)]
    objects: dict[str, ObjectOverride] = Field(default_factory=dict, description="Overrides of pickable objects.")
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    splits: Splits = Splits()
    expect: Expect = Expect()


def json_schema() -> dict[str, Any]:
    """The JSON Schema of format version 1, for editors."""
    schema = Recipe.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"croissant-recipe, format version {FORMAT_VERSION}"
    return schema
