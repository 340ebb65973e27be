"""The recipe as frozen pydantic models: format version 1, extras refused.

Field descriptions are the reference documentation: ``croissant-recipe schema`` prints them as JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import joined
from croissant_recipes.language import recipe_fields as fields
from croissant_recipes.language import recipe_schema
from croissant_recipes.language.recipe_fields import (
    AnyCount,
    AnyScalar,
    BaseUrl,
    Channel,
    CountByName,
    CountOrLevels,
    FrozenMap,
    FsArgs,
    IsoDate,
    Levels,
    License,
    Model,
    Name,
    Number,
    OneOrMore,
    OneOrMoreDates,
    Orcid,
    PageUrl,
    PositiveNumber,
    Text,
    Version,
    exactly_one,
    nothing,
    one_or_more,
    problem,
)
from croissant_recipes.language.selectors import FORMS
from croissant_recipes.language.source_kinds import Source

FORMAT_VERSION = 1

ModelT = TypeVar("ModelT", bound=Model)

Scalar = fields.Scalar
Count = fields.Count


class Creator(Model):
    """A person or an organisation."""

    name: Text = Field(description="Full name of the person or organisation.")
    url: PageUrl | None = Field(None, description="Home page.")
    email: Text | None = Field(None, description="Where questions go.")
    orcid: Orcid | None = Field(None, description="Makes the creator a person; its 16-digit id or its URL.")
    affiliation: Text | None = Field(None, description="Makes the creator a person; the name of the organisation.")


class Rai(Model):
    """Croissant RAI vocabulary, in snake_case; the fields and forms of ``RAI_FIELDS``."""

    annotations_per_item: Text | None = None
    annotator_demographics: OneOrMore | None = None
    data_annotation_analysis: OneOrMore | None = None
    data_annotation_platform: OneOrMore | None = None
    data_annotation_protocol: OneOrMore | None = None
    data_biases: OneOrMore | None = None
    data_collection: Text | None = None
    data_collection_missing_data: Text | None = None
    data_collection_raw_data: Text | None = None
    data_collection_timeframe: OneOrMoreDates | None = None
    data_collection_type: OneOrMore | None = None
    data_imputation_protocol: Text | None = None
    data_limitations: OneOrMore | None = None
    data_manipulation_protocol: Text | None = None
    data_preprocessing_protocol: OneOrMore | None = None
    data_release_maintenance_plan: Text | None = None
    data_social_impact: Text | None = None
    data_use_cases: OneOrMore | None = None
    machine_annotation_tools: OneOrMore | None = None
    personal_sensitive_information: OneOrMore | None = None


REQUIRED_OF_DATASET = ("name", "description", "license", "date_published")
"""Keys of ``dataset`` that a recipe may leave open only where a source fills them. Nothing fills the version."""


class Dataset(Model):
    """Dataset-level Croissant metadata. A build never reads the clock, so the date is written here."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["from"]}, {"required": list(REQUIRED_OF_DATASET)}]}
    )

    from_: Literal["portal"] | None = Field(
        None,
        alias="from",
        description="`portal`: what is left open is filled from the portal's datasets and depositions that are used.",
    )
    name: Text | None = Field(None, description="Name of the dataset. Required.")
    description: Text | None = Field(None, description="What the dataset holds, in a few sentences. Required.")
    version: Version = Field(description="Semantic version of the dataset.")
    license: License | None = Field(None, description="SPDX id or URL. Required.")
    date_published: IsoDate | None = Field(None, description="Year-month-day. Required.")
    cite_as: Text | None = Field(None, description="A citation, best as BibTeX.")
    url: PageUrl | None = Field(None, description="The dataset's page. The Croissant specification asks for it.")
    keywords: tuple[Text, ...] = Field((), description="Plain words.")
    creators: tuple[Creator, ...] = Field((), description="The Croissant specification asks for at least one.")
    publisher: Creator | None = Field(None, description="Who publishes it, where that is not who made it.")
    date_created: IsoDate | None = Field(None, description="Year-month-day.")
    date_modified: IsoDate | None = Field(None, description="Year-month-day.")
    publications: tuple[PageUrl, ...] = Field(
        (), description="What was published about the dataset, such as https://doi.org/10.1234/5678."
    )
    same_as: tuple[PageUrl, ...] = Field((), description="Other pages about the same dataset.")
    in_language: tuple[Text, ...] = Field((), description="Languages of its texts, such as en.")
    rai: Rai | None = Field(None, description="Croissant RAI vocabulary, in snake_case.")


