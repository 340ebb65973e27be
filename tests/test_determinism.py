"""The same recipe over the same sources gives the same bytes, whatever process builds it and however it is asked."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from projects import ProjectSpec, random_spec, write_project
from recipes_gen import DATASET

from croissant_recipes import Options, build
from croissant_recipes.sources import listing
from croissant_recipes.sources.file_facts import FileReader
from croissant_recipes.sources.listing import Entry

REPOSITORY = Path(__file__).parent.parent
HASH_SEEDS = range(4)

RECIPES = {
    # Everything at once: renames, splits by chance, labels, two layers, Parquet, URLs that no checkout is part of.
    "published": """\
output: {project_root: out/published, base_url: "https://example.org/data", parquet: true}
sources:
  lab: {copick: {config: lab/filesystem.json, base_url: "https://lab.example.org"}}
  other: {copick: {config: other/filesystem.json, base_url: "https://other.example.org"}}
layers:
  - {export: lab, allow_empty: true, segmentations: ["*", "*?instance=true", "*?panoptic=true"]}
  - {append: other, allow_empty: true, others: include, tomograms: {exclude: "wbp@10"}}
splits: {random: {ratios: {train: 0.6, val: 0.2, test: 0.2}, seed: 7}}
""",
    # Without base_url: all paths relative to the project, into which it is written.
    "relocatable": """\
output: {project_root: lab/project}
sources:
  lab: {copick: {config: lab/filesystem.json}}
layers:
  - {export: lab, allow_empty: true, picks: ["re:[a-m].*", "*:*/1"]}
""",
    # From what another recipe built.
    "appended": """\
base: out/published/Croissant/metadata.json
output: {project_root: out/appended}
sources:
  published: {croissant: {url: out/published/Croissant/metadata.json}}
layers:
  - {append: published, allow_empty: true, picks: all, others: exclude}
