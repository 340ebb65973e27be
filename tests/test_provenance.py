"""What a manifest says it was made from and by, and what of its dataset the portal fills."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import copick
import mlcroissant as mlc
import pytest
import yaml
from croissants import DATASET, Rows, write_croissant

from croissant_recipes import __version__, api, from_croissant
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import Diagnostic, Severity
from croissant_recipes.language import normal_form
from croissant_recipes.options import Options
from croissant_recipes.render import as_json, text
from croissant_recipes.render.view import View
from tests.portal_server import Server, serve
from tests.portal_tables import Tables, generate

DEPOSITION = 10351
"""Of annotations in dataset 10000, whose own deposition is 10000."""

PORTAL = "https://cryoetdataportal.czscience.com"
POMBE = "https://doi.org/10.1101/2022.04.12.488077"
ROWS: Rows = {
    "runs": {"name": ["a"]},
    "picks": {"run": ["a"], "user_id": ["u"], "session_id": ["s"], "object_name": ["ribosome"], "url": ["p.json"]},
}


def _tables() -> Tables:
    tables = copy.deepcopy(generate(runs=3))
    datasets = {row["id"]: row for row in tables["Dataset"]}
    datasets[10000] |= {
        "datasetPublications": "10.1101/2022.04.12.488077, EMPIAR-10988, doi:10.1101/2022.04.12.488077.",
        "releaseDate": "2024-11-06T23:30:00-02:00",
        "depositionDate": "2024-10-30T00:00:00+00:00",
        "lastModifiedDate": "2025-02-25T00:00:00+00:00",
    }
    depositions = {row["id"]: row for row in tables["Deposition"]}
    depositions[DEPOSITION] |= {
        "title": "Manual segmentations",
        "description": "By a second party.",
        "depositionPublications": "10.1234/second",
        "releaseDate": "2025-03-01T00:00:00+00:00",
        "depositionDate": "2025-01-01T00:00:00+00:00",
        "lastModifiedDate": "2025-04-01T00:00:00+00:00",
    }
    authors = [
        {"name": "Bo Second", "orcid": "https://orcid.org/0000-0001-5109-3700", "affiliationName": "Uni"},
        {"name": "Ada First", "orcid": None, "affiliationName": None},
        {"name": "Sara Goetz", "orcid": None, "affiliationName": "Elsewhere"},
        {"name": "Cy Third", "orcid": "not one", "affiliationName": ""},
    ]
    tables["DepositionAuthor"] = [
        {"id": 900 - i, "depositionId": DEPOSITION, "authorListOrder": i, **author}
        for i, author in enumerate([authors[1], authors[0], *authors[2:]], 1)
    ]
    return tables


TABLES = _tables()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(TABLES, shuffle=11) as running:
        yield running


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))


TOMOGRAMS = {"tomograms": "wbp-raw@*", "others": "exclude"}
MASKS = {"segmentations": {"where": {"deposition_id": DEPOSITION}}, "others": "exclude"}


def write(folder: Path, url: str, *layers: Mapping[str, Any], name: str = "x", **others: Any) -> Path:
    document = {
        "recipe": 1,
        "name": name,
        "dataset": {**DATASET},
        "output": {"project_root": f"out/{name}", "base_url": "https://example.org/x"},
        "sources": {"cdp": {"portal": {"datasets": [10000], "url": url}}},
        "layers": [{"append" if i else "export": "cdp", **layer} for i, layer in enumerate(layers)],
        **others,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def build(recipe: Path) -> dict[str, Any]:
    """The manifest that a recipe builds."""
    (result,) = api.build(recipe)
    assert result.ok, [str(d) for d in result.diagnostics if d.is_error]
    assert result.output is not None
    found: dict[str, Any] = json.loads((Path(result.output.project_root.path) / "Croissant/metadata.json").read_bytes())
    return found


def origins(manifest: Mapping[str, Any]) -> list[str]:
    return [entity["@id"] for entity in manifest["prov:wasDerivedFrom"]]


def activity(recipe: Path) -> dict[str, Any]:
    checked = api.load_recipe(recipe)
    plan = {"@type": ["prov:Entity", "prov:Plan"], "name": checked.recipe.name}
    return {
        "@type": "prov:Activity",
        "prov:used": {**plan, "identifier": f"sha256:{normal_form.digest(checked)}"},
        "prov:wasAssociatedWith": {
            "@type": "prov:SoftwareAgent",
            "name": "croissant-recipes",
            "version": __version__,
        },
    }


# Provenance


def test_a_manifest_names_the_datasets_and_depositions_of_its_rows(server: Server, tmp_path: Path) -> None:
    raw = write(tmp_path, server.url, TOMOGRAMS, name="raw")
    masks = write(tmp_path, server.url, TOMOGRAMS, MASKS, name="masks")
    manifest = build(raw)
    assert origins(manifest) == [f"{PORTAL}/datasets/10000", f"{PORTAL}/depositions/10000"]
    assert manifest["prov:wasDerivedFrom"][0]["citation"] == [POMBE]
    assert manifest["prov:wasGeneratedBy"] == [activity(raw)]
    manifest = build(masks)
    assert origins(manifest) == [f"{PORTAL}/{o}" for o in ("datasets/10000", "depositions/10000", "depositions/10351")]
    assert manifest["prov:wasDerivedFrom"][2] == {
        "@id": f"{PORTAL}/depositions/10351",
        "@type": "prov:Entity",
        "identifier": "CZCDP-10351",
        "citation": ["https://doi.org/10.1234/second"],
    }


def published(folder: Path, **given: Any) -> Path:
    """A Croissant with a DOI and provenance of its own."""
    path = write_croissant(folder, ROWS, dataset={**DATASET, "version": "2.1.0", **given})
    said = {
        "prov:wasDerivedFrom": {"@id": "https://example.org/raw", "@type": "prov:Entity"},
        "prov:wasGeneratedBy": [{"@type": "prov:Activity", "name": "by hand"}],
    }
    document = json.loads(path.read_bytes())
    document["@context"]["prov"] = "http://www.w3.org/ns/prov#"
    path.write_text(json.dumps({**document, **said}), encoding="utf-8")
    return path


def test_a_croissant_that_rows_are_from_is_named_with_version_and_doi(server: Server, tmp_path: Path) -> None:
    published(tmp_path / "old", identifier="https://doi.org/10.5281/zenodo.1234")
    published(tmp_path / "unused", name="Unused")
    sources = {
        "cdp": {"portal": {"datasets": [10000], "url": server.url}},
        "old": {"croissant": {"url": "old/Croissant/metadata.json"}},
        "unused": {"croissant": {"url": "unused/Croissant/metadata.json"}},
    }
    layers = [
        {"export": "cdp", **TOMOGRAMS},
        {"append": "old", "others": "include"},
        {"append": "unused", "runs": "none", "others": "exclude"},
    ]
    manifest = build(write(tmp_path, server.url, sources=sources, layers=layers))
    assert manifest["prov:wasDerivedFrom"][2:] == [
        {
            "@id": DATASET["url"],
            "@type": "prov:Entity",
            "name": DATASET["name"],
            "version": "2.1.0",
            "identifier": "https://doi.org/10.5281/zenodo.1234",
        }
    ]
    assert str(tmp_path) not in json.dumps(manifest)


def test_what_a_base_says_of_its_making_is_kept_and_extended(tmp_path: Path) -> None:
    base = published(tmp_path / "old")
    recipe = tmp_path / "x.yaml"
    recipe.write_text("recipe: 1\nname: x\nbase: old/Croissant/metadata.json\noutput: {project_root: new}\n")
    manifest = build(recipe)
    assert origins(manifest) == ["https://example.org/raw", DATASET["url"]]
    assert manifest["prov:wasGeneratedBy"] == [{"@type": "prov:Activity", "name": "by hand"}, activity(recipe)]
    # Built where it lies, it is not derived from itself, and a second build changes nothing.
    recipe.write_text(recipe.read_text().replace("new", "old"))
    manifest = build(recipe)
    assert origins(manifest) == ["https://example.org/raw"]
    assert manifest["prov:wasGeneratedBy"] == [{"@type": "prov:Activity", "name": "by hand"}, activity(recipe)]
    before = base.read_bytes()
    (again,) = api.build(recipe)
    assert (again.ok, again.written) == (True, False)
    assert base.read_bytes() == before


def test_layout_and_places_change_nothing(server: Server, tmp_path: Path) -> None:
    recipe = write(tmp_path, server.url, TOMOGRAMS)
    first = build(recipe)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.yaml").write_text("# Another day.\n" + recipe.read_text().replace("name: x\n", "name:   x\n"))
    assert build(elsewhere / "x.yaml") == first
    changed = recipe.read_text() + "expect: {runs: '> 0'}\n"
    recipe.write_text(changed)
    assert build(recipe)["prov:wasGeneratedBy"] != first["prov:wasGeneratedBy"]


def test_readers_take_it_without_a_word(server: Server, tmp_path: Path) -> None:
    published(tmp_path / "old", identifier="https://doi.org/10.5281/zenodo.1234")
    sources = {
        "cdp": {"portal": {"datasets": [10000], "url": server.url}},
        "old": {"croissant": {"url": "old/Croissant/metadata.json"}},
    }
    layers = [
        {"export": "cdp", **TOMOGRAMS},
        {"append": "cdp", **MASKS},
        {"append": "old", "others": "include"},
    ]
    dataset = {"from": "portal", "version": "1.0.0", "name": "A", "description": "B", "license": "MIT"}
    output = {"project_root": "out/x"}
    recipe = write(tmp_path, server.url, sources=sources, layers=layers, dataset=dataset, output=output)
    manifest = build(recipe)
    path = tmp_path / "out/x/Croissant/metadata.json"
    assert len(manifest["prov:wasDerivedFrom"]) == 4
    assert len(manifest["citation"]) == 2
    words = [sys.executable, "-m", "mlcroissant", "validate", "--jsonld", str(path)]
    command = [str(Path(sys.executable).with_name("mlcroissant")), *words[3:]]
    validated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stderr
    assert "warning" not in validated.stderr.lower()
    assert "Done." in validated.stderr
    records = [record["copick/runs/name"] for record in mlc.Dataset(jsonld=str(path)).records("copick/runs")]
    runs = {row["id"] for row in TABLES["Run"] if row["datasetId"] == 10000}
    assert {r.decode() for r in records} == {"a", *map(str, runs)}
    for opened in (copick.from_croissant(str(path)), from_croissant(str(path))):
        assert {run.name for run in opened.runs} == {"a", *map(str, runs)}


# dataset: {from: portal}


def filled(manifest: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("name", "description", "license", "datePublished", "dateCreated", "dateModified", "url", "citation")
    return {key: manifest.get(key) for key in keys}


def test_the_portal_fills_what_a_recipe_leaves_open(server: Server, tmp_path: Path) -> None:
    recipe = write(tmp_path, server.url, TOMOGRAMS, MASKS, dataset={"from": "portal", "version": "1.0.0"})
    (checked,) = api.check(recipe)
    assert checked.diagnostics == (), "without a source, nothing is known to be missing"
    manifest = build(recipe)
    assert filled(manifest) == {
        "name": "S. pombe cells with defocus",
        "description": "S. pombe cells with defocus",
        "license": "CC0-1.0",
        # The latest release, the earliest deposition, the latest change; days in UTC.
        "datePublished": "2025-03-01",
        "dateCreated": "2024-10-30",
        "dateModified": "2025-04-01",
        "url": f"{PORTAL}/datasets/10000",
        "citation": [POMBE, "https://doi.org/10.1234/second"],
    }
    creators = manifest["creator"]
    assert all(creator["@type"] == "sc:Person" for creator in creators)
    names = [creator["name"] for creator in creators]
    authors = [a for a in TABLES["DatasetAuthor"] if a["datasetId"] == 10000]
    of_dataset = [a["name"] for a in sorted(authors, key=lambda a: a["authorListOrder"])]
    assert names == [*of_dataset, "Ada First", "Bo Second", "Cy Third"]
    by_name = {creator["name"]: creator for creator in creators}
    assert by_name["Bo Second"]["@id"] == "https://orcid.org/0000-0001-5109-3700"
    assert by_name["Bo Second"]["affiliation"] == {"@type": "sc:Organization", "name": "Uni"}
    assert "@id" not in by_name["Cy Third"]
    assert "prov:wasDerivedFrom" in manifest


def test_what_controls_a_terminal_does_not_come_along(tmp_path: Path) -> None:
    """Whoever prints a manifest does not expect it there."""
    tables = copy.deepcopy(TABLES)
    tables["Dataset"][0].update(title="A\x1b[2J title\u202e", description="One\x07\nand two")
    for author in tables["DatasetAuthor"]:
        author["name"] += "\x00"
    with serve(tables) as server:
        manifest = build(write(tmp_path, server.url, TOMOGRAMS, dataset={"from": "portal", "version": "1.0.0"}))
    assert manifest["name"] == "A [2J title"
    assert manifest["description"] == "One \nand two"
    assert all(creator["name"].isprintable() for creator in manifest["creator"])


def test_what_the_recipe_says_wins(server: Server, tmp_path: Path) -> None:
    dataset = {
        "from": "portal",
        "version": "1.0.0",
        "name": "Mine",
        "license": "CC-BY-4.0",
        "date_published": "2026-01-15",
        "creators": [{"name": "My Lab"}],
        "publications": ["https://doi.org/10.1234/mine"],
    }
    manifest = build(write(tmp_path, server.url, TOMOGRAMS, dataset=dataset))
    assert filled(manifest) | {"dateCreated": None, "dateModified": None} == {
        "name": "Mine",
        "description": "S. pombe cells with defocus",
        "license": "CC-BY-4.0",
        "datePublished": "2026-01-15",
        "dateCreated": None,
        "dateModified": None,
        "url": f"{PORTAL}/datasets/10000",
        "citation": "https://doi.org/10.1234/mine",
    }
    assert manifest["creator"] == {"@type": "sc:Organization", "name": "My Lab"}


def test_the_plan_says_where_each_value_comes_from(server: Server, tmp_path: Path) -> None:
    recipe = write(tmp_path, server.url, TOMOGRAMS, MASKS, dataset={"from": "portal", "version": "1.0.0"})
    (result,) = api.plan(recipe)
    shown = text.planned([result.report], View(height=None, width=300))
    block = shown[shown.index("dataset, where") :].split("\n\n")[0]
    first = [a["name"] for a in TABLES["DatasetAuthor"] if a["datasetId"] == 10000][:3]
    assert block.splitlines() == [
        "dataset, where the recipe leaves it open:",
        "  name: S. pombe cells with defocus (dataset 10000)",
        "  description: S. pombe cells with defocus (dataset 10000)",
        "  license: CC0-1.0 (all data of the portal is under it)",
        "  date_published: 2025-03-01 (deposition 10351)",
        "  date_created: 2024-10-30 (dataset 10000)",
        "  date_modified: 2025-04-01 (deposition 10351)",
        f"  url: {PORTAL}/datasets/10000 (dataset 10000)",
        f"  creators: {', '.join(first)} and 14 more (dataset 10000 and deposition 10351)",
        f"  publications: {POMBE} and https://doi.org/10.1234/second (dataset 10000 and deposition 10351)",
    ]
    (told,) = json.loads(as_json.reports([result.report]))["recipes"]
    assert {f["key"]: f["origin"] for f in told["filled"]}["date_published"] == "deposition 10351"


def test_a_deposition_alone_names_a_result_of_several_datasets(server: Server, tmp_path: Path) -> None:
    sources = {"cdp": {"portal": {"depositions": [DEPOSITION], "url": server.url}}}
    recipe = write(tmp_path, server.url, MASKS, dataset={"from": "portal", "version": "1.0.0"}, sources=sources)
    manifest = build(recipe)
    assert (manifest["name"], manifest["description"]) == ("Manual segmentations", "By a second party.")
    assert manifest["url"] == f"{PORTAL}/depositions/10351"


def open_in(recipe: Path, severity: Severity = Severity.ERROR) -> list[Diagnostic]:
    (result,) = api.plan(recipe)
    return [d for d in result.diagnostics if d.severity is severity and d.code in (Code.DATASET_FROM, Code.DATASET)]


def test_what_nobody_says_is_an_error_with_its_place(server: Server, tmp_path: Path) -> None:
    sources = {"cdp": {"portal": {"datasets": [10000, 10301], "url": server.url}}}
    raw = {**TOMOGRAMS, "on_collision": "first"}
    recipe = write(tmp_path, server.url, raw, dataset={"from": "portal", "version": "1.0.0"}, sources=sources)
    found = open_in(recipe)
    why = "the rows are of dataset 10000, dataset 10301 and deposition 10000, and of none of these alone"
    assert [(d.code, d.message) for d in found] == [
        (Code.DATASET_FROM, f"dataset.{key} is open, and the portal does not fill it: {why}")
        for key in ("description", "name")
    ]
    assert all(d.hint and d.span and d.span.line == 4 for d in found)
    (result,) = api.build(recipe)
    assert api.results_exit_code([result]) is ExitCode.INVALID
    (warned,) = open_in(recipe, Severity.WARNING)
    assert "asks for dataset.url" in warned.message


def test_a_licence_is_not_that_of_rows_of_others(server: Server, tmp_path: Path) -> None:
    published(tmp_path / "old")
    sources = {
        "cdp": {"portal": {"datasets": [10000], "url": server.url}},
        "old": {"croissant": {"url": "old/Croissant/metadata.json"}},
    }
    layers = [{"export": "cdp", **TOMOGRAMS}, {"append": "old", "others": "include"}]
    dataset = {"from": "portal", "version": "1.0.0"}
    (found,) = open_in(write(tmp_path, server.url, sources=sources, layers=layers, dataset=dataset))
    assert found.message == ("dataset.license is open, and the portal does not fill it: rows of 'old' are not its own")


def test_metadata_is_asked_for_once_kept_and_only_where_it_is_wanted(tmp_path: Path) -> None:
    with serve(TABLES) as server:
        build(write(tmp_path, server.url, TOMOGRAMS, name="said"))
        usual = server.stats.requests
    with serve(TABLES) as server:
        recipe = write(tmp_path, server.url, TOMOGRAMS, dataset={"from": "portal", "version": "1.0.0"})
        first = build(recipe)
        assert server.stats.requests == usual + 4
        assert build(recipe) == first
        assert server.stats.requests == usual + 4
    (offline,) = api.plan(recipe, options=Options(cache="offline"))
    assert offline.ok
    assert offline.prepared is not None
    assert not offline.prepared.changes


def test_an_identity_is_another_where_the_metadata_that_fills_is(tmp_path: Path) -> None:
    found = []
    port = 0
    for title in ("A title", "Another"):
        tables = copy.deepcopy(TABLES)
        tables["Dataset"][0]["title"] = title
        with serve(tables, port=port) as server:
            port = int(server.url.split(":")[2].partition("/")[0])
            for dataset in ({"from": "portal", "version": "1.0.0"}, dict(DATASET)):
                recipe = write(tmp_path, server.url, TOMOGRAMS, dataset=dataset)
                (result,) = api.plan(recipe, options=Options(cache="refresh"))
                assert result.plan is not None
                found.append(result.plan.identities["cdp"])
    assert found[0] != found[2]
    assert found[1] == found[3]
