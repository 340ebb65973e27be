"""Credentials in URLs are in nothing that a build prints or writes."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from croissant_recipes import Options, plan
from croissant_recipes.cli import main
from croissant_recipes.codes import ExitCode
from croissant_recipes.render.formats import FORMATS
from croissant_recipes.render.view import View
from tests.samples import copy_sample, write_recipe

RECIPES = Path(__file__).parent.parent / "recipes"
SECRET = "planted-secret"
DATASET = (
    "dataset: {name: A, description: B, version: 1.0.0, license: MIT, date_published: 2026-01-15,"
    " url: https://example.org, creators: [{name: C}]}\n"
)
URL = f"http://me:{SECRET}@127.0.0.1:9/there?token={SECRET}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told_and_written(recipe: str, folder: Path) -> tuple[str, int]:
    (folder / "recipe.yaml").write_text("recipe: 1\nname: a\n" + recipe, encoding="utf-8")
    said, code = "", 0
    for command in ("check", "plan", "build"):
        for form in FORMATS if command == "plan" else ("text", "json"):
            result = CliRunner().invoke(main, [command, "recipe.yaml", "--format", form])
            said += result.output
            code = result.exit_code
    files = [p for p in (folder / "out").rglob("*") if p.is_file()]
    return said + "".join(p.read_bytes().decode("latin-1") for p in files), code


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (f'{{portal: {{datasets: [1], url: "{URL}"}}}}', ExitCode.UNREACHABLE),
        (f'{{copick: {{config: "{URL}"}}}}', ExitCode.UNREACHABLE),
        (f'{{croissant: {{url: "{URL}"}}}}', ExitCode.UNREACHABLE),
        (f'{{croissant: {{url: "no-such-protocol://me:{SECRET}@x/y?a={SECRET}"}}}}', ExitCode.UNREACHABLE),
        (f'{{copick: {{config: c.json, base_url: "{URL}"}}}}', ExitCode.INVALID),
        (f'{{portal: {{datasets: [1], url: "https://me:{SECRET}@exa mple.org"}}}}', ExitCode.INVALID),
    ],
)
def test_of_a_source(source: str, code: ExitCode, folder: Path) -> None:
    output = "output: {project_root: out}\n"
    said, ended = told_and_written(f"{DATASET}{output}sources: {{lab: {source}}}\nlayers: [{{export: lab}}]\n", folder)
    assert SECRET not in said
    assert ended == code


def test_of_the_base_url_of_a_base(folder: Path) -> None:
    shutil.copytree(RECIPES / "published", folder / "published")
    manifest = folder / "published/Croissant/metadata.json"
    document = json.loads(manifest.read_bytes())
    document["copick:baseUrl"] = f"https://me:{SECRET}@example.org/data?token={SECRET}"
    manifest.write_text(json.dumps(document), encoding="utf-8")
    said, ended = told_and_written("base: published/Croissant/metadata.json\noutput: {project_root: out}\n", folder)
    assert (folder / "out/Croissant/metadata.json").exists()
    assert SECRET not in said
    assert ended == ExitCode.GOOD


def test_of_rows_that_somebody_else_wrote(folder: Path) -> None:
    manifest = folder / "published/Croissant/metadata.json"
    shutil.copytree(RECIPES / "published", folder / "published")
    document, picks = json.loads(manifest.read_bytes()), manifest.with_name("picks.csv")
    rows = picks.read_text(encoding="utf-8").splitlines()
    column = rows[0].split(",").index("url")
    cells = [row.split(",") for row in rows[1:3]]
    for n, cell in enumerate(cells):
        cell[column] = (f"https://me:{SECRET}@h.org/a.json", f"https://h.org/b.json?sig={SECRET}")[n]
    picks.write_text("\n".join([rows[0], *map(",".join, cells)]) + "\n", encoding="utf-8")
    for entry in document["distribution"]:
        if entry["contentUrl"].endswith("picks.csv"):
            entry["sha256"] = hashlib.sha256(picks.read_bytes()).hexdigest()
    document["copick:history"] = "somebody's own"
    manifest.write_text(json.dumps(document), encoding="utf-8")
    said, ended = told_and_written("base: published/Croissant/metadata.json\noutput: {project_root: out}\n", folder)
    assert "URLs of rows hold credentials or queries, which are left out: 2 in picks.csv" in said
    assert SECRET not in said
    assert ended == ExitCode.GOOD
    written = (folder / "out/Croissant/picks.csv").read_text(encoding="utf-8")
    for url in ("https://h.org/a.json", "https://h.org/b.json"):
        assert url in re.split("[,\n]", written)
    kept = json.loads((folder / "out/Croissant/metadata.json").read_bytes())
    assert kept["copick:history"] == "somebody's own"


def test_of_what_others_wrote_into_a_croissant_that_is_there(folder: Path) -> None:
    """They are what a build would take away, and are shown without what nobody may see."""
    sample = copy_sample(folder)
    recipe = write_recipe(folder, "  - export: lab\n    picks: '*:*/*'\n    tomograms: '*'\n")
    assert CliRunner().invoke(main, ["build", str(recipe)]).exit_code == 0
    rows = sample / "Croissant/picks.csv"
    first = rows.read_text(encoding="utf-8").splitlines()[1]
    place = next(value for value in first.split(",") if value.endswith(".json"))
    rows.write_text(rows.read_text(encoding="utf-8").replace(place, URL, 1), encoding="utf-8")
    manifest = sample / "Croissant/metadata.json"
    document = json.loads(manifest.read_text(encoding="utf-8"))
    [file] = [f for f in document["distribution"] if f.get("contentUrl", "").endswith("picks.csv")]
    file["sha256"] = hashlib.sha256(rows.read_bytes()).hexdigest()
    document |= {"url": URL, "citeAs": f"see {URL}"}
    document["copick:config"]["pickable_objects"][0]["identifier"] = URL
    manifest.write_text(json.dumps(document), encoding="utf-8")
    results = plan(recipe, options=Options(on_drift="discard"))
    for form in FORMATS.values():
        told = form.makes([result.report for result in results], View(full=True, verbose=True))
        assert told.count("127.0.0.1") > 2, form.name
        assert SECRET not in told, form.name