class Project(Model):
    """What ``copick:config`` calls the copick project that a reader opens."""

    name: Text | None = Field(None, description="Instead of the name that the exported project or the base has.")
    description: Text | None = Field(None, description="Instead of its description.")


class Output(Model):
    """Where the Croissant is written and where it will be read."""

    project_root: Text = Field(description="Relative to the recipe file, or any fsspec URL. Croissant/ goes below it.")
    base_url: BaseUrl | None = Field(
        None,
        description="URL that resolves to project_root when the Croissant is read. "
        "Without it the Croissant is relocatable.",
    )
    fs_args: FsArgs = Field(default_factory=nothing, description="fsspec keyword arguments for project_root.")
    parquet: StrictBool = Field(False, description="Write Parquet beside each CSV and back the record sets with it.")
    unused_objects: Literal["keep", "drop"] = Field(
        "keep", description="Whether pickable objects that no row is of are listed."
    )
    labels: Literal["dense"] | None = Field(
        None,
        description="Number the objects that have rows from 1, but for labels that `objects` gives. "
        "Without it, objects have the labels of their sources.",
    )


class NamedOutput(Output):
    """One of several results of a recipe, and what it does not show."""

    withhold: FrozenMap[OneOrMore] = Field(
        default_factory=nothing,
        description="Artifact types, by split: rows of these of its runs are not in this result.",
    )
    mask_runs: FrozenMap[Text] = Field(
        default_factory=nothing, description="Patterns of other names for runs, by split, such as run-{n:03}."
    )
    mask_key: Text | None = Field(
        None,
        description="What the order of the masked names is drawn by; without it, the recipe. "
        "Whoever knows it and the runs can tell which is which.",
    )


_LARGEST_LABEL = 2**32 - 1
"""The largest value of a voxel in a segmentation."""


