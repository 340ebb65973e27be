"""A portal recipe builds the same bytes, whatever the order of rows and requests, their size, and the cache."""

from __future__ import annotations

import functools
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from croissant_recipes import api
from croissant_recipes.api import Planned
from croissant_recipes.options import Options
from croissant_recipes.sources.base import Request
from croissant_recipes.sources.portal import datasets as portal_datasets
from croissant_recipes.sources.portal.datasets import PortalSource
from croissant_recipes.sources.portal.transport import Limits
from tests.portal_builds import Files, built_files
from tests.portal_server import Fault, Server, Stall, serve
from tests.portal_tables import Tables, generate

TABLES = generate(runs=6)
DATASETS = (10000, 10440, 10301)
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
output: {{project_root: out, base_url: "https://example.org/published", parquet: true}}
sources:
  cdp: {{portal: {{datasets: {datasets}, url: "{url}"}}}}
layers:
  - export: cdp
    run_name: "{{name}}-{{dataset_id}}"
    session_id: "{{method_type}}-{{authors}}"
    rename:
      objects: {{beta-amylase: enzyme, beta-galactosidase: enzyme}}
      tomo_types: {{wbp-raw: wbp, wbp-filtered-ctfdeconv: wbp}}
    on_collision: last
  - append: cdp
    run_name: "{{name}}-{{dataset_id}}"
    picks: {{select: ["*complex*", beta-amylase], authors: [Emiko Brâncuși]}}
    segmentations: {{where: {{method_type: hybrid}}}}
    session_id: "{{author}}-{{annotation_file_id}}"
    others: exclude
splits:
  random: {{ratios: {{train: 0.5, val: 0.5}}, seed: 3}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(TABLES) as running:
        yield running


@pytest.fixture(scope="module")
def usual(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of the build that all others are compared with."""
    folder = tmp_path_factory.mktemp("usual")
    found = files_of(build(folder, server))
    assert {"metadata.json", "picks.csv", "picks.parquet", "instance_segmentations.csv"} < set(found)
    return found


def recipe(folder: Path, server: Server, datasets: Sequence[int] = DATASETS) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(url=server.url, datasets=list(datasets)), encoding="utf-8")
    return path


def build(folder: Path, server: Server, datasets: Sequence[int] = DATASETS, **options: object) -> Planned:
    (result,) = api.build(recipe(folder, server, datasets), options=Options(**options))
    assert not [str(d) for d in result.diagnostics if d.is_error]
    assert result.ok
    return result


def files_of(result: Planned) -> Files:
    assert result.output is not None
    return built_files(Path(result.output.project_root.path))


def requests_of(result: Planned) -> list[Request]:
    assert result.plan is not None
    layers = result.plan.resolution.layers.values()
    return [request for layer in layers for part in layer.stock.parts for request in part.requests]


def in_another_order(tables: Tables, seed: int) -> Tables:
    rng = random.Random(seed)
    return {name: rng.sample(rows, len(rows)) for name, rows in tables.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_portals_order(seed: int, usual: Files, tmp_path: Path) -> None:
    """Rows lie in another order in every table, and come in another one at every request."""
    with serve(in_another_order(TABLES, seed), shuffle=seed) as shuffled:
        assert files_of(build(tmp_path, shuffled)) == usual


@pytest.mark.parametrize("datasets", [DATASETS[::-1], (10440, 10000, 10301)], ids=str)
def test_the_recipes_order_of_datasets(datasets: tuple[int, ...], usual: Files, server: Server, tmp_path: Path) -> None:
    assert files_of(build(tmp_path, server, datasets)) == usual


@pytest.mark.parametrize("jobs", [1, 16])
def test_the_order_of_requests_and_answers(jobs: int, usual: Files, server: Server, tmp_path: Path) -> None:
    def late(number: int, _: str) -> Fault | None:
        return Stall(0.04 * (number % 3))

    with serve(TABLES, shuffle=jobs, faults=late) as slow:
        result = build(tmp_path, slow, jobs=jobs)
    assert files_of(result) == usual
    (plain,) = api.plan(recipe(tmp_path, server), options=Options(jobs=4))
    assert requests_of(result) == requests_of(plain), "plan -v does not tell who was first"


@pytest.mark.parametrize(("page_rows", "fewest", "most"), [(2, 200, 10**6), (13, 50, 200), (100_000, 1, 15)])
def test_the_size_of_pages_and_batches(
    page_rows: int,
    fewest: int,
    most: int,
    usual: Files,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        portal_datasets, "PortalSource", functools.partial(PortalSource, limits=Limits(page_rows=page_rows))
    )
    result = build(tmp_path, server)
    assert files_of(result) == usual
    assert fewest <= len(requests_of(result)) <= most


def test_the_cache(usual: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {name: tmp_path / name for name in ("cold", "warm", "offline", "refresh", "none")}
    for folder in folders.values():
        folder.mkdir()
    with serve(TABLES, shuffle=1) as server:
        assert files_of(build(folders["cold"], server)) == usual
        asked = server.stats.requests
        warm = build(folders["warm"], server)
        assert files_of(warm) == usual
        assert all(request.cached for request in requests_of(warm))
        assert files_of(build(folders["offline"], server, cache="offline")) == usual
        assert server.stats.requests == asked
        assert files_of(build(folders["refresh"], server, cache="refresh")) == usual
        assert server.stats.requests == 2 * asked
        in_the_way = tmp_path / "no-folder"
        in_the_way.touch()
        monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(in_the_way))
        without = build(folders["none"], server)
        assert files_of(without) == usual
        assert server.stats.requests == 3 * asked
        assert not any(request.cached for request in requests_of(without))


def test_the_hash_seed_and_two_processes_that_share_one_cache(
    usual: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "from croissant_recipes.cli import main; main()"
    # Both write every answer at about the same time.
    command = [sys.executable, "-c", program, "build", "--quiet", "--refresh", "recipe.yaml", "--output"]
    cache = tmp_path / "cache"
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(cache))
    with serve(TABLES, shuffle=7, latency=0.05) as server:
        recipe(tmp_path, server)
        running = [
            subprocess.Popen([*command, seed], cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": seed})
            for seed in ("1", "4711")
        ]
        assert [process.wait() for process in running] == [0, 0]
    assert built_files(tmp_path / "1") == usual
    assert built_files(tmp_path / "4711") == usual
    kept = [path for path in (cache / "portal").rglob("*") if path.is_file() and path.name != ".pruned"]
    assert len(kept) == server.stats.requests / 2
    assert all(path.name.endswith(".json.z") and not path.name.startswith(".") for path in kept)
    assert files_of(build(tmp_path, server, cache="offline")) == usual
