"""The Croissant manifest, ``metadata.json``: copick opens it, and ``mlcroissant validate`` passes it in silence.

It is built from mlcroissant's own classes. What they cannot hold (copick's keys, some schema.org ones) is added to
their JSON, and the whole is then read by mlcroissant as its validator does.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mlcroissant as mlc

from croissant_recipes.codes import Code
from croissant_recipes.croissant.masked_names import NAMES_FILE
from croissant_recipes.croissant.provenance import DERIVED_FROM, GENERATED_BY, TERMS, Provenance, added
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.language.rai import RAI_CONFORMS_TO, RAI_FIELDS
from croissant_recipes.location import Location, is_url
from croissant_recipes.schema import RECORD_SETS, STANDARD_SPLITS, RecordSet

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
SPLITS_ID = "copick/splits"

_CROISSANT_VERSION = re.compile(r"http://mlcommons\.org/croissant/\d")
_DATA_TYPES = {"sc:Text": mlc.DataType.TEXT, "sc:Float": mlc.DataType.FLOAT, "sc:Boolean": mlc.DataType.BOOL}
_DATASET_TYPES = frozenset({"Dataset", "sc:Dataset", "http://schema.org/Dataset", "https://schema.org/Dataset"})
_SPLIT_TYPE = "http://mlcommons.org/croissant/Split"
_SPLIT_URL_TYPE = f"{mlc.constants.WIKIDATA}Q3985153"

_TERMS = {
    "arrayShape": "cr:arrayShape",
    "containedIn": "cr:containedIn",
    "description": {"@container": "@language"},
    "isArray": "cr:isArray",
    "name": {"@container": "@language"},
    "sdVersion": "cr:sdVersion",
    "wd": str(mlc.constants.WIKIDATA),
    **TERMS,
    "copick": "https://copick.org/schema/",
    "copick:baseUrl": "copick:baseUrl",
    "copick:config": {"@id": "copick:config", "@type": "@json"},
}
"""Terms beside those that every version of Croissant has: those of 1.1, then copick's."""

_FIELDS_OF_MLCROISSANT = {
    "name": "name",
    "description": "description",
    "version": "version",
    "license": "license",
    "date_published": "date_published",
    "date_created": "date_created",
    "date_modified": "date_modified",
    "url": "url",
    "keywords": "keywords",
    "same_as": "same_as",
    "in_language": "in_language",
    "sd_license": "sd_licence",
}
"""Keys of a recipe's dataset block, and what mlcroissant's Metadata calls them."""

_LISTS = frozenset({"keywords", "same_as", "in_language"})

_SCHEMA_ORG = {
    "identifier": "identifier",
    "measurement_technique": "measurementTechnique",
    "usage_info": "usageInfo",
    "publications": "citation",
}
"""Keys that mlcroissant does not know and leaves alone."""

_DESCRIPTIONS = {
    "runs": "The runs, each one imaged position of the sample.",
    "voxel_spacings": "The voxel sizes at which a run has data.",
    "tomograms": "Tomograms, OME-Zarr.",
    "features": "Voxel-wise features of tomograms, OME-Zarr.",
    "picks": "Sets of picked points, copick JSON or portal NDJSON.",
    "meshes": "Surfaces, GLB.",
    "segmentations": "Binary and multilabel segmentations, OME-Zarr.",
    "instance_segmentations": "Instance segmentations, OME-Zarr.",
    "panoptic_segmentations": "Panoptic segmentations, OME-Zarr.",
    "objects": "Density maps of pickable objects, OME-Zarr.",
}

_COLUMN_DESCRIPTIONS = {
    "run": "Name of the run.",
    "voxel_size": "Voxel size in Å.",
    "tomo_type": "Type of tomogram.",
    "feature_type": "Type of feature.",
    "user_id": "The user or tool that made it.",
    "session_id": "The session in which it was made.",
    "object_name": "Name of the pickable object.",
    "is_multilabel": "Whether labels of several objects share the volume.",
    "url": "Where the file is, absolute or relative to copick:baseUrl.",
    "sha256": "SHA-256 of the file, where it was computed.",
    "split": "The machine-learning split of the run.",
    "portal_run_id": "Id of the run in the CryoET Data Portal.",
    "portal_tomogram_id": "Id of the tomogram in the CryoET Data Portal.",
    "portal_annotation_id": "Id of the annotation in the CryoET Data Portal.",
    "portal_annotation_file_id": "Id of the annotation file in the CryoET Data Portal.",
    "portal_object_name": "The object as the CryoET Data Portal spells it.",
    "portal_tomo_type": "The type before it was renamed.",
    "portal_session_id": "The session before it was renamed.",
}

