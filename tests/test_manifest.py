"""The manifest: what it says, and that mlcroissant and copick take it without a word."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import copick
import mlcroissant as mlc
import pytest
from croissants import CONFIG, DATASET, Rows, files_of, manifest_of, write_croissant

from croissant_recipes.codes import Code
from croissant_recipes.croissant.manifest import named_others, standard_split_url
from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.language.rai import RAI_FIELDS
from croissant_recipes.schema import RECORD_SETS

ROWS: Rows = {
    "runs": {"name": ["a", "b", "c"], "split": ["train", "holdout", ""]},
    "voxel_spacings": {"run": ["a"], "voxel_size": [10.0]},
    "picks": {"run": ["a"], "user_id": ["u"], "session_id": ["s"], "object_name": ["ribosome"], "url": ["p.json"]},
    "segmentations": {
        "run": ["a"],
        "voxel_size": [10.0],
        "user_id": ["u"],
        "session_id": ["s"],
        "name": ["m"],
        "url": ["s.zarr"],
    },
}

WHOLE: dict[str, Any] = {
    **DATASET,
    "cite_as": "@misc{small}",
    "creators": [
        {"name": "Ada", "orcid": "0000-0002-1825-0097", "affiliation": "Uni", "email": "ada@example.org"},
        {"name": "Bo", "affiliation": "Uni"},
        {"name": "Lab", "url": "https://example.org/lab"},
    ],
    "publisher": {"name": "Press"},
    "funder": [{"name": "Fund"}, {"name": "Agency"}],
    "keywords": ["cryoET", "naïve Å"],
    "date_created": "2025-01-02",
    "date_modified": "2026-01-10",
    "same_as": ["https://example.org/same"],
    "in_language": ["en"],
    "sd_license": "CC0-1.0",
    "identifier": "https://doi.org/10.1234/5678",
    "measurement_technique": ["cryo-electron tomography"],
    "usage_info": "https://example.org/usage",
    "is_live_dataset": True,
    "rai": {
        "data_collection": "Grids.",
        "data_biases": ["one lab", "one microscope"],
        "data_limitations": "small",
        "data_collection_timeframe": ["2024-01-01", "2024-06-30"],
    },
}


def document(rows: Rows = ROWS, **given: Any) -> dict[str, Any]:
    return json.loads(manifest_of(rows, files_of(rows, parquet=True), **given))


def by_id(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["@id"]: entry for entry in entries}


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "whole": {"dataset": WHOLE},
    "published": {"base_url": "https://example.org/x", "csv_base": "https://example.org/x"},
    "parquet": {"parquet": True},
    "no splits": {"splits": []},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_mlcroissant_validates_it_in_silence(tmp_path: Path, variant: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write_croissant(tmp_path, ROWS, **VARIANTS[variant])
    with caplog.at_level(logging.WARNING):
        issues = mlc.Dataset(str(path)).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_the_validate_command_says_nothing_but_done(tmp_path: Path) -> None:
    path = write_croissant(tmp_path, ROWS, dataset=WHOLE)
    command = [sys.executable, "-m", "mlcroissant.scripts.validate", "--jsonld", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    assert len(said) == 1
    assert said[0].endswith("Done.")


@pytest.mark.parametrize("parquet", [False, True])
def test_both_readers_find_the_rows(tmp_path: Path, parquet: bool) -> None:
    path = write_croissant(tmp_path, ROWS, parquet=parquet)
    dataset = mlc.Dataset(str(path))
    [pick] = dataset.records("copick/picks")
    assert (pick["copick/picks/session_id"], pick["copick/picks/sha256"]) == (b"s", None)
    runs = {r["copick/runs/name"]: r["copick/runs/split"] for r in dataset.records("copick/runs")}
    assert runs == {b"a": b"train", b"b": b"holdout", b"c": None}
    root = copick.from_croissant(str(path))
    assert root.splits == {"train": ["a"], "holdout": ["b"]}
    assert [p.pickable_object_name for p in root.get_run("a").picks] == ["ribosome"]
    assert [(o.name, o.radius) for o in root.pickable_objects] == [("ribosome", 130.0), ("membrane", None)]


def test_copick_opens_and_fills_an_empty_one(tmp_path: Path) -> None:
    path = write_croissant(tmp_path, {})
    root = copick.from_croissant(str(path))
    assert root.runs == []
    root.new_run("first").new_voxel_spacing(10.0)
    assert [v.voxel_size for v in copick.from_croissant(str(path)).get_run("first").voxel_spacings] == [10.0]


def test_the_top_of_the_document() -> None:
    told = document(dataset=WHOLE, base_url="https://example.org/small", config={"b": [1], "a": {"ü": None}})
    top = {k: v for k, v in told.items() if k not in ("@context", "distribution", "recordSet")}
    uni = {"affiliation": {"@type": "sc:Organization", "name": "Uni"}}
    assert top == {
        "@type": "sc:Dataset",
        "name": "Small",
        "description": "A few picks.",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "citeAs": "@misc{small}",
        "creator": [
            {
                "@type": "sc:Person",
                "@id": "https://orcid.org/0000-0002-1825-0097",
                "name": "Ada",
                "email": "ada@example.org",
                **uni,
            },
            {"@type": "sc:Person", "name": "Bo", **uni},
            {"@type": "sc:Organization", "name": "Lab", "url": "https://example.org/lab"},
        ],
        "dateCreated": "2025-01-02",
        "dateModified": "2026-01-10",
        "datePublished": "2026-01-15",
        "funder": [{"@type": "sc:Organization", "name": "Fund"}, {"@type": "sc:Organization", "name": "Agency"}],
        "identifier": "https://doi.org/10.1234/5678",
        "inLanguage": "en",
        "isLiveDataset": True,
        "keywords": ["cryoET", "naïve Å"],
        "license": "CC-BY-4.0",
        "measurementTechnique": "cryo-electron tomography",
        "publisher": {"@type": "sc:Organization", "name": "Press"},
        "rai:dataBiases": ["one lab", "one microscope"],
        "rai:dataCollection": "Grids.",
        "rai:dataCollectionTimeFrame": ["2024-01-01", "2024-06-30"],
        "rai:dataLimitations": "small",
        "sameAs": "https://example.org/same",
        "sdLicense": "CC0-1.0",
        "url": "https://example.org/small",
        "usageInfo": "https://example.org/usage",
        "version": "1.0.0",
        "copick:baseUrl": "https://example.org/small",
        "copick:config": {"b": [1], "a": {"ü": None}},
    }
    assert list(told)[-4:] == ["copick:baseUrl", "copick:config", "distribution", "recordSet"]


def test_the_smallest_dataset_block_is_enough() -> None:
    small = {k: DATASET[k] for k in ("name", "description", "version", "license", "date_published")}
    told = document(dataset=small)
    assert told["citeAs"] == "Small, version 1.0.0. 2026-01-15"
    assert told["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert "copick:baseUrl" not in told
    assert not told.keys() & {"creator", "url", "keywords", "publisher", "isLiveDataset"}


def test_the_text_is_one_for_every_process(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_manifest import ROWS, WHOLE, files_of, manifest_of\n"
        "sys.stdout.buffer.write(manifest_of(ROWS, files_of(ROWS, parquet=True), dataset=WHOLE, parquet=True))"
    )
    command = [sys.executable, "-c", script, str(tests), str(tests.parent)]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    text = subprocess.run(command, env=environment, capture_output=True, check=True, cwd=tmp_path).stdout
    assert text == manifest_of(ROWS, files_of(ROWS, parquet=True), dataset=WHOLE, parquet=True)
    assert text.endswith(b"}\n")
    assert "naïve Å".encode() in text


def test_files_are_named_beside_the_manifest_or_where_they_will_be_published() -> None:
    rows: Rows = {"runs": ROWS["runs"]}
    data = files_of(rows)["runs.csv"]
    [beside] = document(rows)["distribution"]
    assert beside == {
        "@type": "cr:FileObject",
        "@id": "runs-csv",
        "name": "runs.csv",
        "contentSize": f"{len(data)} B",
        "contentUrl": "runs.csv",
        "encodingFormat": "text/csv",
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    for base in ("https://example.org/x", "https://example.org/x/"):
        [published] = document(rows, csv_base=base)["distribution"]
        assert published["contentUrl"] == "https://example.org/x/Croissant/runs.csv"


def test_parquet_stands_behind_the_record_sets_and_the_csvs_stay() -> None:
    told = document(parquet=True, csv_base="https://example.org")
    files = by_id(told["distribution"])
    assert list(files) == [
        *("runs-csv", "voxel-spacings-csv", "picks-csv", "segmentations-csv"),
        *("runs-parquet", "voxel-spacings-parquet", "picks-parquet", "segmentations-parquet"),
    ]
    assert files["picks-parquet"]["encodingFormat"] == "application/x-parquet"
    assert files["picks-parquet"]["contentUrl"] == "https://example.org/Croissant/picks.parquet"
    sources = {f["source"]["fileObject"]["@id"] for f in by_id(told["recordSet"])["copick/picks"]["field"]}
    assert sources == {"picks-parquet"}


def test_record_sets_have_the_columns_keys_and_types_of_the_tables() -> None:
    full = {name: {r.columns[0]: ["x"]} for name, r in RECORD_SETS.items()}
    told = by_id(document(full)["recordSet"])
    assert list(told) == [r.id for r in RECORD_SETS.values()]
    for schema in RECORD_SETS.values():
        described = told[schema.id]
        key = described["key"] if isinstance(described["key"], list) else [described["key"]]
        assert [k["@id"] for k in key] == [f"{schema.id}/{c}" for c in schema.key]
        assert [(f["@id"], f["dataType"], f["source"]) for f in described["field"]] == [
            (
                f"{schema.id}/{c}",
                schema.data_type(c),
                {"fileObject": {"@id": schema.file_object_id}, "extract": {"column": c}},
            )
            for c in schema.columns
        ]
        assert all(f["description"].endswith(".") for f in described["field"])


def test_record_sets_without_rows_are_left_out_except_the_runs() -> None:
    told = document({"picks": ROWS["picks"]})
    assert list(by_id(told["recordSet"])) == ["copick/runs", "copick/picks"]
    assert list(by_id(told["distribution"])) == ["runs-csv", "picks-csv"]


@pytest.mark.parametrize("splits", [["train"], ["Val", "holdout"]])
def test_splits_are_records_that_the_runs_refer_to(splits: list[str]) -> None:
    told = by_id(document(splits=splits)["recordSet"])
    described = told["copick/splits"]
    assert described["dataType"] == "cr:Split"
    assert described["key"] == {"@id": "copick/splits/name"}
    assert [f["dataType"] for f in described["field"]] == ["sc:Text", ["sc:URL", "wd:Q3985153"]]
    assert described["data"] == [
        {"copick/splits/name": name, "copick/splits/url": standard_split_url(name)} for name in splits
    ]
    field = next(f for f in told["copick/runs"]["field"] if f["@id"] == "copick/runs/split")
    assert field["references"] == {"field": {"@id": "copick/splits/name"}}


def test_without_splits_nothing_refers_to_them() -> None:
    told = json.dumps(document(splits=[])["recordSet"])
    assert "copick/splits" not in told
    assert "references" not in told


def test_standard_splits_have_a_definition() -> None:
    assert standard_split_url("TRAIN") == "https://mlcommons.org/definitions/training_split"
    assert standard_split_url("validation") == standard_split_url("val")
    assert standard_split_url("fold-1") == ""


def test_a_base_keeps_all_that_it_says_of_the_dataset(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # Nor do its files and record sets that are not copick's go.
    old_csv = {
        "@type": "cr:FileObject",
        "@id": "old-csv",
        "name": "old.csv",
        "contentUrl": "https://example.org/old.csv",
    }
    old_csv |= {"encodingFormat": "text/csv", "sha256": "0" * 64}
    source = {"fileObject": {"@id": "old-csv"}, "extract": {"column": "x"}}
    field = {"@type": "cr:Field", "@id": "old/x", "name": "x", "dataType": "sc:Text", "source": source}
    old = {"@type": "cr:RecordSet", "@id": "old", "name": "old", "field": [field]}
    copick_like = {
        "@context": {
            "@language": "de",
            "@vocab": "http://schema.org/",
            "value": "cr:value",
            "prov": "http://www.w3.org/ns/prov#",
            "cr": "http://mlcommons.org/croissant/",
            "copick:config": {"@id": "copick:config", "@type": "@json"},
        },
        "@type": "sc:Dataset",
        "name": "Alt",
        "description": "Von früher.",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "version": "v1",
        "license": "CC0-1.0",
        "citeAs": "Alt",
        "datePublished": "2020-01-01",
        "prov:wasDerivedFrom": {"@id": "https://example.org/older"},
        "measured": {"by": "hand"},
        "copick:baseUrl": "https://example.org/old",
        "copick:config": {"name": "old"},
        "copick:future": 1,
        "distribution": [{"@id": "picks-csv", "contentUrl": "old-picks.csv"}, old_csv],
        "recordSet": [{"@id": "copick/picks", "field": []}, old],
    }
    before = json.dumps(copick_like)
    told = document(dataset=None, base=copick_like)
    assert json.dumps(copick_like) == before
    kept = ("name", "description", "version", "license", "citeAs", "datePublished", "prov:wasDerivedFrom", "measured")
    assert {k: told[k] for k in kept} == {k: copick_like[k] for k in kept}
    assert told["conformsTo"] == ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
    assert told["copick:config"] == CONFIG
    assert "copick:baseUrl" not in told
    assert told["copick:future"] == copick_like["copick:future"]
    assert by_id(told["distribution"])["old-csv"] == old_csv
    assert by_id(told["recordSet"])["old"] == old
    assert by_id(told["distribution"])["picks-csv"]["contentUrl"] == "picks.csv"
    assert by_id(told["recordSet"])["copick/picks"]["field"]
    context = told["@context"]
    assert (context["@vocab"], context["@language"]) == ("https://schema.org/", "de")
    assert context["prov"] == "http://www.w3.org/ns/prov#"
    assert "value" not in context
    path = write_croissant(tmp_path, ROWS, dataset=None, base={**copick_like, "version": "1.0.0"})
    with caplog.at_level(logging.WARNING):
        assert not mlc.Dataset(str(path)).metadata.ctx.issues.warnings
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert copick.from_croissant(str(path)).splits == {"train": ["a"], "holdout": ["b"]}


def test_a_dataset_that_a_base_names_is_not_taken_for_it() -> None:
    older = {"@type": "sc:Dataset", "@id": "https://example.org/old", "name": "Old"}
    told = document(dataset=None, base={**document(), "isBasedOn": [older], "citation": {"isPartOf": older}})
    assert told["isBasedOn"] == [{**older, "@type": "sc:CreativeWork"}]
    assert told["citation"]["isPartOf"]["@type"] == "sc:CreativeWork"
    for _ in range(5):
        metadata = mlc.Metadata.from_json(mlc.Context(), json.loads(json.dumps(told)))
        assert (metadata.name, len(metadata.record_sets)) == ("Small", 5)


def test_a_manifest_is_a_base_that_gives_itself() -> None:
    told = document(dataset=WHOLE)
    assert document(dataset=None, base=told) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": "v1"}, "MAJOR.MINOR.PATCH"),
        ({"date_published": "yesterday"}, "isoparse|ISO|date"),
        ({"license": ""}, "license"),
    ],
)
def test_what_mlcroissant_refuses_is_a_diagnostic(change: dict[str, Any], told: str) -> None:
    with pytest.raises(DiagnosticError, match=told) as refused:
        document(dataset={**DATASET, **change})
    [diagnostic] = refused.value.diagnostics
    assert diagnostic.code is Code.METADATA_REFUSED
    assert diagnostic.is_error
    assert diagnostic.notes


def test_a_base_that_mlcroissant_refuses_is_a_diagnostic() -> None:
    broken = {"@type": "sc:Dataset", "name": "x", "creator": {"@id": "no spaces please", "@type": "sc:Person"}}
    with pytest.raises(DiagnosticError, match="no spaces please"):
        document(dataset=None, base=broken)


@pytest.mark.parametrize("both", [{"dataset": DATASET, "base": {}}, {"dataset": None, "base": None}])
def test_a_manifest_has_one_origin(both: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        document(**both)


def test_the_rai_vocabulary_is_that_of_mlcroissant() -> None:
    forms = {}
    for field in dataclasses.fields(mlc.Metadata):
        if str(field.metadata.get("url", "")).startswith("http://mlcommons.org/croissant/RAI/"):
            many = "texts" if field.metadata["cardinality"] == "MANY" else "text"
            forms[field.name] = "dates" if field.metadata["cast_fn"] else many
    assert dict(RAI_FIELDS) == forms


def test_every_key_of_the_rai_vocabulary_arrives() -> None:
    values = {"text": "t", "texts": ["t", "u"], "dates": ["2024-01-01"]}
    told = document(dataset={**DATASET, "rai": {key: values[form] for key, form in RAI_FIELDS.items()}})
    assert len([key for key in told if key.startswith("rai:")]) == len(RAI_FIELDS)


@pytest.mark.parametrize("odd", [{"a": 1}, ["b"], 7, None])
def test_an_entry_of_others_may_be_named_by_anything(odd: object) -> None:
    manifest = {"distribution": [{"@id": odd, "name": "theirs"}], "recordSet": []}
    assert len(named_others(manifest)) == 1