def _holds_large_number(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_large_number(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(map(_holds_large_number, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


class ObjectOverride(Model):
    """Attributes of one pickable object that the recipe sets itself (fields of copick's PickableObject)."""

    is_particle: StrictBool | None = Field(None, description="Whether it is picked as points.")
    label: Annotated[StrictInt, Field(gt=0, le=_LARGEST_LABEL)] | None = Field(
        None, description="Number in multilabel segmentations."
    )
    color: tuple[Channel, ...] | None = Field(None, description="RGBA, 0 to 255.", min_length=4, max_length=4)
    radius: PositiveNumber | None = Field(None, description="Radius in Å.")
    map_threshold: Number | None = Field(None, description="Contour level of its density map.")
    emdb_id: Text | None = Field(None, description="Such as EMD-3883.")
    pdb_id: Text | None = Field(None, description="Such as 4V6X.")
    identifier: Text | None = Field(None, description="Ontology identifier, such as GO:0022626.")
    metadata: FsArgs | None = Field(None, description="Anything else.")

    @field_validator("metadata")
    @classmethod
    def _can_be_read(cls, value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Readers of JSON take no larger number."""
        if _holds_large_number(value):
            raise problem("must hold no whole number of more than 64 bits", "write it in quotes")
        return value


class SelectionMap(Model):
    """A selection with its parts named."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    select: OneOrMore | None = Field(None, description="Selectors, united. Without it: everything.")
    exclude: OneOrMore | None = Field(None, description="Selectors of what is left out again.")

    @model_validator(mode="after")
    def _not_blank(self) -> SelectionMap:
        if not self.model_fields_set:
            raise problem("must say what is taken", "write `all`, or select, exclude, where or authors")
        return self


class PortalSelectionMap(SelectionMap):
    """A selection with its parts named, by portal metadata too."""

    where: FrozenMap[AnyScalar] = Field(default_factory=nothing, description="Portal metadata, equality.")
    authors: OneOrMore | None = Field(None, description="Portal authors; each must be among the authors.")


HeldType = Literal["tomograms", "features", "picks", "meshes", "segmentations"]


class HeldRows(Model):
    """Rows of one type that a selector takes."""

    model_config = exactly_one(*get_args(HeldType))

    tomograms: Text | None = Field(None, description=f"A selector of the form {FORMS['tomograms']}.")
    features: Text | None = Field(None, description=f"A selector of the form {FORMS['features']}.")
    picks: Text | None = Field(None, description=f"A selector of the form {FORMS['picks']}.")
    meshes: Text | None = Field(None, description=f"A selector of the form {FORMS['meshes']}.")
    segmentations: Text | None = Field(None, description=f"A selector of the form {FORMS['segmentations']}.")

    @model_validator(mode="after")
    def _one_type(self) -> HeldRows:
        if len(self.model_fields_set) != 1:
            given = joined(sorted(self.model_fields_set)) or "none"
            raise problem(f"must name one type, not {given}", "write one item for each, such as [{picks: ribosome}]")
        return self


def _held_form(value: object) -> str:
    return "<mapping>" if isinstance(value, dict | HeldRows) else one_or_more(value)


def _alone(value: Any) -> Any:
    """A list of one is that one."""
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


_HeldForms = Annotated[HeldType, Tag("<text>")] | Annotated[HeldRows, Tag("<mapping>")]
HeldItem = Annotated[_HeldForms, Discriminator(_held_form)]
Held = Annotated[
    _HeldForms | Annotated[tuple[HeldItem, ...], Field(min_length=1), Tag("<list>")],
    Discriminator(_held_form),
    AfterValidator(_alone),
]
"""Types of which the layer takes a row of a run, or selectors of one; one or several."""


class RunSelectionMap(SelectionMap):
    """A selection of runs with its parts named, by what the layer takes of them too."""

    having: Held | None = Field(
        None, description="Only runs of which the layer itself takes a row of each type named, or of each selector."
    )
    lacking: Held | None = Field(None, description="Only runs of which the layer itself takes no such row.")


def _selection_form(value: object) -> str:
    return "<mapping>" if isinstance(value, dict | SelectionMap) else one_or_more(value)


_Selectors = Annotated[Text, Tag("<text>")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("<list>")]

Selection = Annotated[_Selectors | Annotated[SelectionMap, Tag("<mapping>")], Discriminator(_selection_form)]
"""``all``, ``none``, a selector, a list of selectors, or a mapping."""

PortalSelection = Annotated[
    _Selectors | Annotated[PortalSelectionMap, Tag("<mapping>")], Discriminator(_selection_form)
]


class RunsMap(Model):
    """Runs by what is known of them. What is said of them must all hold."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    where: FrozenMap[AnyScalar] = Field(default_factory=nothing, description="Fields of the portal's Run, equality.")
    source: Text | None = Field(None, description="A source whose layers bring them.")

    @model_validator(mode="after")
    def _not_blank(self) -> RunsMap:
        if not self.where and self.source is None:
            raise problem("must say which runs are meant", "such as `where: {dataset_id: 10440}`, or `source: lab`")
        return self


def _run_form(value: object) -> str:
    return "<mapping>" if isinstance(value, Mapping | RunsMap) else "<text>"


def _runs_form(value: object) -> str:
    return "<list>" if isinstance(value, list | tuple) else _run_form(value)


_OfRuns = Annotated[Text, Tag("<text>")] | Annotated[RunsMap, Tag("<mapping>")]

Runs = Annotated[
    _OfRuns | Annotated[tuple[Annotated[_OfRuns, Discriminator(_run_form)], ...], Field(min_length=1), Tag("<list>")],
    Discriminator(_runs_form),
]
"""A name or pattern of runs, a mapping, or a list of these: their union."""


RunSelection = Annotated[_Selectors | Annotated[RunSelectionMap, Tag("<mapping>")], Discriminator(_selection_form)]


class Rename(Model):
    """New names, by the names that there are, or by patterns of them."""

    tomo_types: FrozenMap[Text] = Field(default_factory=nothing, description="Of tomogram types.")
    objects: FrozenMap[Text] = Field(
        default_factory=nothing, description="Of objects, in picks, meshes, segmentations and density maps."
    )
    users: FrozenMap[Text] = Field(default_factory=nothing, description="Of users, in picks, meshes and segmentations.")
    sessions: FrozenMap[Text] = Field(
        default_factory=nothing, description="Of sessions, in picks, meshes and segmentations."
    )


def _each_once(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Sources of a layer; a list of one is that one."""
    if isinstance(value, str):
        return value
    again = next((name for i, name in enumerate(value) if name in value[:i]), None)
    if again is not None:
        raise problem(f"must name each source once, not {again!r} twice", "leave one of them out")
    return value[0] if len(value) == 1 else value


Sources = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[tuple[Text, ...], Field(min_length=1, json_schema_extra={"uniqueItems": True}), Tag("<list>")],
    Discriminator(one_or_more),
    AfterValidator(_each_once),
]


def _selectors_of(artifact: str) -> str:
    return f"`all`, `none`, or selectors of the form {FORMS[artifact]}."


class Layer(Model):
    """One slice of one source, or of several."""

    model_config = exactly_one("export", "append")

    export: Sources | None = Field(None, description="The source of the first layer, or several in order.")
    append: Sources | None = Field(None, description="The source of any further layer, or several in order.")
    runs: RunSelection | None = Field(None, description="Names or patterns of the runs that the layer reads at all.")
    tomograms: PortalSelection | None = Field(None, description=_selectors_of("tomograms"))
    features: Selection | None = Field(None, description=_selectors_of("features"))
    picks: PortalSelection | None = Field(None, description=_selectors_of("picks"))
    meshes: Selection | None = Field(None, description=_selectors_of("meshes"))
    segmentations: PortalSelection | None = Field(None, description=_selectors_of("segmentations"))
    objects: Selection | None = Field(None, description="Names or patterns of density maps.")
    others: Literal["include", "exclude"] = Field("include", description="What happens to types not named here.")
    rename: Rename = Field(default_factory=Rename, description="New names, by the source's names.")
    run_name: Text | None = Field(
        None, description="Template of run names, over the portal's Run. Portal sources only."
    )
    session_id: Text | None = Field(
        None, description="Template of session ids, over run, user, session, object and what else the source has."
    )
    user_id: Text | None = Field(None, description="Template of user ids, over the same fields.")
    split: FrozenMap[Runs] = Field(default_factory=nothing, description="Runs of this layer, by split.")
    on_collision: Literal["error", "first", "last"] = Field(
        "error", description="What happens to two rows of this layer with one key."
    )
    allow_empty: StrictBool = Field(False, description="Let a selector match nothing.")

    @model_validator(mode="after")
    def _one_source(self) -> Layer:
        if (self.export is None) == (self.append is None):
            given = "neither" if self.export is None else "both"
            raise problem(f"a layer names its source under export or append, not {given}", "such as `export: lab`")
        return self

    @property
    def source(self) -> str:
        """The name of its source; of several, the first."""
        return self.sources[0]

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of its sources, in order."""
        given = self.export or self.append or ()
        return (given,) if isinstance(given, str) else given

    @property
    def operation(self) -> Literal["export", "append"]:
        return "export" if self.export is not None else "append"


def _ratios(value: Mapping[str, float]) -> Mapping[str, float]:
    total = sum(value.values())
    if abs(total - 1) > 1e-9:
        raise problem(f"must add up to 1, not {total:g}", "such as {train: 0.8, val: 0.1, test: 0.1}")
    return value


class RandomSplit(Model):
    """Assigns every run not yet assigned: by a hash of seed and run (or group), or stratified."""

    model_config = exactly_one("ratios", "folds")

    ratios: Annotated[FrozenMap[Annotated[Number, Field(ge=0)]], AfterValidator(_ratios)] | None = Field(
        None, description="The share of runs by split; together 1."
    )
    folds: Annotated[StrictInt, Field(ge=2, le=1000)] | None = Field(
        None,
        validate_default=True,
        description="Instead of ratios: this many splits, fold-1, fold-2 and so on, with equal shares.",
    )
    seed: StrictInt = Field(description="Another seed, another draw.")
    stratify: Literal["picks", "segmentations"] | None = Field(
        None, description="Give every split its share of the rows of each object of this type."
    )
    group: Text | None = Field(
        None, description="Pattern of run names; runs whose first group (or match) is equal stay together."
    )

    @field_validator("folds")
    @classmethod
    def _one_way(cls, folds: int | None, given: ValidationInfo) -> int | None:
        # Not of the whole model: that would be looked at only once everything else is right.
        if "ratios" in given.data and given.data["ratios"] is None and folds is None:
            hint = "write `ratios:`, such as {train: 0.8, val: 0.2}, or `folds: 5`"
            raise problem("names no splits: ratios or folds is missing", hint, Code.MISSING_KEY)
        if given.data.get("ratios") is not None and folds is not None:
            raise problem("stands beside ratios", "keep ratios for splits of your own, or folds for equal ones")
        return folds

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of each split."""
        if self.folds is None:
            return self.ratios or {}
        return {f"fold-{i}": 1 / self.folds for i in range(1, self.folds + 1)}


class Splits(Model):
    """Which runs belong to which split."""

    clear: StrictBool = Field(
        False, description="Start without the splits that runs bring from the base and from Croissant sources."
    )
    assign: FrozenMap[Runs] = Field(
        default_factory=nothing, description="Runs by name or pattern, by portal metadata, or by source."
    )
    file: Text | None = Field(None, description="A CSV with the columns split,run, relative to the recipe file.")
    random: RandomSplit | None = Field(None, description="Assigns every run not yet assigned.")
    unassign: Runs | None = Field(None, description="Runs that are in no split after all.")


class ExpectOfRun(Model):
    """Counts of what runs hold: a number, ``">= 10"``, ``"1..2"``; of all of a type or by name."""

    tomograms: CountByName | None = Field(None, description="All, or by tomogram type.")
    features: CountByName | None = Field(None, description="All, or by feature type.")
    picks: CountByName | None = Field(None, description="All, or by object.")
    meshes: CountByName | None = Field(None, description="All, or by object.")
    segmentations: CountByName | None = Field(None, description="All, or by name.")
    voxel_spacings: CountByName | None = Field(None, description="All, or by voxel size in Å.")


class ExpectOfSplit(ExpectOfRun):
    """Counts of the runs of one split, and of what they hold."""

    runs: CountOrLevels | None = Field(None, description="All runs.")


def _split_form(value: object) -> str:
    if fields.gives_levels(value):
        return "<levels>"
    return "<mapping>" if isinstance(value, Mapping | ExpectOfSplit) else "<count>"


def _splits_form(value: object) -> str:
    return "<levels>" if fields.gives_levels(value) else "<splits>" if isinstance(value, Mapping) else "<count>"


_ExpectOfOneSplit = Annotated[
    Annotated[AnyCount, Tag("<count>")]
    | Annotated[Levels, Tag("<levels>")]
    | Annotated[ExpectOfSplit, Tag("<mapping>")],
    Discriminator(_split_form),
]
_ExpectOfSplits = Annotated[
    Annotated[AnyCount, Tag("<count>")]
    | Annotated[Levels, Tag("<levels>")]
    | Annotated[FrozenMap[_ExpectOfOneSplit], Tag("<splits>")],
    Discriminator(_splits_form),
]


class ExpectOfPoints(Model):
    """What must hold of the points of every pick."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    inside: StrictBool = Field(False, description="All are in the box of a tomogram of their run.")
    at_least: Annotated[StrictInt, Field(gt=0)] | None = Field(None, description="How many there are at least.")
    apart: PositiveNumber | None = Field(None, description="The smallest distance between two of them, in Å.")

    @model_validator(mode="after")
    def _not_blank(self) -> ExpectOfPoints:
        return _says_something(self, "such as {inside: true, at_least: 1, apart: 20.0}")


class ExpectOfArrays(Model):
    """What must hold of arrays, by their metadata."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    same_shape: StrictBool = Field(
        False, description="A segmentation has the shape of a tomogram of its run and voxel size."
    )
    voxel_size: StrictBool = Field(
        False, description="The voxel size that an array's own file states is that of its row."
    )

    @model_validator(mode="after")
    def _not_blank(self) -> ExpectOfArrays:
        return _says_something(self, "such as {same_shape: true, voxel_size: true}")


class PointLevels(Model):
    """What must hold of the points of every pick, by how much it matters."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    warn: ExpectOfPoints | None = Field(None, description="A warning where it does not hold.")
    fail: ExpectOfPoints | None = Field(None, description="An error where it does not hold.")


class ArrayLevels(Model):
    """What must hold of arrays, by how much it matters."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    warn: ExpectOfArrays | None = Field(None, description="A warning where it does not hold.")
    fail: ExpectOfArrays | None = Field(None, description="An error where it does not hold.")


def _says_something(model: ModelT, such_as: str) -> ModelT:
    if not model.model_fields_set:
        raise problem("must say what is expected", such_as, Code.EXPECTATION_SYNTAX)
    return model


def _data_form(value: object) -> str:
    levels = isinstance(value, Mapping) and bool(value) and value.keys() <= set(fields.LEVELS)
    return "<levels>" if levels or isinstance(value, PointLevels | ArrayLevels) else "<mapping>"


_ExpectOfPoints = Annotated[
    Annotated[ExpectOfPoints, Tag("<mapping>")] | Annotated[PointLevels, Tag("<levels>")], Discriminator(_data_form)
]
_ExpectOfArrays = Annotated[
    Annotated[ExpectOfArrays, Tag("<mapping>")] | Annotated[ArrayLevels, Tag("<levels>")], Discriminator(_data_form)
]


class Expect(ExpectOfSplit):
    """What must hold, or nothing is written: counts, of all of a type or by name."""

    objects: CountOrLevels | None = Field(None, description="Density maps.")
    splits: _ExpectOfSplits | None = Field(
        None, description="Runs in any split, or by split; or what the runs of a split hold."
    )
    each_run: ExpectOfRun | None = Field(None, description="What each run holds.")
    points: _ExpectOfPoints | None = Field(None, description="The points of every pick.")
    arrays: _ExpectOfArrays | None = Field(None, description="The arrays of tomograms, features and segmentations.")


class Recipe(Model):
    """What a Croissant must hold. One that starts from a base needs neither sources nor layers."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["dataset"]},
                {"required": ["base"]},
                {"required": ["include"], "not": {"anyOf": [{"required": ["dataset"]}, {"required": ["base"]}]}},
            ],
            "anyOf": [
                {"required": ["base"]},
                {
                    "required": ["sources", "layers"],
                    "properties": {"sources": {"minProperties": 1}, "layers": {"minItems": 1}},
                },
            ],
            "allOf": [
                {
                    "oneOf": [
                        {"required": ["output"]},
                        {"required": ["outputs"], "properties": {"outputs": {"minProperties": 1}}},
                    ]
                }
            ],
        }
    )

    recipe: Literal[1] = Field(description="Format version.")
    name: Name = Field(description="Names the recipe.")
    include: OneOrMore | None = Field(
        None, description="Fragments with what recipes share: paths, relative to the file that includes them."
    )
    params: FrozenMap[AnyScalar] = Field(default_factory=nothing, description="Parameters and their defaults.")
    dataset: Dataset | None = Field(None, description="Dataset-level metadata; required unless there is a base.")
    base: Text | None = Field(None, description="An existing Croissant to start from.")
    project: Project = Field(default_factory=Project, description="What readers call the copick project.")
    output: Output | None = Field(None, description="Where the Croissant is written and where it will be read.")
    outputs: FrozenMap[NamedOutput] = Field(
        default_factory=nothing, description="Several Croissants of one plan, by name, instead of output."
    )
    sources: FrozenMap[Source] = Field(
        default_factory=nothing,
        description="Where artifacts come from, by a name that layers use; required unless there is a base.",
    )
    objects: FrozenMap[ObjectOverride] = Field(
        default_factory=nothing, description="Overrides of pickable objects, by output name."
    )
    rename: Rename = Field(
        default_factory=Rename, description="New names in every layer whose own rename does not say otherwise."
    )
    layers: tuple[Layer, ...] = Field(
        (), description="Slices of sources, applied in order; required unless there is a base."
    )
    splits: Splits = Field(default_factory=Splits, description="Which runs belong to which split.")
    expect: Expect = Field(default_factory=Expect, description="What must hold, or nothing is written.")


def _at_least_one(sources: Mapping[str, Source]) -> Mapping[str, Source]:
    if not sources:
        raise problem("must declare a source", "such as {lab: {copick: {config: filesystem.json}}}")
    return sources


class RecipeFromSources(Recipe):
    """A recipe without a base: what is in the Croissant, its layers bring in."""

    sources: Annotated[FrozenMap[Source], AfterValidator(_at_least_one)]
    layers: tuple[Layer, ...] = Field(min_length=1)


FRAGMENT_KEYS = ("include", "dataset", "objects", "rename", "splits", "expect")
"""The keys of a recipe that fragments, which recipes share, can have too."""

_IN_PARTS: Mapping[str, tuple[str, ...]] = {"Dataset": ("dataset",), "RandomSplit": ("splits", "random")}
"""Models that must have some keys, of which fragments and recipes may each have a part, and where they stand."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the format version, for editors: of draft 7, which all of them know."""
    schema, whole = _schema("croissant-recipe")
    alone: dict[str, Any] = {}
    for model, path in _IN_PARTS.items():
        recipe_schema.put_at(alone, path, whole[model])
    # What a recipe includes may have the rest.
    return schema | {"if": {"not": {"required": ["include"]}}, "then": alone}


def fragment_json_schema() -> dict[str, Any]:
    """The JSON Schema of fragments."""
    schema, _ = _schema("fragment of a croissant-recipe")
    return {
        **{key: schema[key] for key in ("$schema", "title", "additionalProperties")},
        "description": "What recipes share. A recipe that includes it may say the rest, or something else.",
        "minProperties": 1,
        "properties": {key: schema["properties"][key] for key in FRAGMENT_KEYS},
        "type": "object",
        "$defs": recipe_schema.used(schema["$defs"], [schema["properties"][key] for key in FRAGMENT_KEYS]),
    }


def _schema(what: str) -> tuple[dict[str, Any], dict[str, recipe_schema.Schema]]:
    """The schema of recipes, and which keys parts of it must have only where they are whole."""
    about = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"{what}, format version {FORMAT_VERSION}",
    }
    schema: dict[str, Any] = about | recipe_schema.for_editors(Recipe.model_json_schema(mode="validation"))
    definitions: dict[str, Any] = schema["$defs"]
    return schema, {name: recipe_schema.taken_from(definitions[name]) for name in _IN_PARTS}