""",
}
"""Recipes that no path of this machine gets into, in the order in which they are built."""

Files = dict[str, bytes]


def checkout(folder: Path) -> Path:
    """A folder with projects and recipes, the same wherever it lies."""
    for name, seed in (("lab", 3), ("other", 11)):
        project = write_project(folder / name, _one_root(random.Random(seed)))
        config = json.loads(project.config.read_text())
        project.config.write_text(json.dumps(config | {"overlay_root": "project"}))
    for name, text in RECIPES.items():
        dataset = "" if "base:" in text else f"dataset: {json.dumps(DATASET)}\n"
        (folder / f"{name}.yaml").write_text(f"recipe: 1\nname: {name}\n{dataset}{text}", encoding="utf-8")
    return folder


def _one_root(rng: random.Random) -> ProjectSpec:
    while (spec := random_spec(rng, nasty=True)).two_roots:
        pass
    return spec


def built(folder: Path, **options: Any) -> Files:
    """What all recipes of a checkout come to, each built alone."""
    for name in RECIPES:
        (result,) = build(folder / f"{name}.yaml", options=Options(**options))
        assert result.ok, [str(d) for d in result.diagnostics if d.is_error]
    return collected(folder)


def collected(folder: Path) -> Files:
    roots = {name: folder / "out" / name for name in RECIPES} | {"relocatable": folder / "lab" / "project"}
    return {
        f"{name}/{path.name}": path.read_bytes()
        for name, root in roots.items()
        for path in sorted((root / "Croissant").iterdir())
    }


def clear(folder: Path) -> None:
    shutil.rmtree(folder / "out", ignore_errors=True)
    shutil.rmtree(folder / "lab" / "project" / "Croissant", ignore_errors=True)


def different(one: Files, other: Files) -> list[str]:
    return sorted(n for n in {*one, *other} if one.get(n) != other.get(n))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def reference(place: Path) -> Files:
    files = built(place)
    assert {n.rpartition("/")[0] for n in files} == set(RECIPES)
    assert len(files["published/picks.csv"].splitlines()) > 10
    assert b"https://mlcommons.org/definitions/training_split" in files["published/metadata.json"]
    return files


BUILD = """\
import hashlib, json, sys
from pathlib import Path
from croissant_recipes import build
found = {}
for recipe in sys.argv[1:]:
    (result,) = build(recipe)
    assert result.ok, result.diagnostics
    folder = Path(result.metadata_url).parent
    for path in sorted(folder.iterdir()):
        found[f"{Path(recipe).stem}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    said = "".join(map(str, result.diagnostics)).replace(str(Path.cwd()), "")
    found[f"{Path(recipe).stem} said"] = hashlib.sha256(said.encode()).hexdigest()
print(json.dumps(found))
"""


def in_a_process(folder: Path, seed: int) -> dict[str, str]:
    """Digests of what a process of its own builds with a seed of Python's hashes."""
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(REPOSITORY)}
    words = [sys.executable, "-c", BUILD, *(f"{name}.yaml" for name in RECIPES)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_hash_seeds(tmp_path: Path, reference: Files) -> None:
    """In checkouts of one shape, so that the processes need not wait for each other."""
    source = checkout(tmp_path / "source")
    folders = [shutil.copytree(source, tmp_path / str(seed)) for seed in HASH_SEEDS]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(in_a_process, folders, HASH_SEEDS))
    said = {name for name in found[0] if name.endswith(" said")}
    assert {n: d for n, d in found[0].items() if n not in said} == {
        name: hashlib.sha256(data).hexdigest() for name, data in reference.items()
    }
    for seed, digests in zip(HASH_SEEDS, found, strict=True):
        assert digests.keys() == found[0].keys()
        differing = sorted(n for n in digests if digests[n] != found[0][n])
        assert not differing, f"PYTHONHASHSEED={seed} changes {differing}"


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_directory_listings(place: Path, reference: Files, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """File systems list in any order they like."""
    rng = random.Random(seed)
    listed = listing.LocalLister.directories
    longest = 0

    def shuffled(self: Any, paths: Sequence[str]) -> Iterator[list[Entry]]:
        nonlocal longest
        for entries in listed(self, paths):
            longest = max(longest, len(entries))
            yield rng.sample(entries, len(entries))

    monkeypatch.setattr(listing.LocalLister, "directories", shuffled)
    clear(place)
    assert different(built(place), reference) == []
    assert longest > 5, "there was something to shuffle"


@pytest.mark.parametrize("jobs", [1, 8])
def test_any_number_of_jobs(place: Path, reference: Files, jobs: int) -> None:
    clear(place)
    assert different(built(place, jobs=jobs), reference) == []


def test_files_that_come_back_in_any_order(place: Path, reference: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FileReader.read

    def turned(self: Any, files: Any, **kwargs: Any) -> Any:
        facts = read(self, list(reversed(files)), **kwargs)
        return dict(reversed(facts.items()))

    monkeypatch.setattr(FileReader, "read", turned)
    clear(place)
    assert different(built(place), reference) == []


def test_two_checkouts(tmp_path: Path, reference: Files) -> None:
    """Neither where a checkout lies nor where it is built from gets into the bytes."""
    one = checkout(tmp_path / "a")
    other = shutil.copytree(one, tmp_path / "b c" / "a much longer path to it")
    first = built(one)
    assert different(first, reference) == []
    assert different(built(other), reference) == []
    for name, data in first.items():
        assert os.fsencode(tmp_path) not in data, name


def test_a_recipe_given_by_a_relative_path(place: Path, reference: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    clear(place)
    monkeypatch.chdir(place / "lab")
    for name in RECIPES:
        (result,) = build(f"../{name}.yaml")
        assert result.ok
    assert different(collected(place), reference) == []


def test_known_and_unknown_files(
    place: Path, reference: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts of files that were at rest come from the cache the second time."""
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))
    long_ago = time.time() - 3600
    for path in place.rglob("*.json"):
        os.utime(path, (long_ago, long_ago))
    clear(place)
    # A file's own clock of changes cannot be set back: let the two seconds pass that it takes to be at rest.
    monkeypatch.setattr("croissant_recipes.sources.fact_cache.REST_NS", 0)
    assert different(built(place), reference) == []
    assert list((tmp_path / "cache").iterdir()), "something is kept"
    reads: list[str] = []
    monkeypatch.setattr(
        "croissant_recipes.sources.file_facts.read_stamped",
        lambda path: reads.append(path) or pytest.fail("it is known"),
    )
    clear(place)
    assert different(built(place), reference) == []
    assert reads == []


def test_building_again_over_what_is_there(place: Path, reference: Files) -> None:
    assert different(built(place), reference) == []
    assert different(built(place), reference) == []


def test_a_suite_and_single_builds(place: Path, reference: Files) -> None:
    clear(place)
    results = build(*(place / f"{name}.yaml" for name in ("relocatable", "published")))
    assert all(r.ok for r in results)
    (result,) = build(place / "appended.yaml")
    assert result.ok
    assert different(collected(place), reference) == []


def test_the_environment(place: Path, reference: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the time zone nor the clock nor the locale."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    monkeypatch.setenv("LC_ALL", "C")
    clear(place)
    try:
        assert different(built(place), reference) == []
    finally:
        monkeypatch.undo()
        time.tzset()