_NAME_DESCRIPTIONS = {"runs": "Name of the run.", "objects": "Name of the pickable object."}
_SEGMENTED = "Name of what is segmented."


@dataclass(frozen=True)
class FileEntry:
    """A file beside the manifest: its name, its size in bytes and the SHA-256 of its content in hex."""

    name: str
    size: int
    sha256: str


PARTS = ("distribution", "recordSet")
"""The keys of a manifest that list files and record sets."""


def standard_split_url(name: str) -> str:
    """The MLCommons definition of a standard split, empty for any other name."""
    return STANDARD_SPLITS.get(name.lower(), "")


def is_declared(record_set: str, rows: int) -> bool:
    """Whether a manifest lists a record set, given how many rows it has.

    One without rows is left out: a record set must have a first record for dataset checkers to pass, and copick opens a
    Croissant without it and declares it again with the first row it writes. Only ``runs`` is always there, because
    copick puts a new CSV beside one that the manifest names.
    """
    return rows > 0 or record_set == "runs"


def build_manifest(
    *,
    dataset: Mapping[str, Any] | None,
    base: Mapping[str, Any] | None,
    base_url: str | None,
    csv_base: str | None,
    config: Mapping[str, Any],
    rows: Mapping[str, int],
    files: Mapping[str, FileEntry],
    splits: Sequence[str],
    parquet: bool,
    provenance: Provenance | None = None,
    beside: Sequence[str] = (),
) -> bytes:
    """The text of ``metadata.json``; the same arguments give the same bytes.

    Record sets that are not declared (``is_declared``), and their file objects, are left out.

    Args:
        dataset: The recipe's dataset block, in snake_case. Exactly one of ``dataset`` and ``base`` is given.
        base: The manifest of an existing Croissant, whose metadata is kept as it is, unknown keys and their terms too,
            and so are files and record sets that are not copick's. Its context is completed and it conforms to this
            version of Croissant; copick's files, record sets and keys are replaced.
        base_url: ``copick:baseUrl``; without it the Croissant is relocatable.
        csv_base: An http(s) URL below which ``Croissant/picks.csv`` will be found; without it files are named relative
            to the manifest.
        config: ``copick:config``.
        rows: Number of rows by record set.
        files: The files beside the manifest by name: the CSV of each declared record set, its Parquet if ``parquet``.
        splits: Distinct names of splits in the order in which they are listed; with none there is no splits record set.
        provenance: What it was made from and by, where a recipe made it. What a base says of that stays.
        parquet: Read the record sets from Parquet. The CSVs, which copick writes to, stay declared.
        beside: Names of further CSVs, which are no record sets.

    Raises:
        DiagnosticError: METADATA_REFUSED, if mlcroissant does not accept the metadata. Of a ``dataset``, which the
            recipe can correct, it must not have a warning either.
        ValueError: If not exactly one of ``dataset`` and ``base`` is given.
    """
    if (dataset is None) == (base is None):
        raise ValueError("exactly one of dataset and base makes a manifest")
    outline = {
        "dataset": dataset,
        "base": None if base is None else _kept(base),
        "declared": [name for name in RECORD_SETS if is_declared(name, rows.get(name, 0))],
        "splits": list(splits),
        "parquet": parquet,
        "csv_base": csv_base,
        "provenance": provenance.outline if provenance else None,
        "beside": list(beside),
    }
    described = json.loads(_described(json.dumps(outline, ensure_ascii=False)))
    distribution = described.pop("distribution")
    for file_object in distribution:
        if _is_ours(file_object):
            entry = files[file_object["name"]]
            file_object |= {"contentSize": f"{entry.size} B", "sha256": entry.sha256}
    if provenance is not None:
        described[GENERATED_BY] = added(base or {}, GENERATED_BY, [provenance.activity])
    document = {
        **{key: value for key, value in described.items() if key != "recordSet"},
        **({"copick:baseUrl": base_url} if base_url else {}),
        "copick:config": dict(config),
        "distribution": distribution,
        "recordSet": described["recordSet"],
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


@lru_cache(maxsize=128)
def _described(outline: str) -> str:
    """The manifest, as JSON, but for what other rows or another place change: sizes and digests of files, and copick's
    own keys, of which ``copick:config`` is a JSON literal that nobody else looks into. mlcroissant takes longer to make
    and to check it than all else in a small build together, so it does so once for each outline, which is JSON too."""
    given = json.loads(outline)
    dataset, base, splits, parquet = given["dataset"], given["base"], given["splits"], given["parquet"]
    declared = [RECORD_SETS[name] for name in given["declared"]]
    ctx = _context(dataset or {})
    distribution = list(_file_objects(ctx, declared, given["csv_base"], given["beside"], parquet=parquet))
    record_sets = [_record_set(ctx, r, parquet=parquet, with_splits=bool(splits)) for r in declared]
    if splits:
        record_sets.append(_splits(ctx, splits))
    said = _from_base(ctx, base) if base is not None else _from_dataset(ctx, dataset or {}, distribution, record_sets)
    document = {
        **said,
        **(_made(base or {}, **given["provenance"]) if given["provenance"] else {}),
        "distribution": [*(node.to_json() for node in distribution), *others(base or {}, "distribution")],
        "recordSet": [*(_record_set_json(node) for node in record_sets), *others(base or {}, "recordSet")],
    }
    _check(document, with_warnings=base is None)
    return json.dumps(document, ensure_ascii=False)


SPLIT_TERMS: Mapping[str, Any] = {
    "cr": mlc.Rdf().context["cr"],
    "key": mlc.Rdf().context["key"],
    "wd": _TERMS["wd"],
}
"""Terms of the context that ``splits_record_set`` uses and a manifest of copick's may lack."""


def splits_record_set(names: Sequence[str]) -> dict[str, Any]:
    """The record set that lists splits, for a manifest that is there already."""
    return _record_set_json(_splits(_context({}), names))


def others(document: Mapping[str, Any], part: str) -> list[Any]:
    """The files (``distribution``) or record sets (``recordSet``) of a manifest that are not copick's."""
    return [entry for entry in _listed(document.get(part) or []) if not _is_ours(entry)]


def named_others(document: Mapping[str, Any]) -> dict[str, Any]:
    """All of them, by part and name: ``recordSet notes``."""
    return {f"{part} {_name(entry)}": entry for part in PARTS for entry in others(document, part)}


def with_others(document: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with these, as ``named_others`` has them, in the place of its own."""
    parts = {}
    for part in PARTS:
        ours = [entry for entry in _listed(document.get(part) or []) if _is_ours(entry)]
        parts[part] = [*ours, *(entry for name, entry in named.items() if name.startswith(f"{part} "))]
    return {**document, **parts}


def read_elsewhere(document: Mapping[str, Any], folder: Location) -> tuple[dict[str, Any], list[str]]:
    """A manifest as it has to be in another folder for its other files to be found, and the names of those that it then
    gives the whole place of.

    Args:
        document: A manifest.
        folder: The folder that it lies in, which a relative ``contentUrl`` starts at.
    """
    found, moved = named_others(document), []
    for name, entry in found.items():
        url = entry.get("contentUrl") if isinstance(entry, Mapping) and "containedIn" not in entry else None
        if isinstance(url, str) and url and not is_url(url) and not url.startswith("/"):
            found[name] = {**entry, "contentUrl": str(Location.parse(url, folder))}
            moved.append(url)
    return with_others(document, found) if moved else dict(document), moved


def _is_ours(entry: Any) -> bool:
    return isinstance(entry, Mapping) and str(entry.get("@id")) in _OURS


def _name(entry: Any) -> str:
    named = (entry.get("@id") or entry.get("name")) if isinstance(entry, Mapping) else None
    return str(named or json.dumps(entry, sort_keys=True))


def _context(dataset: Mapping[str, Any]) -> Any:
    ctx = mlc.Context(conforms_to=CONFORMS_TO, is_live_dataset=dataset.get("is_live_dataset") or None)
    ctx.rdf = mlc.Rdf(context={**mlc.Rdf().context, **_TERMS})
    return ctx


def _file_objects(
    ctx: Any, declared: Sequence[RecordSet], csv_base: str | None, beside: Sequence[str], *, parquet: bool
) -> Iterator[Any]:
    """The files, of no size and with no digest."""

    def one(id_: str, name: str, encoding: str) -> Any:
        return mlc.FileObject(
            ctx=ctx,
            id=id_,
            name=name,
            content_url=f"{csv_base.rstrip('/')}/Croissant/{name}" if csv_base else name,
            content_size="0 B",
            encoding_formats=[encoding],
            sha256="0" * 64,
        )

    for record_set in declared:
        yield one(record_set.file_object_id, record_set.csv_name, mlc.EncodingFormat.CSV)
    for record_set in declared if parquet else ():
        yield one(_parquet_id(record_set), record_set.parquet_name, mlc.EncodingFormat.PARQUET)
    for name in beside:
        yield one(_csv_id(name), name, mlc.EncodingFormat.CSV)


def _parquet_id(record_set: RecordSet) -> str:
    return record_set.file_object_id.removesuffix("-csv") + "-parquet"


def _csv_id(name: str) -> str:
    return f"{name.removesuffix('.csv').replace('_', '-')}-csv"


_OURS = frozenset(
    {
        SPLITS_ID,
        _csv_id(NAMES_FILE),
        *(i for r in RECORD_SETS.values() for i in (r.id, r.file_object_id, _parquet_id(r))),
    }
)


def _record_set(ctx: Any, record_set: RecordSet, *, parquet: bool, with_splits: bool) -> Any:
    source = _parquet_id(record_set) if parquet else record_set.file_object_id

    def field(column: str) -> Any:
        references = {}
        if with_splits and (record_set.name, column) == ("runs", "split"):
            references["references"] = mlc.Source(ctx=ctx, field=f"{SPLITS_ID}/name")
        return mlc.Field(
            ctx=ctx,
            id=f"{record_set.id}/{column}",
            name=column,
            description=_COLUMN_DESCRIPTIONS.get(column) or _NAME_DESCRIPTIONS.get(record_set.name, _SEGMENTED),
            data_types=[_DATA_TYPES[record_set.data_type(column)]],
            source=mlc.Source(ctx=ctx, file_object=source, extract=mlc.Extract(ctx=ctx, column=column)),
            **references,
        )

    return mlc.RecordSet(
        ctx=ctx,
        id=record_set.id,
        name=record_set.name,
        description=_DESCRIPTIONS[record_set.name],
        key=[f"{record_set.id}/{column}" for column in record_set.key],
        fields=[field(column) for column in record_set.columns],
    )


def _splits(ctx: Any, names: Sequence[str]) -> Any:
    """The splits in the form of the MLCommons examples: inline records of name and definition."""
    name, url = f"{SPLITS_ID}/name", f"{SPLITS_ID}/url"
    return mlc.RecordSet(
        ctx=ctx,
        id=SPLITS_ID,
        name="splits",
        description="Splits for machine learning, with the MLCommons definition of the standard ones.",
        data_types=[_SPLIT_TYPE],
        key=[name],
        fields=[
            mlc.Field(ctx=ctx, id=name, name="name", description="Name of the split.", data_types=[mlc.DataType.TEXT]),
            mlc.Field(
                ctx=ctx,
                id=url,
                name="url",
                description="Definition of a standard split, empty for others.",
                data_types=[mlc.DataType.URL, _SPLIT_URL_TYPE],
            ),
        ],
        data=[{name: split, url: standard_split_url(split)} for split in names],
    )


def _record_set_json(record_set: Any) -> dict[str, Any]:
    described: dict[str, Any] = record_set.to_json()
    if record_set.data:
        # to_json takes a single record out of its list, which its own reader then refuses.
        described["data"] = record_set.data
    return described


def _from_dataset(ctx: Any, dataset: Mapping[str, Any], distribution: Sequence[Any], record_sets: Sequence[Any]) -> Any:
    """Dataset-level metadata, context and types of a recipe's dataset block."""
    given = {key: value for key, value in dataset.items() if value not in (None, "", (), [], {})}
    rai = given.get("rai", {})
    known = {field: given[key] for key, field in _FIELDS_OF_MLCROISSANT.items() if key in given}
    extra = {term: _unboxed(given[key]) for key, term in _SCHEMA_ORG.items() if key in given}
    if "funder" in given:
        extra["funder"] = _unboxed([_agent(ctx, a).to_json() for a in _listed(given["funder"])])
    try:
        metadata = mlc.Metadata(
            ctx=ctx,
            **{field: _listed(value) if field in _LISTS else value for field, value in known.items()},
            conforms_to=[CONFORMS_TO, RAI_CONFORMS_TO] if rai else [CONFORMS_TO],
            cite_as=given.get("cite_as") or _citation(given),
            creators=[_agent(ctx, a) for a in given.get("creators", ())],
            publisher=[_agent(ctx, a) for a in _listed(given.get("publisher", ()))],
            **{key: _listed(v) if RAI_FIELDS[key] != "text" else v for key, v in rai.items()},
            extra_properties=extra,
            distribution=list(distribution),
            record_sets=list(record_sets),
        )
    except (mlc.ValidationError, ValueError) as error:
        raise _refused(str(error)) from error
    described = metadata.to_json()
    del described["distribution"], described["recordSet"]
    return described


def _made(base: Mapping[str, Any], origins: Sequence[dict[str, Any]], activity: dict[str, Any]) -> dict[str, Any]:
    """What a Croissant was made from and by. An entity that is called as the dataset itself would be the dataset."""
    named = [{k: v for k, v in o.items() if k != "@id" or v != base.get("@id")} for o in origins]
    from_ = added(base, DERIVED_FROM, named)
    return {**({DERIVED_FROM: from_} if from_ else {}), GENERATED_BY: added(base, GENERATED_BY, [activity])}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _unboxed(value: Any) -> Any:
    """schema.org wants one value plain and several as a list."""
    values = _listed(value)
    return values[0] if len(values) == 1 else values


def _agent(ctx: Any, agent: Mapping[str, Any]) -> Any:
    """A person if it is known to be one, by an ORCID or an affiliation too; else an organisation."""
    plain = {key: agent[key] for key in ("name", "url", "email") if agent.get(key)}
    orcid, affiliation = agent.get("orcid"), agent.get("affiliation")
    if not orcid and not affiliation and not agent.get("is_person"):
        return mlc.Organization(ctx=ctx, **plain)
    if orcid:
        plain["id"] = orcid if is_url(orcid) else f"https://orcid.org/{orcid}"
    if affiliation:
        plain["extra_properties"] = {"affiliation": {"@type": "sc:Organization", "name": affiliation}}
    return mlc.Person(ctx=ctx, **plain)


def _citation(dataset: Mapping[str, Any]) -> str:
    """What a dataset without ``cite_as`` is cited as: the validator asks for a citation."""
    authors = ", ".join(creator["name"] for creator in dataset.get("creators", ()))
    title = f"{dataset.get('name', '')}, version {dataset.get('version', '')}"
    parts = (authors, title, dataset.get("date_published"), dataset.get("url"))
    return ". ".join(part for part in parts if part)


def _kept(base: Mapping[str, Any]) -> dict[str, Any]:
    """What stays of an existing manifest."""
    kept = {key: value for key, value in base.items() if key not in ("copick:baseUrl", "copick:config")}
    return {**kept, **{part: others(base, part) for part in PARTS}}


def _from_base(ctx: Any, base: Mapping[str, Any]) -> dict[str, Any]:
    """Dataset-level metadata of an existing manifest, and a context in which it means the same."""
    kept = {
        key: _without_datasets(value) for key, value in base.items() if key not in ("@context", "conformsTo", *PARTS)
    }
    conforms_to = [v for v in _listed(base.get("conformsTo") or []) if not _CROISSANT_VERSION.match(str(v))]
    return {
        "@context": {**ctx.rdf.context, **_terms_beside(ctx.rdf.context, base.get("@context"))},
        "@type": kept.pop("@type", "sc:Dataset"),
        "conformsTo": _unboxed([CONFORMS_TO, *conforms_to]),
        **kept,
    }


def _without_datasets(value: Any) -> Any:
    """A copy in which a dataset within the metadata (what this one is based on, say) is a creative work, as every
    dataset is: mlcroissant takes any dataset that it meets for the one described."""
    if isinstance(value, list):
        return [_without_datasets(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    inner = {key: _without_datasets(item) for key, item in value.items()}
    if any(str(t) in _DATASET_TYPES for t in _listed(inner.get("@type"))):
        inner["@type"] = "sc:CreativeWork"
    return inner


def _terms_beside(standard: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Terms that only the existing context has, and its language. ``value`` is not one of them: with it mlcroissant
    reads constant fields as nothing."""
    terms: dict[str, Any] = {}
    for part in _listed(context):
        if isinstance(part, Mapping):
            terms |= part
    return {
        term: meaning
        for term, meaning in terms.items()
        if term == "@language" or (term not in standard and term not in ("value", "@base"))
    }


def _check(document: Mapping[str, Any], *, with_warnings: bool) -> None:
    ctx = mlc.Context()
    try:
        mlc.Metadata.from_json(ctx=ctx, json_=copy.deepcopy(dict(document)))
    except Exception as error:  # whatever way mlcroissant fails, it does not take the metadata
        raise _refused(str(error)) from error
    if ctx.issues.errors or (with_warnings and ctx.issues.warnings):
        raise _refused(ctx.issues.report())


def _refused(report: str) -> DiagnosticError:
    return DiagnosticError(
        Diagnostic(
            Code.METADATA_REFUSED,
            "mlcroissant does not accept the metadata of the dataset",
            notes=tuple(line.strip() for line in report.splitlines() if line.strip()),
        )
    )
