"""What of the portal a source is: datasets that depositions select, and nothing that was released after a day."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner

from croissant_recipes import api
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.options import Options
from croissant_recipes.progress import Silent
from croissant_recipes.sources.base import Means
from croissant_recipes.sources.portal.datasets import PortalSource
from croissant_recipes.work import Workers
from tests.portal_server import Server, serve
from tests.portal_server.faults import Mangle
from tests.portal_tables import Tables, generate

GENERATED = generate(runs=3)
SCATTERED, OF_TOMOGRAMS, NEW, EMPTY = 20001, 20002, 20003, 20004
"""Depositions: with an annotation each in datasets 10000 and 10301, with one tomogram in 10440, with what was released
last, with nothing."""

DAY = "2026-06-20"
EVERYTHING = {"on_collision": "first"}
RAW = {"tomograms": "wbp-raw@*", "others": "exclude", "on_collision": "first"}


def _record(tables: Tables, entity: str, **values: Any) -> dict[str, Any]:
    return next(row for row in tables[entity] if all(row[name] == value for name, value in values.items()))


def _of_dataset(tables: Tables, entity: str, dataset: int, **values: Any) -> dict[str, Any]:
    runs = {row["id"] for row in tables["Run"] if row["datasetId"] == dataset}
    return next(
        row
        for row in tables[entity]
        if row["runId"] in runs and all(row[name] == value for name, value in values.items())
    )


def _tables() -> Tables:
    tables = copy.deepcopy(GENERATED)
    deposition = tables["Deposition"][0]
    tables["Deposition"] += [{**deposition, "id": d} for d in (SCATTERED, OF_TOMOGRAMS, NEW, EMPTY)]
    for dataset in (10000, 10301):
        _of_dataset(tables, "Annotation", dataset, objectName="membrane")["depositionId"] = SCATTERED
    _of_dataset(tables, "Tomogram", 10440, processing="filtered")["depositionId"] = OF_TOMOGRAMS
    return tables


TABLES = _tables()


def _with_later_records() -> Tables:
    """What is there and, released after ``DAY``, more: an object, a tomogram type, an author, a name of an object, a
    deposition. The first moment of the next day is later, and the last one of the day is not."""
    tables = copy.deepcopy(TABLES)
    for entity in ("Annotation", "Tomogram"):
        for row in tables[entity]:
            row["releaseDate"] = f"{DAY}T23:59:59.999999+00:00"

    def added(entity: str, row: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        made = {**row, **changes, "id": max(r["id"] for r in tables[entity]) + 1}
        tables[entity].append(made)
        return made

    for run in [row for row in tables["Run"] if row["datasetId"] != 10440]:
        of_run = _record(tables, "Annotation", runId=run["id"], objectName="membrane")
        later = {"releaseDate": "2026-06-21T00:00:00+00:00", "lastModifiedDate": "2026-06-25T00:00:00+00:00"}
        others = {**later, "depositionId": NEW}
        for changes in (
            {"objectId": "GO:0000001", "objectName": "a new thing"},
            {"objectName": "membranes, as they are called now", "annotationPublication": "EMD-99999"},
            {"objectId": "GO:0022626", "objectName": "cytosolic ribosome"},
        ):
            annotation = added("Annotation", of_run, **others, **changes)
            added("AnnotationAuthor", tables["AnnotationAuthor"][0], annotationId=annotation["id"], name="New Author")
            shape = added("AnnotationShape", {"shapeType": "OrientedPoint"}, annotationId=annotation["id"])
            file = tables["AnnotationFile"][0]
            added("AnnotationFile", file, annotationShapeId=shape["id"], s3Path=f"s3://elsewhere/{shape['id']}.ndjson")
        tomogram = added(
            "Tomogram", _record(tables, "Tomogram", runId=run["id"]), **others, reconstructionMethod="SIRT"
        )
        added("TomogramAuthor", tables["TomogramAuthor"][0], tomogramId=tomogram["id"], name="New Author")
    return tables


def _before() -> Tables:
    tables = _with_later_records()
    for entity in ("Annotation", "Tomogram"):
        tables[entity] = [row for row in tables[entity] if row["releaseDate"].startswith(DAY)]
    return tables


LATER = _with_later_records()
BEFORE = _before()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(TABLES, shuffle=7) as running:
        yield running


@pytest.fixture(scope="module")
def later() -> Iterator[Server]:
    with serve(LATER, shuffle=7) as running:
        yield running


@pytest.fixture(scope="module")
def before() -> Iterator[Server]:
    with serve(BEFORE, shuffle=7) as running:
        yield running


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))


def write(folder: Path, url: str, source: Mapping[str, Any], *layers: Mapping[str, Any], name: str = "x") -> Path:
    document = {
        "recipe": 1,
        "name": "holdings",
        "dataset": {
            "name": "Holdings",
            "description": "Of a stand-in portal.",
            "version": "1.0.0",
            "license": "CC0-1.0",
            "date_published": "2026-01-01",
            "url": "https://example.org/holdings",
            "creators": [{"name": "Example Lab"}],
        },
        "output": {"project_root": f"out/{name}", "base_url": "https://example.org/holdings"},
        "sources": {"cdp": {"portal": {**source, "url": url}}},
        "layers": [{"append" if i else "export": "cdp", **layer} for i, layer in enumerate(layers or [EVERYTHING])],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def scanned(recipe: Path) -> dict[str, Any]:
    """What a recipe's source holds for its layers, and the source's identity."""
    checked = api.load_recipe(recipe)
    source = PortalSource("cdp", checked.recipe.sources["cdp"].spec, Means(recipe.parent, Workers(4), "refresh"))
    inventories = source.scan(checked.layers, Silent())
    return {
        "tables": [{name: t.to_dict("records") for name, t in found.tables.items()} for found in inventories],
        "objects": [found.objects for found in inventories],
        "vocabulary": [found.vocabulary for found in inventories],
        "config": [found.config for found in inventories],
        "identity": source.identity(checked.layers, []),
    }


def built(recipe: Path, options: Options | None = None) -> dict[str, bytes]:
    """The CSVs that a recipe builds, and what its manifest says of the project and its objects."""
    (result,) = api.build(recipe, options=options)
    assert result.ok, [str(d) for d in result.diagnostics if d.is_error]
    folder = recipe.parent / "out" / recipe.stem / "Croissant"
    config = json.loads((folder / "metadata.json").read_bytes())["copick:config"]
    return {p.name: p.read_bytes() for p in folder.glob("*.csv")} | {"config": json.dumps(config).encode()}


def refused(recipe: Path) -> list[Diagnostic]:
    (result,) = api.plan(recipe)
    assert api.results_exit_code([result]) is ExitCode.INVALID
    return [d for d in result.diagnostics if d.is_error]


# Depositions


@pytest.mark.parametrize(
    ("source", "datasets"),
    [
        ({"depositions": [SCATTERED]}, [10000, 10301]),
        ({"depositions": [OF_TOMOGRAMS]}, [10440]),
        ({"depositions": [OF_TOMOGRAMS, SCATTERED, SCATTERED]}, [10000, 10301, 10440]),
        ({"depositions": [SCATTERED], "datasets": [10440, 10301]}, [10000, 10301, 10440]),
    ],
)
def test_a_deposition_is_the_datasets_that_it_has_something_in(
    source: Mapping[str, Any], datasets: Sequence[int], server: Server, tmp_path: Path
) -> None:
    by_deposition = scanned(write(tmp_path, server.url, source, name="a"))
    assert by_deposition == scanned(write(tmp_path, server.url, {"datasets": datasets}, name="b"))


def test_what_depositions_select_is_built_as_their_datasets_are(server: Server, tmp_path: Path) -> None:
    by_deposition = built(write(tmp_path, server.url, {"depositions": [SCATTERED]}, RAW, name="a"))
    assert by_deposition == built(write(tmp_path, server.url, {"datasets": [10000, 10301]}, RAW, name="b"))


def test_conditions_still_decide_about_rows(server: Server, tmp_path: Path) -> None:
    layer = {"segmentations": {"where": {"deposition_id": SCATTERED}}, "others": "exclude"}
    (result,) = api.plan(write(tmp_path, server.url, {"depositions": [SCATTERED]}, layer))
    assert result.plan is not None
    of_run = {str(row["id"]): row["datasetId"] for row in TABLES["Run"]}
    assert sorted(of_run[run] for run in result.plan.artifacts["segmentations"]["run"]) == [10000, 10301]


def test_the_server_resolves_depositions_in_three_requests_at_once(tmp_path: Path) -> None:
    with serve(TABLES) as server:
        api.plan(write(tmp_path, server.url, {"datasets": [10000, 10301]}))
        usual = server.stats.requests
    with serve(TABLES, latency=0.05) as server:
        api.plan(write(tmp_path, server.url, {"depositions": [SCATTERED]}))
        assert server.stats.requests == usual + 3
        resolved = server.stats.queries[:3]
        assert server.stats.most_at_once >= 3
    assert sum("Aggregate" in query for query in resolved) == 2


def test_what_depositions_hold_is_kept_and_asked_anew(tmp_path: Path) -> None:
    with serve(TABLES) as server:
        recipe = write(tmp_path, server.url, {"depositions": [SCATTERED]}, RAW)
        first, asked = built(recipe), server.stats.requests
        assert built(recipe) == first
        assert server.stats.requests == asked
        assert built(recipe, Options(cache="refresh")) == first
        assert server.stats.requests == 2 * asked
    assert built(recipe, Options(cache="offline")) == first
    (failed,) = api.plan(write(tmp_path, server.url, {"depositions": [NEW]}), options=Options(cache="offline"))
    assert [(d.code, d.message) for d in failed.diagnostics if d.is_error] == [
        (Code.CACHE, f"source 'cdp', deposition {NEW}: no cached answer for the query of depositions")
    ]


def test_depositions_that_are_not_there_or_have_nothing_are_errors_with_their_place(
    server: Server, tmp_path: Path
) -> None:
    recipe = write(tmp_path, server.url, {"depositions": [SCATTERED, 7, EMPTY], "datasets": [10440]})
    text = recipe.read_text(encoding="utf-8").splitlines()
    found = refused(recipe)
    assert [d.code for d in found] == [Code.DEPOSITION_UNKNOWN, Code.DEPOSITION_EMPTY]
    assert f"the portal at {server.url} has no deposition 7" in found[0].message
    assert found[1].message == f"source 'cdp': deposition {EMPTY} has no annotation and no tomogram"
    for diagnostic, wanted in zip(found, (7, EMPTY), strict=True):
        assert diagnostic.hint
        assert diagnostic.span is not None
        assert text[diagnostic.span.line - 1][diagnostic.span.column - 1 :] == str(wanted)


def test_answers_about_other_depositions_say_nothing_of_those_asked_for(tmp_path: Path) -> None:
    def rename(body: bytes) -> bytes:
        return body.replace(f'{{"id":{SCATTERED}}}'.encode(), b'{"id":1}')

    with serve(TABLES, faults=lambda _, query: Mangle(rename) if "Aggregate" in query else None) as server:
        (found,) = refused(write(tmp_path, server.url, {"depositions": [SCATTERED]}))
    assert found.code is Code.DEPOSITION_EMPTY


def test_a_dataset_that_is_not_there_is_an_error_with_its_place(server: Server, tmp_path: Path) -> None:
    recipe = write(tmp_path, server.url, {"datasets": [10440, 7], "depositions": [SCATTERED]})
    (found,) = refused(recipe)
    assert found.code is Code.DATASET_UNKNOWN
    assert found.span is not None
    line = recipe.read_text(encoding="utf-8").splitlines()[found.span.line - 1]
    assert line[found.span.column - 1 :] == "7"


# As of a date


LAYERS = (
    (EVERYTHING,),
    ({**EVERYTHING, "tomograms": {"authors": ["Sara Goetz"]}, "session_id": "{authors}-{id}"},),
    (
        {"segmentations": "membrane", "others": "exclude", "session_id": "{author}-{id}"},
        {"picks": {"where": {"method_type": "hybrid"}}, "others": "exclude", "session_id": "{id}"},
        {"picks": {"authors": ["Nobody"]}, "others": "exclude", "allow_empty": True},
    ),
)
WHOLE = {"datasets": [10000, 10301, 10440]}


@pytest.mark.parametrize("layers", LAYERS)
def test_a_day_gives_what_there_was(layers: Sequence[Mapping[str, Any]], tmp_path: Path) -> None:
    with serve(LATER, shuffle=1) as server:
        then = scanned(write(tmp_path, server.url, {**WHOLE, "until": DAY}, *layers))
        now = scanned(write(tmp_path, server.url, WHOLE, *layers))
    with serve(BEFORE, shuffle=2, port=urlsplit(server.url).port or 0) as server:
        was = scanned(write(tmp_path, server.url, WHOLE, *layers))
    assert then == was
    assert all(now[part] != was[part] for part in ("tables", "objects", "vocabulary", "identity"))


def test_a_day_builds_what_there_was(later: Server, before: Server, tmp_path: Path) -> None:
    then = built(write(tmp_path, later.url, {**WHOLE, "until": DAY}, RAW, name="then"))
    assert then == built(write(tmp_path, before.url, WHOLE, RAW, name="was"))
    assert then != built(write(tmp_path, later.url, WHOLE, RAW, name="now"))


@pytest.mark.parametrize(("until", "there"), [("2026-06-19", False), (DAY, True), ("9999-12-31", True)])
def test_the_day_itself_counts(until: str, there: bool, later: Server, tmp_path: Path) -> None:
    (result,) = api.plan(write(tmp_path, later.url, {"datasets": [10440], "until": until}))
    assert result.plan is not None
    assert bool(len(result.plan.artifacts["tomograms"])) is there
    assert bool(len(result.plan.artifacts["picks"])) is there
    assert len(result.plan.artifacts["runs"]) == sum(row["datasetId"] == 10440 for row in TABLES["Run"])


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        ({"picks": "a-new-thing", "others": "exclude"}, Code.NO_MATCH),
        ({"tomograms": "sirt-raw", "others": "exclude"}, Code.NO_MATCH),
        ({**RAW, "picks": {"authors": ["New Author"]}}, Code.NO_MATCH),
        ({**RAW, "picks": "all", "rename": {"objects": {"a-new-thing": "b"}}}, Code.RENAME_UNKNOWN),
    ],
)
def test_what_came_later_is_in_no_hint(
    layer: Mapping[str, Any], code: Code, later: Server, before: Server, tmp_path: Path
) -> None:
    said = []
    for server, source in ((later, {"until": DAY}), (before, {})):
        found = refused(write(tmp_path, server.url, {"datasets": [10000, 10301], **source}, layer))
        assert [d.code for d in found] == [code]
        said.append((found[0].message, found[0].hint))
    assert said[0] == said[1]
    (result,) = api.plan(write(tmp_path, later.url, {"datasets": [10000, 10301]}, layer))
    assert result.ok, "today it is there"


def test_a_deposition_has_no_dataset_by_what_came_later(later: Server, tmp_path: Path) -> None:
    (found,) = refused(write(tmp_path, later.url, {"depositions": [NEW], "until": DAY}))
    assert found.code is Code.DEPOSITION_EMPTY
    assert found.message.endswith(f"has no annotation and no tomogram that was released by {DAY}")
    assert found.hint == f"give a later `until`, or remove {NEW}"
    (result,) = api.plan(write(tmp_path, later.url, {"depositions": [NEW], "until": "2026-06-21"}))
    assert result.ok


# Starting a recipe


def init(*words: str, code: ExitCode = ExitCode.GOOD) -> tuple[str, str]:
    result = CliRunner().invoke(main, ["init", *words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def test_init_of_a_deposition_builds_and_takes_its_rows(server: Server, tmp_path: Path) -> None:
    text, _ = init("--depositions", str(SCATTERED), "--portal-url", server.url)
    text = text.replace("license:", "license: CC0-1.0").replace("date_published:", "date_published: 2026-01-15")
    document = yaml.safe_load(text)
    assert document["name"] == f"portal-depositions-{SCATTERED}"
    assert document["sources"] == {"portal": {"portal": {"depositions": [SCATTERED], "url": server.url}}}
    masks = {"select": ["membrane"], "where": {"deposition_id": SCATTERED}}
    assert [layer.get("segmentations") for layer in document["layers"]] == [None, masks]
    assert "# Datasets:" in text
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text, encoding="utf-8")
    (result,) = api.build(recipe)
    assert result.ok, [str(d) for d in result.diagnostics if d.is_error]
    assert result.plan is not None
    assert len(result.plan.artifacts["segmentations"]) == 2


def test_init_takes_datasets_and_depositions(server: Server) -> None:
    text, _ = init("--datasets", "10440", "--depositions", f"{SCATTERED},{SCATTERED}", "--portal-url", server.url)
    document = yaml.safe_load(text)
    assert document["name"] == "portal-10440"
    assert document["sources"]["portal"]["portal"]["datasets"] == [10440]
    assert document["sources"]["portal"]["portal"]["depositions"] == [SCATTERED]


def test_init_of_a_deposition_that_is_not_there(server: Server) -> None:
    text, said = init("--depositions", "7", "--portal-url", server.url, code=ExitCode.INVALID)
    assert text == ""
    assert f"error[CR309]: the portal: the portal at {server.url} has no deposition 7" in said


@pytest.mark.parametrize("ids", ["10351,", "x", "0", "3000000000", "-1", ""])
def test_init_takes_whole_numbers(ids: str) -> None:
    _, said = init("--depositions", ids, code=ExitCode.INVALID)
    assert f"--depositions {ids}: deposition ids are whole numbers separated by commas" in said
