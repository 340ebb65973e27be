"""The command over a portal: the requests that it shows, its cached answers, and the recipe that it starts."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import yaml
from click.testing import CliRunner, Result

from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from tests.portal_server import Server, Status, serve
from tests.portal_tables import generate

TABLES = generate(runs=6)
RECIPE = """\
recipe: 1
name: portal
dataset:
  name: Portal
  description: Of a stand-in portal.
  version: 1.0.0
  license: CC0-1.0
  date_published: 2026-01-01
  url: https://example.org/portal
  creators: [{{name: Example Lab}}]
output: {{project_root: out, base_url: "https://example.org/published"}}
sources:
  cdp: {{portal: {{datasets: [10000, 10440], url: "{url}"}}}}
layers:
  - export: cdp
    tomograms: "*@4.99"
    others: exclude
  - append: cdp
    picks: {{select: cytosolic-ribosome, where: {{method_type: hybrid}}}}
    others: exclude
"""
REQUEST = re.compile(
    r"^  request (?P<what>.+): (?P<rows>[\d,]+) rows?, (?P<bytes>[\d,]+) bytes?"
    r"(, from cache \((?P<age>\d+) s old\))?$",
    re.MULTILINE,
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(TABLES) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a cache of its own beside it."""
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def recipe(folder: Path, server: Server) -> None:
    (folder / "recipe.yaml").write_text(RECIPE.format(url=server.url), encoding="utf-8")


def run(*words: str, code: ExitCode = ExitCode.GOOD) -> Result:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def plan(*flags: str) -> list[re.Match[str]]:
    """The requests that ``plan -v`` shows."""
    return list(REQUEST.finditer(run("plan", "-v", *flags, "recipe.yaml").stdout))


def number(match: re.Match[str], group: str) -> int:
    return int(match[group].replace(",", ""))


def read(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "Croissant").iterdir())}


def make_older(cache: Path, seconds: float) -> None:
    """Kept answers as they are after a time."""
    for path in cache.rglob("*.json.z"):
        record = orjson.loads(zlib.decompress(path.read_bytes()))
        path.write_bytes(zlib.compress(orjson.dumps({**record, "time": record["time"] - seconds})))


# Requests


def test_plan_shows_every_request_with_its_rows_and_bytes(server: Server, folder: Path) -> None:
    recipe(folder, server)
    shown = plan("--refresh")
    assert len(shown) == server.stats.requests
    assert sum(number(m, "bytes") for m in shown) == pytest.approx(server.stats.bytes, rel=0.01)
    rows = {m["what"]: number(m, "rows") for m in shown}
    assert set(rows) == {
        "datasets",
        "annotated objects",
        "shapes of objects",
        "tomogram types",
        "runs",
        "tomograms, all runs",
        "picks, all runs",
    }
    assert rows["datasets"] == 2
    assert rows["runs"] == sum(row["datasetId"] in (10000, 10440) for row in TABLES["Run"])
    assert rows["tomograms, all runs"] == sum(row["voxelSpacing"] == 4.99 for row in TABLES["Tomogram"])
    assert not any(m["age"] for m in shown)


def test_requests_are_shown_on_demand_and_in_json(server: Server, folder: Path) -> None:
    recipe(folder, server)
    assert not REQUEST.search(run("plan", "recipe.yaml").stdout)
    first, second = json.loads(run("plan", "--format", "json", "recipe.yaml").stdout)["recipes"][0]["layers"]
    assert {r["what"] for r in second["requests"]} == {"picks, all runs"}
    assert len(first["requests"]) == 6
    assert all(r["cached"] and r["rows"] > 0 and r["bytes"] > 0 and r["age_seconds"] is None for r in first["requests"])


# The cache


def test_the_age_of_cached_answers_is_shown(server: Server, folder: Path) -> None:
    recipe(folder, server)
    asked = [(m["what"], m["rows"], m["bytes"]) for m in plan()]
    make_older(folder.parent / "cache", 3600)
    shown = plan()
    assert [(m["what"], m["rows"], m["bytes"]) for m in shown] == asked
    assert all(3600 <= number(m, "age") < 3660 for m in shown)
    assert server.stats.requests == len(asked)


def test_an_answer_of_yesterday_is_asked_for_again(server: Server, folder: Path) -> None:
    recipe(folder, server)
    asked = len(plan())
    make_older(folder.parent / "cache", 25 * 3600)
    assert not any(m["age"] for m in plan())
    assert server.stats.requests == 2 * asked


def test_refresh_asks_anew_and_keeps_the_answers(server: Server, folder: Path) -> None:
    recipe(folder, server)
    asked = len(plan())
    make_older(folder.parent / "cache", 3600)
    assert not any(m["age"] for m in plan("--refresh"))
    assert server.stats.requests == 2 * asked
    assert all(number(m, "age") < 60 for m in plan())
    assert server.stats.requests == 2 * asked


def test_offline_builds_with_the_portal_gone(folder: Path) -> None:
    with serve(TABLES) as server:
        recipe(folder, server)
        run("build", "recipe.yaml")
    make_older(folder.parent / "cache", 30 * 24 * 3600)
    run("build", "--offline", "--output", "again", "recipe.yaml")
    assert read(folder / "again") == read(folder / "out")


def test_offline_without_the_answers(server: Server, folder: Path) -> None:
    recipe(folder, server)
    result = run("build", "--offline", "recipe.yaml", code=Code.CACHE.exit_code)
    assert "recipe.yaml:13:3: error[CR307]: source 'cdp', datasets 10000, 10440: no cached answer" in result.stderr
    assert "hint: run it once without --offline" in result.stderr
    assert server.stats.requests == 0
    assert not (folder / "out").exists()


def test_offline_tells_collisions_with_their_authors(server: Server, folder: Path) -> None:
    """The authors that a collision names are among the answers that the first build leaves."""
    text = RECIPE.format(url=server.url).replace("*@4.99", "*@10.012")
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    first = run("plan", "-q", "recipe.yaml", code=ExitCode.BLOCKED)
    assert "by Emiko Brâncuși and 17 more" in first.stderr
    asked = server.stats.requests
    again = run("plan", "-q", "--offline", "recipe.yaml", code=ExitCode.BLOCKED)
    assert again.stderr == first.stderr
    assert server.stats.requests == asked


# Starting a recipe


def test_init_writes_a_commented_recipe_that_checks_plans_and_builds(server: Server, folder: Path) -> None:
    result = run("init", "--datasets", "10000,10440", "--portal-url", server.url, "-o", "recipe.yaml")
    assert result.stdout == (
        "Wrote recipe.yaml. Fill in its license and date_published, then: croissant-recipe plan recipe.yaml\n"
    )
    text = (folder / "recipe.yaml").read_text(encoding="utf-8")
    text = text.replace("license:", "license: MIT").replace("date_published:", "date_published: 2026-01-15")
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    document = yaml.safe_load(text)
    assert document["sources"] == {"portal": {"portal": {"datasets": [10000, 10440], "url": server.url}}}
    assert "error" not in run("check", "recipe.yaml").output
    given = {row["from"] for row in json.loads(run("labels", "--format", "json", "recipe.yaml").stdout)["labels"]}
    assert given == {"recipe"}, "every object has the label that it would get anyway"
    assert [o["label"] for o in document["objects"].values()] == [*range(1, len(document["objects"]) + 1)]
    assert [*document["objects"]] == sorted(document["objects"])
    # The tomograms of dataset 10440 that there are most of are there twice in one run.
    assert "collision in tomograms" in run("plan", "-v", "recipe.yaml").stdout
    run("build", "recipe.yaml")
    assert len(read(folder / f"build/{document['name']}")) > 10
    again, planned = run("build", "recipe.yaml").stdout, run("plan", "-v", "recipe.yaml").stdout
    asked = r" by the portal's answers of \d{4}-\d\d-\d\d \d\d:\d\d UTC \(--refresh asks anew\)"
    assert re.match(rf"Up to date: .*\){asked}\n$", again)
    assert re.search(rf"\nNo changes: the Croissant is up to date{asked}\.\n", planned)
    assert "answers of" not in run("build", "--refresh", "recipe.yaml").stdout


def test_init_tells_what_the_datasets_hold(server: Server, folder: Path) -> None:
    text = run("init", "--datasets", "10000,10440", "--portal-url", server.url).stdout
    comments = [line.strip().removeprefix("#").strip() for line in text.splitlines() if line.strip().startswith("#")]
    for line in (
        "10000: S. pombe cells with defocus (runs: 1)",
        "10440: Object identification challenge, training data (runs: 3)",
        "wbp-filtered-ctfdeconv@4.99 (3)",
        "cytosolic-ribosome (5, hybrid, automated)",
        "membrane-enclosed-lumen (1, manual)",
        "Sara Goetz (2)",
        "hybrid (32)",
        "10310 (21)",
    ):
        assert line in comments
    spacings = {float(m[1]) for m in re.finditer(r"^ +#   [\w-]+@([\d.]+) \(", text, re.MULTILINE)}
    runs = {row["id"] for row in TABLES["Run"] if row["datasetId"] in (10000, 10440)}
    assert spacings == {row["voxelSpacing"] for row in TABLES["TomogramVoxelSpacing"] if row["runId"] in runs}


def test_init_of_a_dataset_that_is_not_there(server: Server, folder: Path) -> None:
    result = run("init", "--datasets", "10440,7", "--portal-url", server.url, "-o", "x.yaml", code=ExitCode.INVALID)
    assert "error[CR308]: the portal: the portal at" in result.stderr
    assert "has no dataset 7" in result.stderr
    assert not (folder / "x.yaml").exists()


def test_init_of_a_portal_that_refuses(folder: Path) -> None:
    with serve(TABLES, faults=lambda *_: Status(403)) as server:
        words = ("init", "--datasets", "10440", "--portal-url", server.url)
        result = run(*words, code=ExitCode.UNREACHABLE)
    assert "error[CR301]: the portal, dataset 10440" in result.stderr
    assert result.stdout == ""
